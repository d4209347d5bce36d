//! The contracts of Tidemill and the code generated from them.
