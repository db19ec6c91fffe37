//! The project file `isx.toml`: modules and ROMs of a project under names of their own, and the node it is for.
//!
//! Found in the current folder or above it, as cargo finds its manifest. Where it is, a word that is no path is the
//! project's: [`Project::resolve`] puts the mount's path for the module's name before a verb sees it.

use crate::arguments::{Blame, Call, Diff, History, Logs, Put, Query, Top, Verb};
use crate::contexts::check_address;
use anyhow::{Context, Result, bail, ensure};
use isx_iface::anchor::MountLimits;
use isx_rom_host::Rule;
use isx_row::{Code, Error};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file's name.
pub const FILE: &str = "isx.toml";
/// Bytes of the file; a larger one is refused unread.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Modules of a project, and ROMs of a project; more are refused.
const ENTRIES_MAX: usize = 64;

/// A project.
#[derive(Debug)]
pub struct Project {
    /// The project file.
    pub file: PathBuf,
    /// The address of the node it is for.
    pub dial: Option<String>,
    /// The context it is for.
    pub context: Option<String>,
    modules: Vec<ProjectModule>,
    roms: Vec<ProjectRom>,
}

/// A module of a project.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectModule {
    name: String,
    /// From the project file's folder; absolute once it is read.
    folder: PathBuf,
    /// `/self/<name>` where it is not said.
    path: Option<String>,
    fuel_max: Option<u64>,
    table_bytes_max: Option<u64>,
}

/// A ROM of a project.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectRom {
    name: String,
    /// As a module's.
    folder: PathBuf,
    /// Counts only where it is built here; a component's rights come from whoever runs it.
    #[serde(default)]
    allow: Vec<String>,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    dial: Option<String>,
    context: Option<String>,
    #[serde(default)]
    module: Vec<ProjectModule>,
    #[serde(default)]
    rom: Vec<ProjectRom>,
}

/// A module to build and mount.
#[derive(Debug)]
pub struct Target {
    /// A component, or the folder of a module.
    pub what: PathBuf,
    /// Where to mount it; `/self/<name>` when nothing says.
    pub path: Option<String>,
    /// What it may use, once it is mounted.
    pub limits: MountLimits,
}

impl Target {
    fn plain(what: &Path, path: Option<&str>) -> Self {
        Self { what: what.into(), path: path.map(str::to_string), limits: no_limits() }
    }
}

/// The node's defaults.
pub fn no_limits() -> MountLimits {
    MountLimits { fuel_max: None, table_bytes_max: None }
}

impl Project {
    /// The project of the current folder; `None` where neither it nor a folder above has a project file.
    ///
    /// # Errors
    /// When the file is another user's, too large, or wrong: it may name the node and allow rights.
    pub fn find() -> Result<Option<Self>> {
        let here = std::env::current_dir().context("the current folder is gone")?;
        let found = here.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file());
        found.map(|file| Self::read(&file)).transpose()
    }

    fn read(file: &Path) -> Result<Self> {
        let failed = || format!("can not read {}", file.display());
        let metadata = fs::metadata(file).with_context(failed)?;
        let user = rustix::process::getuid().as_raw();
        ensure!(
            [user, 0].contains(&metadata.uid()),
            "{} belongs to another user: if you trust what it allows, `chown` it or work on a copy",
            file.display()
        );
        ensure!(metadata.len() <= FILE_BYTES_MAX, "{} has more than {FILE_BYTES_MAX} bytes", file.display());
        Self::parse(file, &fs::read_to_string(file).with_context(failed)?)
    }

    fn parse(file: &Path, text: &str) -> Result<Self> {
        let here = || file.display().to_string();
        let Written { dial, context, mut module, mut rom } =
            toml::from_str(text).map_err(|error| anyhow::anyhow!("{}: {}", here(), error.to_string().trim_end()))?;
        ensure!(dial.is_none() || context.is_none(), "{}: dial and context both say which node; keep one", here());
        dial.as_deref().map_or(Ok(()), check_address).with_context(here)?;
        ensure!(
            module.len() <= ENTRIES_MAX && rom.len() <= ENTRIES_MAX,
            "{}: a project has at most {ENTRIES_MAX} modules and {ENTRIES_MAX} ROMs",
            here()
        );
        check_names("module", module.iter().map(|module| &module.name)).with_context(here)?;
        check_names("rom", rom.iter().map(|rom| &rom.name)).with_context(here)?;
        let root = file.parent().unwrap_or(Path::new("/"));
        module.iter_mut().for_each(|module| module.folder = root.join(&module.folder));
        rom.iter_mut().for_each(|rom| rom.folder = root.join(&rom.folder));
        for ProjectModule { name, path, .. } in &module {
            let is_path = path.as_ref().is_none_or(|path| path.starts_with('/') && path.len() > 1);
            ensure!(is_path, "{}: the module {name}: a path is like /self/{name}", here());
        }
        let mut mounts = BTreeMap::new();
        for module in &module {
            let (name, path) = (&module.name, module.path());
            if let Some(other) = mounts.insert(path.trim_end_matches('/').to_string(), name) {
                bail!("{}: the modules {other} and {name} are both at {path}", here());
            }
        }
        for ProjectRom { name, allow, .. } in &rom {
            let rules = allow.iter().try_for_each(|rule| Rule::parse(rule).map(drop));
            rules.with_context(|| format!("{}: the rom {name}: allow", here()))?;
        }
        Ok(Self { file: file.into(), dial, context, modules: module, roms: rom })
    }

    fn module(&self, name: &str) -> Result<&ProjectModule> {
        self.modules.iter().find(|module| module.name == name).ok_or_else(|| {
            let names = list(self.modules.iter().map(|module| module.name.as_str()));
            let file = self.file.display();
            Error::new(Code::NotFound, format!("{file} has no module {name:?}, it has {names}; a path begins with /"))
                .into()
        })
    }

    /// How much it has: modules and ROMs.
    pub fn counts(&self) -> (usize, usize) {
        (self.modules.len(), self.roms.len())
    }

    /// The path that a word means: itself, or that of the project's module; `:member` stays.
    fn path_of(project: Option<&Self>, word: &mut String) -> Result<()> {
        if word.starts_with('/') {
            return Ok(());
        }
        let (name, member) = crate::names::member(word);
        let Some(project) = project else {
            let text = format!(
                "{word:?} is no path: a path begins with /, as /self/{name}; a bare name is a module of a project, and \
                 there is no {FILE} here or above"
            );
            return Err(Error::new(Code::NotFound, text).into());
        };
        let path = project.module(name)?.path();
        *word = member.map_or_else(|| path.clone(), |member| format!("{path}:{member}"));
        Ok(())
    }

    /// Puts paths for the project's names in what a verb was given.
    ///
    /// # Errors
    /// `not_found` for a word that is neither a path nor a module of the project.
    pub fn resolve(project: Option<&Self>, verb: &mut Verb) -> Result<()> {
        match verb {
            Verb::Call { call: Call { path, .. }, .. }
            | Verb::Query(Query { call: Call { path, .. }, .. })
            | Verb::History(History { path, .. })
            | Verb::Blame(Blame { target: path, .. })
            | Verb::Replay { path, .. }
            | Verb::Rows { target: path, .. }
            | Verb::Watch { target: path, .. }
            | Verb::Put(Put { target: path, .. })
            | Verb::Logs(Logs { path, .. })
            | Verb::Top(Top { path: Some(path), .. })
            | Verb::Get { path }
            | Verb::Set { path, .. }
            | Verb::Ls { path }
            | Verb::Tree { path }
            | Verb::Mount { path, .. }
            | Verb::Unmount { path }
            | Verb::Rollback { path, .. }
            | Verb::Rm { path, .. } => Self::path_of(project, path),
            Verb::Diff(Diff { path, other, .. }) => {
                Self::path_of(project, path)?;
                other.as_mut().map_or(Ok(()), |other| Self::path_of(project, other))
            }
            // Where it is a file, or no module of the project, it is itself.
            Verb::Schema { what } | Verb::Inspect { what } => match project {
                Some(project) if !Path::new(what).is_file() && project.module(what).is_ok() => {
                    Self::path_of(Some(project), what)
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// What `isx publish` and `isx dev` are to publish: a component, a folder, the project's module of that name; where
    /// nothing is said the module in whose folder this is, or all of the project; without a project this folder.
    ///
    /// # Errors
    /// When the project has no module.
    pub fn targets(project: Option<&Self>, what: Option<&Path>, path: Option<&str>) -> Result<Vec<Target>> {
        let here = Path::new(".");
        let Some(project) = project else { return Ok(vec![Target::plain(what.unwrap_or(here), path)]) };
        let module = match what {
            Some(what) => project.named(what, |module| (&module.name, &module.folder), &project.modules),
            // The innermost, where one is in another's folder.
            None => {
                let around = project.modules.iter().filter(|module| contains(&module.folder, here));
                around.max_by_key(|module| module.folder.components().count())
            }
        };
        if let Some(module) = module {
            let target = module.target();
            return Ok(vec![Target { path: path.map(str::to_string).or(target.path), ..target }]);
        }
        match what {
            Some(what) => {
                let rom = project.rom(what);
                Ok(vec![Target::plain(rom.as_ref().map_or(what, |(folder, _)| folder), path)])
            }
            // A package that the project does not list.
            None if here.join("Cargo.toml").is_file() && (project.modules.is_empty() || !project.is_in(here)) => {
                Ok(vec![Target::plain(here, path)])
            }
            None if project.modules.is_empty() => {
                bail!("{} has no module; add a [[module]] with name and folder", project.file.display())
            }
            None => Ok(project.modules.iter().map(ProjectModule::target).collect()),
        }
    }

    /// The one module that `isx dev` develops.
    ///
    /// # Errors
    /// When the project has several, and none is named.
    pub fn target(project: Option<&Self>, what: Option<&Path>, path: Option<&str>) -> Result<Target> {
        let mut targets = Self::targets(project, what, path)?;
        match (targets.pop(), targets.is_empty(), project) {
            (Some(target), true, _) => Ok(target),
            (_, _, Some(project)) => {
                let names = list(project.modules.iter().map(|module| module.name.as_str()));
                bail!("{} has several modules; say which: `isx dev NAME`, one of {names}", project.file.display())
            }
            (..) => bail!("there is nothing to develop"),
        }
    }

    /// The folder of a ROM of the project and what it is allowed, of its name or of its folder.
    pub fn rom(&self, what: &Path) -> Option<(PathBuf, &[String])> {
        let rom = self.named(what, |rom| (&rom.name, &rom.folder), &self.roms)?;
        Some((rom.folder.clone(), &rom.allow))
    }

    /// The entry that a word names: by its name, or by its folder. A file of that name is itself.
    fn named<'a, T>(&self, what: &Path, of: impl Fn(&T) -> (&String, &PathBuf), entries: &'a [T]) -> Option<&'a T> {
        if what.is_file() {
            return None;
        }
        let by_name = entries.iter().find(|entry| what.as_os_str() == of(entry).0.as_str());
        by_name.or_else(|| {
            let folder = what.canonicalize().ok()?;
            entries.iter().find(|entry| of(entry).1.canonicalize().is_ok_and(|its| its == folder))
        })
    }

    /// Whether a folder is the project file's own.
    fn is_in(&self, folder: &Path) -> bool {
        let root = self.file.parent().and_then(|root| root.canonicalize().ok());
        root.is_some() && root == folder.canonicalize().ok()
    }
}

impl ProjectModule {
    fn path(&self) -> String {
        self.path.clone().unwrap_or_else(|| format!("/self/{}", self.name))
    }

    fn target(&self) -> Target {
        let limits = MountLimits { fuel_max: self.fuel_max, table_bytes_max: self.table_bytes_max };
        Target { what: self.folder.clone(), path: Some(self.path()), limits }
    }
}

/// Whether `inner` is `outer` or below it.
fn contains(outer: &Path, inner: &Path) -> bool {
    match (outer.canonicalize(), inner.canonicalize()) {
        (Ok(outer), Ok(inner)) => inner.starts_with(outer),
        _ => false,
    }
}

/// Names that are words, each once.
fn check_names<'a>(kind: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        let letter = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let is_word = !name.is_empty() && name.len() <= 64 && !name.starts_with('-') && name.chars().all(letter);
        ensure!(is_word, "{name:?} can not be a {kind}'s name: it has letters, digits, - and _, at most 64");
        ensure!(seen.insert(name), "two entries [[{kind}]] are called {name:?}; call one something else");
    }
    Ok(())
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
context = "work"

[[module]]
name = "chat"
folder = "modules/chat"
table_bytes_max = 1000000

[[module]]
name = "bots"
folder = "modules/bots"
path = "/self/app/bots"

[[rom]]
name = "talk"
folder = "rom"
allow = ["host.walk=/self", "chat"]
"#;

    fn project() -> Project {
        Project::parse(Path::new("/p/isx.toml"), TEXT).unwrap()
    }

    fn check_word(word: &str, expected: &str) {
        let mut path = word.to_string();
        let found = match Project::path_of(Some(&project()), &mut path) {
            Ok(()) => path,
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{word}: {found}");
    }

    #[test]
    fn a_bare_name_is_the_projects_mount() {
        check_word("chat", "/self/chat");
        check_word("bots:row", "/self/app/bots:row");
        check_word("/self/bots:row", "/self/bots:row");
        check_word("talk", "it has chat, bots; a path begins with /");
        let alone = Project::path_of(None, &mut "chat".to_string()).unwrap_err().to_string();
        assert!(alone.contains("no isx.toml here or above"), "{alone}");
    }

    #[test]
    fn entries_are_found_by_name() {
        let project = project();
        let target = Project::target(Some(&project), Some(Path::new("chat")), None).unwrap();
        assert_eq!((target.what, target.path.as_deref()), ("/p/modules/chat".into(), Some("/self/chat")));
        assert_eq!(target.limits.table_bytes_max, Some(1_000_000));
        let told = Project::target(Some(&project), Some(Path::new("chat")), Some("/self/x")).unwrap();
        assert_eq!(told.path.as_deref(), Some("/self/x"));
        let other = Project::target(Some(&project), Some(Path::new("./chat")), None).unwrap();
        assert_eq!((other.what, other.path), ("./chat".into(), None), "a folder");
        assert_eq!(project.rom(Path::new("talk")).unwrap().1, ["host.walk=/self", "chat"]);
        assert!(project.rom(Path::new("chat")).is_none());
        assert_eq!(project.counts(), (2, 1));
    }

    fn refused(text: &str, expected: &str) {
        let error = format!("{:#}", Project::parse(Path::new("/p/isx.toml"), text).unwrap_err());
        assert!(error.starts_with("/p/isx.toml") && error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        refused("\n\ndail = \"x\"\n", "line 3");
        refused("\n\ndail = \"x\"\n", "unknown field `dail`");
        refused("[[module]]\nname = \"a\"\nfolder = \"a\"\nport = 1\n", "line 4");
        refused("[[module]]\nname = \"a\"\nfolder = \"a\"\nport = 1\n", "unknown field `port`, expected one of");
        refused("[[module]]\nname = \"a\"\n", "missing field `folder`");
        refused("[[module]]\nname = \"a b\"\nfolder = \"a\"\n", "can not be a module's name");
        refused("[[module]]\nname = \"a\"\nfolder = \"a\"\npath = \"a\"\n", "a path is like /self/a");
        let same =
            "[[module]]\nname = \"a\"\nfolder = \"a\"\n[[module]]\nname = \"b\"\nfolder = \"b\"\npath = \"/self/a/\"\n";
        refused(same, "the modules a and b are both at /self/a");
        refused("dial = \"/ip4/1/p2p/x\"\ncontext = \"work\"\n", "keep one");
        refused("dial = \"localhost\"\n", "is no address");
        refused("[[rom]]\nname = \"a\"\nfolder = \"a\"\nallow = [\"*\"]\n", "the rom a: allow");
        let twice = "[[rom]]\nname = \"a\"\nfolder = \"a\"\n".repeat(2);
        refused(&twice, "are called \"a\"");
        let many: String = (0..65).map(|at| format!("[[rom]]\nname = \"r{at}\"\nfolder = \"a\"\n")).collect();
        refused(&many, "at most 64");
    }
}
