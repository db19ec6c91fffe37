//! The `isx` command: reads arguments, environment and configuration, composes a node or a client, shows results.
//!
//! Results go to standard output, everything else to standard error. Each verb is a module: [`names`], [`calls`],
//! [`time`], [`modules`], [`bindings`], [`new`], [`test`], [`dev`], [`logs`], [`node`], [`run`], [`top`], [`contexts`], [`key`], [`doctor`],
//! [`bounds`], [`help`]; [`reach`] finds or brings the node they use, [`project`] says what bare names mean.
//!
//! Knows nothing of what it composes but its public face; nothing depends on it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod arguments;
mod bindings;
mod bounds;
mod build;
mod calls;
mod conditions;
mod contexts;
mod dev;
mod doctor;
mod dry_run;
mod examples;
mod executor;
mod failure;
mod help;
mod json;
mod key;
mod keys;
mod logs;
mod modules;
mod moment;
mod names;
mod new;
mod node;
mod places;
mod project;
mod put;
mod reach;
mod rights;
mod rollback;
mod roms;
mod rows;
mod run;
mod runtime;
mod sdk;
mod show;
mod signals;
mod source;
mod test;
mod time;
mod top;
mod userfile;
mod words;

use anyhow::{Context, Result};
use arguments::{Arguments, Cluster, Dev, Global, Publish, Query, Verb};
use clap::Parser;
use project::Project;
use reach::{Otherwise, reach};
use show::Show;
use source::Source;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long what nobody waits for any more may take when everything else has ended.
const LEFT_BEHIND_WITHIN: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    small_pages();
    let Arguments { global, verb } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && failure::asks_for_json() => return failure::misused(&error),
        Err(error) => error.exit(),
    };
    let child = match verb {
        Verb::ChildCompile => Some(executor::child_compile()),
        Verb::ChildTry { memory_bytes } => Some(executor::child_try(memory_bytes)),
        _ => None,
    };
    if let Some(done) = child {
        return done.map_or_else(|error| failure::report(&error, false), |()| ExitCode::SUCCESS);
    }
    log(&global);
    let json = global.json;
    let outcome =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads to work on").and_then(
            |runtime| {
                let outcome = runtime.block_on(work(global, verb));
                // What was awaited is done; a ROM may have left a read behind that never ends.
                runtime.shutdown_timeout(LEFT_BEHIND_WITHIN);
                outcome
            },
        );
    outcome.unwrap_or_else(|error| failure::report(&error, json))
}

/// The allocator asks for huge pages, which make an idle node take half as much memory again and a call no faster.
fn small_pages() {
    // A kernel that does not know of them has none.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Logs to standard error: level by ISX_LOG; when it says nothing warnings, of openraft errors only,
/// which warns of what is usual at every start.
fn log(global: &Global) {
    let filter = EnvFilter::try_from_env("ISX_LOG").unwrap_or_else(|_| EnvFilter::new("warn,openraft=error"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match global.log.as_str() {
        "json" => subscriber.json().init(),
        _ => subscriber.init(),
    }
}

async fn work(global: Global, mut verb: Verb) -> Result<ExitCode> {
    let show = Show { json: global.json };
    // What stands alone works where the project file is broken.
    let project = if verb.may_name() { Project::find()? } else { None };
    Project::resolve(project.as_ref(), &mut verb)?;
    match verb {
        Verb::Run(run) => return Ok(ExitCode::from(run::run(&global, run, show).await?)),
        Verb::Doctor => return doctor::doctor(&global, show).await,
        Verb::Context(verb) => contexts::context(&global, verb, show)?,
        Verb::Key(verb) => key::key(&global, &verb, show)?,
        Verb::New(arguments) => new::new(&arguments, show)?,
        Verb::Build(build) => modules::build(&build, show)?,
        Verb::Test(arguments) => return test::test(&global, &arguments, show),
        Verb::Start(start) => node::start(&global, &start, show).await?,
        Verb::Limits { node: false } => bounds::show(show)?,
        Verb::Limits { node: true } => bounds::of_node(&reach(&global, Otherwise::Fail).await?.host, show).await?,
        Verb::Help { words } => help::help(&words, show)?,
        Verb::Completion { shell } => help::completion(shell)?,
        Verb::Man { folder } => help::man(&folder, show)?,
        Verb::Schema { what } if !Source::of(Path::new(&what))?.is_of_node() => {
            modules::schema_of_source(&Source::of(Path::new(&what))?, show)?;
        }
        Verb::Inspect { what } if what == source::STD => source::list(show)?,
        Verb::Inspect { what } if !Source::of(Path::new(&what))?.is_of_node() => {
            let source = Source::of(Path::new(&what))?;
            modules::inspect_component(&source, &source.here(None)?, show)?;
        }
        Verb::Bindings(arguments) if bindings::is_local(&arguments.source) => bindings::of_file(&arguments, show)?,
        Verb::Stop => {
            let reached = reach(&global, Otherwise::Fail).await?;
            node::stop(&reached.host, &global, show).await?;
        }
        Verb::Whoami => node::whoami(&reach(&global, Otherwise::Fail).await?.host, show).await?,
        Verb::Status => node::status(&reach(&global, Otherwise::Fail).await?.host, show).await?,
        Verb::Top(arguments) => top::top(&reach(&global, Otherwise::Fail).await?.host, &arguments, show).await?,
        Verb::Cluster(Cluster::Skip { group }) => {
            node::skip(&reach(&global, Otherwise::Fail).await?.host, group, show).await?;
        }
        verb => {
            let reached = reach(&global, Otherwise::Embed).await?;
            let done = with_host(&reached.host, &global, project.as_ref(), verb, show).await;
            // What failed is reported after an embedded node has ended in order.
            let left = reached.leave().await;
            done.and(left)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The verbs that need a node, whichever.
async fn with_host(
    host: &isx_iface::HostStub,
    global: &Global,
    project: Option<&Project>,
    verb: Verb,
    show: Show,
) -> Result<()> {
    match verb {
        Verb::Dev(Dev { folder, path, reset }) => {
            let target = Project::target(project, folder.as_deref(), path.as_deref())?;
            dev::dev(host, &target, reset, show).await
        }
        Verb::Logs(arguments) => logs::logs(host, &arguments, show).await,
        Verb::Publish(Publish { what, path, dry_run }) => {
            let targets = Project::targets(project, what.as_deref(), path.as_deref())?;
            modules::publish(host, &targets, dry_run, show).await
        }
        Verb::Rollback { path, code, dry_run: dry, yes } => {
            rollback::rollback(host, &path, code.as_deref(), rollback::How { dry, yes }, show).await
        }
        Verb::Schema { what } => modules::schema_of_mount(host, &what, show).await,
        Verb::Inspect { what } => modules::inspect_of_node(host, &what, show).await,
        Verb::Bindings(arguments) => bindings::of_mount(host, &arguments, show).await,
        Verb::Call { call, conditions, dry_run } => {
            let how = calls::How { conditions: &conditions, dry: dry_run, within: global.within };
            calls::call(host, &call, calls::Kind::Reducer, how, show).await
        }
        Verb::Query(Query { call, at: None }) => {
            let how = calls::How { conditions: &[], dry: false, within: global.within };
            calls::call(host, &call, calls::Kind::Query, how, show).await
        }
        Verb::Query(Query { call, at: Some(at) }) => calls::query_at(host, &call, at, show).await,
        Verb::History(arguments) => time::history(host, &arguments, show).await,
        Verb::Diff(arguments) => time::diff(host, &arguments, show).await,
        Verb::Blame(arguments) => time::blame(host, &arguments, show).await,
        Verb::Replay { path, to } => time::replay(host, &path, to, show).await,
        Verb::Rows { target, arguments, limit, at } => {
            let (path, table) = names::member(&target);
            let table = table.with_context(|| format!("say PATH:table, for example {path}:rows"))?;
            rows::rows(host, (path, table), &arguments, limit, at, show).await
        }
        Verb::Watch { target, arguments, count } => match names::member(&target) {
            (path, Some(table)) => rows::watch(host, (path, table), &arguments, count, show).await,
            (path, None) => names::watch(host, path, count, show).await,
        },
        Verb::Put(arguments) => put::put(host, &arguments, show).await,
        Verb::Get { path } => names::get(host, &path, show).await,
        Verb::Set { path, value, expect } => names::set(host, &path, &value, expect.as_deref(), show).await,
        Verb::Ls { path } => names::ls(host, &path, show).await,
        Verb::Tree { path } => names::tree(host, &path, show).await,
        Verb::Mount { path, code } => names::mount(host, &path, &code, show).await,
        Verb::Unmount { path } => names::unmount(host, &path, show).await,
        Verb::Rm { path, yes } => names::rm(host, &path, yes, show).await,
        Verb::Run(_)
        | Verb::New(_)
        | Verb::Build(_)
        | Verb::Test(_)
        | Verb::Start(_)
        | Verb::Limits { .. }
        | Verb::Help { .. }
        | Verb::Completion { .. }
        | Verb::Man { .. }
        | Verb::Stop
        | Verb::Status
        | Verb::Top(_)
        | Verb::Whoami
        | Verb::Doctor
        | Verb::Context(_)
        | Verb::Key(_)
        | Verb::Cluster(_)
        | Verb::ChildCompile
        | Verb::ChildTry { .. } => Ok(()),
    }
}
