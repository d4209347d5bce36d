//! Language-model providers behind one port, and the router between them.
