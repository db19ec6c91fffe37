//! `isx new`: a project that builds at once, from a template.

use crate::arguments::{New, Template};
use crate::sdk;
use crate::show::Show;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::fs;
use std::path::Path;

/// A template's files: their places, and their texts with `{{name}}` for the project's name.
type Files = &'static [(&'static str, &'static str)];

const GITIGNORE: (&str, &str) = (".gitignore", include_str!("../templates/gitignore"));
const MODULE: &str = include_str!("../templates/module.rs");

impl Template {
    fn files(self) -> Files {
        match self {
            Self::Module => {
                &[GITIGNORE, ("Cargo.toml", include_str!("../templates/module.toml")), ("src/lib.rs", MODULE)]
            }
            Self::Rom => &[
                GITIGNORE,
                ("Cargo.toml", include_str!("../templates/rom.toml")),
                ("src/lib.rs", include_str!("../templates/rom.rs")),
            ],
            Self::App => &[
                GITIGNORE,
                ("Cargo.toml", include_str!("../templates/app.toml")),
                ("isx.toml", include_str!("../templates/app_project.toml")),
                ("module/Cargo.toml", include_str!("../templates/app_module.toml")),
                ("module/src/lib.rs", MODULE),
                ("rom/Cargo.toml", include_str!("../templates/app_rom.toml")),
                ("rom/src/lib.rs", include_str!("../templates/app_rom.rs")),
            ],
        }
    }

    /// What to type next, in the project's folder.
    fn next(self, name: &str) -> String {
        match self {
            Self::Module => {
                format!("isx test\n  isx publish\n  isx call /self/{name} greet ada\n  isx rows /self/{name}:greeting")
            }
            Self::Rom => "isx run -A .".into(),
            Self::App => format!("isx publish\n  isx run rom -- ada grace\n  isx rows {name}:greeting"),
        }
    }
}

/// `isx new`.
pub fn new(arguments: &New, show: Show) -> Result<()> {
    let folder = &arguments.folder;
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => {
            let last = folder.file_name().with_context(|| format!("{} has no name; say --name", folder.display()))?;
            last.to_string_lossy().into_owned()
        }
    };
    check_name(&name)?;
    let is_empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !folder.exists(),
    };
    ensure!(is_empty, "{} is there already and is not an empty folder", folder.display());
    for (place, text) in arguments.template.files() {
        put(&folder.join(place), &text.replace("{{name}}", &name))?;
    }
    sdk::put(folder)?;
    let next = arguments.template.next(&name);
    Ok(show.one(
        || format!("made {}\nnext:\n  cd {}\n  {next}", folder.display(), folder.display()),
        || json!({ "name": name, "folder": folder.to_string_lossy() }),
    )?)
}

fn put(file: &Path, text: &str) -> Result<()> {
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, text));
    written.with_context(|| format!("can not write {}", file.display()))
}

/// Names that mean something to cargo or below a home.
const RESERVED: &[&str] = &["self", "crate", "super", "core", "std", "test", "dev", "proc"];

/// A name that cargo takes for a package and isx for an anchor.
fn check_name(name: &str) -> Result<()> {
    ensure!(!RESERVED.contains(&name), "{name:?} can not be a project's name: it is reserved; say --name NAME");
    let first = name.chars().next().is_some_and(|first| first.is_ascii_lowercase());
    let rest =
        name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter));
    ensure!(
        first && rest,
        "{name:?} can not be a project's name: it has lower-case letters, digits, - and _, a letter first; say --name NAME"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cargos_and_anchors() {
        for good in ["hello", "a1-b_c"] {
            check_name(good).unwrap();
        }
        for bad in ["", "Hello", "1a", "a b", "a/b", "..", "ä", "self"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_placeholder_is_left_and_nothing_is_overwritten() {
        for template in [Template::Module, Template::Rom, Template::App] {
            let parent = tempfile::tempdir().unwrap();
            let arguments = New { folder: parent.path().join("greeter"), template, name: None };
            new(&arguments, Show { json: true }).unwrap();
            for (place, _) in template.files() {
                let text = fs::read_to_string(arguments.folder.join(place)).unwrap();
                assert!(!text.contains("{{"), "{place}: {text}");
            }
            assert!(new(&arguments, Show { json: true }).unwrap_err().to_string().contains("is there already"));
        }
    }
}
