//! The demo: a ROM counts the words of a real text in a replicated module while its node is killed and started again.

use crate::steps::{Steps, isx, target};
use crate::text;
use crate::{guests, setup};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Words of the text, at least.
const WORDS_MIN: u64 = 500_000;
/// How long the node may take to answer after it was started.
const NODE_WITHIN: Duration = Duration::from_secs(60);

/// The task `demo`.
pub fn demo() -> Result<()> {
    let mut steps = Steps::begin("demo", 1 + guests::STEPS, "about 8 minutes from nothing, then one");
    guests::build(&mut steps)?;
    steps.step("the story", tell)?;
    steps.end("demo");
    Ok(())
}

/// Tells the story; the binary and the guests must be built.
pub fn tell() -> Result<()> {
    let stage = Stage::new()?;
    let text_path = stage.folder.join("text.txt");
    let expected = text::write(&setup::documentation()?, &text_path, WORDS_MIN)?;
    say(&format!("a text of {} words from the toolchain's documentation", expected.words_count), "");

    let mut node = stage.start()?;
    say("a node runs; every acknowledged call is on its disk", "isx start --alias demo");
    let rom = guests::folder().join("wordcount.wasm");
    let mut run = stage.isx(&["run", "-A"]);
    let run = run.arg(&rom).stdin(File::open(&text_path)?).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut counting = Ended(run.spawn().context("can not start isx run")?);
    say("a ROM counts the words through it, one call a word, 256 in flight", "isx run -A wordcount.wasm < text.txt");

    let stderr = BufReader::new(counting.0.stderr.take().context("stderr")?);
    let mut killed_at = None;
    for line in stderr.lines() {
        let line = line?;
        let counted = line.split_once(" words counted").and_then(|(count, _)| count.parse::<u64>().ok());
        match counted {
            Some(counted) if killed_at.is_none() && counted * 2 >= expected.words_count => {
                node.0.kill()?;
                node.0.wait()?;
                say(&format!("{counted} words counted; the node is killed"), "kill -9 <its process>");
                let began = Instant::now();
                node = stage.start()?;
                say(
                    &format!("started again in {} ms; the ROM goes on by itself", began.elapsed().as_millis()),
                    "isx start --alias demo",
                );
                killed_at = Some(counted);
            }
            Some(counted) => say(&format!("{counted} words counted"), ""),
            None => say(&line, ""),
        }
    }
    let output = counting.output()?;
    ensure!(output.status.success(), "the ROM ended with {}", output.status);
    let killed_at = killed_at.context("the ROM ended before the node could be killed half-way")?;

    let total = stage.ask(&["query", "/self/wordcount", "total"])?;
    say(&format!("the cluster's total: {total}"), "isx query /self/wordcount total");
    say(&format!("an independent count: {}", expected.words_count), "");
    for (word, count) in &expected.top {
        let counted = stage.ask(&["query", "/self/wordcount", "get", word])?;
        ensure!(counted == count.to_string(), "{word:?}: the cluster counted {counted}, the text has {count}");
    }
    say("the most frequent words agree, one by one", "isx query /self/wordcount get the");
    if total != expected.words_count.to_string() {
        bail!("the totals differ: {total} counted, {} in the text", expected.words_count);
    }
    say(&format!("nothing lost, nothing twice, through a kill at {killed_at} words"), "");
    stage.ask(&["stop"])?;
    node.0.wait()?;
    say("the node took a snapshot and ended", "isx stop");
    println!("next: `isx start`, then `isx rows /self/wordcount:counter --limit 10`, `isx help`");
    Ok(())
}

fn say(what: &str, command: &str) {
    match command {
        "" => println!("  {what}"),
        command => println!("  {what:<72} $ {command}"),
    }
}

/// A process that is ended when the story ends, however it ends.
struct Ended(Child);

impl Ended {
    fn output(mut self) -> Result<std::process::Output> {
        let stdout = self.0.stdout.take();
        let status = self.0.wait()?;
        let stdout = stdout.map(std::io::read_to_string).transpose()?.unwrap_or_default();
        Ok(std::process::Output { status, stdout: stdout.into_bytes(), stderr: Vec::new() })
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Folders of the demo's own, so that it meets no other node.
struct Stage {
    folder: PathBuf,
}

impl Stage {
    fn new() -> Result<Self> {
        let folder = target().join("demo");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("runtime"))?;
        Ok(Self { folder })
    }

    fn isx(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(isx());
        command
            .args(arguments)
            .env("XDG_RUNTIME_DIR", self.folder.join("runtime"))
            .env("ISX_STATE_DIR", self.folder.join("state"))
            .env("ISX_CACHE_DIR", self.folder.join("cache"))
            .stdin(Stdio::null());
        command
    }

    fn start(&self) -> Result<Ended> {
        let log = File::options().create(true).append(true).open(self.folder.join("node.log"))?;
        let mut start = self.isx(&["start", "--alias", "demo", "--listen", "127.0.0.1:0"]);
        let node = Ended(start.stdout(log.try_clone()?).stderr(log).spawn().context("can not start a node")?);
        let until = Instant::now() + NODE_WITHIN;
        // Each try waits for the node itself; this only bounds them.
        while Instant::now() < until {
            if self.isx(&["status", "--json", "--within", "5s"]).output()?.status.success() {
                return Ok(node);
            }
        }
        bail!(
            "the node did not answer within {} s; see {}",
            NODE_WITHIN.as_secs(),
            self.folder.join("node.log").display()
        )
    }

    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = self.isx(arguments).output()?;
        ensure!(output.status.success(), "isx {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_string())
    }
}
