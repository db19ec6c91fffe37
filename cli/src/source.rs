//! What a word for a component means: a file or folder here, a shipped guest, a content hash, an anchor that holds one.
//!
//! `std:NAME` and a hash, 66 hexadecimal digits, are what they look like. Of the rest what is here is meant first: a file or
//! folder, then, where the word begins with `/`, an anchor. By whichever road it comes, a component is known by its hash.

use crate::build::{self, Kind, Order};
use crate::json::content_hash;
use crate::names::walk;
use crate::show::Show;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use isx_iface::publish::download;
use isx_iface::{Anchor, HostStub};
use isx_row::{Code, ContentHash, Error};
use isx_std::{SHIPPED, Shipped};
use serde_json::{Value as Json, json};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// How the name of a shipped guest begins; alone it stands for all of them.
pub const STD: &str = "std:";

/// Where a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A component file, or the folder of a guest to build.
    Here(PathBuf),
    /// In this program.
    Std(&'static str),
    /// A blob of a node.
    Blob(ContentHash),
    /// A blob of a node, whose hash is an anchor's value.
    Anchor(String),
}

impl Source {
    /// What a word means.
    ///
    /// # Errors
    /// `not_found` for a guest that is not shipped.
    pub fn of(what: &Path) -> Result<Self, Error> {
        let Some(word) = what.to_str() else { return Ok(Self::Here(what.into())) };
        if let Some(name) = word.strip_prefix(STD) {
            return Ok(Self::Std(shipped(SHIPPED, name)?.name));
        }
        if let Ok(hash) = content_hash(word) {
            return Ok(Self::Blob(hash));
        }
        match word.starts_with('/') && !what.exists() {
            true => Ok(Self::Anchor(word.into())),
            false => Ok(Self::Here(what.into())),
        }
    }

    /// Whether a node is asked for it.
    pub fn is_of_node(&self) -> bool {
        matches!(self, Self::Blob(_) | Self::Anchor(_))
    }

    /// What people call it, and what a program is told as its own name.
    pub fn name(&self) -> String {
        match self {
            Self::Here(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Self::Std(name) => (*name).into(),
            Self::Blob(hash) => hash.to_string(),
            Self::Anchor(path) => path.trim_end_matches('/').rsplit('/').next().unwrap_or(path).into(),
        }
    }

    /// The component, where no node is asked for it: what the file holds, or what the folder builds, which must be of this
    /// kind where one is wanted.
    ///
    /// # Errors
    /// `not_found` when it is not here.
    pub fn here(&self, kind: Option<Kind>) -> Result<Vec<u8>> {
        match self {
            Self::Here(path) if path.is_dir() => {
                let built = build::build(&Order { folder: path, embeds: &[] })?;
                match (built.kind, kind) {
                    (Kind::Rom, Some(Kind::Module)) => bail!("{self} is a ROM: run it with `isx run`"),
                    (Kind::Module, Some(Kind::Rom)) => bail!("{self} is a module: publish it with `isx publish`"),
                    _ => Ok(built.component),
                }
            }
            Self::Here(path) => read(path),
            Self::Std(name) => Ok(shipped(SHIPPED, name)?.component.into()),
            Self::Anchor(path) => Err(no_file(Path::new(path)).into()),
            Self::Blob(hash) => {
                let text = format!("{hash} is a blob of a node: give a file, a folder or {STD}NAME here");
                Err(Error::new(Code::BadArguments, text).into())
            }
        }
    }

    /// The component, of a node where one is asked for it, with a bar on a terminal.
    ///
    /// # Errors
    /// As [`Source::here`]; what the node refuses.
    pub async fn component(&self, host: &HostStub, kind: Kind) -> Result<Vec<u8>> {
        let hash = match self {
            Self::Blob(hash) => *hash,
            Self::Anchor(path) => held(host, path).await?,
            Self::Here(_) | Self::Std(_) => return self.here(Some(kind)),
        };
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("downloading");
        let component = download(host, hash, |here, size| {
            bar.set_length(size);
            bar.set_position(here);
        });
        let component = component.await.with_context(|| self.to_string());
        bar.finish_and_clear();
        component
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(path) => write!(f, "{}", path.display()),
            Self::Std(name) => write!(f, "{STD}{name}"),
            Self::Blob(hash) => write!(f, "{hash}"),
            Self::Anchor(path) => write!(f, "{path}"),
        }
    }
}

/// The hash that an anchor holds.
async fn held(host: &HostStub, path: &str) -> Result<ContentHash> {
    let anchor = match walk(host, path).await {
        Err(error) if error.downcast_ref::<Error>().is_some_and(|error| error.code == Code::NotFound) => {
            let text = format!("no file {path}, and no anchor of that path that you may see");
            return Err(Error::new(Code::NotFound, text).into());
        }
        other => other?,
    };
    let value = anchor.get().await.with_context(|| path.to_string())?;
    let value = value.ok_or_else(|| {
        let text = format!("{path} has no value: `isx publish ROM {path}` makes it the hash of a ROM");
        Error::new(Code::NotFound, text)
    })?;
    hash_in(&value.0).ok_or_else(|| {
        let text = format!("the value of {path} is no content hash: `isx get {path}` shows it");
        Error::new(Code::BadArguments, text).into()
    })
}

/// The content hash that a cell's value is.
pub fn hash_in(value: &[u8]) -> Option<ContentHash> {
    content_hash(std::str::from_utf8(value).ok()?.trim()).ok()
}

/// The shipped guest of this name.
fn shipped(all: &'static [Shipped], name: &str) -> Result<&'static Shipped, Error> {
    let not_found = |text| Err(Error::new(Code::NotFound, text));
    match all.iter().find(|shipped| shipped.name == name) {
        Some(shipped) => Ok(shipped),
        None if all.is_empty() => not_found(
            "this isx carries no guests: it was built before they were; in its sources `cargo xtask guests` builds both, \
             and `cargo xtask install` installs an isx that has them"
                .into(),
        ),
        None => {
            let names: Vec<String> = all.iter().map(|shipped| format!("{STD}{}", shipped.name)).collect();
            not_found(format!("{STD}{name} is not shipped; there are {}", names.join(", ")))
        }
    }
}

/// `isx inspect std:`: all that is shipped.
pub fn list(show: Show) -> Result<()> {
    if SHIPPED.is_empty() {
        shipped(SHIPPED, "")?;
    }
    let records = SHIPPED.iter().map(|Shipped { name, component }| {
        let kind = if isx_exec::is_program(component) { "rom" } else { "module" };
        let hash = ContentHash::of(component).to_string();
        json!({ "name": format!("{STD}{name}"), "kind": kind, "bytes": component.len(), "hash": hash })
    });
    Ok(show.table(&["name", "kind", "bytes", "hash"], &records.collect::<Vec<Json>>())?)
}

fn no_file(file: &Path) -> Error {
    let shipped = SHIPPED.iter().find(|shipped| Path::new(shipped.name) == file);
    let meant = shipped.map(|shipped| format!("; {STD}{} is shipped", shipped.name)).unwrap_or_default();
    Error::new(Code::NotFound, format!("no file {}{meant}", file.display()))
}

/// The bytes of a component file, bounded before they are read.
fn read(file: &Path) -> Result<Vec<u8>> {
    let metadata = fs::metadata(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => anyhow::Error::new(no_file(file)),
        _ => anyhow::Error::new(error).context(format!("can not read {}", file.display())),
    })?;
    let most = isx_iface::limits::COMPONENT_BYTES_MAX;
    if !metadata.is_file() || metadata.len() > most {
        let text = format!("{} is no component: a component is a file of at most {most} bytes", file.display());
        return Err(Error::new(Code::Limit, text).into());
    }
    fs::read(file).with_context(|| format!("can not read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Source) {
        assert_eq!(Source::of(Path::new(word)).unwrap(), expected, "{word}");
    }

    #[test]
    fn a_word_is_what_it_looks_like_then_what_is_here_then_an_anchor() {
        let hash = ContentHash::of(b"a");
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_string_lossy();
        check(&hash.to_string(), Source::Blob(hash));
        check(&here, Source::Here(folder.path().into()));
        check(&format!("{here}/none"), Source::Anchor(format!("{here}/none")));
        check("/self/tools/wc", Source::Anchor("/self/tools/wc".into()));
        check("none.wasm", Source::Here("none.wasm".into()));
        check(&format!("./{hash}"), Source::Here(format!("./{hash}").into()));
        check(&hash.to_string()[1..], Source::Here(hash.to_string()[1..].into()));
        assert_eq!(Source::Anchor("/self/tools/wc/".into()).name(), "wc");
    }

    #[test]
    fn what_is_not_shipped_is_told_with_what_is() {
        let all: &[Shipped] = &[Shipped { name: "a", component: b"" }, Shipped { name: "b", component: b"" }];
        assert_eq!(shipped(all, "b").unwrap().name, "b");
        let text = shipped(all, "c").unwrap_err().text;
        assert_eq!(text, "std:c is not shipped; there are std:a, std:b");
        let none = shipped(&[], "a").unwrap_err();
        assert!(none.code == Code::NotFound && none.text.contains("`cargo xtask guests` builds both"), "{none}");
    }

    #[test]
    fn a_cell_holds_a_hash_or_something_else() {
        let hash = ContentHash::of(b"a");
        assert_eq!(hash_in(format!("{hash}\n").as_bytes()), Some(hash));
        assert_eq!([&b""[..], b"hello", b"\xff"].map(hash_in), [None; 3]);
    }
}
