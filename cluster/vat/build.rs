//! Generates the wire's types from the committed code-generator request, so that no `capnp` binary is needed.

use std::{env, fs::File, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=schema/object.cgr");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    capnpc::codegen::CodeGenerationCommand::new().output_directory(&out).run(File::open("schema/object.cgr")?)?;
    Ok(())
}
