//! `isx logs`: what a module logs.

use crate::arguments::{Level, Logs};
use crate::json::rfc3339;
use crate::show::Show;
use anyhow::{Context, Result};
use futures::StreamExt;
use isx_iface::module::{LogLine, LogPart};
use isx_iface::{Anchor, HostStub, Module, ModuleStub};
use serde_json::json;

impl Level {
    fn number(self) -> u8 {
        match self {
            Self::Error => 1,
            Self::Warn => 2,
            Self::Info => 3,
            Self::Debug => 4,
            Self::Trace => 5,
        }
    }
}

/// `isx logs`.
pub async fn logs(host: &HostStub, arguments: &Logs, show: Show) -> Result<()> {
    let path = &arguments.path;
    let module = crate::names::walk(host, path).await?.module().await.with_context(|| path.clone())?;
    let mut parts = module.log(None).await?;
    // Without following, the last lines are those that are there when the newest is.
    let mut waiting: Vec<LogPart> = Vec::new();
    let mut shown = Shown::default();
    while let Some(part) = parts.next().await {
        waiting.push(part?);
        if !waiting.last().is_some_and(|part| part.newest) && !arguments.follow {
            continue;
        }
        let lines = waiting.iter().map(|part| part.lines.len()).sum::<usize>();
        let mut passed = lines.saturating_sub(arguments.last.unwrap_or(usize::MAX));
        for part in waiting.drain(..) {
            shown.part(part, &mut passed, arguments.level, show)?;
        }
        if !arguments.follow {
            break;
        }
    }
    Ok(())
}

/// Shows what a module logs from now on, over several follows.
#[derive(Default)]
pub struct Live {
    shown: Shown,
    /// Whether what was there before has been passed over.
    begun: bool,
}

impl Live {
    /// Shows lines until the log ends.
    ///
    /// # Cancel safety
    /// Dropping the future loses no line: the next follow begins behind the last one shown.
    pub async fn follow(&mut self, module: &ModuleStub, show: Show) -> Result<()> {
        let mut parts = module.log(self.shown.last.map(|(_, number)| number)).await?;
        while let Some(part) = parts.next().await {
            let part = part?;
            let newest = part.newest;
            let mut passed = if self.begun { 0 } else { part.lines.len() };
            self.shown.part(part, &mut passed, Level::Trace, show)?;
            self.begun |= newest;
        }
        Ok(())
    }
}

/// What has been shown: a connection that broke begins again with the oldest line.
#[derive(Default)]
struct Shown {
    last: Option<(i64, u64)>,
}

impl Shown {
    fn part(&mut self, part: LogPart, passed: &mut usize, level: Level, show: Show) -> Result<()> {
        if part.dropped_count > 0 && self.last.is_some() && *passed == 0 {
            eprintln!("{} lines were dropped before they were read", part.dropped_count);
        }
        for line in part.lines {
            let place = (line.time.0, line.number);
            if *passed > 0 {
                *passed -= 1;
            } else if self.last.is_none_or(|last| place > last) && line.level <= level.number() {
                one(&line, show)?;
            }
            self.last = self.last.max(Some(place));
        }
        Ok(())
    }
}

fn one(line: &LogLine, show: Show) -> Result<()> {
    let word = match line.level {
        1 => "error",
        2 => "warn",
        3 => "info",
        4 => "debug",
        _ => "trace",
    };
    let time = rfc3339(line.time);
    Ok(show.one(
        || format!("{time} {word:<5} {}", line.text),
        || json!({ "time": time, "level": word, "text": line.text, "number": line.number.to_string() }),
    )?)
}
