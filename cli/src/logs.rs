//! `isx logs`: what a module logs.

use crate::arguments::{Level, Logs};
use crate::json::rfc3339;
use crate::show::Show;
use anyhow::{Context, Result};
use clap::ValueEnum;
use futures::StreamExt;
use isx_iface::module::{LogLine, LogPart};
use isx_iface::{Anchor, HostStub, Module, ModuleStub};
use serde_json::json;

impl Level {
    /// As modules number them: from 1, the most important.
    fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The word of a number.
    fn word(number: u8) -> String {
        let level = Self::value_variants().iter().find(|level| level.number() == number).unwrap_or(&Self::Trace);
        level.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }
}

/// `isx logs`.
pub async fn logs(host: &HostStub, arguments: &Logs, show: Show) -> Result<()> {
    let path = &arguments.path;
    let module = crate::names::walk(host, path).await?.module().await.with_context(|| path.clone())?;
    let mut parts = module.log(None).await?;
    // The last lines are known when the newest is there; all that follow are shown as they come.
    let (mut shown, mut before) = (Shown::new(arguments.level), Some(Vec::new()));
    while let Some(part) = parts.next().await {
        let LogPart { lines, dropped_count, newest } = part?;
        let mut lines = shown.fresh(lines);
        if let Some(kept) = &mut before {
            kept.append(&mut lines);
            if !newest {
                continue;
            }
            lines = before.take().unwrap_or_default();
            lines.drain(..lines.len().saturating_sub(arguments.last.unwrap_or(usize::MAX)));
        } else if dropped_count > 0 {
            eprintln!("{dropped_count} lines were dropped before they were read");
        }
        lines.iter().try_for_each(|line| one(line, show))?;
        if !arguments.follow {
            break;
        }
    }
    Ok(())
}

/// Shows what a module logs, over several follows.
pub struct Live(Shown);

impl Live {
    /// From the first line that is kept.
    pub fn from_first() -> Self {
        Self(Shown::new(Level::Trace))
    }

    /// From what it logs after now.
    pub async fn from_now(module: &ModuleStub) -> Result<Self> {
        let (mut parts, mut live) = (module.log(None).await?, Self::from_first());
        while let Some(part) = parts.next().await {
            let part = part?;
            live.0.fresh(part.lines);
            if part.newest {
                break;
            }
        }
        Ok(live)
    }

    /// Shows lines until the log ends.
    ///
    /// # Cancel safety
    /// Dropping the future loses no line: the next follow begins behind the last one shown.
    pub async fn follow(&mut self, module: &ModuleStub, show: Show) -> Result<()> {
        let mut parts = module.log(self.0.last.map(|(_, number)| number)).await?;
        while let Some(part) = parts.next().await {
            let part = part?;
            if part.dropped_count > 0 {
                eprintln!("{} lines were dropped before they were read", part.dropped_count);
            }
            self.0.fresh(part.lines).iter().try_for_each(|line| one(line, show))?;
        }
        Ok(())
    }
}

/// How far a log has been shown: a connection that broke begins again with the oldest line.
struct Shown {
    level: Level,
    last: Option<(i64, u64)>,
}

impl Shown {
    fn new(level: Level) -> Self {
        Self { level, last: None }
    }

    /// The lines that have not been shown, of the level and more important.
    fn fresh(&mut self, mut lines: Vec<LogLine>) -> Vec<LogLine> {
        let place = |line: &LogLine| Some((line.time.0, line.number));
        lines.retain(|line| place(line) > self.last);
        self.last = lines.last().map_or(self.last, place);
        lines.retain(|line| line.level <= self.level.number());
        lines
    }
}

fn one(line: &LogLine, show: Show) -> Result<()> {
    let word = Level::word(line.level);
    let time = rfc3339(line.time);
    Ok(show.one(
        || format!("{time} {word:<5} {}", line.text),
        || json!({ "time": time, "level": word, "text": line.text, "number": line.number.to_string() }),
    )?)
}
