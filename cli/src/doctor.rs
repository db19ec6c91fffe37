//! `isx doctor`: looks at what isx needs of this machine and of this user's files, and says what cures what is wrong.
//!
//! It makes and changes nothing. Exit code 0 when nothing needs doing, 125 when something does.

use crate::arguments::Global;
use crate::build::{self, Kind};
use crate::contexts::Contexts;
use crate::project::Project;
use crate::reach::{self, Otherwise, reach};
use crate::runtime;
use crate::show::Show;
use crate::{failure, places};
use anyhow::{Context, Result, bail, ensure};
use isx_iface::Host;
use rustix::fs::{Access, FlockOperation, access, flock, statvfs};
use rustix::process::{Resource, getrlimit};
use serde_json::{Value as Json, json};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

/// What the version file of a state folder says that this version can use.
const STATE_VERSION: &str = "isx state 1";
/// Bytes that should be free for the log, snapshots and modules of a node.
const DISK_FREE_BYTES_MIN: u64 = 1024 * 1024 * 1024;
/// Files that a node may have open at once: connections, segments, modules.
const OPEN_FILES_MIN: u64 = 1024;
/// How long a node may take to answer.
const NODE_WITHIN: Duration = Duration::from_secs(5);
/// Seconds since 1970 of 2025-01-01: no clock was right before.
const CLOCK_SECONDS_MIN: u64 = 1_735_689_600;
/// How far ahead of the clock a file may be from.
const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What was found of one thing; a cure when it needs doing.
struct Found {
    check: &'static str,
    found: String,
    cure: Option<String>,
}

impl Found {
    /// Of a check that says what it found, or is [`wrong`].
    fn of(check: &'static str, done: Result<String>) -> Self {
        match done {
            Ok(found) => Self { check, found, cure: None },
            Err(error) => {
                let cure = error.downcast_ref::<Cure>().map(|cure| cure.0.clone());
                let text: Vec<String> =
                    error.chain().filter(|cause| !cause.is::<Cure>()).map(ToString::to_string).collect();
                Self { check, found: text.join(": "), cure: Some(cure.unwrap_or_else(|| "mend what is named".into())) }
            }
        }
    }

    fn json(&self) -> Json {
        json!({ "check": self.check, "well": self.cure.is_none(), "found": self.found, "cure": self.cure })
    }
}

/// What cures an error.
#[derive(Debug)]
struct Cure(String);

impl std::fmt::Display for Cure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cure {}

/// An error with its cure.
fn wrong(found: impl Into<String>, cure: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Cure(cure.into())).context(found.into())
}

/// `isx doctor`.
pub async fn doctor(global: &Global, show: Show) -> Result<ExitCode> {
    let mut all = vec![
        Found::of("toolchain", toolchain()),
        Found::of("target of modules", target(Kind::Module)),
        Found::of("target of ROMs", target(Kind::Rom)),
        Found::of("configuration", places::config_path(global).and_then(|folder| folder_of(&folder))),
        Found::of("key", key(global)),
        Found::of("contexts", contexts(global)),
        Found::of("project", project()),
    ];
    let state = places::state_dir(global, &places::host_name());
    let cache = places::cache_path(global);
    let looked = |folder: &Result<PathBuf>, look: fn(&Path) -> Result<String>| match folder {
        Ok(folder) => look(folder),
        Err(error) => bail!("{error:#}"),
    };
    all.extend([
        Found::of("state", looked(&state, self::state)),
        Found::of("free disk", looked(&state, disk)),
        Found::of("cache", looked(&cache, folder_of)),
        Found::of("runtime folder", runtime::path().and_then(|folder| folder_of(&folder))),
        Found::of("clock", looked(&state, clock)),
        Found::of("open files", open_files()),
        Found::of("node", node(global).await),
    ]);
    for found in &all {
        let text = || {
            let cure = found.cure.as_ref().map(|cure| format!("\n{:24}cure: {cure}", "")).unwrap_or_default();
            format!("{:<6}{:<18}{}{cure}", if found.cure.is_some() { "WRONG" } else { "ok" }, found.check, found.found)
        };
        show.one(text, || found.json())?;
    }
    let wrong = all.iter().filter(|found| found.cure.is_some()).count();
    if wrong > 0 && !show.json {
        eprintln!("{wrong} of {} need doing", all.len());
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(failure::FAILED) })
}

fn toolchain() -> Result<String> {
    let cure = || Cure("install Rust from https://rustup.rs; it is needed to build, not to run".into());
    let output = Command::new(build::rustc()).arg("--version").output();
    let output = output.context(cure()).context("rustc does not start")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
    let least = env!("CARGO_PKG_RUST_VERSION");
    let is_new = version(&text).is_some_and(|found| Some(found) >= version(least));
    ensure!(
        output.status.success() && is_new,
        wrong(format!("{text:?} is older than {least}, or no Rust"), "run `rustup update stable`")
    );
    let cargo = Command::new(build::cargo()).arg("--version").output();
    cargo.context(cure()).context("cargo does not start")?;
    Ok(text)
}

/// The first `major.minor` in a text.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').find(|word| word.contains('.'))?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn target(kind: Kind) -> Result<String> {
    let target = kind.target();
    match build::has_target(Path::new("."), kind)? {
        true => Ok(target.into()),
        false => {
            Err(wrong(format!("the toolchain has no target {target}"), format!("run `rustup target add {target}`")))
        }
    }
}

/// A folder that is there, or can be made.
fn folder_of(folder: &Path) -> Result<String> {
    let there = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let shown = folder.display();
    ensure!(there.is_dir(), wrong(format!("{} is no folder", there.display()), "move it away"));
    access(there, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        wrong(
            format!("{} can not be read and written: {error}", there.display()),
            format!("`chown $USER {0}` and `chmod u+rwx {0}`, or name another folder", there.display()),
        )
    })?;
    if there != folder {
        return Ok(format!("{shown}, not made yet"));
    }
    let metadata = fs::metadata(folder)?;
    let ours = metadata.uid() == rustix::process::getuid().as_raw();
    ensure!(
        ours && metadata.permissions().mode() & 0o022 == 0,
        wrong(format!("{shown} may be written by others"), format!("`chown $USER {shown}` and `chmod 700 {shown}`"))
    );
    Ok(shown.to_string())
}

fn key(global: &Global) -> Result<String> {
    let path = places::user_key_path(global)?;
    let shown = path.display();
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(format!("{shown}, not made yet")),
        Err(error) => bail!("{shown}: {error}"),
    };
    ensure!(
        places::is_secret(&metadata),
        wrong(
            format!("{shown} is open to others"),
            format!(
                "`chmod 600 {shown}`, and `chown $USER` it where it is another's; who has read it may speak as you"
            )
        )
    );
    let cure = "restore the file, or move it away: the next command makes another, which is another user to nodes";
    places::key(&path).map_err(|error| wrong(format!("{error:#}"), cure))?;
    Ok(shown.to_string())
}

fn contexts(global: &Global) -> Result<String> {
    let cure = |error: anyhow::Error| wrong(format!("{error:#}"), "correct the file, or move it away");
    let contexts = Contexts::read(global).map_err(cure)?;
    let current = contexts.current().map_err(cure)?;
    let used = current.map_or("none in use".into(), |(name, _)| format!("{name} in use"));
    Ok(format!("{}, {used}", contexts.count()))
}

fn project() -> Result<String> {
    let found = Project::find().map_err(|error| wrong(format!("{error:#}"), "correct the file"))?;
    Ok(found.map_or("none here".into(), |project| {
        let (modules, roms) = project.counts();
        format!("{}: {modules} modules, {roms} ROMs", project.file.display())
    }))
}

fn state(folder: &Path) -> Result<String> {
    let text = folder_of(folder)?;
    match fs::read_to_string(folder.join("version")) {
        Ok(version) => ensure!(
            version.trim_end() == STATE_VERSION,
            wrong(
                format!("{} is of another version ({:?})", folder.display(), version.trim()),
                "use the isx that made it, or give another --state-dir"
            )
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(text),
        Err(error) => bail!("{}: {error}", folder.display()),
    }
    let nodes = runtime::find(&runtime::path()?)?;
    let real = folder.canonicalize().with_context(|| folder.display().to_string())?;
    if let Some(node) = nodes.iter().find(|node| node.state_dir.canonicalize().is_ok_and(|its| its == real)) {
        return Ok(format!("{text}, held by the node {} (process {})", node.alias, node.process));
    }
    // Let go at once: a node that starts in this moment is the only one that would meet it.
    let lock = File::open(folder.join("lock")).context("the state folder has no lock that can be read")?;
    flock(&lock, FlockOperation::NonBlockingLockShared).map_err(|_| {
        wrong(
            format!("{} is held by a process that is no node within reach", folder.display()),
            format!("find it with `fuser {}` and end it", folder.join("lock").display()),
        )
    })?;
    Ok(format!("{text}, of no running node"))
}

fn disk(folder: &Path) -> Result<String> {
    let there = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let disk = statvfs(there).with_context(|| there.display().to_string())?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let text = format!("{} MiB free for {}", mib(free), folder.display());
    ensure!(
        free >= DISK_FREE_BYTES_MIN,
        wrong(text.clone(), format!("free {} MiB there, or give another --state-dir", mib(DISK_FREE_BYTES_MIN)))
    );
    Ok(text)
}

fn clock(state: &Path) -> Result<String> {
    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let shown = crate::json::rfc3339(isx_row::Time(i64::try_from(seconds * 1_000_000).unwrap_or(i64::MAX)));
    let files = [std::env::current_exe().ok(), Some(state.join("version"))];
    let newest = files.into_iter().flatten().filter_map(|file| fs::metadata(file).ok()?.modified().ok()).max();
    let behind = newest.is_some_and(|newest| newest.duration_since(now).is_ok_and(|by| by > CLOCK_BEHIND_MAX));
    ensure!(
        seconds >= CLOCK_SECONDS_MIN && !behind,
        wrong(
            format!("the clock says {shown}, which is past"),
            "set the clock, for example with `timedatectl set-ntp true`"
        )
    );
    Ok(shown)
}

fn open_files() -> Result<String> {
    // No bound is none to say.
    let Some(most) = getrlimit(Resource::Nofile).current else { return Ok("no bound".into()) };
    ensure!(
        most >= OPEN_FILES_MIN,
        wrong(format!("at most {most}, a node wants {OPEN_FILES_MIN}"), format!("`ulimit -n {OPEN_FILES_MIN}`"))
    );
    Ok(format!("at most {most}"))
}

async fn node(global: &Global) -> Result<String> {
    let named = reach::named(global).map_err(|error| wrong(format!("{error:#}"), "see contexts and project"))?;
    if named.is_none() && runtime::find(&runtime::path()?)?.is_empty() {
        return Ok("none runs; commands bring their own, `isx start` begins one".into());
    }
    // To dial is to show a key, and so to make it.
    if named.as_ref().is_none_or(|named| named.identity.is_none()) {
        if !places::user_key_path(global)?.exists() {
            return Ok("not asked: no key yet; the first command that needs one makes it".into());
        }
        key(global).map_err(|_| wrong("not asked: the key can not be shown", "see key"))?;
    }
    let cure = match &named {
        Some(named) => format!("start that node, or change {}", named.by),
        None => "end its process, which hangs, and `isx start` again".into(),
    };
    let global = Global { within: global.within.min(NODE_WITHIN), ..global.clone() };
    let asked = async {
        let reached = reach(&global, Otherwise::Fail).await?;
        Ok::<_, anyhow::Error>(reached.host.whoami().await?)
    };
    let within = global.within + NODE_WITHIN;
    let who = tokio::time::timeout(within, asked).await.context("it does not answer").and_then(|answer| answer);
    let who = who.map_err(|error| wrong(format!("{error:#}"), cure))?;
    Ok(format!(
        "{} answers, isx {}, you are {}",
        who.alias,
        who.version,
        if who.owner { "its owner" } else { "public" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cure_is_told_apart_from_what_is_wrong() {
        let found = Found::of("it", Err(wrong("it is broken", "mend it").context("here")));
        assert_eq!((found.found.as_str(), found.cure.as_deref()), ("here: it is broken", Some("mend it")));
        assert!(Found::of("it", Err(anyhow::anyhow!("odd"))).cure.is_some(), "an error always needs doing");
        assert!(Found::of("it", Ok("fine".into())).cure.is_none());
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(version("rustc 1.95.0 (abc 2026-04-01)"), Some((1, 95)));
        assert!(version("rustc 1.100.0") > version("1.95"));
        assert_eq!(version("rustc"), None);
    }

    #[test]
    fn folders_that_others_may_write_need_doing() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        assert!(folder_of(&folder).unwrap().contains("not made yet"));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Found::of("it", folder_of(&folder)).cure.is_some_and(|cure| cure.contains("chmod 700")));
        fs::write(folder.join("file"), "").unwrap();
        assert!(folder_of(&folder.join("file/x")).is_err(), "a file in the way");
    }

    #[test]
    fn state_of_another_version_or_held_needs_doing() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).unwrap();
        put("version", "isx state 9\n");
        put("lock", "");
        assert!(Found::of("state", state(root.path())).found.contains("another version"));
        put("version", "isx state 1\n");
        assert!(state(root.path()).unwrap().contains("no running node"));
        let held = File::open(root.path().join("lock")).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        assert!(Found::of("state", state(root.path())).cure.is_some_and(|cure| cure.contains("fuser")));
    }
}
