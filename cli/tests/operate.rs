//! Operating one node through the real binary: what it counts, what it serves, what it holds to.

mod support;

use prometheus_parse::{Scrape, Value};
use serde_json::Value as Json;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{Stage, get, guest};

const START: [&str; 5] = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];

/// A stage with a node that has `tally`.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.start(&START);
    let published = stage.say(&["publish", &guest("tally").to_string_lossy()]);
    assert_eq!(published.code, 0, "{}", published.stderr);
    stage
}

/// The records that a command prints.
fn records(stage: &Stage, arguments: &[&str]) -> Vec<Json> {
    let said = stage.say(&[&["--json"], arguments].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
    said.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn top_shows_what_calls_came_to() {
    let stage = stage();
    for _ in 0..3 {
        assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "2"]).code, 0);
    }
    assert_ne!(stage.say(&["call", "/self/tally", "remove", "a", "100"]).code, 0);
    assert_eq!(stage.say(&["query", "/self/tally", "total"]).stdout.trim(), "6");

    let functions = records(&stage, &["top", "/self/tally"]);
    let of = |name: &str| {
        let found = functions.iter().find(|one| one["function"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {functions:?}"));
        ["calls", "answered", "application", "rows_changed"]
            .map(|column| found[column].as_str().unwrap_or("").to_string())
    };
    assert_eq!(of("add"), ["3", "3", "0", "6"]);
    assert_eq!(of("remove"), ["1", "0", "1", "0"]);
    assert_eq!(of("total"), ["1", "1", "0", "0"]);
    let mounts = records(&stage, &["top"]);
    assert_eq!((mounts[0]["path"].as_str(), mounts[0]["calls"].as_str()), (Some("/alpha/tally"), Some("5")));

    // What is no terminal gets one table.
    let table = stage.say(&["top"]).stdout;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(&lines[0][..5], ["path", "calls", "errors", "traps", "refused"], "{table}");
    assert_eq!(&lines[1][..5], ["/alpha/tally", "5", "1", "0", "0"], "{table}");
    assert_eq!(stage.say(&["top", "/self/nothing"]).code, 127);
}

/// The value of a figure with this label.
fn figure(text: &str, name: &str, label: (&str, &str)) -> f64 {
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_string()))).expect("figures");
    let mut found = scrape
        .samples
        .iter()
        .filter(|one| one.metric == name && (label.0.is_empty() || one.labels.get(label.0) == Some(label.1)));
    match found.next().map(|sample| &sample.value) {
        Some(Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)) => *value,
        other => panic!("{name} with {label:?} is {other:?} in {text}"),
    }
}

#[test]
fn what_is_scraped_is_what_was_done() {
    let mut stage = stage();
    for _ in 0..3 {
        assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "2"]).code, 0);
    }
    assert_ne!(stage.say(&["call", "/self/tally", "remove", "a", "100"]).code, 0);
    let (status, text) = stage.get("/metrics");
    assert!(status == 200 && text.ends_with("# EOF\n"), "{text}");
    let outcomes = ["answered", "application"].map(|outcome| figure(&text, "isx_calls_total", ("outcome", outcome)));
    assert_eq!(outcomes, [3.0, 1.0]);
    assert_eq!(figure(&text, "isx_call_rows_changed_total", ("mount", "/alpha/tally")), 6.0);
    assert_eq!(figure(&text, "isx_mount_rows", ("mount", "/alpha/tally")), 2.0);
    assert!(figure(&text, "isx_mount_table_bytes", ("mount", "/alpha/tally")) > 0.0);
    assert_eq!(figure(&text, "isx_group_leads", ("group", "1")), 1.0);
    assert!(figure(&text, "isx_entry_requests_count", ("group", "1")) >= 4.0, "{text}");
    assert!(figure(&text, "isx_disk_bytes", ("part", "blobs")) > 10_000.0);
    for name in
        ["isx_log_write_seconds_count", "isx_memory_resident_bytes", "isx_cpu_seconds_total", "isx_uptime_seconds"]
    {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert!(line.is_some_and(|value| value > 0.0), "{name} in {text}");
    }
    assert_eq!((stage.get("/healthz").0, stage.get("/readyz").0), (200, 200));
    assert!(stage.get("/version").1.contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(stage.say(&["stop"]).code, 0);
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
}

#[test]
fn a_stopping_node_is_not_ready() {
    let mut stage = stage();
    let status = stage.say(&["status", "--json"]).stdout;
    let status: Json = serde_json::from_str(&status).expect("JSON");
    let http = status["http"].as_str().expect("it serves HTTP").to_string();
    // Who follows is waited for, some seconds.
    let mut watch = stage.isx(&["watch", "/self/tally:counter"]);
    let mut watching = watch.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
    let until = Instant::now() + Duration::from_secs(60);
    while figure(&get(&http, "/metrics").1, "isx_subscriptions", ("", "")) == 0.0 {
        assert!(Instant::now() < until, "nobody follows");
    }
    let mut stop = stage.isx(&["stop"]).spawn().expect("the binary runs");
    let said = loop {
        let (status, body) = get(&http, "/readyz");
        if status == 503 {
            break body;
        }
        assert!(Instant::now() < until, "it stays ready: {body}");
    };
    assert!(said.contains("it is stopping"), "{said}");
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
    assert!(stop.wait().expect("it ends").success());
    watching.kill().expect("it runs");
    watching.wait().expect("it ended");
}

#[test]
fn http_is_where_it_was_asked_for_or_nowhere() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut stage = Stage::new();
    let refused = stage.say(&["start", "--listen", "127.0.0.1:0", "--http", &address]);
    assert_eq!(refused.code, 125, "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("can not listen on {address} for HTTP")), "{}", refused.stderr);
    let both = stage.say(&["start", "--no-http", "--http", &address]);
    assert!(both.code == 2 && both.stderr.contains("cannot be used with"), "{}", both.stderr);

    let mut start = stage.isx(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0", "--no-http"]);
    start.env_remove("ISX_HTTP");
    stage.run(start);
    let status: Json = serde_json::from_str(&stage.say(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(status["http"], Json::Null);
}
