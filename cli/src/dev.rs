//! `isx dev`: builds, shows what differs, publishes, shows the log; and again whenever a file changes.

use crate::build::{self, Kind, Order};
use crate::logs::Live;
use crate::modules::{Plan, Published};
use crate::project::Target;
use crate::show::Show;
use anyhow::{Context, Result, bail};
use futures::FutureExt;
use isx_iface::{Host, HostStub};
use notify::{EventKind, RecursiveMode, Watcher};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, channel};

/// How long files must rest before they are built: an editor writes more than one.
const REST: Duration = Duration::from_millis(50);
/// Typed lines that wait to be looked at; further ones wait in the terminal.
const TYPED_MAX: usize = 4;
/// Folders below a project that no source is in.
const PASSED_OVER: &[&str] = &["target", ".isx", ".git"];

/// What `isx dev` waits for.
enum Event {
    /// A file changed.
    Changed,
    /// A line was typed.
    Typed(String),
}

/// `isx dev`.
pub async fn dev(host: &HostStub, target: &Target, reset: bool, show: Show) -> Result<()> {
    let folder = target.what.canonicalize().with_context(|| format!("no folder {}", target.what.display()))?;
    let changed = Arc::new(Notify::new());
    let _watcher = watch(&folder, changed.clone())?;
    let mut typed = typed();
    let who = host.whoami().await?;
    eprintln!(
        "developing {} on node {}; t tables, r reset, m migrate, q quit, each with Enter",
        folder.display(),
        who.alias
    );
    let mut session = Session { host, target, show, folder, published: None, log: None, migrations: None, reset };
    session.publish().await;
    loop {
        let Some(event) = session.wait(&changed, &mut typed).await else { return Ok(()) };
        let typed = match event {
            Event::Changed => {
                session.publish().await;
                continue;
            }
            Event::Typed(typed) => typed,
        };
        let done = match typed.trim() {
            "t" => session.tables().await,
            "r" => {
                session.reset = true;
                session.publish().await;
                Ok(())
            }
            "m" => session.migrate(),
            "q" => return Ok(()),
            "" => Ok(()),
            other => Err(anyhow::anyhow!(
                "{other:?}: t shows tables, r resets the data, m writes hooks that migrate it, q quits"
            )),
        };
        if let Err(error) = done {
            eprintln!("error: {error:#}");
        }
    }
}

struct Session<'a> {
    host: &'a HostStub,
    target: &'a Target,
    show: Show,
    folder: PathBuf,
    published: Option<Published>,
    /// Its log, since the session began.
    log: Option<Live>,
    /// The beginnings of hooks that would let the last build take the place of what is mounted.
    migrations: Option<Result<String>>,
    /// The data is to be removed, once the module builds.
    reset: bool,
}

impl Session<'_> {
    /// Builds and publishes; what goes wrong is said, and the next change tries again.
    async fn publish(&mut self) {
        match self.try_publish().await {
            Ok(published) => self.published = Some(published),
            Err(error) => {
                eprintln!("error: {error:#}");
                eprintln!("waiting for a change");
            }
        }
    }

    async fn try_publish(&mut self) -> Result<Published> {
        let folder = self.folder.clone();
        let built =
            tokio::task::spawn_blocking(move || build::build(&Order { folder: &folder, embeds: &[] })).await??;
        if built.kind != Kind::Module {
            bail!("{} is a ROM: `isx dev` is for modules, run it with `isx run -A {0}`", self.folder.display());
        }
        let plan = Plan::new(self.host, &built.component, self.target).await?;
        if self.log.is_none() {
            self.log = Some(match plan.mounted() {
                Some(module) => Live::from_now(module).await?,
                None => Live::from_first(),
            });
        }
        let plan = match self.reset {
            true => plan.reset().await?,
            false => plan,
        };
        self.reset = false;
        plan.show_differences(self.show);
        self.migrations = None;
        if let Some(refused) = plan.refused() {
            self.migrations = Some(plan.migrations());
            bail!(
                "{}\n  keep both: `isx dev {} {}-2` publishes it beside; migrate: m and Enter writes the hook; reset: r and Enter, or \
                 --reset, removes the data of {}",
                refused,
                self.target.what.display(),
                plan.path(),
                plan.path(),
            );
        }
        let published = plan.carry_out(self.host, &built.component).await?;
        // Files may be written without being changed.
        if !published.is_unchanged() {
            published.show(self.show)?;
        }
        Ok(published)
    }

    /// Writes the beginnings of the hooks that migrate what the last build can not keep: they refuse every row until they say
    /// what becomes of it, so that nothing is lost meanwhile.
    fn migrate(&mut self) -> Result<()> {
        let hooks = self.migrations.take().transpose()?.filter(|hooks| !hooks.is_empty());
        let hooks = hooks
            .context("nothing is to be migrated: the last build takes the rows as they are, or has a hook for them")?;
        let source = self.folder.join("src/lib.rs");
        let file = std::fs::OpenOptions::new().append(true).open(&source);
        let written = file.and_then(|mut file| file.write_all(hooks.as_bytes()));
        written.with_context(|| format!("can not write {}", source.display()))?;
        eprintln!(
            "wrote the beginning of a migration to the end of {}: say there what becomes of a row",
            source.display()
        );
        Ok(())
    }

    async fn tables(&self) -> Result<()> {
        let Published { path, module, .. } = self.published.as_ref().context("nothing is mounted yet")?;
        let description = isx_iface::module::describe(module).await?;
        let schema = isx_row::schema::Schema::decode(&description.schema.0)?;
        for table in &schema.tables {
            println!("{path}:{}", table.name);
            crate::rows::rows(self.host, (path, &table.name), &[], ROWS_SHOWN, None, self.show).await?;
        }
        Ok(())
    }

    /// The next event, showing the module's log until it comes; `None` when the program is to end.
    async fn wait(&mut self, changed: &Notify, typed: &mut Option<Receiver<String>>) -> Option<Event> {
        let Self { log, published, show, .. } = self;
        let log = async {
            if let (Some(Published { module, .. }), Some(log)) = (published, log)
                && let Err(error) = log.follow(module, *show).await
            {
                tracing::warn!(%error, "the log ended");
            }
            std::future::pending::<()>().await;
        };
        let line = async {
            match typed {
                Some(typed) => typed.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed.notified() => {
                tokio::time::sleep(REST).await;
                // What changed meanwhile is built with it.
                let _ = changed.notified().now_or_never();
                Some(Event::Changed)
            }
            line = line => line.map(Event::Typed),
            () = log => None,
            _ = tokio::signal::ctrl_c() => None,
        }
    }
}

/// Rows of a table that `t` shows.
const ROWS_SHOWN: usize = 20;

/// Watches a project's files as long as the watcher lives; one notice stands for all changes until it is taken.
fn watch(folder: &Path, changed: Arc<Notify>) -> Result<notify::RecommendedWatcher> {
    let root = folder.to_path_buf();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_change = |event: &notify::Event| {
            !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| is_source(&root, path))
        };
        if event.is_ok_and(|event| is_change(&event)) {
            changed.notify_one();
        }
    })?;
    watcher.watch(folder, RecursiveMode::Recursive).with_context(|| format!("can not watch {}", folder.display()))?;
    Ok(watcher)
}

/// The lines typed on a terminal; none where there is no terminal. Its end is the program's.
fn typed() -> Option<Receiver<String>> {
    let stdin = std::io::stdin();
    stdin.is_terminal().then(|| {
        let (sender, typed) = channel(TYPED_MAX);
        // Ends with the process: reading a terminal can not be interrupted.
        std::thread::spawn(move || {
            let mut lines = stdin.lock().lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| sender.blocking_send(line).is_ok()) {}
        });
        typed
    })
}

/// Whether a changed file may be a source of the project.
fn is_source(root: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(root).unwrap_or(path);
    let first = below.iter().next().and_then(|first| first.to_str());
    // Editors' own files begin with a dot or end with a tilde; the lock file is cargo's.
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    !first.is_some_and(|first| PASSED_OVER.contains(&first) || first.starts_with(".isx."))
        && !name.starts_with('.')
        && !name.ends_with('~')
        && name != "Cargo.lock"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_are_built_again() {
        let root = Path::new("/p");
        for source in ["src/lib.rs", "Cargo.toml", "build.rs", "src/deep/er.rs"] {
            assert!(is_source(root, &root.join(source)), "{source}");
        }
        for other in
            ["target/x.wasm", ".isx/sdk/row/src/lib.rs", ".git/index", "Cargo.lock", "src/.lib.rs.swp", "src/lib.rs~"]
        {
            assert!(!is_source(root, &root.join(other)), "{other}");
        }
    }
}
