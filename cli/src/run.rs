//! `isx run`: a ROM here, with a `Host` of the node.

use crate::arguments::{Global, Run};
use crate::build::Kind;
use crate::modules::component;
use crate::project::Project;
use crate::reach::{Otherwise, Reached, reach};
use crate::rights::{Asking, decide};
use crate::show::Show;
use crate::{places, rights};
use anyhow::{Context, Result, bail};
use isx_rom_host::{Allowed, Given, Grant, Preopen, Programs, Rule, Streams};
use isx_row::{Code, ContentHash, Error};
use serde_json::json;
use std::path::Path;

/// Runs the ROM and returns its exit code.
pub async fn run(global: &Global, arguments: Run, show: Show) -> Result<u8> {
    let project = Project::find()?;
    let named = arguments.rom.as_deref().map(|rom| match project.as_ref().and_then(|project| project.rom(rom)) {
        Some((folder, allow)) => (folder, allow),
        None => (rom.to_path_buf(), &[][..]),
    });
    let Some((rom, allow)) = named else { return forget_all(global, show) };
    let bytes = component(&rom, Kind::Rom)?;
    let hash = ContentHash::of(&bytes);
    if arguments.forget {
        return forget(global, &rom, hash, show);
    }
    let of_rom = || rom.display().to_string();
    Programs::check(&bytes).with_context(of_rom)?;
    let allow = heeded(project.as_ref(), &rom, allow, arguments.allow_all);
    let programs = Programs::new(Some(places::cache_dir(global)?.join("programs")))?;
    // Loaded while the node is dialled.
    let loading = tokio::task::spawn_blocking(move || programs.load(&bytes).map(|program| (programs, program)));
    let environment = arguments.env.iter().map(|pair| match pair.split_once('=') {
        Some((name, value)) => Ok((name.to_string(), value.to_string())),
        None => bail!("--env {pair}: say K=V"),
    });
    let preopens = arguments.dir.iter().map(|pair| match pair.split_once("::") {
        Some((host, guest)) => Ok(Preopen { host: host.into(), guest: guest.to_string() }),
        None => bail!("--dir {pair}: say HOST::GUEST"),
    });
    let (environment, preopens) = (environment.collect::<Result<_>>()?, preopens.collect::<Result<_>>()?);
    let rules = allow.iter().chain(&arguments.allow).map(|rule| Rule::parse(rule)).collect::<Result<Vec<_>, _>>()?;
    let name = rom.file_name().unwrap_or(rom.as_os_str()).to_string_lossy().into_owned();

    let reached = match arguments.no_dial {
        true => None,
        false => Some(reach(global, Otherwise::Embed).await?),
    };
    let done = async {
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
        programs.run(&program, given).await.with_context(of_rom)
    };
    let done = done.await;
    // What failed is reported after an embedded node has ended in order.
    if let Some(reached) = reached {
        reached.leave().await?;
    }
    done
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
fn forget(global: &Global, rom: &Path, hash: ContentHash, show: Show) -> Result<u8> {
    if !rights::forget(global, hash)? {
        let text = format!("nothing is remembered of {}, as it is now", rom.display());
        return Err(Error::new(Code::NotFound, text).into());
    }
    show.one(|| format!("forgot what {} was allowed", rom.display()), || json!({ "forgotten": 1 }))?;
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
