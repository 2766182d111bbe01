//! The generated code is what today's generator makes of the committed contract. `cargo xtask proto` writes it anew.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn generate(into: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile([root.join("proto/fleet.proto")], [root.join("proto")])
        .expect("the contract compiles");
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .btree_map(".")
        .bytes(".")
        .out_dir(into)
        .compile_fds(descriptors)
        .expect("the code is generated");
}

#[test]
fn the_committed_code_is_what_the_generator_makes() {
    let folder = tempfile::tempdir().expect("a folder");
    generate(folder.path());
    let fresh = fs::read_to_string(folder.path().join("openloop.fleet.v1.rs")).expect("the code was written");
    let committed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/grpc/generated.rs");
    if env::var_os("OPENLOOP_WRITE_GENERATED").is_some() {
        fs::write(&committed, &fresh).expect("the code can be written");
    }
    let known = fs::read_to_string(&committed).unwrap_or_default();
    assert!(known == fresh, "crates/wire/src/grpc/generated.rs is not up to date: cargo xtask proto");
}
