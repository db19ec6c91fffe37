//! The arguments of the verbs that operate a node.

use super::duration;
use clap::{Args, ValueEnum};
use isx_node::limits::{CPU_MILLI_LEAST, DISK_BYTES_LEAST, MEMORY_BYTES_LEAST};
use isx_node::{Budgets, HistoryRule};
use std::time::Duration;

/// `isx start`.
#[derive(Args, Clone, Default)]
pub struct Start {
    /// The name of this node's home [default: the host's name]
    #[arg(long, env = "ISX_ALIAS")]
    pub alias: Option<String>,
    /// Address to listen on [default: 127.0.0.1:4711, or a free port where that is taken]
    #[arg(long, env = "ISX_LISTEN", value_name = "IP:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Address to answer HTTP on: /metrics, /healthz, /readyz, /version [default: 127.0.0.1:4712, or a free port where that
    /// is taken]
    #[arg(long, env = "ISX_HTTP", value_name = "IP:PORT")]
    pub http: Option<std::net::SocketAddr>,
    /// Answer no HTTP
    #[arg(long, env = "ISX_NO_HTTP", conflicts_with = "http")]
    pub no_http: bool,
    #[command(flatten)]
    pub budgets: BudgetArguments,
    /// Start beside a node that runs already
    #[arg(long)]
    pub new: bool,
    /// Let callers without a right in, to what is public
    #[arg(long, env = "ISX_PUBLIC")]
    pub public: bool,
    /// How much of the past of mounts is kept: an age like 7d or 12h, so many revisions of each mount, or all; within
    /// HISTORY_BYTES_MAX. It is remembered [default: what was said last, at first 7d]
    #[arg(long, env = "ISX_HISTORY", value_name = "RULE")]
    pub history: Option<HistoryRule>,
}

/// What a node may take of its machine.
#[derive(Args, Clone, Default)]
pub struct BudgetArguments {
    /// Processor time of its process: 150% or 1.5 is one processor and a half. Calls wait for it before the log, then they are
    /// `busy` [default: all there is]
    #[arg(long, env = "ISX_CPU_MAX", value_name = "PERCENT|PROCESSORS", value_parser = processors)]
    pub cpu_max: Option<Processors>,
    /// State it may hold in memory, like 2GiB: tables, indexes, change rings, anchors; not the code of modules and calls under
    /// way. Where there is no room what adds to it is refused, deletes work [default: all there is]
    #[arg(long, env = "ISX_MEMORY_MAX", value_name = "SIZE", value_parser = memory)]
    pub memory_max: Option<Bytes>,
    /// Disk its state folder may take, like 10GiB. History gives way first; then what adds to state and uploads are refused,
    /// deletes work [default: all there is]
    #[arg(long, env = "ISX_DISK_MAX", value_name = "SIZE", value_parser = disk)]
    pub disk_max: Option<Bytes>,
}

impl BudgetArguments {
    /// The same for a node.
    pub fn of_node(&self) -> Budgets {
        Budgets {
            cpu_milli: self.cpu_max.map(|Processors(milli)| milli),
            memory_bytes: self.memory_max.map(|Bytes(bytes)| bytes),
            disk_bytes: self.disk_max.map(|Bytes(bytes)| bytes),
        }
    }
}

/// So many thousandths of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processors(pub u64);

/// So many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// The most processors that may be named: more than machines have, so that a slip is noticed.
const CPU_MILLI_MOST: f64 = 1e6;

fn processors(text: &str) -> Result<Processors, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent, 10.0),
        None => (text, 1000.0),
    };
    let number: f64 = number.parse().map_err(|_| "say processors like 1.5, or percent of one like 150%".to_string())?;
    let milli = (number * unit).round();
    match milli >= CPU_MILLI_LEAST as f64 && milli <= CPU_MILLI_MOST {
        true => Ok(Processors(milli as u64)),
        false => Err(format!("at least {}% of one processor, at most 1000 processors", CPU_MILLI_LEAST / 10)),
    }
}

fn memory(text: &str) -> Result<Bytes, String> {
    at_least(size(text)?, MEMORY_BYTES_LEAST)
}

fn disk(text: &str) -> Result<Bytes, String> {
    at_least(size(text)?, DISK_BYTES_LEAST)
}

fn at_least(bytes: u64, least: u64) -> Result<Bytes, String> {
    match bytes >= least {
        true => Ok(Bytes(bytes)),
        false => Err(format!("at least {}MiB: a node that holds nothing takes a part of it", least >> 20)),
    }
}

/// Bytes: a whole number with KiB, MiB, GiB or TiB, or with none.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err("a size is a whole number with KiB, MiB, GiB or TiB, like 512MiB".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "a size is a whole number with a unit, like 512MiB".to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "more than any machine has".into())
}

/// `isx top`.
#[derive(Args)]
pub struct Top {
    /// The functions of this mount, or of this module of the project [default: all mounts]
    pub path: Option<String>,
    /// One table, on a terminal too
    #[arg(long, conflicts_with = "interval")]
    pub once: bool,
    /// A table again and again, with what a second brought; so it is on a terminal, every second
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub interval: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_have_units_and_a_least() {
        assert_eq!(processors("1.5"), Ok(Processors(1500)));
        assert_eq!(processors("150%"), Ok(Processors(1500)));
        assert_eq!(processors("5%"), Ok(Processors(50)));
        assert_eq!(memory("512MiB"), Ok(Bytes(512 << 20)));
        assert_eq!(memory("67108864"), Ok(Bytes(64 << 20)));
        assert_eq!(disk("1TiB"), Ok(Bytes(1 << 40)));
        for wrong in ["", "1", "63MiB", "1mb", "-1GiB", "1.5GiB", "99999999999TiB", "GiB", "64 MiB", "\u{663}MiB"] {
            assert!(disk(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "0", "-1", "nan", "inf", "0%", "4%", "half", "1e99", "%", "1001"] {
            assert!(processors(wrong).is_err(), "{wrong:?}");
        }
    }
}

/// `isx logs`.
#[derive(Args)]
pub struct Logs {
    /// The mount's path, or a module of the project
    pub path: String,
    /// Go on with what it logs from now on
    #[arg(long, short)]
    pub follow: bool,
    /// Only lines of this level and more important ones
    #[arg(long, value_enum, default_value_t = Level::Trace)]
    pub level: Level,
    /// Begin with the last lines, so many
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub last: Option<usize>,
}

/// How much a line of a log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Something failed that should not
    Error,
    /// Something is odd
    Warn,
    /// What happens
    Info,
    /// Why it happens
    Debug,
    /// How it happens
    Trace,
}
