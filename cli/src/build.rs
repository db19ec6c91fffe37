//! Builds a guest's crate into a component: compiles it with cargo, then [`component`] wraps it and lifts its schema.
//!
//! A guest is an `rlib` in its workspace, so that `cargo test` runs its units natively; here it becomes a `cdylib` for
//! its target. Its kind stands in its manifest: `[package.metadata.isx] kind = "module"` or `"rom"`; and there
//! `embed = { name = "../folder" }` names guests to build first, for `isx::embed!("name")`.

pub mod component;

use crate::sdk;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Guests that embed guests, and so on: a circle ends here.
const EMBED_DEPTH_MAX: u8 = 4;

/// What a guest is: decides its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Tables, reducers, queries: deterministic, without WASI.
    Module,
    /// A program with a `Host`: async, with WASI.
    Rom,
}

impl Kind {
    /// The compile target.
    pub fn target(self) -> &'static str {
        match self {
            Self::Module => "wasm32-unknown-unknown",
            Self::Rom => "wasm32-wasip2",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        match word {
            "module" => Some(Self::Module),
            "rom" => Some(Self::Rom),
            _ => None,
        }
    }
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The folder of the guest's `Cargo.toml`.
    pub folder: &'a Path,
    /// Components for `isx::embed!`: name and file.
    pub embeds: &'a [(String, PathBuf)],
}

/// A built guest.
#[derive(Debug)]
pub struct Built {
    /// The package's name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The component.
    pub component: Vec<u8>,
    /// Cargo's target folder for it.
    pub target_folder: PathBuf,
}

/// Builds a guest. Compiler messages go to this process's stderr.
///
/// # Errors
/// Names what is wrong and its cure: no such package, no kind, no target, compile errors, a refused schema.
pub fn build(order: &Order<'_>) -> Result<Built> {
    build_within(order, EMBED_DEPTH_MAX)
}

/// Builds a guest and, before it, those that it embeds, to this depth.
fn build_within(order: &Order<'_>, depth: u8) -> Result<Built> {
    sdk::put_for(order.folder)?;
    let package = Package::find(order.folder)?;
    check_target(order.folder, package.kind)?;
    let mut embeds = order.embeds.to_vec();
    for (name, folder) in package.embeds.iter().filter(|(name, _)| order.embeds.iter().all(|(told, _)| told != name)) {
        let depth = depth.checked_sub(1).with_context(|| {
            format!("`{}` embeds guests that embed guests, {EMBED_DEPTH_MAX} deep and more", package.name)
        })?;
        let folder = order.folder.join(folder);
        let inner = build_within(&Order { folder: &folder, embeds: &[] }, depth)
            .with_context(|| format!("to be embedded as `{name}`"))?;
        embeds.push((name.clone(), keep(&inner)?));
    }
    let wasm = compile(&Order { embeds: &embeds, ..*order }, &package)?;
    let bytes = std::fs::read(&wasm).with_context(|| format!("{} can not be read", wasm.display()))?;
    let component = match package.kind {
        Kind::Module => component::wrap_module(&bytes).with_context(|| format!("`{}` is no module", package.name))?,
        // The linker of this target makes the component.
        Kind::Rom => {
            component::inspect(&bytes).with_context(|| format!("`{}` is no ROM", package.name))?;
            bytes
        }
    };
    Ok(Built { name: package.name, kind: package.kind, component, target_folder: package.target_folder })
}

/// Writes a built guest where `isx build` puts it.
///
/// # Errors
/// What can not be written.
pub fn keep(built: &Built) -> Result<PathBuf> {
    let file = built.target_folder.join("isx").join(format!("{}.wasm", built.name));
    write(&file, &built.component)?;
    Ok(file)
}

/// Writes a component, unless it is there already: what embeds it is built again when the file is newer.
///
/// # Errors
/// What can not be written.
pub fn write(file: &Path, component: &[u8]) -> Result<()> {
    if std::fs::read(file).is_ok_and(|there| there == component) {
        return Ok(());
    }
    let written = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    written.and_then(|()| std::fs::write(file, component)).with_context(|| format!("can not write {}", file.display()))
}

/// The name of the variable that tells `isx::embed!("name")` its file.
pub fn embed_variable(name: &str) -> String {
    let word =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' });
    "ISX_EMBED_".chars().chain(word).collect()
}

/// A guest's package, as cargo describes it.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    name: String,
    manifest: PathBuf,
    kind: Kind,
    /// The guests that it embeds: name, and folder from its own.
    embeds: Vec<(String, String)>,
    /// Whether its workspace defines the profile `guest`.
    has_profile: bool,
    target_folder: PathBuf,
}

impl Package {
    fn find(folder: &Path) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        ensure!(manifest.is_file(), "{} has no Cargo.toml; give the folder of a guest", folder.display());
        let output = Command::new(cargo())
            .args(["metadata", "--format-version=1", "--no-deps", "--manifest-path"])
            .arg(&manifest)
            .stderr(Stdio::inherit())
            .output()
            .context("cargo does not start; install Rust from https://rustup.rs")?;
        ensure!(output.status.success(), "cargo does not understand {}", manifest.display());
        let manifest = manifest.canonicalize().with_context(|| format!("{} can not be found", manifest.display()))?;
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is no JSON")?;
        let root = metadata["workspace_root"].as_str().unwrap_or_default();
        let root_manifest = std::fs::read_to_string(Path::new(root).join("Cargo.toml")).unwrap_or_default();
        Self::read(&metadata, manifest, root_manifest.lines().any(|line| line.trim() == "[profile.guest]"))
    }

    fn read(metadata: &Value, manifest: PathBuf, has_profile: bool) -> Result<Self> {
        let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let same_file =
            |package: &&Value| package["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest);
        let package = packages.iter().find(same_file).with_context(|| {
            format!("{} is a workspace without a package of its own; give the folder of a guest", manifest.display())
        })?;
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let kind = match package["metadata"]["isx"]["kind"].as_str() {
            Some(word) => Kind::of_word(word)
                .with_context(|| format!("`{name}` has the kind `{word}`; a guest is a `module` or a `rom`"))?,
            None => bail!(
                "`{name}` does not say what it is; add `kind = \"module\"` or `kind = \"rom\"` to \
                 `[package.metadata.isx]` in {}",
                manifest.display()
            ),
        };
        let embeds = package["metadata"]["isx"]["embed"].as_object().into_iter().flatten().map(|(embedded, folder)| {
            let folder = folder.as_str().with_context(|| format!("`{name}`: embed.{embedded} is no folder"))?;
            Ok((embedded.clone(), folder.to_owned()))
        });
        let embeds = embeds.collect::<Result<_>>()?;
        let target_folder = metadata["target_directory"].as_str().unwrap_or("target").into();
        Ok(Self { name, manifest, kind, embeds, has_profile, target_folder })
    }
}

fn check_target(folder: &Path, kind: Kind) -> Result<()> {
    let target = kind.target();
    let has = has_target(folder, kind)?;
    ensure!(has, "the toolchain has no target {target}; add it with `rustup target add {target}`");
    Ok(())
}

/// Whether the toolchain of a folder has the target of guests of this kind.
///
/// # Errors
/// When there is no toolchain.
pub fn has_target(folder: &Path, kind: Kind) -> Result<bool> {
    let target = kind.target();
    let output = Command::new(rustc())
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(folder)
        .output()
        .context("rustc does not start; install Rust from https://rustup.rs")?;
    let libraries = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(libraries.trim()).is_dir())
}

/// Small and without unwinding; for projects that do not define the profile themselves.
const PROFILE: &[&str] = &[
    "profile.guest.inherits='release'",
    "profile.guest.opt-level='s'",
    "profile.guest.lto=true",
    "profile.guest.codegen-units=1",
    "profile.guest.panic='abort'",
    "profile.guest.strip=true",
];

fn compile(order: &Order<'_>, package: &Package) -> Result<PathBuf> {
    let mut command = Command::new(cargo());
    command.args(["rustc", "--lib", "--crate-type", "cdylib", "--profile", "guest", "--target", package.kind.target()]);
    command.args(["--message-format", "json-render-diagnostics", "--manifest-path"]).arg(&package.manifest);
    if !package.has_profile {
        for setting in PROFILE {
            command.args(["--config", setting]);
        }
    }
    for (name, file) in order.embeds {
        let path = file.canonicalize().with_context(|| {
            format!("{} to embed as `{name}` is not there; build it first with `isx build`", file.display())
        })?;
        command.env(embed_variable(name), path);
    }
    let output = command.stderr(Stdio::inherit()).output().context("cargo does not start")?;
    ensure!(output.status.success(), "`{}` does not compile", package.name);
    let manifest = package.manifest.as_os_str();
    artifact(&output.stdout, manifest.as_ref())
        .with_context(|| format!("`{}` has no library; a guest is a library: `src/lib.rs`", package.name))
}

/// The WebAssembly file among cargo's messages, one JSON object a line.
fn artifact(messages: &[u8], manifest: &Path) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest))
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

/// The compiler to ask.
pub fn rustc() -> std::ffi::OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// The cargo to run: the one that runs this program, if one does.
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check_package(metadata: &Value, expected: &str) {
        let manifest = json!({"packages": [{"name": "tally", "manifest_path": "/p/Cargo.toml", "metadata": metadata}]});
        let found = match Package::read(&manifest, "/p/Cargo.toml".into(), true) {
            Ok(package) => format!("{} {:?}", package.name, package.kind),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn the_kind_stands_in_the_manifest() {
        check_package(&json!({"isx": {"kind": "module"}}), "tally Module");
        check_package(&json!({"isx": {"kind": "rom"}}), "tally Rom");
        check_package(&json!({"isx": {"kind": "ram"}}), "a guest is a `module` or a `rom`");
        check_package(&Value::Null, "add `kind = \"module\"` or `kind = \"rom\"`");
    }

    #[test]
    fn a_folder_without_a_package_is_refused() {
        let empty = Package::read(&json!({"packages": []}), "/w/Cargo.toml".into(), true);
        assert!(empty.unwrap_err().to_string().contains("give the folder of a guest"));
        let nothing = Package::find(Path::new("/nowhere/at/all"));
        assert!(nothing.unwrap_err().to_string().contains("has no Cargo.toml"));
    }

    #[test]
    fn the_artifact_is_the_packages_own_wasm() {
        let line = |manifest: &str, file: &str| {
            json!({"reason": "compiler-artifact", "manifest_path": manifest, "filenames": [file]}).to_string()
        };
        let messages = [
            "no json".to_owned(),
            line("/dependency/Cargo.toml", "/t/dependency.wasm"),
            line("/p/Cargo.toml", "/t/libtally.rlib"),
            line("/p/Cargo.toml", "/t/tally.wasm"),
        ]
        .join("\n");
        let manifest = Path::new("/p/Cargo.toml");
        assert_eq!(artifact(messages.as_bytes(), manifest), Some("/t/tally.wasm".into()));
        assert_eq!(artifact(b"", manifest), None);
    }

    #[test]
    fn embeds_are_told_by_variables() {
        assert_eq!(embed_variable("word-count"), "ISX_EMBED_WORD_COUNT");
    }
}
