//! A few seeds of a whole node and its clients; `isx-sim` runs many.

mod support;

use isx_sim::{Options, run_node};
use std::time::Duration;
use support::modules;

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
