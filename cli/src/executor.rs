//! What the executor needs of a process: capped children that compile and that try a suspect, and a file that names the
//! call being applied.

use anyhow::{Context, Result};
use isx_exec::{Cache, Compile, Mark, Marked, Ports, Suspect, Trial, Verdict};
use isx_row::{Code, Error};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// Seconds of processor time that compiling one module may take.
const COMPILE_CPU_SECONDS: u64 = 20;
/// Bytes of memory that compiling one module may take, besides what the allocator has reserved at the start.
const COMPILE_MEMORY_BYTES: u64 = 512 * 1024 * 1024;
/// How long compiling one module may take.
const COMPILE_WITHIN: Duration = Duration::from_secs(30);
/// How long the child of a trial may take until it has the tables: they are read anew.
const TRIAL_READY_WITHIN: Duration = Duration::from_secs(120);
/// How long the call itself may take in a trial: its fuel lasts about a second, on a busy machine a few.
const TRIAL_CALL_WITHIN: Duration = Duration::from_secs(20);
/// Bytes of memory that the child of a trial may take besides three times the tables.
const TRIAL_MEMORY_BYTES: u64 = 1024 * 1024 * 1024;
/// What the child of a trial says before it makes the call.
const READY: u8 = b'!';
/// The hidden verbs of the children.
const CHILD_COMPILE: &str = "child-compile";
const CHILD_TRY: &str = "child-try";

/// The ports of a node's executor: compiled code in `cache_dir`, the mark in `state_dir`.
pub fn ports(cache_dir: &Path, state_dir: &Path) -> Result<Ports> {
    let cache = cache_dir.join("modules");
    fs::create_dir_all(&cache).with_context(|| format!("can not make {}", cache.display()))?;
    fs::create_dir_all(state_dir).with_context(|| format!("can not make {}", state_dir.display()))?;
    let mark = FileMark::open(&state_dir.join("apply.mark"))?;
    Ok(Ports {
        compile: Arc::new(CompileInChild),
        trial: Arc::new(TryInChild),
        mark: Arc::new(mark),
        cache: Some(Cache::new(cache)),
    })
}

/// This program again, with its pipes.
fn child(arguments: &[&str]) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Sets a child's bounds of processor time, in seconds, and of memory, in bytes beyond what is reserved now. It leaves no
/// core dump.
fn bound(cpu_seconds: u64, memory_bytes: u64) -> Result<()> {
    let memory_bytes = reserved_bytes().saturating_add(memory_bytes);
    let most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Cpu, most(cpu_seconds)).context("can not bound the processor time")?;
    setrlimit(Resource::Data, most(memory_bytes)).context("can not bound the memory")?;
    setrlimit(Resource::Core, most(0)).context("can not refuse core dumps")
}

/// Bytes of data that this process has reserved, used or not: most of it is the allocator's first arena.
fn reserved_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// Compiles in a child process of this program.
struct CompileInChild;

impl Compile for CompileInChild {
    fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
        let busy = |what: &str, error: io::Error| Error::new(Code::Busy, format!("{what}: {error}"));
        let mut child = child(&[CHILD_COMPILE]).map_err(|error| busy("no process to compile in", error))?;
        let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::new(Code::Busy, "no pipes to the process that compiles"));
        };
        std::thread::scope(|scope| {
            // A child that ends early closes its end: the write fails, and its exit says why.
            scope.spawn(move || stdin.write_all(component));
            let complaint = scope.spawn(move || {
                let mut text = String::new();
                let _ = stderr.by_ref().take(4096).read_to_string(&mut text);
                text
            });
            let (done, artifact) = mpsc::channel();
            scope.spawn(move || {
                let mut artifact = Vec::new();
                let limit = isx_exec::limits::ARTIFACT_BYTES_MAX as u64 + 1;
                let read = stdout.by_ref().take(limit).read_to_end(&mut artifact);
                let _ = done.send(read.map(|_| artifact));
            });
            let artifact = artifact.recv_timeout(COMPILE_WITHIN);
            if artifact.is_err() {
                let _ = child.kill();
            }
            let status = child.wait().map_err(|error| busy("the process that compiles", error))?;
            let complaint = complaint.join().unwrap_or_default();
            match artifact {
                Ok(Ok(artifact)) if status.success() => Ok(artifact),
                Ok(Ok(_)) if status.code() == Some(1) => Err(Error::new(Code::Malformed, complaint.trim().to_string())),
                Ok(_) => {
                    let text = format!(
                        "compiling takes more than {COMPILE_CPU_SECONDS} s or {COMPILE_MEMORY_BYTES} bytes ({status})"
                    );
                    Err(Error::new(Code::Limit, text))
                }
                Err(_) => {
                    Err(Error::new(Code::Limit, format!("compiling takes more than {} s", COMPILE_WITHIN.as_secs())))
                }
            }
        })
    }
}

/// The child: compiles what comes on standard input, under bounds it sets itself.
pub fn child_compile() -> Result<()> {
    bound(COMPILE_CPU_SECONDS, COMPILE_MEMORY_BYTES)?;
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component)?;
    match isx_exec::compile(&component) {
        Ok(artifact) => Ok(io::stdout().lock().write_all(&artifact)?),
        Err(error) => {
            eprintln!("{}", error.text);
            std::process::exit(1)
        }
    }
}

/// Tries a suspect in a child process of this program.
struct TryInChild;

impl Trial for TryInChild {
    fn run(&self, suspect: &Suspect<'_>) -> Verdict {
        tracing::warn!(call = %suspect.call.name, code = %suspect.code, "a process died while this call was applied: a child tries it first");
        // Of each mount there is the code, and of its tables what was read, what is kept and what the call makes of it.
        let code_bytes = TRIAL_MEMORY_BYTES.saturating_mul(suspect.mounts_count() as u64);
        let memory_bytes = code_bytes.saturating_add(suspect.table_bytes().saturating_mul(3)).to_string();
        let mut child = match child(&[CHILD_TRY, "--memory-bytes", &memory_bytes]) {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%error, "no process to try a call in");
                return Verdict::Untried;
            }
        };
        let verdict = watch(&mut child, suspect);
        // It has ended, unless it was late.
        let _ = child.kill();
        let _ = child.wait();
        tracing::warn!(call = %suspect.call.name, ?verdict, "the call was tried");
        verdict
    }
}

/// Gives the suspect to the child and sees what becomes of it.
fn watch(child: &mut Child, suspect: &Suspect<'_>) -> Verdict {
    let (Some(stdin), Some(mut stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Verdict::Untried;
    };
    std::thread::scope(|scope| {
        let (said, says) = mpsc::channel();
        scope.spawn(move || {
            let mut byte = [0];
            // One word when it is ready, another when the call is over.
            while stdout.read_exact(&mut byte).is_ok() && said.send(byte[0]).is_ok() {}
        });
        let complaint = scope.spawn(move || io::read_to_string(stderr.take(4096)).unwrap_or_default());
        let writing = scope.spawn(move || {
            let mut stdin = BufWriter::with_capacity(64 * 1024, stdin);
            suspect.write(&mut stdin).and_then(|()| stdin.flush())
        });
        if says.recv_timeout(TRIAL_READY_WITHIN) != Ok(READY) {
            // Ends the writing too, should it still wait for the child to read.
            let _ = child.kill();
            let written = writing.join();
            let complaint = complaint.join().unwrap_or_default();
            tracing::error!(complaint = %complaint.trim(), ?written, "the child did not come to the call");
            return Verdict::Untried;
        }
        match says.recv_timeout(TRIAL_CALL_WITHIN) {
            Ok(READY) => Verdict::Survived,
            _ => {
                let _ = child.kill();
                Verdict::Died
            }
        }
    })
}

/// The child: makes the call that comes on standard input, on a copy of its tables, under bounds it sets itself.
pub fn child_try(memory_bytes: u64) -> Result<()> {
    bound((TRIAL_READY_WITHIN + TRIAL_CALL_WITHIN).as_secs(), memory_bytes)?;
    let say = || -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&[READY])?;
        stdout.flush()
    };
    let run = move || {
        let mut begun = Ok(());
        isx_exec::try_suspect(&mut io::stdin().lock(), || begun = say())?;
        begun.and_then(|()| say()).context("nobody listens any more")
    };
    let thread = std::thread::Builder::new().stack_size(isx_exec::limits::THREAD_STACK_BYTES).spawn(run);
    match thread.context("no thread to make the call on")?.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A file with a slot for each call that may be applied at once. Written, not synced: it outlives the process, which
/// is what it is for.
struct FileMark {
    file: File,
}

impl FileMark {
    fn open(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        Ok(Self { file: file.with_context(|| format!("can not open {}", path.display()))? })
    }
}

fn offset(slot: usize) -> u64 {
    (slot * Marked::BYTES) as u64
}

impl Mark for FileMark {
    fn left(&self) -> Vec<(usize, Marked)> {
        let slot = |slot: usize| {
            let mut bytes = [0; Marked::BYTES];
            self.file.read_exact_at(&mut bytes, offset(slot)).ok()?;
            Some((slot, Marked::from_bytes(&bytes)?))
        };
        (0..isx_exec::limits::MARKS_MAX).filter_map(slot).collect()
    }

    fn set(&self, slot: usize, call: Option<&Marked>) {
        let bytes = call.map_or([0; Marked::BYTES], Marked::to_bytes);
        if let Err(error) = self.file.write_all_at(&bytes, offset(slot)) {
            // Without the mark a deadly call would not be recognised: better to stop than to die of it for ever.
            tracing::error!(%error, "the mark can not be written");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_exec::CallId;

    #[test]
    fn a_mark_outlives_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apply.mark");
        let marked = Marked { call: CallId { seed: [7; 32], place: 3 }, deaths: 0 };
        let mark = FileMark::open(&path).unwrap();
        mark.set(1, Some(&marked));
        mark.set(0, Some(&marked));
        mark.set(0, None);
        assert_eq!(FileMark::open(&path).unwrap().left(), [(1, marked)]);
    }
}
