//! What a ROM wants and is not allowed: asked once on a terminal, and a yes is remembered.
//!
//! A yes is for one program, by the hash of its component and all that it wants, and for exactly the rights that were
//! shown: what a rule allowed meanwhile was not asked. It lies in `rom-rights.json` in this user's state folder, and goes
//! with `isx run --forget`.

use crate::arguments::Global;
use crate::json::rfc3339;
use crate::show::cell;
use crate::{places, userfile};
use anyhow::{Context, Result};
use isx_rom_host::Rule;
use isx_row::{ContentHash, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Programs that are remembered; the longest known goes for one more, as for bytes over [`userfile::BYTES_MAX`].
const REMEMBERED_MAX: usize = 1024;
/// Bytes of an answer that are read; a longer one is a no.
const ANSWER_BYTES_MAX: u64 = 64;
/// The version of the format.
const VERSION: u32 = 1;

/// One yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Yes {
    /// The component.
    hash: String,
    /// What it was called, for people.
    name: String,
    /// Everything it wants, sorted.
    wants: Vec<String>,
    /// What of that was shown and allowed.
    allowed: BTreeSet<String>,
    /// When, in RFC 3339.
    at: String,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    version: u32,
    /// The longest known first.
    roms: Vec<Yes>,
}

impl Remembered {
    fn parse(text: Option<String>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self { version: VERSION, roms: Vec::new() }) };
        let read: Self = serde_json::from_str(&text).context("the remembered rights of ROMs are damaged")?;
        anyhow::ensure!(read.version == VERSION, "the remembered rights of ROMs are of another version");
        Ok(read)
    }

    /// Whether all of this was allowed to the program.
    fn has(&self, hash: &str, wants: &[String], missing: &BTreeSet<String>) -> bool {
        let is_it = |yes: &&Yes| yes.hash == hash && yes.wants == wants;
        self.roms.iter().find(is_it).is_some_and(|yes| missing.is_subset(&yes.allowed))
    }

    fn add(&mut self, mut yes: Yes) {
        if let Some(at) = self.roms.iter().position(|known| known.hash == yes.hash) {
            let known = self.roms.remove(at);
            if known.wants == yes.wants {
                yes.allowed.extend(known.allowed);
            }
        }
        self.roms.push(yes);
        let over = self.roms.len().saturating_sub(REMEMBERED_MAX);
        self.roms.drain(..over);
    }

    /// What the file is to say: the longest known go until it is within its bound.
    fn text(mut self) -> Result<String> {
        loop {
            let text = serde_json::to_string_pretty(&self)?;
            if text.len() as u64 <= userfile::BYTES_MAX || self.roms.is_empty() {
                return Ok(text);
            }
            // A part at a time: one at a time would write them all for each that goes.
            self.roms.drain(..self.roms.len().div_ceil(8));
        }
    }
}

/// A program that wants to run.
pub struct Asking<'a> {
    /// Its component's hash.
    pub hash: ContentHash,
    /// What people call it.
    pub name: &'a str,
    /// What it wants.
    pub wants: &'a [Rule],
}

/// The rules that a run has: those allowed, and where they do not do what the user said yes to, now or before.
///
/// # Errors
/// What can not be read or written. A no is no error: the rules are those allowed, and the run is refused for what is missing.
pub fn decide(global: &Global, asking: &Asking<'_>, allowed: Vec<Rule>) -> Result<Vec<Rule>> {
    if missing(asking.wants, &allowed).is_empty() {
        return Ok(allowed);
    }
    let path = path(global)?;
    let both_ways = io::stdin().is_terminal() && io::stderr().is_terminal();
    let ask = |question: &str| both_ways && answered(question, &mut io::stdin().lock(), &mut io::stderr());
    decide_at(&path, asking, allowed, ask)
}

fn decide_at(
    path: &Path,
    asking: &Asking<'_>,
    mut allowed: Vec<Rule>,
    ask: impl FnOnce(&str) -> bool,
) -> Result<Vec<Rule>> {
    let (hash, mut wants) = (asking.hash.to_string(), asking.wants.iter().map(Rule::to_string).collect::<Vec<_>>());
    wants.sort();
    let missing: Vec<Rule> = missing(asking.wants, &allowed).into_iter().cloned().collect();
    let shown: BTreeSet<String> = missing.iter().map(Rule::to_string).collect();
    let remembered = userfile::read(path).and_then(Remembered::parse).with_context(|| cure(path))?;
    if !remembered.has(&hash, &wants, &shown) {
        if !ask(&question(asking.name, &missing)) {
            return Ok(allowed);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = rfc3339(Time(i64::try_from(now.as_micros()).unwrap_or(i64::MAX)));
        userfile::change(path, |text| {
            let mut remembered = Remembered::parse(text).with_context(|| cure(path))?;
            remembered.add(Yes { hash, name: asking.name.into(), wants, allowed: shown, at });
            remembered.text()
        })?;
    }
    allowed.extend(missing);
    Ok(allowed)
}

/// What is wanted and not allowed.
fn missing<'a>(wants: &'a [Rule], allowed: &[Rule]) -> Vec<&'a Rule> {
    wants.iter().filter(|want| !allowed.iter().any(|rule| rule.contains(want))).collect()
}

fn question(name: &str, missing: &[Rule]) -> String {
    // What a program says of itself is shown to a terminal, as what its file is called.
    let shown = |text: &str| cell(&serde_json::Value::String(text.into()));
    let mut text = format!("{} wants what it is not allowed:\n", shown(name));
    for want in missing {
        text.push_str(&format!("  {}\n", shown(&want.to_string())));
    }
    // Last, where a long list can not have pushed it off the screen.
    let rights = if missing.len() == 1 { "right" } else { "rights" };
    text + &format!("allow it to this very program, now and later: {} {rights}?", missing.len())
}

/// Asks, and whether the answer is a yes. Everything else is a no, the end of input too.
pub fn answered(question: &str, from: &mut dyn BufRead, to: &mut dyn Write) -> bool {
    let mut answer = String::new();
    let asked = write!(to, "{question} [y/N] ").and_then(|()| to.flush());
    let read = asked.and_then(|()| io::Read::take(from, ANSWER_BYTES_MAX).read_line(&mut answer));
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Forgets what was said of one program; whether anything was.
///
/// # Errors
/// What can not be read or written.
pub fn forget(global: &Global, hash: ContentHash) -> Result<bool> {
    let path = path(global)?;
    let hash = hash.to_string();
    let mut is_forgotten = false;
    userfile::change(&path, |text| {
        let mut remembered = Remembered::parse(text).with_context(|| cure(&path))?;
        let before = remembered.roms.len();
        remembered.roms.retain(|yes| yes.hash != hash);
        is_forgotten = remembered.roms.len() < before;
        remembered.text()
    })?;
    Ok(is_forgotten)
}

/// Forgets what was said of all programs; how many that were, none where the file could not be read: this is its cure.
///
/// # Errors
/// What can not be removed.
pub fn forget_all(global: &Global) -> Result<usize> {
    let text = userfile::remove(&path(global)?)?;
    Ok(Remembered::parse(text).map_or(0, |remembered| remembered.roms.len()))
}

fn cure(path: &Path) -> String {
    format!("{}: `isx run --forget` begins anew", path.display())
}

fn path(global: &Global) -> Result<PathBuf> {
    Ok(places::user_state(global)?.join("rom-rights.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(words: &[&str]) -> Vec<Rule> {
        words.iter().map(|word| Rule::parse(word).unwrap()).collect()
    }

    /// What one run is allowed, and whether it asked.
    fn run(path: &Path, program: &[u8], wants: &[&str], allowed: &[&str], answer: &str) -> (usize, bool) {
        let wants = rules(wants);
        let asking = Asking { hash: ContentHash::of(program), name: "prog", wants: &wants };
        let mut asked = false;
        let rules = decide_at(path, &asking, rules(allowed), |question| {
            asked = true;
            answered(question, &mut answer.as_bytes(), &mut io::sink())
        });
        (rules.unwrap().len() - allowed.len(), asked)
    }

    #[test]
    fn a_yes_is_remembered_for_this_program_and_these_wants() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rights.json");
        let wants = ["host.walk=/self", "chat"];
        assert_eq!(run(&path, b"a", &wants, &["host"], "n\n"), (0, true));
        assert_eq!(run(&path, b"a", &wants, &["host"], ""), (0, true), "a no is not remembered, the end is a no");
        assert_eq!(run(&path, b"a", &wants, &["host"], "y\n"), (1, true));
        assert_eq!(run(&path, b"a", &wants, &["host"], "n\n"), (1, false), "asked once");
        assert_eq!(run(&path, b"a", &wants, &[], "n\n"), (0, true), "what a rule allowed then was not asked");
        assert_eq!(run(&path, b"a", &wants, &["chat"], "y\n"), (1, true));
        assert_eq!(run(&path, b"a", &wants, &[], "n\n"), (2, false), "asked for both by now");
        assert_eq!(run(&path, b"a", &["chat", "host.walk=/self"], &[], "n\n"), (2, false), "in any order");
        assert_eq!(run(&path, b"b", &wants, &[], "n\n"), (0, true), "another program");
        assert_eq!(run(&path, b"a", &["host", "chat"], &[], "n\n"), (0, true), "other wants");
    }

    #[test]
    fn the_question_names_what_is_missing_and_only_yes_is_yes() {
        let wants = rules(&["host.walk=/self", "chat"]);
        let allowed = rules(&["host"]);
        let mut shown = Vec::new();
        let missing: Vec<Rule> = missing(&wants, &allowed).into_iter().cloned().collect();
        let text = question("prog", &missing);
        assert!(answered(&text, &mut &b"yes\n"[..], &mut shown));
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("  chat\n") && !shown.contains("host.walk"), "{shown}");
        assert!(shown.ends_with("later: 1 right? [y/N] "), "{shown}");
        let hostile = question("\u{202e}\u{1b}[2J\n", &wants);
        assert!(hostile.starts_with("\\u{202e}\\u{1b}[2J\\n wants") && hostile.ends_with("2 rights?"), "{hostile}");
        for no in ["\n", "n\n", "yep\n", &"y".repeat(1000)] {
            assert!(!answered("?", &mut no.as_bytes(), &mut io::sink()), "{no:?}");
        }
    }

    #[test]
    fn the_longest_known_goes_and_damage_is_said() {
        let mut remembered = Remembered::parse(None).unwrap();
        let none = BTreeSet::new();
        let yes = |at: usize| Yes {
            hash: at.to_string(),
            name: "x".into(),
            wants: vec![],
            allowed: BTreeSet::new(),
            at: String::new(),
        };
        (0..=REMEMBERED_MAX).for_each(|at| remembered.add(yes(at)));
        let has = |remembered: &Remembered, hash: &str| remembered.has(hash, &[], &none);
        assert_eq!((remembered.roms.len(), has(&remembered, "0"), has(&remembered, "1")), (1024, false, true));
        remembered.add(Yes { wants: vec!["chat".into()], ..yes(1) });
        assert_eq!((remembered.roms.len(), has(&remembered, "1")), (1024, false), "one yes a program");
        let wide = Yes { wants: vec!["x".repeat(10 * 1024)], ..yes(0) };
        (0..REMEMBERED_MAX).for_each(|at| remembered.add(Yes { hash: format!("wide {at}"), ..wide.clone() }));
        let text = remembered.text().unwrap();
        assert!(text.len() as u64 <= userfile::BYTES_MAX && text.contains("wide 1023") && !text.contains("wide 0\""));
        assert!(Remembered::parse(Some("{".into())).is_err());
        assert!(Remembered::parse(Some("{\"version\":2,\"roms\":[]}".into())).is_err());
    }
}
