//! The arguments of `isx put`.

use super::duration;
use clap::Args;
use std::time::Duration;

/// `isx put`.
#[derive(Args)]
pub struct Put {
    /// PATH:table; PATH may be a module of the project
    pub target: String,
    /// The row's columns, with --delete those of its key, as the arguments of `isx call`; not the one that says whose row it
    /// is: it is yours. It goes some ten seconds after this command has ended
    #[arg(allow_negative_numbers = true)]
    pub columns: Vec<String>,
    /// Delete the row with this key
    #[arg(long)]
    pub delete: bool,
    /// Stay for so long, and the row with it
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "delete")]
    pub hold: Option<Duration>,
}
