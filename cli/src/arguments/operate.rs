//! The arguments of the verbs that operate a node.

use super::duration;
use clap::Args;
use isx_node::HistoryRule;
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
