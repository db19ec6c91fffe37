//! The arguments of verbs that ask what was.

use super::Call;
use crate::moment::Moment;
use clap::Args;

/// `isx query`.
#[derive(Args)]
pub struct Query {
    #[command(flatten)]
    pub call: Call,
    /// As it was at a revision, a time, or so long ago
    #[arg(long, value_name = "MOMENT")]
    pub at: Option<Moment>,
}

/// `isx history`.
#[derive(Args)]
pub struct History {
    /// The mount's path, or a module of the project
    pub path: String,
    /// At most this many revisions
    #[arg(long, short = 'n', default_value_t = 50)]
    pub limit: usize,
    /// Only revisions before this one
    #[arg(long, value_name = "REVISION")]
    pub before: Option<u64>,
}

/// `isx diff`.
#[derive(Args)]
pub struct Diff {
    /// The mount's path, or a module of the project
    pub path: String,
    /// Another mount, to compare with [default: the same]
    pub other: Option<String>,
    /// The moment of the first: a revision, a time, or so long ago [default: one revision before the other moment; of two
    /// mounts the present]
    #[arg(long, value_name = "MOMENT")]
    pub from: Option<Moment>,
    /// The moment of the second [default: the present]
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<Moment>,
}

/// `isx blame`.
#[derive(Args)]
pub struct Blame {
    /// PATH:table; PATH may be a module of the project
    pub target: String,
    /// The primary key, a word a column
    #[arg(required = true, allow_negative_numbers = true)]
    pub key: Vec<String>,
}
