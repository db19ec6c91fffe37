//! `isx test`: the tests of a project, natively, and what their modules did again in WebAssembly.
//!
//! The tests are cargo's: this puts the SDK in its place, so that a fresh copy of a project is tested without network, and
//! hands over. What a test calls through `isx_testing::Module` runs natively on the tables of a node, and is written down;
//! when all have passed the module is built, and the same calls are made of its component, one by one and many in one list,
//! as on a node. Outcomes and state must be the same.

use crate::arguments::{Global, Test};
use crate::build::{self, Kind, Order};
use crate::json::to_json;
use crate::show::Show;
use crate::{failure, places, sdk};
use anyhow::{Context, Result, bail, ensure};
use isx_exec::{Cut, Difference, Exec, Ports, What, compare};
use isx_row::codec::decode_record;
use isx_row::schema::Schema;
use isx_row::{ContentHash, Error, Field};
use isx_store::transcript::{Step, Told, Transcript};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Tells the tests where their transcripts go.
const FOLDER_VARIABLE: &str = "ISX_TEST_TRANSCRIPTS";

/// Runs the tests; ends as they end, so that scripts can tell.
pub fn test(global: &Global, arguments: &Test, show: Show) -> Result<ExitCode> {
    let manifest = arguments.folder.join("Cargo.toml");
    ensure!(manifest.is_file(), "{} has no Cargo.toml; give the folder of a project", arguments.folder.display());
    sdk::put_for(&arguments.folder)?;
    let transcripts = Transcripts::begin(global)?;
    let mut command = Command::new(build::cargo());
    command.args(["test", "--manifest-path"]).arg(&manifest).args(&arguments.arguments);
    match arguments.native {
        true => command.env_remove(FOLDER_VARIABLE),
        false => command.env(FOLDER_VARIABLE, &transcripts.folder),
    };
    let status = command.status().context("cargo does not start; install Rust from https://rustup.rs")?;
    if !status.success() {
        // Killed, it has no code.
        return Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
    }
    let mut are_equal = true;
    for (package, transcripts) in transcripts.read()? {
        are_equal &= again(&package, &transcripts, show)?;
    }
    Ok(if are_equal { ExitCode::SUCCESS } else { ExitCode::from(failure::FAILED) })
}

/// The folder of transcripts, which goes when this is dropped.
struct Transcripts {
    folder: PathBuf,
}

impl Transcripts {
    fn begin(global: &Global) -> Result<Self> {
        // Absolute: the tests stand elsewhere.
        let folder =
            std::path::absolute(places::cache_dir(global)?)?.join("tests").join(std::process::id().to_string());
        let begun = Self { folder };
        // Of a process that was killed and had our number.
        begun.remove();
        fs::create_dir_all(&begun.folder).with_context(|| format!("can not make {}", begun.folder.display()))?;
        Ok(begun)
    }

    /// The transcripts, by the package that they are of.
    fn read(&self) -> Result<BTreeMap<PathBuf, Vec<Transcript>>> {
        let mut found: BTreeMap<PathBuf, Vec<Transcript>> = BTreeMap::new();
        for entry in self.folder.read_dir()? {
            let file = entry?.path();
            let transcript =
                fs::read(&file).map_err(anyhow::Error::new).and_then(|bytes| Ok(Transcript::decode(&bytes)?));
            let transcript = transcript.with_context(|| {
                format!("{}: the tests link an isx-testing of another version than this isx", file.display())
            })?;
            found.entry(PathBuf::from(&transcript.head.package)).or_default().push(transcript);
        }
        found.values_mut().for_each(|all| all.sort_by(|one, other| one.head.test.cmp(&other.head.test)));
        Ok(found)
    }

    fn remove(&self) {
        // Where it stays it is in nobody's way.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Transcripts {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Does what the tests of a package did again with its component; whether all was the same.
fn again(package: &Path, transcripts: &[Transcript], show: Show) -> Result<bool> {
    let built = build::build(&Order { folder: package, embeds: &[] })?;
    if built.kind == Kind::Rom {
        bail!("`{}` is a ROM, and its tests call a module: `isx test --native` leaves WebAssembly out", built.name);
    }
    let exec = Exec::new(Ports::here())?;
    let (code, schema) = exec.add(&built.component)?;
    let hash = ContentHash::of(&schema.encode()?);
    // A test may have a module of its own, or more in its module than is built.
    let (own, others): (Vec<_>, Vec<_>) = transcripts.iter().partition(|transcript| transcript.head.schema == hash);
    let (mut calls, mut queries, mut differing) = (0, 0, Vec::new());
    for Transcript { head, steps } in &own {
        calls += steps.iter().filter(|step| matches!(step, Step::Called { .. })).count();
        queries += steps.iter().filter(|step| matches!(step, Step::Asked(_))).count();
        for difference in compare(&exec, &code, steps)? {
            differing.push(told(&head.test, steps, &difference, &schema));
        }
    }
    let cut = own.iter().filter(|transcript| transcript.steps.contains(&Step::Cut)).count();
    for (count, why) in
        [(others.len(), "are of a module that is not what is built"), (cut, "were too long to be written whole")]
    {
        if count > 0 {
            eprintln!("isx: {count} mounts that tests of {} made {why}: the rest was compared", built.name);
        }
    }
    differing.iter().for_each(|text| eprintln!("isx: {text}"));
    let end = if differing.is_empty() { "all end" } else { "not all end" };
    show.one(
        || {
            let mounts = own.len();
            format!(
                "{}: calls {calls}, queries {queries}, mounts {mounts}: {end} in WebAssembly as natively, alone and together",
                built.name
            )
        },
        || json!({ "module": built.name, "mounts": own.len(), "calls": calls, "queries": queries, "differences": differing }),
    )?;
    Ok(differing.is_empty())
}

/// A difference, for people.
fn told(test: &str, steps: &[Step], difference: &Difference, schema: &Schema) -> String {
    let name = |told: &Told| told.name.clone();
    let (what, told) = match steps.get(difference.step) {
        Some(Step::Called { told, .. }) => (format!("the call of {}", name(told)), Some(told)),
        Some(Step::Asked(told)) => (format!("the query {}", name(told)), Some(told)),
        Some(Step::Taken { .. } | Step::Cut) | None => ("a step".into(), None),
    };
    let how = match difference.cut {
        Cut::Alone => "",
        Cut::Together => " in one list with others",
    };
    let place = format!("{test}: step {}, {what}{how}", difference.step + 1);
    match (&difference.what, told) {
        (What::Outcome(wasm), Some(told)) => {
            let shown = |outcome: &Result<Vec<u8>, Error>| outcome_text(schema, &told.name, outcome);
            format!("{place}: natively {}, in WebAssembly {}", shown(&told.outcome), shown(wasm))
        }
        _ => format!("{place}: it leaves other rows in WebAssembly than natively"),
    }
}

/// An outcome, for people.
fn outcome_text(schema: &Schema, name: &str, outcome: &Result<Vec<u8>, Error>) -> String {
    let reducer = schema.reducers.iter().find(|reducer| reducer.name == name).map(|reducer| &reducer.answer);
    let answer = reducer.or_else(|| schema.query(name).map(|query| &query.answer));
    let bytes = match outcome {
        Ok(bytes) => bytes,
        Err(error) => return error.to_string(),
    };
    let value = answer.and_then(|ty| {
        let fields = [Field { name: "answer".into(), ty: ty.clone() }];
        let (_, values) = decode_record(&fields, bytes).ok()?;
        Some(to_json(ty, values.first()?).to_string())
    });
    value.unwrap_or_else(|| format!("{} bytes that are no answer", bytes.len()))
}
