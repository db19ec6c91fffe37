//! The command line.

mod operate;
mod put;
mod time;

pub use operate::{Level, Logs, Start, Top};
pub use put::Put;
pub use time::{Blame, Diff, History, Query};

use crate::examples;
use crate::moment::Moment;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// One computer out of a few machines; its only system calls are capabilities.
#[derive(Parser)]
#[command(
    name = "isx",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every verb. Each is also ISX_<FLAG>.
#[derive(Args, Clone)]
pub struct Global {
    /// Address of the node to use: /ip4/…/tcp/…/p2p/<peer>. If it does not answer that is an error, never a fallback
    #[arg(long, global = true, env = "ISX_DIAL", value_name = "ADDRESS")]
    pub dial: Option<String>,
    /// Name of the node to use, made with `isx context add`; goes after --dial and ISX_DIAL, before isx.toml
    #[arg(long, global = true, env = "ISX_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Results as JSON, one value a line
    #[arg(long, global = true, env = "ISX_JSON")]
    pub json: bool,
    /// How long to wait for an outcome
    #[arg(long, global = true, env = "ISX_WITHIN", value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub within: Duration,
    /// Where a node keeps its state, and `isx run` what ROMs were allowed [default: a folder of this user, named after the alias]
    #[arg(long, global = true, env = "ISX_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where what may be deleted is kept [default: this user's cache folder]
    #[arg(long, global = true, env = "ISX_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Where this user's key and contexts lie [default: this user's configuration folder]
    #[arg(long, global = true, env = "ISX_CONFIG_DIR", value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// Logs on stderr as text or JSON; ISX_LOG sets the level
    #[arg(long, global = true, env = "ISX_LOG_FORMAT", value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub log: String,
}

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    /// Run a ROM here, with a Host of the node
    #[command(after_help = examples::RUN)]
    Run(Run),
    /// Make a project from a template; it builds without network
    #[command(after_help = examples::NEW)]
    New(New),
    /// Build, publish and show the log of a module, again whenever one of its files changes
    #[command(after_help = examples::DEV)]
    Dev(Dev),
    /// Build a module or ROM into a component
    #[command(after_help = examples::BUILD)]
    Build(Build),
    /// Run the tests of a module or ROM: reducers and queries on real tables, without a node, natively and in WebAssembly
    #[command(after_help = examples::TEST)]
    Test(Test),
    /// Build if needed, upload and mount a module, or upgrade what is mounted: what differs is shown first
    #[command(after_help = examples::PUBLISH)]
    Publish(Publish),
    /// Give a mount back a module that it had: columns and tables that this did not know yet are lost
    #[command(after_help = examples::ROLLBACK)]
    Rollback {
        /// The mount's path, or a module of the project
        path: String,
        /// The beginning of the module's code, as `isx inspect PATH` lists it [default: the one before]
        code: Option<String>,
        /// Show what it would change, tried on a fork, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask where data is lost
        #[arg(long)]
        yes: bool,
    },
    /// The schema of a mount or a component
    #[command(after_help = examples::SCHEMA)]
    Schema {
        /// The path of a mount, a component file, the folder of a module, or std:NAME
        what: String,
    },
    /// What a component is: its schema, imports and exports, hash
    #[command(after_help = examples::INSPECT)]
    Inspect {
        /// A component file, the folder of one, std:NAME, or `std:` for a list of what isx carries; the path of a mount, or
        /// of an anchor that holds a ROM's hash; a content hash
        what: String,
    },
    /// The types of a module and the codec of its rows, arguments and answers, in another language
    #[command(after_help = examples::BINDINGS)]
    Bindings(Bindings),
    /// Call a reducer
    #[command(after_help = examples::CALL)]
    Call {
        #[command(flatten)]
        call: Call,
        /// Only if this holds when it is the call's turn, else `conflict`: revision=N, TABLE[KEY], 'no TABLE[KEY]' or
        /// TABLE[KEY].COLUMN=VALUE; may be said more than once. A module that hears of sessions gets a revision by each, so by
        /// this call's own too
        #[arg(long = "if", value_name = "CONDITION")]
        conditions: Vec<String>,
        /// Try it and tell what it would do: the answer, the rows it would change; nothing is done
        #[arg(long)]
        dry_run: bool,
    },
    /// Ask a query
    #[command(after_help = examples::QUERY)]
    Query(Query),
    /// Rows of a table or a view
    #[command(after_help = examples::ROWS)]
    Rows {
        /// PATH:table or PATH:view; PATH may be a module of the project
        target: String,
        /// Of a view: its arguments, as for `isx query`
        arguments: Vec<String>,
        /// At most this many rows
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        /// As they were at a revision, a time, or so long ago
        #[arg(long, value_name = "MOMENT")]
        at: Option<Moment>,
    },
    /// Put your row into a volatile table, for those who follow it, or delete it
    #[command(after_help = examples::PUT)]
    Put(Put),
    /// Who did what to a mount, the last first: each revision that is kept, and calls that were refused
    #[command(after_help = examples::HISTORY)]
    History(History),
    /// Rows that differ between two moments of a mount, or between two mounts of the same schema
    #[command(after_help = examples::DIFF)]
    Diff(Diff),
    /// Who last changed a row
    #[command(after_help = examples::BLAME)]
    Blame(Blame),
    /// Do what is kept of a mount's past again, and compare: equal, or the first revision that differs
    #[command(after_help = examples::REPLAY)]
    Replay {
        /// The mount's path, or a module of the project
        path: String,
        /// Up to this revision [default: the present]
        #[arg(long, value_name = "REVISION")]
        to: Option<u64>,
    },
    /// What a module logs
    #[command(after_help = examples::LOGS)]
    Logs(Logs),
    /// Follow the changes of a table or a view, or the value of an anchor
    #[command(after_help = examples::WATCH)]
    Watch {
        /// PATH:table, PATH:view, or PATH, which may be a module of the project
        target: String,
        /// Of a view: its arguments, as for `isx query`
        arguments: Vec<String>,
        /// End after this many items
        #[arg(long)]
        count: Option<u64>,
    },
    /// The value of an anchor
    #[command(after_help = examples::GET)]
    Get {
        /// The anchor's path
        path: String,
    },
    /// Set the value of an anchor, making the anchor where it is missing
    #[command(after_help = examples::SET)]
    Set {
        /// The anchor's path
        path: String,
        /// The value, as text
        value: String,
        /// Only if the value is this one now; "" for none
        #[arg(long, value_name = "VALUE")]
        expect: Option<String>,
    },
    /// Children of an anchor
    #[command(after_help = examples::LS)]
    Ls {
        /// The anchor's path
        #[arg(default_value = "/")]
        path: String,
    },
    /// An anchor and everything below it
    #[command(after_help = examples::TREE)]
    Tree {
        /// The anchor's path
        #[arg(default_value = "/")]
        path: String,
    },
    /// Mount a published module
    #[command(after_help = examples::MOUNT)]
    Mount {
        /// Where to
        path: String,
        /// The module's content hash, as `isx publish` and `isx inspect` print it
        code: String,
    },
    /// Unbind a mount; its data is kept
    #[command(after_help = examples::UNMOUNT)]
    Unmount {
        /// The mount's path, or a module of the project
        path: String,
    },
    /// Remove an anchor and everything below it, or a mount with its data
    #[command(after_help = examples::RM)]
    Rm {
        /// The path
        path: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Start a node in the foreground
    #[command(after_help = examples::START)]
    Start(Start),
    /// Stop the node: it takes a snapshot, then ends
    #[command(after_help = examples::STOP)]
    Stop,
    /// How the node is
    #[command(after_help = examples::STATUS)]
    Status,
    /// What calls cost the node, by mount, or by function of one mount
    #[command(after_help = examples::TOP)]
    Top(Top),
    /// Who the node takes this user for
    #[command(after_help = examples::WHOAMI)]
    Whoami,
    /// Every bound with its unit and reason; or what the node may take of its machine, and takes
    #[command(after_help = examples::LIMITS)]
    Limits {
        /// The budgets of the node, as `isx start` got them
        #[arg(long)]
        node: bool,
    },
    /// Say what this machine lacks and what cures it
    #[command(after_help = examples::DOCTOR)]
    Doctor,
    /// Names for nodes
    #[command(subcommand)]
    Context(ContextVerb),
    /// This user's key
    #[command(subcommand)]
    Key(KeyVerb),
    /// The cluster as a whole
    #[command(subcommand)]
    Cluster(Cluster),
    /// Explain a verb, or an error by its code
    #[command(after_help = examples::HELP)]
    Help {
        /// A verb, or a code like `stale_bindings`
        words: Vec<String>,
    },
    /// Print what a shell reads to complete verbs and flags
    #[command(after_help = examples::COMPLETION)]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder
    #[command(after_help = examples::MAN)]
    Man {
        /// The folder
        folder: PathBuf,
    },
    /// Compile a module in a child process with bounds of its own
    #[command(hide = true, name = "child-compile")]
    ChildCompile,
    /// Make a call that a process died of, in a child process with bounds of its own
    #[command(hide = true, name = "child-try")]
    ChildTry {
        /// Memory it may take
        #[arg(long)]
        memory_bytes: u64,
    },
}

impl Verb {
    /// Whether words of it may be names of a project.
    pub fn may_name(&self) -> bool {
        !matches!(
            self,
            Self::Run(_)
                | Self::New(_)
                | Self::Build(_)
                | Self::Start(_)
                | Self::Stop
                | Self::Status
                | Self::Whoami
                | Self::Limits { .. }
                | Self::Doctor
                | Self::Context(_)
                | Self::Key(_)
                | Self::Cluster(_)
                | Self::Help { .. }
                | Self::Completion { .. }
                | Self::Man { .. }
                | Self::ChildCompile
                | Self::ChildTry { .. }
        )
    }
}

/// `isx run`.
#[derive(Args)]
pub struct Run {
    /// The ROM: a component file, the folder of one to build, a ROM of the project, std:NAME for one that isx carries
    /// (`isx inspect std:` lists them), a content hash, or an anchor that holds the hash of one, as `isx publish ROM PATH`
    /// makes it. A file goes before a name of the project, and what is here before an anchor. What isx.toml allows counts
    /// for what is built here; a component has only what --allow, -A or an answer gives it, by its hash, whichever way it
    /// came. A command of any toolchain, which exports wasi:cli/run@0.2, runs without a node
    #[arg(required_unless_present = "forget")]
    pub rom: Option<PathBuf>,
    /// Its arguments
    #[arg(last = true)]
    pub arguments: Vec<String>,
    /// Allow what this rule covers: INTERFACE[.method][=TARGET]
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<String>,
    /// Allow everything it wants but files, network and devices
    #[arg(short = 'A', long)]
    pub allow_all: bool,
    /// A variable of its environment
    #[arg(long, value_name = "K=V")]
    pub env: Vec<String>,
    /// A folder it may use, and its name there; with `:ro` at the end it may only read it
    #[arg(long, value_name = "HOST::GUEST[:ro]")]
    pub dir: Vec<String>,
    /// End it when it has run so long, with exit code 124
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub deadline: Option<Duration>,
    /// Run it bare: no node, no Host
    #[arg(long)]
    pub no_dial: bool,
    /// Forget what was allowed to this ROM when it asked, to all of them where none is named; nothing is run
    #[arg(long)]
    pub forget: bool,
}

/// `isx new`.
#[derive(Args)]
pub struct New {
    /// The project's folder: new, or empty
    pub folder: PathBuf,
    /// What it is to be
    #[arg(long, short, value_enum, default_value_t = Template::Module)]
    pub template: Template,
    /// Its name [default: the folder's]
    #[arg(long)]
    pub name: Option<String>,
}

/// `isx dev`.
#[derive(Args)]
pub struct Dev {
    /// The module's folder, or a module of the project [default: this folder, or the project's one module]
    pub folder: Option<PathBuf>,
    /// Where to mount it [default: where the project says, else /self/<name>]
    pub path: Option<String>,
    /// Begin without data: remove what is mounted there
    #[arg(long)]
    pub reset: bool,
}

/// What `isx new` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A module: tables, reducers, queries
    Module,
    /// A ROM: a program with a Host
    Rom,
    /// Both: a ROM that carries a module, mounts it and calls it
    App,
}

/// `isx build`.
#[derive(Args)]
pub struct Build {
    /// The package's folder
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Where the component goes [default: <target>/isx/<name>.wasm]
    #[arg(long, short)]
    pub output: Option<PathBuf>,
    /// A component that the package embeds by name, built before it; what its manifest says in
    /// `[package.metadata.isx] embed` is built without being told
    #[arg(long, value_name = "NAME=FILE")]
    pub embed: Vec<String>,
}

/// `isx test`.
#[derive(Args)]
pub struct Test {
    /// The package's or the project's folder
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Only natively: do not build the module, and make no call again in WebAssembly
    #[arg(long)]
    pub native: bool,
    /// For `cargo test`: which tests, and after another `--` how they are run
    #[arg(last = true)]
    pub arguments: Vec<String>,
}

/// `isx publish`.
#[derive(Args)]
pub struct Publish {
    /// A component, the folder of a module, std:NAME, or a module of the project [default: this folder, or all of the
    /// project]. Of a ROM the hash is put into the anchor at PATH, for `isx run PATH`
    pub what: Option<PathBuf>,
    /// Where to mount it [default: where the project says, else /self/<name>]; a ROM is told
    pub path: Option<String>,
    /// Show what it would change, and mount nothing; an upgrade is tried on a fork, all its rows moved
    #[arg(long)]
    pub dry_run: bool,
}

/// `isx bindings`.
#[derive(Args)]
pub struct Bindings {
    /// A component, the folder of a module, std:NAME, or the path of a mount
    pub source: String,
    /// The language
    #[arg(long, value_enum)]
    pub lang: Language,
    /// Where they go [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What `isx bindings` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// A module with a typed method for each function, for ROMs and programs that link the SDK
    Rust,
    /// A module in need of nothing, whose types can be erased as they stand
    Typescript,
    /// The JSON form of rows, arguments and answers (draft 2020-12)
    JsonSchema,
}

/// `isx call` and `isx query`.
#[derive(Args)]
#[group(skip)]
pub struct Call {
    /// The mount's path, or a module of the project
    pub path: String,
    /// The function
    pub function: String,
    /// Its arguments: bare words, or JSON; @FILE is what a file holds, - what standard input does: as it stands where a
    /// string or bytes are wanted, else as JSON. A text that begins with @ or - is written as JSON: '"@ada"'
    #[arg(allow_negative_numbers = true)]
    pub arguments: Vec<String>,
}

/// `isx context`.
#[derive(Subcommand)]
pub enum ContextVerb {
    /// The contexts of this user
    #[command(after_help = examples::CONTEXT_LS)]
    Ls,
    /// Give a node a name
    #[command(after_help = examples::CONTEXT_ADD)]
    Add {
        /// The name
        name: String,
        /// The node's address: /ip4/…/tcp/…/p2p/<peer>, as `isx status` prints it
        address: String,
        /// The file of the key to show it [default: this user's]
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
    /// Use a context from now on
    #[command(after_help = examples::CONTEXT_USE)]
    Use {
        /// The name
        #[arg(required_unless_present = "none")]
        name: Option<String>,
        /// Use none
        #[arg(long, conflicts_with = "name")]
        none: bool,
    },
    /// Remove a context
    #[command(after_help = examples::CONTEXT_RM)]
    Rm {
        /// The name
        name: String,
    },
    /// What a context says; without a name, which node commands use here and what says so
    #[command(after_help = examples::CONTEXT_SHOW)]
    Show {
        /// The name
        name: Option<String>,
    },
}

/// `isx key`.
#[derive(Subcommand)]
pub enum KeyVerb {
    /// The peer and principal that the key makes; never the secret
    #[command(after_help = examples::KEY_SHOW)]
    Show,
    /// The key's file
    #[command(after_help = examples::KEY_PATH)]
    Path,
}

/// `isx cluster`.
#[derive(Subcommand)]
pub enum Cluster {
    /// Pass over the call that holds a group, for good
    #[command(after_help = examples::CLUSTER_SKIP)]
    Skip {
        /// The group
        group: u64,
    },
}

/// A duration like `500ms`, `30s`, `2m`, `1h`, `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        _ => return Err("a duration is a number with ms, s, m, h or d, for example 30s".into()),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{digits:?} is not a number"))?;
    number.checked_mul(unit).map(Duration::from_millis).ok_or_else(|| "too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "5 s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
