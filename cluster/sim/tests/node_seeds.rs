//! A few seeds of a whole node and its clients; `isx-sim` runs many.

use isx_sim::{Modules, Options, run_node};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The guests that `cargo xtask guests` built.
fn modules() -> Arc<Modules> {
    let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_isx-sim"));
        binary.ancestors().nth(2).expect("the target folder").join("guests")
    });
    Modules::of_folder(&folder).expect("a built tally")
}

#[test]
fn whole_nodes_keep_their_word() {
    let modules = modules();
    for seed in 1..=4 {
        let report = run_node(seed, Options { voters: 1, duration: Duration::from_secs(10) }, &modules);
        let text = || format!("{}\n{:#?}", report.lines.join("\n"), report.findings);
        assert!(report.findings.is_empty(), "seed {seed}:\n{}", text());
        assert!(report.answered > 50, "seed {seed}: only {} calls\n{}", report.answered, text());
    }
}
