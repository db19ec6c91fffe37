//! Crates from elsewhere, whose manifests are made to point at each other's folders.

use crate::{Files, read_folder};
use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, value};

/// Reads WIT at compile time.
pub const WIT_MACRO: &str = "wit-bindgen-rust-macro";
/// Folders and files that no build reads.
const LEFT_OUT: &[&str] = &[
    "tests",
    "benches",
    "examples",
    "docs",
    "ci",
    "fuzz",
    "media",
    "Cargo.toml.orig",
    "Cargo.lock",
    ".cargo_vcs_info.json",
    ".cargo-ok",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "test-vectors",
    "test_vectors",
];

/// The packages that a package needs to be built.
pub fn needs(metadata: &Metadata, id: &PackageId) -> Result<Vec<PackageId>> {
    let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    let node = resolve.nodes.iter().find(|node| node.id == *id).context("cargo did not resolve a package")?;
    let built = |kinds: &[cargo_metadata::DepKindInfo]| kinds.iter().any(|one| one.kind != DependencyKind::Development);
    Ok(node.deps.iter().filter(|one| built(&one.dep_kinds)).map(|one| one.pkg.clone()).collect())
}

/// The folder of a package below `vendor`.
pub fn folder(package: &Package) -> String {
    format!("{}-{}", package.name, package.version)
}

/// Puts a package, able to find those of `packages` that it needs, and without those that it could have had.
pub fn put(metadata: &Metadata, id: &PackageId, packages: &BTreeSet<PackageId>, files: &mut Files) -> Result<()> {
    let package = &metadata[id];
    let source = package.manifest_path.parent().context("a manifest is in a folder")?;
    let wanted = |path: &Path| {
        let first = path.iter().next().and_then(|name| name.to_str());
        first.is_some_and(|name| !LEFT_OUT.contains(&name))
    };
    let neighbours = needs(metadata, id)?.into_iter().filter(|id| packages.contains(id));
    let neighbours = neighbours.map(|id| (metadata[&id].name.to_string(), folder(&metadata[&id]))).collect();
    for (path, bytes) in read_folder(source.as_std_path(), &wanted)? {
        let bytes = match path.to_str() {
            Some("Cargo.toml") => {
                let text = String::from_utf8(bytes)?;
                manifest(&text, &neighbours).with_context(|| package.name.to_string())?.into_bytes()
            }
            _ => bytes,
        };
        files.insert(Path::new("vendor").join(folder(package)).join(path), bytes);
    }
    Ok(())
}

/// A manifest whose dependencies are `neighbours`, by name and folder, and no others.
fn manifest(text: &str, neighbours: &BTreeMap<String, String>) -> Result<String> {
    let mut manifest: DocumentMut = text.parse()?;
    for part in ["dev-dependencies", "test", "bench", "example", "badges", "lints", "workspace"] {
        manifest.remove(part);
    }
    let mut kept = BTreeSet::new();
    point(manifest.as_table_mut(), neighbours, &mut kept);
    if let Some(targets) = manifest.get_mut("target").and_then(Item::as_table_mut) {
        for (_, target) in targets.iter_mut() {
            if let Some(target) = target.as_table_mut() {
                target.remove("dev-dependencies");
                point(target, neighbours, &mut kept);
            }
        }
    }
    if let Some(features) = manifest.get_mut("features").and_then(Item::as_table_like_mut) {
        forget(features, &kept);
    }
    // What cargo would not say of a crate from a registry it need not say of this one.
    let allow = InlineTable::from_iter([("warnings", "allow")]);
    manifest.insert("lints", Item::Table(Table::from_iter([("rust", value(allow))])));
    Ok(manifest.to_string())
}

/// Points the dependencies of a table at their folders, removes what has none; notes those that are kept.
fn point(table: &mut Table, neighbours: &BTreeMap<String, String>, kept: &mut BTreeSet<String>) {
    for kind in ["dependencies", "build-dependencies"] {
        let Some(dependencies) = table.get_mut(kind).and_then(Item::as_table_like_mut) else { continue };
        let names: Vec<String> = dependencies.iter().map(|(name, _)| name.to_string()).collect();
        for name in names {
            let Some(item) = dependencies.get_mut(&name) else { continue };
            let package = item.get("package").and_then(Item::as_str).unwrap_or(&name).to_string();
            let Some(folder) = neighbours.get(&package) else {
                dependencies.remove(&name);
                continue;
            };
            match item.as_table_like_mut() {
                Some(dependency) => drop(dependency.insert("path", value(format!("../{folder}")))),
                None => *item = value(InlineTable::from_iter([("path", format!("../{folder}"))])),
            }
            kept.insert(name);
        }
    }
}

/// Takes dependencies that are not there out of the features.
fn forget(features: &mut dyn TableLike, kept: &BTreeSet<String>) {
    let named: BTreeSet<String> = features.iter().map(|(name, _)| name.to_string()).collect();
    let is_there = |item: &str| {
        let name = item.strip_prefix("dep:").unwrap_or(item);
        let name = name.split('/').next().unwrap_or(name).trim_end_matches('?');
        kept.contains(name) || named.contains(item)
    };
    for (_, feature) in features.iter_mut() {
        if let Some(items) = feature.as_array_mut() {
            items.retain(|item| item.as_str().is_some_and(is_there));
        }
    }
}
