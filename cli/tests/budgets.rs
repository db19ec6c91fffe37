//! What a node may take of its machine, through the real binary.

mod support;

use serde_json::Value as Json;
use support::{Stage, guest};

const START: [&str; 5] = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];
const MIB: u64 = 1024 * 1024;

/// What a command says that prints JSON, a value a line.
fn records(stage: &Stage, arguments: &[&str]) -> Vec<Json> {
    let said = stage.say(&[&["--json"], arguments].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
    said.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn number(budgets: &[Json], resource: &str, column: &str) -> Option<u64> {
    let budget = budgets.iter().find(|budget| budget["resource"] == resource).expect("each has a record");
    budget[column].as_str().map(|number| number.parse().expect("a number"))
}

/// The value of a figure.
fn figure(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[test]
fn what_a_node_may_take_and_takes_is_told() {
    let mut stage = Stage::new();
    stage.variables.push(("ISX_CPU_MAX", "150%".into()));
    stage.start(&[&START[..], &["--memory-max", "64MiB", "--disk-max", "128MiB"]].concat());
    assert_eq!(stage.say(&["publish", &guest("tally").to_string_lossy()]).code, 0);
    assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "2"]).code, 0);
    let status = records(&stage, &["status"]);
    let limits = records(&stage, &["limits", "--node"]);
    for budgets in [status[0]["budgets"].as_array().expect("a list"), &limits] {
        let max = ["cpu", "memory", "disk"].map(|resource| number(budgets, resource, "max"));
        assert_eq!(max, [Some(1500), Some(64 * MIB), Some(128 * MIB)]);
        assert!(number(budgets, "memory", "used").is_some_and(|used| used > 0 && used < MIB), "{budgets:?}");
        assert!(number(budgets, "disk", "used").is_some_and(|used| used > 0 && used < 128 * MIB), "{budgets:?}");
        assert!(number(budgets, "cpu", "used").is_some());
    }
    let table = stage.say(&["limits", "--node"]).stdout;
    assert!(table.contains("150%") && table.contains("128.0 MiB") && table.contains("--disk-max"), "{table}");
    let (_, text) = stage.get("/metrics");
    assert_eq!(figure(&text, "isx_budget_processors"), Some(1.5), "{text}");
    assert_eq!(figure(&text, "isx_budget_state_bytes"), Some((64 * MIB) as f64), "{text}");
    assert_eq!(figure(&text, "isx_budget_disk_bytes"), Some((128 * MIB) as f64), "{text}");
    assert!(figure(&text, "isx_state_bytes").is_some_and(|bytes| bytes > 0.0), "{text}");
    assert!(text.contains("isx_budget_refused_total{resource=\"memory\"} 0"), "{text}");
    assert!(figure(&text, "isx_budget_waited_seconds_total").is_some(), "{text}");
    assert_eq!(stage.say(&["stop"]).code, 0);
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
}

#[test]
fn a_node_without_budgets_tells_what_it_takes() {
    let mut stage = Stage::new();
    stage.start(&START);
    let limits = records(&stage, &["limits", "--node"]);
    for resource in ["cpu", "memory", "disk"] {
        assert!(
            number(&limits, resource, "used").is_some() && number(&limits, resource, "max").is_none(),
            "{limits:?}"
        );
    }
    assert_eq!(figure(&stage.get("/metrics").1, "isx_budget_disk_bytes"), None);
}

#[test]
fn budgets_that_make_no_sense_are_refused() {
    let mut stage = Stage::new();
    let refused = |stage: &Stage, arguments: &[&str], says: &str| {
        let said = stage.say(&[&["--json", "start"], arguments].concat());
        let error: Json = serde_json::from_str(said.stderr.trim()).unwrap_or_else(|_| panic!("{}", said.stderr));
        let (code, text) = (error["error"]["code"].as_str(), error["error"]["text"].as_str().unwrap_or_default());
        assert!(said.code == 2 && code == Some("usage") && said.stdout.is_empty(), "{arguments:?}: {error}");
        assert!(text.contains(says) && text.contains(arguments.first().unwrap_or(&"")), "{arguments:?}: {error}");
    };
    refused(&stage, &["--cpu-max", "much"], "percent of one like 150%");
    refused(&stage, &["--cpu-max", "0%"], "at least 5% of one processor");
    refused(&stage, &["--memory-max", "1GB"], "like 512MiB");
    refused(&stage, &["--memory-max", "1MiB"], "at least 32MiB");
    refused(&stage, &["--disk-max", "99999999999TiB"], "more than any machine has");
    stage.variables.push(("ISX_DISK_MAX", "1MiB".into()));
    refused(&stage, &[], "at least 64MiB");
    assert!(!stage.folder.path().join("state").exists(), "nothing was begun");
}
