//! The store on SQLite: native SQL, one writer with group commit, parallel readers.
