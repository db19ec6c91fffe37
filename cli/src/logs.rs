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

/// Shows what a module logs, over several follows.
#[derive(Default)]
pub struct Live(Shown);

impl Live {
    /// From what it logs after now.
    pub async fn from_now(module: &ModuleStub) -> Result<Self> {
        let (mut parts, mut shown) = (module.log(None).await?, Shown::default());
        while let Some(part) = parts.next().await {
            let part = part?;
            shown.last = part.lines.last().map(place).or(shown.last);
            if part.newest {
                break;
            }
        }
        Ok(Self(shown))
    }

    /// Shows lines until the log ends.
    ///
    /// # Cancel safety
    /// Dropping the future loses no line: the next follow begins behind the last one shown.
    pub async fn follow(&mut self, module: &ModuleStub, show: Show) -> Result<()> {
        let mut parts = module.log(self.0.last.map(|(_, number)| number)).await?;
        while let Some(part) = parts.next().await {
            self.0.part(part?, &mut 0, Level::Trace, show)?;
        }
        Ok(())
    }
}

/// What has been shown: a connection that broke begins again with the oldest line.
#[derive(Default)]
struct Shown {
    last: Option<(i64, u64)>,
}

/// Where a line is among all of its module.
fn place(line: &LogLine) -> (i64, u64) {
    (line.time.0, line.number)
}

impl Shown {
    fn part(&mut self, part: LogPart, passed: &mut usize, level: Level, show: Show) -> Result<()> {
        if part.dropped_count > 0 && self.last.is_some() && *passed == 0 {
            eprintln!("{} lines were dropped before they were read", part.dropped_count);
        }
        for line in part.lines {
            let place = place(&line);
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
