//! Reaching a node: the one that was named, one of this user's on this machine, or an embedded one.

use crate::arguments::{Global, Start};
use crate::contexts::{self, Contexts};
use crate::project::Project;
use crate::runtime::{self, Runtime};
use crate::{executor, places};
use anyhow::{Context, Result};
use isx_client::{Client, Dial, Ports, Target};
use isx_iface::HostStub;
use isx_node::{Config, Node, StartError};
use isx_row::{Code, Error};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Whether a command brings a node along when there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It is an error.
    Fail,
    /// An embedded node is started in this process.
    Embed,
}

/// A node within reach.
pub struct Reached {
    /// Its `Host`.
    pub host: HostStub,
    embedded: Option<Running>,
}

/// A node in this process, with its runtime file.
pub struct Running {
    /// The node.
    pub node: Node,
    _file: runtime::Written,
}

/// A node that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its address.
    pub dial: String,
    /// What named it, for people.
    pub by: String,
    /// The file of the key to show it; this user's own where there is none.
    pub identity: Option<PathBuf>,
}

/// The node that was named, by the first that does: `--dial`, `ISX_DIAL`, `--context`, `ISX_CONTEXT`, the context in
/// use, `isx.toml`. `None` when nothing does.
///
/// # Errors
/// When what names it is wrong: the next is no substitute.
pub fn named(global: &Global) -> Result<Option<Named>> {
    let named = found(global)?;
    if let Some(named) = &named {
        contexts::check_address(&named.dial).with_context(|| named.by.clone())?;
    }
    Ok(named)
}

fn found(global: &Global) -> Result<Option<Named>> {
    if let Some(dial) = said(global.dial.as_deref(), std::env::var_os("ISX_DIAL")) {
        return Ok(Some(Named { dial: dial.into(), by: "--dial or ISX_DIAL".into(), identity: None }));
    }
    let of = |name: &str, context: &contexts::Context, by: String| {
        let (dial, identity) = (context.dial.clone(), context.identity.clone());
        Some(Named { dial, by: format!("the context {name}, {by}"), identity })
    };
    let contexts = Contexts::read(global)?;
    if let Some(name) = said(global.context.as_deref(), std::env::var_os("ISX_CONTEXT")) {
        return Ok(of(name, contexts.get(name)?, "of --context or ISX_CONTEXT".into()));
    }
    if let Some((name, context)) = contexts.current()? {
        return Ok(of(name, context, "of `isx context use`".into()));
    }
    let Some(project) = Project::find()? else { return Ok(None) };
    let file = project.file.display().to_string();
    match (project.dial, project.context) {
        (Some(dial), _) => Ok(Some(Named { dial, by: file, identity: None })),
        (None, Some(name)) => Ok(of(&name, contexts.get(&name).context(file.clone())?, format!("of {file}"))),
        (None, None) => Ok(None),
    }
}

/// What a flag or its variable says. A variable that is empty says nothing; a flag that is, is wrong.
fn said(value: Option<&str>, variable: Option<OsString>) -> Option<&str> {
    value.filter(|value| !value.is_empty() || variable.is_none_or(|variable| !variable.is_empty()))
}

/// Reaches a node: the one that was [`named`], then a node of this user on this machine, then `otherwise`.
pub async fn reach(global: &Global, otherwise: Otherwise) -> Result<Reached> {
    let folder = runtime::path()?;
    let named = named(global)?;
    if named.is_some() || !runtime::find(&folder)?.is_empty() {
        let client = client(global, named).await?;
        return Ok(Reached { host: HostStub(client.host()), embedded: None });
    }
    match otherwise {
        Otherwise::Fail => {
            Err(Error::new(Code::NotFound, "no node of this user runs on this machine; begin one with `isx start`")
                .into())
        }
        Otherwise::Embed => {
            let alone = Start { new: true, ..Start::default() };
            let running = run_node(global, &alone, Kept::Embedded).await?;
            eprintln!(
                "isx: no node runs: this command brings its own, its data is in {}",
                running.node.state_dir().display()
            );
            Ok(Reached { host: running.node.host(), embedded: Some(running) })
        }
    }
}

impl Reached {
    /// Whether the node came with the command.
    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Lets the node go; an embedded one ends when nobody else uses it.
    pub async fn leave(self) -> Result<()> {
        drop(self.host);
        if let Some(running) = self.embedded {
            running.node.left_alone().await;
            running.node.stop().await?;
        }
        Ok(())
    }
}

/// A client of the node that is named, or of one of this user's; connected.
async fn client(global: &Global, named: Option<Named>) -> Result<Client> {
    let ports = Ports::here();
    let key = match named.as_ref().and_then(|named| named.identity.as_ref()) {
        Some(file) => places::key(file)?,
        None => places::user_key(global)?,
    };
    let dial = named.as_ref().map(|named| named.dial.clone());
    let find = move || target(dial.as_deref());
    let dial = Dial::new(key, ports.clock.clone(), Box::new(find)).await?;
    let client = Client::connected(Box::new(dial), ports, global.within).await;
    client.with_context(|| match &named {
        Some(Named { dial, by, .. }) => format!("no node answers at {dial}, said by {by}"),
        None => "the node of this user does not answer".into(),
    })
}

/// Where the node is now.
fn target(dial: Option<&str>) -> Result<Target, Error> {
    let lost = |error: anyhow::Error| Error::new(Code::Disconnected, format!("{error:#}"));
    let nodes = runtime::find(&runtime::path().map_err(lost)?).map_err(lost)?;
    match dial {
        Some(address) => {
            // Our own node's file has its secret, however it was named.
            let ours = nodes.iter().find(|node| address.ends_with(&format!("/p2p/{}", node.peer)));
            Ok(Target { addresses: vec![address.into()], secret: ours.and_then(secret) })
        }
        None => {
            let node = nodes.first().ok_or_else(|| Error::new(Code::Disconnected, "the node is not running"))?;
            Ok(Target { addresses: node.addresses.clone(), secret: secret(node) })
        }
    }
}

fn secret(node: &Runtime) -> Option<Vec<u8>> {
    let digits = node.secret.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Why a node does not start, with its code.
fn refused(failed: &StartError) -> Error {
    let mut text = failed.to_string();
    let mut cause = std::error::Error::source(failed);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    Error::new(failed.code(), text)
}

/// How long a node is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Until it is stopped.
    Standing,
    /// As long as its starter and its callers.
    Embedded,
}

/// The default ports of nodes, on loopback: one fixed pair.
const PORT: u16 = 4711;
const HTTP_PORT: u16 = 4712;

/// Where a node listens.
#[derive(Clone, Copy)]
enum Place {
    /// Where it was told to: anything else would be wrong.
    Asked(SocketAddr),
    /// Where nodes usually are, and elsewhere if somebody is there already.
    Usual(u16),
    /// Wherever there is room.
    Free,
}

impl Place {
    fn of(asked: Option<SocketAddr>, usual: u16, kept: Kept) -> Self {
        match (asked, kept) {
            (Some(asked), _) => Self::Asked(asked),
            (None, Kept::Embedded) => Self::Free,
            (None, Kept::Standing) => Self::Usual(usual),
        }
    }

    fn address(self) -> SocketAddr {
        match self {
            Self::Asked(address) => address,
            Self::Usual(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            Self::Free => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }

    /// Where to go when somebody is there; none to give up.
    fn instead(self) -> Option<Self> {
        matches!(self, Self::Usual(_)).then_some(Self::Free)
    }
}

/// Starts a node in this process and writes its runtime file. An embedded one answers no HTTP.
pub async fn run_node(global: &Global, start: &Start, kept: Kept) -> Result<Running> {
    let alias = start.alias.clone().unwrap_or_else(places::host_name);
    let state_dir = places::state_dir(global, &alias)?;
    let cache_dir = places::cache_dir(global)?;
    let config = |listen: Place, http: Option<Place>| -> Result<Config> {
        let listen = listen.address();
        let protocol = if listen.is_ipv4() { "ip4" } else { "ip6" };
        Ok(Config {
            state_dir: state_dir.clone(),
            alias: alias.clone(),
            listen: vec![format!("/{protocol}/{}/tcp/{}", listen.ip(), listen.port())],
            http: http.map(Place::address),
            public: start.public,
            history: start.history,
            budgets: start.budgets.of_node(),
            exec: executor::ports(&cache_dir, &state_dir)?,
        })
    };
    let mut listen = Place::of(start.listen, PORT, kept);
    let serves_http = kept == Kept::Standing && !start.no_http;
    let mut http = serves_http.then(|| Place::of(start.http, HTTP_PORT, kept));
    let node = loop {
        let failed = match Node::start(config(listen, http)?).await {
            Ok(node) => break node,
            Err(failed) => failed,
        };
        match &failed {
            StartError::Net(_) if let Some(free) = listen.instead() => listen = free,
            StartError::Http(_) if let Some(free) = http.and_then(Place::instead) => http = Some(free),
            _ => return Err(anyhow::Error::new(refused(&failed)).context(state_dir.display().to_string())),
        }
    };
    let secret = node.secret().iter().map(|byte| format!("{byte:02x}")).collect();
    let file = Runtime {
        version: runtime::VERSION,
        peer: node.peer().into(),
        addresses: node.addresses().to_vec(),
        secret,
        process: std::process::id(),
        // Its readers stand elsewhere.
        state_dir: std::path::absolute(&state_dir)?,
        alias: node.alias().into(),
        embedded: kept == Kept::Embedded,
    }
    .write(&runtime::folder()?)?;
    Ok(Running { node, _file: file })
}
