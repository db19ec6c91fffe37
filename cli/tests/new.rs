//! What a newcomer does: a project from a template, built without network, published, called, changed, published again.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
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
    assert!(well(&stage, &here, &["new", "greeter", "--template", "app"]).contains("isx run rom"));
    let project = here.join("greeter");

    // The ROM carries the module, which is built before it; the project says what it may.
    let printed = well(&stage, &project, &["run", "rom", "--", "ada", "grace"]);
    assert_eq!(printed, "hello, ada (1)\nhello, grace (1)\n");

    // The same with typed bindings, which name a stranger's types and errors too; made again when the module is.
    let bind = |source: &str, file: &str| {
        let file = project.join("rom/src").join(file);
        well(&stage, &project, &["bindings", source, "--lang", "rust", "--out", &file.to_string_lossy()])
    };
    assert!(bind("module", "greeter.rs").starts_with("wrote "));
    bind(&support::guest("probe").to_string_lossy(), "probe.rs");
    let rom = project.join("rom/src/lib.rs");
    let text = std::fs::read_to_string(&rom).expect("the ROM");
    let typed = text
        .replace("call, session}", "session}")
        .replace("use isx::rom::iface::anchor", "mod greeter;\nmod probe;\nuse isx::rom::iface::anchor")
        .replace("object().await?;", "object().await.map(greeter::Greeter)?;")
        .replace(
            "let said: String = call(&greeter, \"greet\", (name.clone(),))",
            "let said = greeter.greet(name.clone())",
        )
        .replace("let count: u64 = call(&greeter, \"count\", (name,))", "let count = greeter.count(name)");
    assert!(typed.contains("greeter.greet") && typed.contains("greeter.count"), "{typed}");
    std::fs::write(&rom, typed).expect("the ROM");
    assert_eq!(well(&stage, &project, &["run", "-A", "rom", "--", "ada"]), "hello, ada (2)\n");
    let module = project.join("module/src/lib.rs");
    let source = std::fs::read_to_string(&module).expect("the module");
    let wider = source.replace("-> Result<u64, Error>", "-> Result<u128, Error>");
    std::fs::write(&module, wider).expect("the module");
    let stale = say(&stage, &project, &["run", "-A", "rom", "--", "ada"]);
    assert!(stale.code == 1 && stale.stderr.contains("stale_bindings"), "{} {}", stale.code, stale.stderr);
    std::fs::write(&module, source).expect("the module");

    // The module alone, changed: what it holds is kept.
    let source = project.join("module/src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("the module");
    let text = text.replace("hello, {name}", "good day, {name}");
    std::fs::write(&source, text).expect("the module");
    assert!(well(&stage, &project, &["publish"]).starts_with("upgraded /self/greeter"));
    assert_eq!(well(&stage, &project.join("rom"), &["call", "greeter", "greet", "ada"]).trim(), "good day, ada");
    assert!(well(&stage, &project.join("module"), &["publish"]).starts_with("unchanged /self/greeter"));
    assert_eq!(well(&stage, &project, &["query", "/self/greeter", "count", "ada"]).trim(), "4");

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
    assert_eq!(well(&stage, &project, &["query", "/self/greeter", "count", "ada"]).trim(), "4", "nothing was changed");
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

#[test]
fn a_project_is_tested_natively_and_in_webassembly_without_network() {
    let stage = Stage::new();
    let here = stage.folder.path().to_path_buf();
    assert!(well(&stage, &here, &["new", "greeter"]).contains("isx test"));
    let project = here.join("greeter");
    // A fresh copy of a project has no SDK yet.
    std::fs::remove_dir_all(project.join(".isx")).expect("the SDK is there");
    let passed = well(&stage, &project, &["test"]);
    assert!(passed.contains("test tests::nobody_is_not_greeted ... ok"), "{passed}");
    let same = "greeter: calls 4, queries 2, mounts 2: all end in WebAssembly as natively, alone and together\n";
    assert!(passed.ends_with(same), "{passed}");

    // What the memory of a process keeps is no state: natively it stays, and so it does where calls share an instance.
    let source = project.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("the module");
    let keeping = text.replace(
        "    format!(\"hello, {name}\")",
        "    use std::sync::atomic::{AtomicU64, Ordering};\n    static COUNT: AtomicU64 = AtomicU64::new(1);\n    \
         match COUNT.fetch_add(1, Ordering::Relaxed) {\n        1 => format!(\"hello, {name}\"),\n        \
         count => format!(\"hello, {name} ({count})\"),\n    }",
    );
    assert_ne!(keeping, text);
    std::fs::write(&source, keeping).expect("the module");
    let differs = say(&stage, &project, &["test"]);
    assert_eq!(differs.code, 125, "{}{}", differs.stdout, differs.stderr);
    let told = "isx: tests::greetings_are_counted: step 2, the call of greet: natively \"hello, ada (2)\", in WebAssembly \
                \"hello, ada\"\n";
    assert!(differs.stderr.contains(told), "{}", differs.stderr);
    assert!(!differs.stderr.contains("in one list"), "{}", differs.stderr);
    well(&stage, &project, &["test", "--native"]);

    // A module that does wrong fails its tests.
    let wrong = text.replace("ctx.db.greeting().by_name(&name)", "ctx.db.greeting().scan()");
    assert_ne!(wrong, text);
    std::fs::write(&source, wrong).expect("the module");
    let failed = say(&stage, &here, &["test", "greeter", "--", "--quiet", "counted"]);
    assert_eq!(failed.code, 101, "{}{}", failed.stdout, failed.stderr);
    assert!(failed.stdout.contains("greetings_are_counted"), "{}", failed.stdout);
    let nothing = say(&stage, &here, &["test"]);
    assert!(nothing.code == 125 && nothing.stderr.contains("has no Cargo.toml"), "{}", nothing.stderr);
}

/// A program and what it says, as it says it.
struct Saying {
    program: Child,
    lines: Receiver<String>,
}

impl Saying {
    fn begin(mut command: Command) -> Self {
        let (mut read, write) = std::io::pipe().expect("a pipe");
        command.stdout(write.try_clone().expect("a pipe")).stderr(write);
        let program = command.spawn().expect("the binary runs");
        // The command holds the ends to write to.
        drop(command);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(&mut read).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { program, lines }
    }

    /// What it says until a line has this.
    fn until(&self, wanted: &str) -> String {
        let mut said = String::new();
        while !said.contains(wanted) {
            let line = self.lines.recv_timeout(Duration::from_secs(120));
            said += &line.unwrap_or_else(|why| panic!("no {wanted:?}, {why}: {said}"));
            said.push('\n');
        }
        said
    }
}

impl Drop for Saying {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn developing_publishes_what_is_saved_and_shows_what_is_logged() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let here = stage.folder.path().to_path_buf();
    well(&stage, &here, &["new", "greeter"]);
    let project = here.join("greeter");
    // A project around it calls it otherwise.
    let text = "[[module]]\nname = \"hello\"\nfolder = \"greeter\"\npath = \"/self/greeter\"\n";
    std::fs::write(here.join("isx.toml"), text).expect("a project");
    let developing = Saying::begin(isx(&stage, &here, &["dev", "hello"]));
    developing.until("mounted /self/greeter");

    let source = project.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("the module");
    let louder = text.replace(
        "    let text = greeting(&name);",
        "    isx::log!(warn, \"greeting {name}\");\n    let text = greeting(&name);",
    );
    assert_ne!(louder, text);
    std::fs::write(&source, "fn broken(").expect("the module");
    developing.until("does not compile");
    std::fs::write(&source, &louder).expect("the module");
    developing.until("upgraded /self/greeter");
    assert_eq!(well(&stage, &here, &["call", "/self/greeter", "greet", "ada"]).trim(), "hello, ada");
    developing.until("warn  greeting ada");
    assert!(well(&stage, &here, &["logs", "/self/greeter", "--last", "1"]).trim_end().ends_with("warn  greeting ada"));
    assert_eq!(well(&stage, &here, &["logs", "hello", "--level", "error"]), "");

    // What would lose rows waits for a word; the data is kept meanwhile.
    std::fs::write(&source, louder.replace("pub name: String", "pub name: Vec<String>")).expect("the module");
    developing.until("does not compile");
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
    let told = developing.until("keep both");
    assert!(told.contains("table greeting: a column differs"), "{told}");
    assert_eq!(well(&stage, &here, &["query", "/self/greeter", "count", "ada"]).trim(), "1");
}
