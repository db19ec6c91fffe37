//! A moment of the past as typed on a command line: a revision, a time, or how long ago.

use crate::arguments::duration;
use crate::names::walk;
use anyhow::{Context, Result};
use isx_iface::module::{At, ModuleStub};
use isx_iface::{Anchor, HostStub, Module};
use isx_row::Time;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// When a mount came to this revision.
    Revision(u64),
    /// This time.
    Time(Time),
    /// So long ago.
    Ago(Duration),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(revision) = text.parse() {
            return Ok(Self::Revision(revision));
        }
        if let Ok(ago) = duration(text) {
            return Ok(Self::Ago(ago));
        }
        let time: Result<jiff::Timestamp, _> = text.parse();
        time.map(|time| Self::Time(Time(time.as_microsecond()))).map_err(|_| {
            "a moment is a revision like 12, a time like 2026-01-31T12:00:00Z, or how long ago like 10m".to_string()
        })
    }
}

impl Moment {
    fn at(self) -> At {
        match self {
            Self::Revision(revision) => At { revision: Some(revision), time: None },
            Self::Time(time) => At { revision: None, time: Some(time) },
            Self::Ago(ago) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let then = i64::try_from(now.saturating_sub(ago).as_micros()).unwrap_or(i64::MAX);
                At { revision: None, time: Some(Time(then)) }
            }
        }
    }
}

/// The administration of a mount, as of a moment if one is given.
///
/// # Errors
/// What [`Module::at`] answers, naming the path.
pub async fn administration(host: &HostStub, path: &str, moment: Option<Moment>) -> Result<ModuleStub> {
    let module = walk(host, path).await?.module().await.with_context(|| path.to_string())?;
    match moment {
        Some(moment) => module.at(moment.at()).await.with_context(|| path.to_string()),
        None => Ok(module),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_revision_a_time_or_an_age() {
        let check = |text: &str, moment| assert_eq!(text.parse(), Ok(moment));
        check("12", Moment::Revision(12));
        check("10m", Moment::Ago(Duration::from_secs(600)));
        check("2d", Moment::Ago(Duration::from_secs(2 * 24 * 3600)));
        check("1970-01-01T00:00:01Z", Moment::Time(Time(1_000_000)));
        check("1970-01-01T01:00:01.5+01:00", Moment::Time(Time(1_500_000)));
        for wrong in ["", "yesterday", "-1", "2026-02-30T00:00:00Z", "2026-01-31", "10", "1.5"] {
            let read: Result<Moment, String> = wrong.parse();
            assert_eq!(read.is_err(), wrong != "10", "{wrong:?}: {read:?}");
        }
    }
}
