//! `isx run`: a ROM here, with a `Host` of the node.

use crate::arguments::{Global, Run};
use crate::build::Kind;
use crate::project::Project;
use crate::reach::{Otherwise, Reached, reach};
use crate::rights::{Asking, decide};
use crate::show::Show;
use crate::signals::Signals;
use crate::source::Source;
use crate::{places, rights};
use anyhow::{Context, Result, bail};
use futures::future::{Either, select};
use isx_rom_host::{Access, Allowed, Given, Grant, Preopen, Programs, Rule, Streams};
use isx_row::{Code, ContentHash, Error};
use serde_json::json;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

/// Runs the ROM and returns its exit code.
pub async fn run(global: &Global, arguments: Run, show: Show) -> Result<u8> {
    let project = Project::find()?;
    let named = arguments.rom.as_deref().map(|rom| match project.as_ref().and_then(|project| project.rom(rom)) {
        Some((folder, allow)) => (folder, allow),
        None => (rom.to_path_buf(), &[][..]),
    });
    let Some((rom, allow)) = named else { return forget_all(global, show) };
    let source = Source::of(&rom)?;
    let allow = heeded(project.as_ref(), &rom, allow, arguments.allow_all);
    let rules = allow.iter().chain(&arguments.allow).map(|rule| Rule::parse(rule)).collect::<Result<Vec<_>, _>>()?;
    let environment = arguments.env.iter().map(|text| variable(text)).collect::<Result<_>>()?;
    let preopens = arguments.dir.iter().map(|text| preopen(text)).collect::<Result<_>>()?;
    if !source.is_of_node() {
        let bytes = source.here(Some(Kind::Rom))?;
        let order = Order { source, bytes, arguments, rules, environment, preopens };
        return order.carry_out(global, None, show).await;
    }
    if arguments.no_dial {
        let text = format!("{source} is of a node, and --no-dial asks none: give a file, a folder or std:NAME");
        return Err(Error::new(Code::Usage, text).into());
    }
    let reached = reach(global, Otherwise::Embed).await?;
    match source.component(&reached.host, Kind::Rom).await {
        Ok(bytes) => {
            let order = Order { source, bytes, arguments, rules, environment, preopens };
            order.carry_out(global, Some(reached), show).await
        }
        Err(error) => reached.leave().await.and(Err(error)),
    }
}

/// A program to run, and what it is given.
struct Order {
    source: Source,
    bytes: Vec<u8>,
    arguments: Run,
    rules: Vec<Rule>,
    environment: Vec<(String, String)>,
    preopens: Vec<Preopen>,
}

impl Order {
    /// Runs it, on the node that gave it if one did.
    async fn carry_out(self, global: &Global, giver: Option<Reached>, show: Show) -> Result<u8> {
        let Self { source, bytes, arguments, rules, environment, preopens } = self;
        let hash = ContentHash::of(&bytes);
        let of_rom = || source.to_string();
        let is_rom = Programs::is_rom(&bytes).with_context(of_rom);
        let has_host = is_rom.as_ref().is_ok_and(|is_rom| *is_rom) && !arguments.no_dial && !arguments.forget;
        let giver = match giver {
            // What has no use for a node keeps none.
            Some(reached) if !has_host => reached.leave().await.map(|()| None)?,
            giver => giver,
        };
        if arguments.forget {
            return forget(global, &source, hash, show);
        }
        is_rom?;
        let programs = Programs::new(Some(places::cache_dir(global)?.join("programs")))?;
        // Loaded while the node is dialled.
        let loading = tokio::task::spawn_blocking(move || programs.load(&bytes).map(|program| (programs, program)));
        let deadline = arguments.deadline;
        let name = source.name();
        let reached = match (giver, has_host) {
            (None, true) => Some(reach(global, Otherwise::Embed).await?),
            (giver, _) => giver,
        };
        let ready = async {
            let (programs, program) = loading.await.context("the program was not loaded")?.with_context(of_rom)?;
            // Whoever brings his own node along may do with it what he likes.
            let own = reached.as_ref().is_some_and(Reached::is_embedded);
            let allowed = match arguments.allow_all || own {
                true => Allowed::Everything,
                false => {
                    let asking = Asking { hash, name: &name, wants: program.wants() };
                    Allowed::Rules(tokio::task::block_in_place(|| decide(global, &asking, rules)).with_context(of_rom)?)
                }
            };
            let grant = Grant::new(program.wants().to_vec(), allowed).with_context(of_rom)?;
            let host = reached.as_ref().map_or_else(bare, |reached| reached.host.0.clone());
            let arguments = std::iter::once(name).chain(arguments.arguments).collect();
            let given = Given { host, grant, arguments, environment, preopens, streams: Streams::Inherited };
            Ok((programs, program, given))
        };
        let ready = ready.await;
        // Not before: who is asked something may end it as anything else.
        let mut signals = Signals::listen()?;
        let done = match ready {
            Ok((programs, program, given)) => {
                let running = within(deadline, programs.run(&program, given));
                ended(&mut signals, running).await.with_context(of_rom)
            }
            Err(error) => Err(error),
        };
        // What failed is reported after an embedded node has ended in order, unless somebody will not wait for that.
        match reached {
            Some(reached) => match select(pin!(reached.leave()), pin!(signals.next())).await {
                Either::Left((left, _)) => left.and(done),
                Either::Right((code, _)) => Ok(code),
            },
            None => done,
        }
    }
}

/// What the program ends with, or the signal that ends it: dropped, it ends where it stands, and its calls are abandoned.
async fn ended(signals: &mut Signals, program: impl Future<Output = Result<u8>>) -> Result<u8> {
    match select(pin!(program), pin!(signals.next())).await {
        Either::Left((ended, _)) => ended,
        Either::Right((code, _)) => Ok(code),
    }
}

/// The same for a program that may run only so long.
async fn within(deadline: Option<Duration>, program: impl Future<Output = Result<u8, Error>>) -> Result<u8> {
    let Some(deadline) = deadline else { return Ok(program.await?) };
    match tokio::time::timeout(deadline, program).await {
        Ok(ended) => Ok(ended?),
        Err(_) => {
            let text = format!("the ROM had not ended after {deadline:?}, the --deadline: it was ended where it stood");
            Err(Error::new(Code::Deadline, text).into())
        }
    }
}

/// `K=V`.
fn variable(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => bail!("--env {text}: say K=V"),
    }
}

/// `HOST::GUEST` or `HOST::GUEST:ro`.
fn preopen(text: &str) -> Result<Preopen> {
    let (named, access) = match text.strip_suffix(":ro") {
        Some(named) => (named, Access::ReadOnly),
        None => (text, Access::ReadWrite),
    };
    match named.split_once("::") {
        Some((host, guest)) if !host.is_empty() && !guest.is_empty() => {
            Ok(Preopen { host: host.into(), guest: guest.into(), access })
        }
        _ => bail!("--dir {text}: say HOST::GUEST, or HOST::GUEST:ro for reading"),
    }
}

/// What counts of what a project allows a ROM. To build one is to run the project's code, so that its word gives nothing
/// more; whoever runs a component has trusted nobody yet.
fn heeded<'a>(project: Option<&Project>, rom: &Path, allow: &'a [String], all: bool) -> &'a [String] {
    if allow.is_empty() || rom.join("Cargo.toml").is_file() {
        return allow;
    }
    if let Some(project) = project.filter(|_| !all) {
        let file = project.file.display();
        eprintln!("isx: {rom:?} is not built here: what {file} allows it does not count, --allow does");
    }
    &[]
}

/// `isx run --forget ROM`.
fn forget(global: &Global, source: &Source, hash: ContentHash, show: Show) -> Result<u8> {
    if !rights::forget(global, hash)? {
        let text = format!("nothing is remembered of {source}, as it is now");
        return Err(Error::new(Code::NotFound, text).into());
    }
    show.one(|| format!("forgot what {source} was allowed"), || json!({ "forgotten": 1 }))?;
    Ok(0)
}

/// `isx run --forget`.
fn forget_all(global: &Global, show: Show) -> Result<u8> {
    let count = rights::forget_all(global)?;
    show.one(|| format!("forgot what {count} ROMs were allowed"), || json!({ "forgotten": count }))?;
    Ok(0)
}

/// The `Host` of a ROM that runs without a node.
fn bare() -> isx_iface::ObjectRef {
    isx_iface::refusing(Error::new(Code::Unsupported, "the ROM runs bare, with --no-dial: there is no node"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_variables_are_read_as_they_are_written() {
        let folder =
            |text: &str| preopen(text).map(|folder| (folder.host.display().to_string(), folder.guest, folder.access));
        assert_eq!(folder("a::/b").unwrap(), ("a".into(), "/b".into(), Access::ReadWrite));
        assert_eq!(folder("a::/b:ro").unwrap(), ("a".into(), "/b".into(), Access::ReadOnly));
        assert_eq!(folder("a:ro::b").unwrap(), ("a:ro".into(), "b".into(), Access::ReadWrite));
        for wrong in ["a", "a:b", "::b", "a::", "a:::ro", "a:ro", ""] {
            assert!(preopen(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(variable("K=V=W").unwrap(), ("K".into(), "V=W".into()));
        assert_eq!(variable("K=").unwrap(), ("K".into(), String::new()));
        assert!(variable("K").is_err() && variable("=V").is_err());
    }
}
