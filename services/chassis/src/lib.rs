//! What a process needs to be a good service: config, lifecycle, wires, layers, discovery, balancing.
