//! Takes the shipped guests that were built, out of the target folder's `guests`, into the crate.
//!
//! They are built by the `isx` that carries them: where they are not built yet the crate has none, and gets them by the next
//! build after `cargo xtask guests`.
#![allow(clippy::print_stdout, reason = "a build script tells cargo what it reads")]

use std::fmt::Write;
use std::fs::{self, File, FileTimes};
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where the sources of shipped guests lie in the workspace: each in the folder of its name.
const SHELVES: [&str; 2] = ["rom", "stdlib"];

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let out = variable("OUT_DIR")?;
    let guests = target(&out, &variable("TARGET")?).map(|target| target.join("guests"));
    let mut table = String::new();
    if let Some(guests) = guests {
        watchable(&guests)?;
        println!("cargo:rerun-if-changed={}", guests.display());
        for name in shipped(&variable("CARGO_MANIFEST_DIR")?)? {
            let file = format!("{name}.wasm");
            if guests.join(&file).is_file() {
                fs::copy(guests.join(&file), out.join(&file))?;
                write!(table, "Shipped {{ name: {name:?}, component: include_bytes!({file:?}) }},")
                    .map_err(Error::other)?;
            }
        }
    }
    fs::write(out.join("shipped.rs"), format!("&[{table}]"))
}

/// The target folder, of what lies in it as `[TRIPLE/]PROFILE/build/PACKAGE/out`.
fn target<'a>(out: &'a Path, triple: &Path) -> Option<&'a Path> {
    let folder = out.ancestors().nth(4)?;
    if folder.ends_with(triple) { folder.parent() } else { Some(folder) }
}

fn variable(name: &str) -> Result<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).ok_or_else(|| Error::other(format!("cargo sets no {name}")))
}

/// The names of the guests that are shipped, in order.
fn shipped(here: &Path) -> Result<Vec<String>> {
    let root = here.ancestors().nth(2).ok_or_else(|| Error::other("no workspace"))?;
    let mut names = Vec::new();
    for shelf in SHELVES {
        for entry in root.join(shelf).read_dir()? {
            names.extend(entry?.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}

/// Makes the folder where it is missing, for cargo asks again at each build what it can not watch; and makes it look old, for
/// what is newer than this build is asked again too.
fn watchable(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    File::open(folder)?.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH))
}
