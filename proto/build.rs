//! Compiles the contracts: messages, clients, servers, JSON, the descriptor set, the table of HTTP routes,
//! and the lists of services and of methods that may be called twice.

mod catalogue;
mod routes;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=tidemill");
    println!("cargo::rerun-if-changed=google");
    println!("cargo::rerun-if-changed=keda");
    println!("cargo::rerun-if-changed=routes.rs");
    println!("cargo::rerun-if-changed=catalogue.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = Vec::new();
    find(Path::new("tidemill"), &mut files)?;
    find(Path::new("keda"), &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true).open_files(files)?;
    // The compiler's own bytes: prost's descriptors would drop the google.api.http options.
    let descriptors = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &descriptors)?;

    let mut config = prost_build::Config::new();
    config.compile_well_known_types().extern_path(".google.protobuf", "::pbjson_types");
    // Tasks are handed on by the thousand: what few of them have must not be carried along in all.
    config.boxed(".tidemill.types.v1.NewTask.options").boxed(".tidemill.types.v1.Task.options");
    config.boxed(".tidemill.types.v1.Lease.task").boxed(".tidemill.types.v1.Completion.analysis");
    config.skip_protoc_run();
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds_with_config(prost_types::FileDescriptorSet::decode(&descriptors[..])?, config)?;
    pbjson_build::Builder::new().register_descriptors(&descriptors)?.build(&[".tidemill"])?;
    routes::write(&descriptors, &out.join("routes.rs"))?;
    catalogue::write(&descriptors, &out.join("catalogue.rs"))
}

/// Every .proto file below `folder`.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
