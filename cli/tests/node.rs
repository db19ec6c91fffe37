//! Nodes through the real binary: embedded, standing, killed, doubled; and what bad input gets.

mod support;

use isx_exec::Marked;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::{Stage, guest, said};

#[test]
fn without_a_node_a_command_brings_its_own_and_keeps_its_data() {
    let stage = Stage::new();
    let tally = guest("tally");
    let published = stage.say(&["publish", &tally.to_string_lossy()]);
    assert_eq!(published.code, 0, "{}", published.stderr);
    assert!(published.stderr.contains("brings its own, its data is in"), "{}", published.stderr);
    assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "41"]).stdout.trim(), "41");
    assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "1"]).stdout.trim(), "42");
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut stage = Stage::new();
    stage.start(&START);
    stage.say(&["publish", &guest("tally").to_string_lossy()]);
    for count in 1..=20 {
        assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "1"]).stdout.trim(), count.to_string());
    }
    assert_eq!(stage.say(&["set", "/self/motd", "here"]).code, 0);
    stage.kill();
    stage.start(&START);
    assert_eq!(stage.say(&["query", "/self/tally", "total"]).stdout.trim(), "20");
    assert_eq!(stage.say(&["get", "/self/motd"]).stdout.trim(), "here");

    let second = stage.say(&START);
    assert_eq!(second.code, 125);
    assert!(second.stderr.contains("runs already") && second.stderr.contains("--new"), "{}", second.stderr);
    assert_eq!(stage.say(&["stop"]).code, 0);
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
}

#[test]
fn a_call_is_made_if_what_is_said_holds() {
    let mut stage = Stage::new();
    stage.start(&START);
    assert_eq!(stage.say(&["publish", &guest("tally").to_string_lossy()]).code, 0);
    let add = |conditions: &[&str]| {
        let flags = conditions.iter().flat_map(|condition| ["--if", condition]);
        let said = stage.say(&[&["call", "/self/tally", "add", "a", "2"][..], &flags.collect::<Vec<_>>()].concat());
        match said.code {
            0 => said.stdout.trim().to_string(),
            _ => said.stderr.lines().find(|line| line.contains("error")).unwrap_or_default().to_string(),
        }
    };
    assert_eq!(add(&["no counter[a]"]), "2");
    assert_eq!(add(&["counter[a]", "counter[a].count=2", "no counter[b]"]), "4");
    assert_eq!(add(&["revision=3"]), "6");
    let refused = [
        add(&["revision=3"]),
        add(&["counter[a]", "no counter[a]"]),
        add(&["counter[a].count=2"]),
        add(&["counter[b]"]),
        add(&["counter[a].count=many"]),
        add(&["counter[a].size=1"]),
        add(&["counter[a,b]"]),
        add(&["counter"]),
    ];
    expect_test::expect![[r#"
        error: /self/tally add: conflict: the mount is at revision 4, not 3
        error: /self/tally add: conflict: table counter: a row is there that was expected to be absent
        error: /self/tally add: conflict: table counter: count is 6, not 2
        error: /self/tally add: conflict: table counter: no row is there that was expected to be
        error: bad_arguments: count: expected u64, got many
        error: bad_arguments: --if counter[a].size=1: counter has no column size; say revision=N, TABLE[KEY], 'no TABLE[KEY]' or TABLE[KEY].COLUMN=VALUE
        error: bad_arguments: --if counter[a,b]: the key of counter is key; say revision=N, TABLE[KEY], 'no TABLE[KEY]' or TABLE[KEY].COLUMN=VALUE
        error: bad_arguments: --if counter: it names no row; say revision=N, TABLE[KEY], 'no TABLE[KEY]' or TABLE[KEY].COLUMN=VALUE"#]]
    .assert_eq(&refused.join("\n"));
    let tried = stage.say(&["call", "/self/tally", "add", "a", "1", "--if", "no counter[a]", "--dry-run"]);
    assert!(
        tried.code == 125 && tried.stderr.contains("would be refused: table counter: a row is there"),
        "{}",
        tried.stderr
    );
    assert_eq!(stage.say(&["query", "/self/tally", "get", "a"]).stdout.trim(), "6");
}

#[test]
fn a_dry_run_tells_what_a_call_would_do_and_does_nothing() {
    let mut stage = Stage::new();
    stage.start(&START);
    stage.say(&["publish", &guest("tally").to_string_lossy()]);
    stage.say(&["call", "/self/tally", "add", "a", "40"]);
    let tried = stage.say(&["call", "/self/tally", "add", "a", "2", "--dry-run"]);
    assert_eq!(tried.code, 0, "{}", tried.stderr);
    let lines: Vec<&str> = tried.stdout.lines().collect();
    assert_eq!(lines[0], "would answer 42");
    assert_eq!(lines[1], r#"~ counter {"count":"40","key":"a"} -> {"count":"42","key":"a"}"#);
    assert!(lines[2].starts_with("~ sum ") && lines[3].starts_with("nothing was done"), "{}", tried.stdout);
    assert_eq!(stage.say(&["query", "/self/tally", "total"]).stdout.trim(), "40");
    let tried = stage.say(&["call", "/self/tally", "add", "b", "1", "--dry-run", "--json"]);
    assert!(tried.stdout.contains(r#""old":null"#) && tried.stdout.contains(r#""dry_run":true"#), "{}", tried.stdout);
    let refused = stage.say(&["call", "/self/tally", "remove", "a", "41", "--dry-run"]);
    assert_eq!(refused.code, 125);
    assert!(refused.stderr.contains("would be refused: there are 40, fewer than 41"), "{}", refused.stderr);
    assert_eq!(stage.say(&["query", "/self/tally", "total"]).stdout.trim(), "40");
}

/// What a query of `probe` answers, asked until it is as wanted.
fn until(stage: &Stage, query: &str, wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let said = stage.say(&["query", "/self/probe", query]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        if wanted(said.stdout.trim()) {
            return said.stdout.trim().to_string();
        }
        assert!(Instant::now() < deadline, "{query} answers {}", said.stdout);
    }
}

#[test]
fn what_time_sets_off_runs_by_itself_and_goes_on_after_a_kill() {
    let mut stage = Stage::new();
    stage.start(&START);
    let begun = Instant::now();
    assert_eq!(stage.say(&["publish", &guest("probe").to_string_lossy()]).code, 0);
    let beats = |text: &str| text.parse::<u64>().expect("a number");
    until(&stage, "beats", |text| beats(text) >= 2);
    // A row becomes due, perhaps while the node is down.
    assert_eq!(stage.say(&["call", "/self/probe", "wake_at", "tea", "1500000"]).code, 0);
    let before = beats(&until(&stage, "beats", |_| true));
    stage.kill();
    stage.start(&START);
    until(&stage, "rings", |text| text.contains("due") && text.contains("gone") && text.contains("tea"));
    let after = beats(&until(&stage, "beats", |text| beats(text) > before + 2));
    let most = begun.elapsed().as_millis() / 250 + 1;
    assert!(u128::from(after) <= most, "{after} beats of at most {most}");
    // Whoever called had a session, and the hook saw it begin.
    assert_eq!(stage.say(&["query", "/self/probe", "passed", "in"]).stdout.trim(), "1");
}

const START: [&str; 5] = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];

/// Calls that are enough for many kills.
const WORDS_COUNT: u64 = 60_000;
/// Kills after which one must have hit a call: about every second does.
const KILLS_MAX: usize = 40;
/// How long calls may take to come up after a start.
const CALLS_WITHIN: Duration = Duration::from_secs(30);

/// A ROM that makes a call a word.
fn count_words(stage: &Stage) -> Child {
    let text = stage.folder.path().join("text.txt");
    std::fs::write(&text, "one two three four five six ".repeat(WORDS_COUNT as usize / 6)).expect("a file");
    let wordcount = guest("wordcount");
    let mut run = stage.isx(&["run", "-A", &wordcount.to_string_lossy()]);
    run.stdin(std::fs::File::open(text).expect("a file")).stdout(Stdio::piped()).stderr(Stdio::piped());
    run.spawn().expect("the binary runs")
}

/// The calls that the mark names.
fn marked(stage: &Stage) -> Vec<(usize, Marked)> {
    let bytes = std::fs::read(stage.folder.path().join("state").join("apply.mark")).expect("the mark");
    let slots = bytes.chunks_exact(Marked::BYTES).enumerate();
    slots.filter_map(|(slot, bytes)| Some((slot, Marked::from_bytes(bytes.try_into().ok()?)?))).collect()
}

/// Kills the node until a call was being applied when it died; the mark says which. The node is not started again.
fn kill_within_a_call(stage: &mut Stage) -> Vec<(usize, Marked)> {
    for _ in 0..KILLS_MAX {
        let until = Instant::now() + CALLS_WITHIN;
        while marked(stage).is_empty() {
            assert!(Instant::now() < until, "no call came up: {}", stage.node_log());
        }
        stage.kill();
        let left = marked(stage);
        if !left.is_empty() {
            return left;
        }
        stage.start(&START);
    }
    panic!("{KILLS_MAX} kills, and none within a call");
}

#[test]
fn a_kill_within_a_call_is_survived_by_call_and_caller() {
    let mut stage = Stage::new();
    stage.start(&START);
    let counting = count_words(&stage);
    kill_within_a_call(&mut stage);
    stage.start(&START);
    let done = said(counting.wait_with_output().expect("it ends"));
    assert_eq!(done.code, 0, "{}{}", done.stderr, stage.node_log());
    assert!(stage.node_log().contains("Survived"), "no call was tried: {}", stage.node_log());
    assert_eq!(stage.say(&["query", "/self/wordcount", "total"]).stdout.trim(), WORDS_COUNT.to_string());
    assert_eq!(stage.say(&["query", "/self/wordcount", "get", "six"]).stdout.trim(), (WORDS_COUNT / 6).to_string());
}

#[test]
fn a_call_that_killed_twice_holds_its_group_until_it_is_skipped() {
    let mut stage = Stage::new();
    stage.start(&START);
    let counting = count_words(&stage);
    let left = kill_within_a_call(&mut stage);
    // As if the process had died of it before.
    let mark = stage.folder.path().join("state").join("apply.mark");
    let mut bytes = std::fs::read(&mark).expect("the mark");
    for (slot, marked) in left {
        let again = Marked { deaths: 1, ..marked }.to_bytes();
        bytes[slot * Marked::BYTES..][..Marked::BYTES].copy_from_slice(&again);
    }
    std::fs::write(&mark, bytes).expect("the mark");
    stage.start(&START);
    let until = Instant::now() + CALLS_WITHIN;
    // A node answers before it has applied its log.
    while !stage.say(&["status"]).stdout.contains("killed its process twice") {
        assert!(Instant::now() < until, "not held: {}", stage.node_log());
    }
    let held = stage.say(&["query", "/self/wordcount", "total", "--within", "1s"]);
    assert!(
        held.code == 125 && held.stderr.contains("held") && held.stderr.contains("isx cluster skip"),
        "{}",
        held.stderr
    );
    assert_eq!(stage.say(&["set", "/self/motd", "here"]).code, 0, "the other group serves");
    let (status, missing) = stage.get("/readyz");
    assert!(status == 503 && missing.contains("group 1") && missing.contains("held"), "{status} {missing}");
    assert_eq!(stage.get("/healthz").0, 200, "to begin again would not cure it");
    let wrong = stage.say(&["cluster", "skip", "0"]);
    assert!(wrong.code != 0 && wrong.stderr.contains("not held"), "{}", wrong.stderr);

    assert_eq!(stage.say(&["cluster", "skip", "1"]).code, 0, "{}", stage.node_log());
    let told = said(counting.wait_with_output().expect("it ends"));
    assert!(told.code != 0 && told.stderr.contains("passed over"), "its caller is told: {}", told.stderr);
    assert_eq!(stage.say(&["query", "/self/wordcount", "total"]).code, 0);
    assert!(!stage.say(&["status"]).stdout.contains("killed its process"));
    stage.kill();
    stage.start(&START);
    assert_eq!(
        stage.say(&["query", "/self/wordcount", "total"]).code,
        0,
        "the log says so for ever: {}",
        stage.node_log()
    );
}

#[test]
fn bad_input_gets_one_clear_error_and_the_node_goes_on() {
    let mut stage = Stage::new();
    stage.start(&START);
    let tally = guest("tally").to_string_lossy().into_owned();
    assert_eq!(stage.say(&["publish", &tally]).code, 0);

    let junk = stage.folder.path().join("junk.wasm");
    std::fs::write(&junk, b"not wasm").expect("a file");
    let core = stage.folder.path().join("core.wasm");
    std::fs::write(&core, b"\0asm\x01\0\0\0").expect("a file");
    let truncated = stage.folder.path().join("truncated.wasm");
    let whole = std::fs::read(&tally).expect("tally");
    std::fs::write(&truncated, &whole[..whole.len() / 2]).expect("a file");
    let wordcount = guest("wordcount").to_string_lossy().into_owned();
    let unpublished = "01".repeat(33);
    let (junk, core, truncated) = (junk.to_string_lossy(), core.to_string_lossy(), truncated.to_string_lossy());

    let refused: &[(&[&str], i32, &str)] = &[
        (&["publish", &junk], 125, "malformed"),
        (&["publish", &core], 125, "malformed"),
        (&["publish", &truncated], 125, "malformed"),
        (&["publish", "/nowhere.wasm"], 127, "/nowhere.wasm"),
        (&["run", &junk], 125, "not WebAssembly"),
        (&["run", &core], 125, "isx build"),
        (&["run", &tally], 125, "a module is published, not run"),
        (&["run", &wordcount], 126, "--allow"),
        (&["call", "/self/nothing", "add", "a", "1"], 127, "/self/nothing"),
        (&["call", "/self/tally", "nothing"], 127, "it has add, remove"),
        (&["call", "/self/tally", "add", "a"], 125, "(key: string, n: u64)"),
        (&["call", "/self/tally", "add", "a", "-1"], 125, "n: "),
        (&["call", "/self/tally", "add", "a", "18446744073709551616"], 125, "n: "),
        (&["call", "/self/tally", "remove", "a", "1"], 125, "there are 0"),
        (&["call", "/self/tally", "total"], 125, "isx query"),
        (&["query", "/self/tally", "add", "a", "1"], 125, "isx call"),
        (&["rows", "/self/tally:nothing"], 127, "it has counter, sum"),
        (&["rows", "/self/tally"], 125, "PATH:table"),
        (&["get", "/self/missing"], 127, "/self/missing"),
        (&["get", "/self/../etc"], 125, ".."),
        (&["set", "/self/a\u{7}b", "x"], 125, ""),
        (&["mount", "/self/other", &unpublished], 127, "published"),
        (&["rm", "/self/tally"], 125, "--yes"),
        (&["rm", "/self/missing", "--yes"], 127, "/self/missing"),
        (
            &["--dial", "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp", "ls"],
            125,
            "no node answers",
        ),
        (&["--dial", "nonsense", "ls"], 125, "nonsense"),
    ];
    for (arguments, code, text) in refused {
        let said = stage.say(arguments);
        assert_eq!(said.code, *code, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
        assert!(said.stderr.contains(text), "isx {arguments:?} says nothing of {text:?}: {}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "isx {arguments:?}: {}", said.stderr);
    }
    let bomb = stage.folder.path().join("bomb.wasm");
    std::fs::write(&bomb, compile_bomb(whole)).expect("a file");
    let said = stage.say(&["publish", &bomb.to_string_lossy(), "/self/bomb"]);
    assert_eq!(said.code, 125, "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("limit: compiling takes more than"), "{}", said.stderr);
    let large = "x".repeat(1024 * 1024);
    assert_ne!(stage.say(&["set", "/self/large", &large[..100 * 1024]]).code, 0, "over the bound of a value");
    assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "1"]).stdout.trim(), "1", "{}", stage.node_log());
    assert_eq!(stage.say(&["rm", "/self/tally", "--yes"]).code, 0);
    assert_eq!(stage.say(&["query", "/self/tally", "total"]).code, 127);
}

/// A valid module that takes more memory to compile than a child may have: `component` with a core module behind it that
/// nobody instantiates, of one function of half a million blocks.
fn compile_bomb(mut component: Vec<u8>) -> Vec<u8> {
    fn number(mut value: usize, out: &mut Vec<u8>) {
        while value > 127 {
            out.push(value as u8 | 128);
            value >>= 7;
        }
        out.push(value as u8);
    }
    fn section(id: u8, content: &[u8], out: &mut Vec<u8>) {
        out.push(id);
        number(content.len(), out);
        out.extend(content);
    }
    // if (x) { x = x + 1 }
    let block = [0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6a, 0x21, 0, 0x0b];
    let body = [&[0], block.repeat(580_000).as_slice(), &[0x0b]].concat();
    let mut code = vec![1];
    number(body.len(), &mut code);
    code.extend(body);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[1, 0x60, 1, 0x7f, 0], &mut module);
    section(3, &[1, 0], &mut module);
    section(10, &code, &mut module);
    section(1, &module, &mut component);
    component
}

#[test]
fn results_are_json_when_asked() {
    let mut stage = Stage::new();
    stage.start(&START);
    stage.say(&["publish", &guest("tally").to_string_lossy()]);
    let answer = stage.say(&["--json", "call", "/self/tally", "add", "a", "7"]).stdout;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["answer"], "7");
    let rows = stage.say(&["rows", "/self/tally:counter", "--json"]).stdout;
    assert_eq!(rows.trim(), r#"{"count":"7","key":"a"}"#);
    let error = stage.say(&["--json", "get", "/self/missing"]).stderr;
    let error: serde_json::Value = serde_json::from_str(&error).expect("JSON");
    assert_eq!(error["error"]["code"], "not_found");
}
