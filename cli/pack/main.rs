//! Packs what guests link into an archive that `isx` carries, so that `isx new` makes projects that build without network.
//!
//! The archive is a workspace of its own: the SDK's crates as they are, the crates they need below `vendor`, each manifest
//! pointing at its neighbours' folders. The bindings to the guest contract are expanded: a guest's build does not compile
//! the tools that read WIT.
#![allow(clippy::print_stdout, reason = "a build script tells cargo what it reads")]

mod bindings;
mod vendor;
mod workspace;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// What guests name in their manifests: to be linked, and for their tests.
const SDK: [&str; 2] = ["isx-sdk", "isx-testing"];
/// What the workspace's build needs and a guest's does not: the macro that reads WIT, whose expansion is in the archive, and
/// what a C compiler is run in parallel with.
const LEFT_OUT: [&str; 2] = [vendor::WIT_MACRO, "jobserver"];
/// What guests are compiled for; their macros and tests run on the host.
const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

/// The archive's files: path and contents.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn main() -> Result<()> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = here.parent().context("the workspace")?;
    let inputs = [
        "sdk/row",
        "sdk/iface",
        "sdk/guest",
        "sdk/macros",
        "sdk/testing",
        "sdk/wit",
        "host/store",
        "Cargo.toml",
        "Cargo.lock",
        "cli/pack",
    ];
    for input in inputs {
        println!("cargo:rerun-if-changed={}", root.join(input).display());
    }
    let metadata = metadata(root)?;
    let mut files = Files::new();
    let packages = closure(&metadata)?;
    for id in &packages {
        let package = &metadata[id];
        match package.source {
            None => workspace::put_member(package, root, &mut files)?,
            Some(_) => vendor::put(&metadata, id, &packages, &mut files)?,
        }
    }
    workspace::put_root(&metadata, &packages, root, &mut files)?;
    bindings::put(root, &mut files)?;
    write(&files, &Path::new(&variable("OUT_DIR")?).join("sdk.tar.gz"))
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("cargo sets no {name}"))
}

/// The workspace as cargo resolved it for the host and the targets of guests.
fn metadata(root: &Path) -> Result<Metadata> {
    let host = variable("HOST")?;
    let platforms = TARGETS.into_iter().chain([host.as_str()]);
    let options = platforms.map(|target| format!("--filter-platform={target}")).chain(["--locked".into()]);
    MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(options.collect::<Vec<_>>())
        .exec()
        .context("cargo does not describe the workspace")
}

/// The SDK and everything it needs to be built.
fn closure(metadata: &Metadata) -> Result<BTreeSet<cargo_metadata::PackageId>> {
    let mut rest = VecDeque::new();
    for name in SDK {
        let package = metadata.packages.iter().find(|package| package.name == name);
        rest.push_back(package.with_context(|| format!("no {name} in the workspace"))?.id.clone());
    }
    let mut found: BTreeSet<_> = rest.iter().cloned().collect();
    while let Some(id) = rest.pop_front() {
        for needed in vendor::needs(metadata, &id)? {
            if !LEFT_OUT.contains(&metadata[&needed].name.as_str()) && found.insert(needed.clone()) {
                rest.push_back(needed);
            }
        }
    }
    Ok(found)
}

/// Every file below `folder` that `wanted` lets through, by its path relative to it.
fn read_folder(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Files> {
    let (mut files, mut folders) = (Files::new(), vec![PathBuf::new()]);
    while let Some(below) = folders.pop() {
        let entries = folder.join(&below).read_dir().with_context(|| format!("{}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = below.join(entry.file_name());
            match entry.file_type()? {
                _ if !wanted(&path) => {}
                kind if kind.is_dir() => folders.push(path),
                kind if kind.is_file() => drop(files.insert(path, std::fs::read(entry.path())?)),
                _ => {}
            }
        }
    }
    Ok(files)
}

/// Writes the archive; the same files give the same bytes.
fn write(files: &Files, to: &Path) -> Result<()> {
    let file = std::fs::File::create(to).with_context(|| format!("{}", to.display()))?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, bytes.as_slice())?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}
