//! What a newcomer does: a project from a template, built without network, published, called, changed, published again.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Said, Stage, said};

/// `isx` in a folder, with a cargo that has never seen a registry and must not ask one.
fn isx(stage: &Stage, folder: &Path, arguments: &[&str]) -> Command {
    let mut command: Command = stage.isx(arguments);
    command.current_dir(folder).env("CARGO_HOME", stage.folder.path().join("cargo")).env("CARGO_NET_OFFLINE", "true");
    command.env_remove("CARGO_TARGET_DIR");
    command
}

fn say(stage: &Stage, folder: &Path, arguments: &[&str]) -> Said {
    said(isx(stage, folder, arguments).output().expect("the binary runs"))
}

fn well(stage: &Stage, folder: &Path, arguments: &[&str]) -> String {
    let said = say(stage, folder, arguments);
    assert_eq!(said.code, 0, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
    said.stdout
}

#[test]
fn a_project_is_made_run_changed_and_published_again_without_network() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let here = stage.folder.path().to_path_buf();
    assert!(well(&stage, &here, &["new", "greeter", "--template", "app"]).contains("isx run -A rom"));
    let project = here.join("greeter");

    // The ROM carries the module, which is built before it.
    let printed = well(&stage, &project, &["run", "-A", "rom", "--", "ada", "grace"]);
    assert_eq!(printed, "hello, ada (1)\nhello, grace (1)\n");

    // The module alone, changed: what it holds is kept.
    let source = project.join("module/src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("the module");
    let text = text.replace("hello, {name}", "good day, {name}");
    std::fs::write(&source, text).expect("the module");
    assert!(well(&stage, &project, &["publish", "module"]).starts_with("upgraded /self/greeter"));
    assert_eq!(well(&stage, &project, &["call", "/self/greeter", "greet", "ada"]).trim(), "good day, ada");
    assert_eq!(well(&stage, &project, &["query", "/self/greeter", "count", "ada"]).trim(), "2");

    // What differs is said first, and what would lose rows is refused.
    let changed = |change: &dyn Fn(&str) -> String| {
        let text = std::fs::read_to_string(&source).expect("the module");
        std::fs::write(&source, change(&text)).expect("the module");
    };
    changed(&|text| text.replace("fn count(ctx", "fn times(ctx"));
    let planned = say(&stage, &project, &["publish", "module", "--dry-run"]);
    assert!(planned.stdout.starts_with("would upgrade /self/greeter"), "{}", planned.stdout);
    for line in ["- query count (callers", "+ query times(name: string) -> u64 (data is kept)"] {
        assert!(planned.stderr.contains(line), "{}", planned.stderr);
    }
    assert_eq!(well(&stage, &project, &["query", "/self/greeter", "count", "ada"]).trim(), "2", "nothing was changed");
    changed(&|text| text.replace("    /// Numbered on insert.\n    #[primary_key(auto_inc)]", "    #[primary_key]"));
    let refused = say(&stage, &project, &["publish", "module"]);
    assert!(refused.code == 125 && refused.stderr.contains("incompatible"), "{}", refused.stderr);
    assert!(refused.stderr.contains("table greeting: its primary key or numbering differs"), "{}", refused.stderr);

    let wrong = say(&stage, &project, &["publish", "rom"]);
    assert!(wrong.code == 125 && wrong.stderr.contains("run it with `isx run`"), "{}", wrong.stderr);
    let again = say(&stage, &here, &["new", "greeter"]);
    assert!(again.code == 125 && again.stderr.contains("is there already"), "{}", again.stderr);
    let name = say(&stage, &here, &["new", "Greeter"]);
    assert!(name.code == 125 && name.stderr.contains("--name"), "{}", name.stderr);
}

/// Waits until what a program printed has this.
fn until(log: &Path, wanted: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if text.contains(wanted) {
            return text;
        }
        assert!(Instant::now() < deadline, "no {wanted:?} in {text}");
        std::thread::yield_now();
    }
}

#[test]
fn developing_publishes_what_is_saved_and_shows_what_is_logged() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let here = stage.folder.path().to_path_buf();
    well(&stage, &here, &["new", "greeter"]);
    let (project, log) = (here.join("greeter"), here.join("dev.log"));
    let out = std::fs::File::create(&log).expect("a log");
    let mut developing = isx(&stage, &project, &["dev"]);
    developing.stderr(out.try_clone().expect("a log")).stdout(out);
    let mut developing = developing.spawn().expect("the binary runs");
    until(&log, "mounted /self/greeter");

    let source = project.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("the module");
    let louder = text.replace(
        "    let text = greeting(&name);",
        "    isx::log!(warn, \"greeting {name}\");\n    let text = greeting(&name);",
    );
    assert_ne!(louder, text);
    std::fs::write(&source, "fn broken(").expect("the module");
    until(&log, "does not compile");
    std::fs::write(&source, &louder).expect("the module");
    until(&log, "upgraded /self/greeter");
    assert_eq!(well(&stage, &here, &["call", "/self/greeter", "greet", "ada"]).trim(), "hello, ada");
    until(&log, "warn  greeting ada");
    assert!(well(&stage, &here, &["logs", "/self/greeter", "--last", "1"]).trim_end().ends_with("warn  greeting ada"));
    assert_eq!(well(&stage, &here, &["logs", "/self/greeter", "--level", "error"]), "");

    // What would lose rows waits for a word; the data is kept meanwhile.
    std::fs::write(&source, louder.replace("pub name: String", "pub name: Vec<String>")).expect("the module");
    until(&log, "does not compile");
    std::fs::write(
        &source,
        louder
            .replace(
                "    /// What was said.\n    pub text: String,\n",
                "    /// What was said.\n    pub said: String,\n",
            )
            .replace("name, text: text", "name, said: text"),
    )
    .expect("the module");
    let told = until(&log, "keep both");
    assert!(told.contains("table greeting: a column differs"), "{told}");
    assert_eq!(well(&stage, &here, &["query", "/self/greeter", "count", "ada"]).trim(), "1");
    developing.kill().expect("it runs");
    developing.wait().expect("it ended");
}
