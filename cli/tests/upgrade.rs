//! A module whose tables change as rows do not follow by themselves: told before, moved by a hook, all or nothing.

mod support;

use std::path::Path;
use support::{Said, Stage, said};

fn say(stage: &Stage, folder: &Path, arguments: &[&str]) -> Said {
    let mut command = stage.isx(arguments);
    command.current_dir(folder).env("CARGO_HOME", stage.folder.path().join("cargo")).env("CARGO_NET_OFFLINE", "true");
    said(command.env_remove("CARGO_TARGET_DIR").output().expect("the binary runs"))
}

/// The module after: `name` and `text` are one column, and there is another that is counted out of them.
const AFTER: &str = r#"
use isx::{Error, QueryContext, ReducerContext};

isx::module!(public);

#[isx::table(public)]
pub struct Greeting {
    #[primary_key(auto_inc)]
    pub id: u64,
    #[index(btree)]
    pub said: String,
    pub letters: u32,
    #[created_at]
    pub since: isx::Time,
}

#[isx::reducer(public)]
fn greet(ctx: &ReducerContext, name: String) -> Result<u64, Error> {
    let row = Greeting { id: 0, letters: name.len() as u32, said: name, since: isx::Time(0) };
    Ok(ctx.db.greeting().insert(row)?.id)
}

#[isx::reducer(on = "greeting.insert")]
fn greeted(_ctx: &ReducerContext, row: Greeting) -> Result<(), Error> {
    isx::log!(info, "greeted {}", row.said);
    Ok(())
}

#[isx::query(public)]
fn letters(ctx: &QueryContext) -> Result<u64, Error> {
    let mut sum = 0;
    for row in ctx.db.greeting().scan() {
        sum += u64::from(row?.letters);
    }
    Ok(sum)
}
"#;

/// What moves the rows of the module before.
const HOOK: &str = r#"
#[derive(isx::Typed, Clone, Debug)]
pub struct Before {
    pub id: u64,
    pub name: String,
    pub text: String,
}

#[isx::reducer(on = "greeting.migrate")]
fn migrate_greeting(ctx: &ReducerContext, old: Before) -> Result<(), Error> {
    REFUSE
    let said = format!("{}: {}", old.name, old.text);
    let since = isx::Time(old.id as i64 * 1_000_000);
    ctx.db.greeting().insert(Greeting { id: old.id, letters: said.len() as u32, said, since })?;
    Ok(())
}
"#;

#[test]
fn rows_move_to_the_tables_of_the_module_after_or_nothing_changes() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let here = stage.folder.path().to_path_buf();
    let project = here.join("greeter");
    let well = |folder: &Path, arguments: &[&str]| {
        let said = say(&stage, folder, arguments);
        assert_eq!(said.code, 0, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
        said.stdout + &said.stderr
    };
    well(&here, &["new", "greeter"]);
    well(&project, &["publish"]);
    for name in ["ada", "grace", "barbara"] {
        well(&project, &["call", "/self/greeter", "greet", name]);
    }

    let source = project.join("src/lib.rs");
    let write = |hook: &str| std::fs::write(&source, format!("{AFTER}{hook}")).expect("the module");
    write("");
    let refused = say(&stage, &project, &["publish"]);
    assert_eq!(refused.code, 125, "{}", refused.stderr);
    for part in ["incompatible", "table greeting", "#[isx::reducer(on = \"greeting.migrate\")]"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }

    // A hook that can not move a row: said by the dry run, and by the upgrade, after which everything is as it was.
    write(&HOOK.replace("REFUSE", "if old.name == \"grace\" { return Err(isx::refused(\"not grace\")); }"));
    for arguments in [&["publish", "--dry-run"][..], &["publish"]] {
        let failed = say(&stage, &project, arguments);
        assert_eq!(failed.code, 125, "{}", failed.stderr);
        assert!(failed.stderr.contains("its rows go through migrate_greeting"), "{}", failed.stderr);
        assert!(failed.stderr.contains("not grace") && failed.stderr.contains("table greeting"), "{}", failed.stderr);
    }
    assert!(well(&here, &["call", "/self/greeter", "greet", "ada"]).contains("hello, ada"));
    assert_eq!(well(&here, &["query", "/self/greeter", "count", "ada"]).trim(), "2");

    write(&HOOK.replace("REFUSE", ""));
    assert!(well(&project, &["publish", "--dry-run"]).contains("4 rows would move"));
    assert_eq!(well(&here, &["query", "/self/greeter", "count", "ada"]).trim(), "2");
    assert!(well(&project, &["publish"]).contains("upgraded /self/greeter"));
    assert_eq!(well(&here, &["query", "/self/greeter", "letters"]).trim(), "72");
    // Numbers go on, columns that the host writes are as the hook wrote them, and no other hook has run.
    assert_eq!(well(&here, &["call", "/self/greeter", "greet", "edith"]).trim(), "5");
    let rows = well(&here, &["rows", "/self/greeter:greeting", "--json"]);
    assert!(rows.contains(r#""said":"grace: hello, grace","since":"1970-01-01T00:00:02.000000Z""#), "{rows}");
    let logged = well(&here, &["logs", "/self/greeter"]);
    assert!(logged.contains("greeted edith") && !logged.contains("greeted ada"), "{logged}");
    assert!(logged.contains("the migration to") && logged.contains("not grace"), "{logged}");

    // What was migrated is kept by a start, and its past is still there.
    stage.kill();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let said = |arguments: &[&str]| say(&stage, &here, arguments).stdout;
    assert_eq!(said(&["query", "/self/greeter", "letters"]).trim(), "77");
    assert_eq!(said(&["query", "/self/greeter", "count", "ada", "--at", "4"]).trim(), "1");
    // The same module again has nothing to move.
    assert!(say(&stage, &project, &["publish"]).stdout.starts_with("unchanged"));
}

/// The module of `isx new` with a column and a table more.
fn widened(source: &str) -> String {
    let wider = source.replace("pub text: String,", "pub text: String,\n    #[default(7)]\n    pub stars: u32,");
    let wider = wider.replace("text: text.clone() }", "text: text.clone(), stars: 5 }");
    assert_ne!(wider, source);
    wider
        + "\n#[isx::table(public)]\npub struct Extra {\n    #[primary_key]\n    pub id: u64,\n}\n\n#[isx::reducer(public)]\n\
             fn put_extra(ctx: &ReducerContext, id: u64) -> isx::Result<()> {\n    ctx.db.extra().insert(Extra { id }).map(drop)\n}\n"
}

#[test]
fn a_mount_goes_back_to_the_module_before() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let here = stage.folder.path().to_path_buf();
    let project = here.join("greeter");
    let well = |folder: &Path, arguments: &[&str]| {
        let said = say(&stage, folder, arguments);
        assert_eq!(said.code, 0, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
        said.stdout + &said.stderr
    };
    well(&here, &["new", "greeter"]);
    well(&project, &["publish"]);
    let none = say(&stage, &here, &["rollback", "/self/greeter"]);
    assert_eq!(none.code, 127, "{}", none.stderr);
    assert!(none.stderr.contains("has had no other module"), "{}", none.stderr);
    well(&here, &["call", "/self/greeter", "greet", "ada"]);
    let source = project.join("src/lib.rs");
    let before = std::fs::read_to_string(&source).expect("the module");
    std::fs::write(&source, widened(&before)).expect("the module");
    well(&project, &["publish"]);
    well(&here, &["call", "/self/greeter", "greet", "grace"]);
    well(&here, &["call", "/self/greeter", "put_extra", "1"]);

    // The module before, published, is no way back by itself.
    std::fs::write(&source, &before).expect("the module");
    let refused = say(&stage, &project, &["publish"]);
    assert!(refused.code == 125 && refused.stderr.contains("isx rollback /self/greeter"), "{}", refused.stderr);
    // What is lost is said before, and not lost unasked.
    let dry = well(&here, &["rollback", "/self/greeter", "--dry-run"]);
    for part in ["table greeting: column stars removed (this data is lost", "- table extra", "2 rows would move"] {
        assert!(dry.contains(part), "{dry}");
    }
    let unasked = say(&stage, &here, &["rollback", "/self/greeter"]);
    assert_eq!(unasked.code, 125, "{}", unasked.stderr);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    assert!(well(&here, &["rows", "/self/greeter:greeting"]).contains("stars"));
    let unknown = say(&stage, &here, &["rollback", "/self/greeter", "beef", "--yes"]);
    assert_eq!(unknown.code, 127, "{}", unknown.stderr);

    let done = well(&here, &["rollback", "/self/greeter", "--yes"]);
    assert!(done.contains("rolled back /self/greeter: greeter 0.1.0"), "{done}");
    let rows = well(&here, &["rows", "/self/greeter:greeting", "--json"]);
    assert!(rows.contains("grace") && rows.contains("ada") && !rows.contains("stars"), "{rows}");
    assert_eq!(say(&stage, &here, &["rows", "/self/greeter:extra"]).code, 127);
    well(&here, &["call", "/self/greeter", "greet", "barbara"]);
    // What was is still there to be asked, a start keeps what was done, and there is a way on again.
    stage.kill();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let said = |arguments: &[&str]| say(&stage, &here, arguments);
    assert!(said(&["rows", "/self/greeter:extra", "--at", "5"]).stdout.contains('1'));
    assert!(said(&["inspect", "/self/greeter"]).stdout.contains("earlier"));
    assert_eq!(said(&["rollback", "/self/greeter"]).code, 0, "nothing is lost on the way to the newer one");
    assert!(said(&["rows", "/self/greeter:greeting"]).stdout.contains("stars"));
}
