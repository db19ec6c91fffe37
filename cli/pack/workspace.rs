//! The SDK's own crates, and the manifest of the workspace that they make in the archive.

use crate::{Files, read_folder, vendor};
use anyhow::{Context, Result};
use cargo_metadata::{Metadata, Package, PackageId};
use std::collections::BTreeSet;
use std::path::Path;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, value};

/// Puts a crate of the SDK as it is, and what it reads beside itself.
pub fn put_member(package: &Package, root: &Path, files: &mut Files) -> Result<()> {
    let folder = package.manifest_path.parent().context("a manifest is in a folder")?.as_std_path();
    let place = folder.strip_prefix(root)?;
    let wanted = |path: &Path| path.iter().next().is_some_and(|first| first != "tests" && first != "benches");
    for (path, bytes) in read_folder(folder, &wanted)? {
        files.insert(place.join(path), bytes);
    }
    for (path, bytes) in read_folder(&root.join("sdk/wit"), &|_| true)? {
        files.insert(Path::new("sdk/wit").join(path), bytes);
    }
    Ok(())
}

/// Puts the manifest of the archive's workspace: what its members inherit, with crates from elsewhere in their folders.
pub fn put_root(metadata: &Metadata, packages: &BTreeSet<PackageId>, root: &Path, files: &mut Files) -> Result<()> {
    let text = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let whole: DocumentMut = text.parse()?;
    let inherited = whole["workspace"].as_table().context("no workspace")?;
    let mut workspace = Table::new();
    let mut members = Array::new();
    for package in packages.iter().map(|id| &metadata[id]).filter(|package| package.source.is_none()) {
        let folder = package.manifest_path.parent().context("a manifest is in a folder")?;
        members.push(folder.strip_prefix(root)?.as_str());
    }
    workspace.insert("resolver", inherited["resolver"].clone());
    workspace.insert("members", value(members));
    for part in ["package", "lints"] {
        workspace.insert(part, inherited[part].clone());
    }
    let declared = inherited["dependencies"].as_table().context("no dependencies")?;
    workspace.insert("dependencies", Item::Table(dependencies(declared, metadata, packages)));
    let mut manifest = DocumentMut::new();
    manifest.insert("workspace", Item::Table(workspace));
    files.insert("Cargo.toml".into(), manifest.to_string().into_bytes());
    Ok(())
}

/// The dependencies that members inherit: those in the archive by their folders, those of tests as they are declared.
fn dependencies(declared: &Table, metadata: &Metadata, packages: &BTreeSet<PackageId>) -> Table {
    let members = packages.iter().map(|id| &metadata[id]).filter(|package| package.source.is_none());
    let named: BTreeSet<&str> =
        members.flat_map(|package| &package.dependencies).map(|one| one.name.as_str()).collect();
    let mut kept = Table::new();
    for (name, item) in declared.iter().filter(|(name, _)| named.contains(name)) {
        let packed = packages.iter().map(|id| &metadata[id]).find(|package| package.name.as_str() == name);
        let item = match packed {
            Some(package) if package.source.is_some() => {
                let mut entry = match item.as_value() {
                    Some(toml_edit::Value::InlineTable(entry)) => entry.clone(),
                    _ => InlineTable::new(),
                };
                entry.remove("version");
                entry.insert("path", format!("vendor/{}", vendor::folder(package)).into());
                if let Some(features) = entry.get_mut("features").and_then(|features| features.as_array_mut()) {
                    // The macro's expansion is in the archive.
                    features
                        .retain(|feature| !(vendor::WIT_MACRO.starts_with(name) && feature.as_str() == Some("macros")));
                }
                value(entry)
            }
            None if item.get("path").is_some() => continue,
            _ => item.clone(),
        };
        kept.insert(name, item);
    }
    kept
}
