//! The edges test: which crate may depend on which, and where heavy dependencies may stand.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that runs on a host and takes part in a node.
const NODE: &[&str] = &[
    "isx-iface",
    "isx-port",
    "isx-anchors",
    "isx-store",
    "isx-cluster",
    "isx-wal",
    "isx-raft",
    "isx-vat",
    "isx-net",
    "isx-gateway",
    "isx-exec",
    "isx-rom-host",
];

/// For each crate the crates of the workspace it may depend on, besides isx-row, which all may.
const EDGES: &[(&str, &[&str])] = &[
    ("isx-row", &[]),
    ("isx-iface", &[]),
    ("isx-macros", &[]),
    ("isx-sdk", &["isx-iface", "isx-macros"]),
    ("isx-testing", &["isx-sdk", "isx-store"]),
    ("isx-client", &["isx-iface", "isx-port", "isx-vat", "isx-net"]),
    ("isx-anchors", &[]),
    ("isx-store", &[]),
    ("isx-exec", &["isx-store"]),
    ("isx-rom-host", &["isx-iface", "isx-port"]),
    ("isx-port", &[]),
    ("isx-cluster", &["isx-anchors", "isx-store"]),
    ("isx-wal", &["isx-port"]),
    ("isx-raft", &["isx-cluster", "isx-wal", "isx-port", "isx-store"]),
    ("isx-vat", &["isx-iface", "isx-port"]),
    ("isx-net", &["isx-port"]),
    ("isx-gateway", &["isx-iface"]),
    ("isx-node", NODE),
    // Its seeds of whole nodes are isx-node and isx-client over simulated ports: without `real` and `dial`.
    (
        "isx-sim",
        &[
            "isx-node",
            "isx-anchors",
            "isx-cluster",
            "isx-wal",
            "isx-raft",
            "isx-vat",
            "isx-exec",
            "isx-store",
            "isx-port",
            "isx-iface",
            "isx-client",
        ],
    ),
    ("isx-std", &[]),
    ("isx", &["isx-node", "isx-client", "isx-rom-host", "isx-iface", "isx-exec", "isx-store", "isx-port", "isx-std"]),
    ("xtask", &[]),
    ("probe", &["isx-sdk"]),
    ("rom-probe", &["isx-sdk"]),
    ("caller", &["isx-sdk"]),
    ("hello", &["isx-sdk"]),
    ("tally", &["isx-sdk"]),
    ("wordcount", &["isx-sdk"]),
];

/// Dependencies that may stand in the named crates only.
const HEAVY: &[(&str, &[&str])] = &[
    ("libp2p", &["isx-net"]),
    ("capnp-rpc", &["isx-vat", "isx-client"]),
    ("wasmtime", &["isx-exec", "isx-rom-host"]),
    ("wasmtime-wasi", &["isx-rom-host"]),
    ("openraft", &["isx-raft"]),
    ("hyper", &["isx-gateway"]),
    ("wgpu", &["isx-gpu"]),
    ("winit", &["isx-window"]),
];

/// Crates that must stay pure: no runtime, clock, network, file or randomness.
const PURE: &[&str] = &["isx-row", "isx-anchors", "isx-store", "isx-cluster"];
const IMPURE: &[&str] = &["tokio", "getrandom", "rand", "rustix", "libc", "chrono", "isx-port", "futures"];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata")
}

/// Crate → its dependencies outside tests.
fn dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata.workspace_packages();
    packages
        .iter()
        .map(|package| {
            let normal =
                package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
            (package.name.to_string(), normal.map(|dependency| dependency.name.clone()).collect())
        })
        .collect()
}

fn violations(dependencies: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut found = Vec::new();
    for (name, uses) in dependencies {
        let Some(may) = allowed.get(name.as_str()) else {
            found.push(format!("{name} is not in the table of edges"));
            continue;
        };
        for used in uses {
            let ours = allowed.contains_key(used.as_str());
            if ours && used != "isx-row" && !may.contains(&used.as_str()) {
                found.push(format!("{name} may not depend on {used}"));
            }
            if let Some((_, homes)) = HEAVY.iter().find(|(heavy, _)| heavy == used)
                && !homes.contains(&name.as_str())
            {
                found.push(format!("{used} may not stand in {name}, only in {homes:?}"));
            }
            if PURE.contains(&name.as_str()) && IMPURE.contains(&used.as_str()) {
                found.push(format!("{name} is pure and may not use {used}"));
            }
        }
    }
    found
}

#[test]
fn every_edge_is_allowed() {
    assert_eq!(violations(&dependencies(&metadata())), Vec::<String>::new());
}

#[test]
fn a_forbidden_edge_is_found() {
    let mut planted = dependencies(&metadata());
    planted.entry("isx-store".into()).or_default().insert("isx-raft".into());
    planted.entry("isx-cluster".into()).or_default().insert("tokio".into());
    planted.entry("isx-node".into()).or_default().insert("libp2p".into());
    planted.entry("stranger".into()).or_default();
    assert_eq!(violations(&planted).len(), 4);
}

#[test]
fn the_table_names_only_crates_that_exist() {
    let exist = dependencies(&metadata());
    let missing: Vec<_> = EDGES.iter().map(|(name, _)| name).filter(|name| !exist.contains_key(**name)).collect();
    assert!(missing.is_empty(), "the table of edges names crates that do not exist: {missing:?}");
}

#[test]
fn the_client_dials_only_behind_its_feature() {
    let metadata = metadata();
    let client = metadata.packages.iter().find(|package| package.name.as_str() == "isx-client").expect("isx-client");
    let net = client.dependencies.iter().find(|dependency| dependency.name == "isx-net").expect("isx-net");
    assert!(net.optional, "isx-net must be optional in isx-client");
}

#[test]
fn the_simulator_takes_neither_libp2p_nor_this_machine() {
    let metadata = metadata();
    let package = |name: &str| metadata.packages.iter().find(|package| package.name.as_str() == name);
    let node = package("isx-node").expect("isx-node");
    let net = node.dependencies.iter().find(|dependency| dependency.name == "isx-net").expect("isx-net");
    assert!(net.optional, "isx-net must be optional in isx-node");
    let sim = package("isx-sim").expect("isx-sim");
    for (name, feature) in [("isx-client", "dial"), ("isx-node", "real")] {
        let uses: Vec<_> = sim.dependencies.iter().filter(|dependency| dependency.name == name).collect();
        assert!(!uses.is_empty(), "isx-sim takes {name}");
        for used in uses {
            let taken = used.uses_default_features || used.features.iter().any(|taken| taken == feature);
            assert!(!taken, "isx-sim takes {name} without `{feature}`");
        }
    }
}
