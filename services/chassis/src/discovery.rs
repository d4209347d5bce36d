//! Where another part can be reached. Each way of finding out is one file here and yields [`fixed::Address`]es.

pub mod fixed;
