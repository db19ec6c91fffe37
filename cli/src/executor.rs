//! What the executor needs of a process: a capped child that compiles, and a file that names the call being applied.

use anyhow::{Context, Result};
use isx_exec::{Cache, Compile, Mark, Marked, NoTrial, Ports};
use isx_row::{Code, Error};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// Seconds of processor time that compiling one module may take.
const COMPILE_CPU_SECONDS: u64 = 20;
/// Bytes of memory that compiling one module may take.
const COMPILE_MEMORY_BYTES: u64 = 1024 * 1024 * 1024;
/// How long compiling one module may take.
const COMPILE_WITHIN: Duration = Duration::from_secs(30);
/// The hidden verb of the compiling child.
const CHILD_COMPILE: &str = "child-compile";

/// The ports of a node's executor: compiled code in `cache_dir`, the mark in `state_dir`.
pub fn ports(cache_dir: &Path, state_dir: &Path) -> Result<Ports> {
    let cache = cache_dir.join("modules");
    fs::create_dir_all(&cache).with_context(|| format!("can not make {}", cache.display()))?;
    fs::create_dir_all(state_dir).with_context(|| format!("can not make {}", state_dir.display()))?;
    let mark = FileMark::open(&state_dir.join("apply.mark"))?;
    Ok(Ports {
        compile: Arc::new(CompileInChild),
        // Without a child to try it in, a call that a process died of is held at once.
        trial: Arc::new(NoTrial),
        mark: Arc::new(mark),
        cache: Some(Cache::new(cache)),
    })
}

/// Compiles in a child process of this program.
struct CompileInChild;

impl Compile for CompileInChild {
    fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
        let busy = |what: &str, error: std::io::Error| Error::new(Code::Busy, format!("{what}: {error}"));
        let program = std::env::current_exe().map_err(|error| busy("this program can not be found", error))?;
        let mut child = Command::new(program)
            .arg(CHILD_COMPILE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| busy("no process to compile in", error))?;
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
    let bound = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Cpu, bound(COMPILE_CPU_SECONDS)).context("can not bound the processor time")?;
    setrlimit(Resource::Data, bound(COMPILE_MEMORY_BYTES)).context("can not bound the memory")?;
    setrlimit(Resource::Core, bound(0)).context("can not refuse core dumps")?;
    let mut component = Vec::new();
    std::io::stdin().lock().read_to_end(&mut component)?;
    match isx_exec::compile(&component) {
        Ok(artifact) => Ok(std::io::stdout().lock().write_all(&artifact)?),
        Err(error) => {
            eprintln!("{}", error.text);
            std::process::exit(1)
        }
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
