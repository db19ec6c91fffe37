//! A stage for tests of the real binary: folders of its own, so that it meets no other node.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take to answer.
const NODE_WITHIN: Duration = Duration::from_secs(60);

/// Folders of one test, and the node that was started on them.
pub struct Stage {
    pub folder: tempfile::TempDir,
    /// Variables that its commands get beside those that make the stage.
    pub variables: Vec<(&'static str, PathBuf)>,
    node: Option<Child>,
}

/// What a command did.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Stage {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("runtime")).expect("a runtime folder");
        Self { folder, variables: Vec::new(), node: None }
    }

    /// A command on this stage, in its folder.
    pub fn isx(&self, arguments: &[&str]) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_isx"));
        // What the caller's shell says of his own isx is no part of the stage.
        let told = std::env::vars_os().map(|(name, _)| name);
        let told = told.filter(|name| name.as_encoded_bytes().starts_with(b"ISX_") && name != "ISX_GUESTS");
        for name in told {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("XDG_RUNTIME_DIR", path("runtime"))
            .env("XDG_CONFIG_HOME", path("config"))
            .env("ISX_STATE_DIR", path("state"))
            .env("ISX_CACHE_DIR", path("cache"))
            .env("ISX_HTTP", "127.0.0.1:0")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub fn say(&self, arguments: &[&str]) -> Said {
        said(self.isx(arguments).output().expect("the binary runs"))
    }

    /// Starts a node in the background; it answers when this returns.
    pub fn start(&mut self, arguments: &[&str]) {
        let start = self.isx(arguments);
        self.run(start);
    }

    /// Runs a command that starts a node, as [`Stage::start`].
    pub fn run(&mut self, mut start: Command) {
        let log = std::fs::File::create(self.folder.path().join("node.log")).expect("a log");
        let out = log.try_clone().expect("a log");
        self.node = Some(start.stdout(out).stderr(log).spawn().expect("the binary runs"));
        let until = Instant::now() + NODE_WITHIN;
        while self.say(&["status", "--within", "5s"]).code != 0 {
            assert!(Instant::now() < until, "the node did not answer: {}", self.node_log());
        }
    }

    /// The status and the body of a page that the node serves.
    pub fn get(&self, page: &str) -> (u16, String) {
        let status = self.say(&["status", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
        get(json["http"].as_str().expect("the node serves HTTP"), page)
    }

    pub fn node_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("node.log")).unwrap_or_default()
    }

    /// Ends the node as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut node) = self.node.take() {
            node.kill().expect("the node runs");
            node.wait().expect("it ended");
        }
    }

    /// The process of the node.
    pub fn process(&self) -> u32 {
        self.node.as_ref().expect("a node was started").id()
    }

    /// Waits until the node has ended by itself.
    pub fn ended(&mut self) -> i32 {
        let mut node = self.node.take().expect("a node was started");
        node.wait().expect("it ended").code().unwrap_or(-1)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

/// The status and the body of a page, by plain TCP.
pub fn get(url: &str, page: &str) -> (u16, String) {
    let address = url.strip_prefix("http://").expect("a URL");
    let mut stream = std::net::TcpStream::connect(address).expect("the gateway listens");
    write!(stream, "GET {page} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.into())
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A shipped guest, built by `cargo xtask guests`.
pub fn guest(name: &str) -> PathBuf {
    let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_isx"));
        binary.ancestors().nth(2).expect("the target folder").join("guests")
    });
    // The commands that get it stand elsewhere.
    let file = std::path::absolute(folder.join(format!("{name}.wasm"))).expect("a path");
    assert!(file.is_file(), "{} is missing: run `cargo xtask guests` first", file.display());
    file
}
