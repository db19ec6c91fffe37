//! A call that killed its process is recognised, tried, held.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod modules;

use isx_exec::{Cache, CallId, Compile, Exec, Mark, Marked, MemoryMark, Ports, Suspect, Trial, Verdict};
use isx_row::{Code, Error};
use isx_store::{Executor, Hold};
use modules::{ENTRY, Mount, arguments, call};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A trial with a known end, which counts and checks what it was given.
struct Known(Verdict, AtomicUsize);

impl Trial for Known {
    fn run(&self, suspect: &Suspect<'_>) -> Verdict {
        self.1.fetch_add(1, Ordering::Relaxed);
        assert_eq!((suspect.call.name, suspect.call.place), ("bump", 1));
        let kv = suspect.root.table("kv").unwrap();
        assert_eq!(suspect.root.row_count(kv), Some(1), "the tables are those before the call");
        self.0
    }
}

/// A process that found this mark.
fn process(mark: &Arc<MemoryMark>, verdict: Verdict) -> (Mount, Arc<Known>) {
    let trial = Arc::new(Known(verdict, AtomicUsize::new(0)));
    (Mount::with(Ports { mark: mark.clone(), trial: trial.clone(), ..Ports::here() }), trial)
}

const SUSPECT: CallId = CallId { seed: ENTRY.seed, place: 1 };

#[test]
fn a_suspect_that_survives_its_trial_is_applied_and_forgotten() {
    let mark = Arc::new(MemoryMark::default());
    mark.set(0, Some(&Marked { call: SUSPECT, deaths: 0 }));
    let (mut mount, trial) = process(&mark, Verdict::Survived);
    let given = arguments(1, 1);
    let calls = [call("add", &given, 0), call("bump", &given, 1), call("bump", &given, 2)];
    let done = mount.execute(&calls);
    assert!(done.iter().all(|done| done.outcome.is_ok()));
    assert_eq!(trial.1.load(Ordering::Relaxed), 1);
    assert_eq!(mark.left(), []);
    assert_eq!(done, Mount::new().execute(&calls), "a trial is not seen");
}

#[test]
fn a_suspect_that_dies_again_is_held_and_stays_so() {
    let mark = Arc::new(MemoryMark::default());
    mark.set(0, Some(&Marked { call: SUSPECT, deaths: 0 }));
    let given = arguments(1, 1);
    let calls = [call("add", &given, 0), call("bump", &given, 1)];
    for trials in [1, 0] {
        let (mut mount, trial) = process(&mark, Verdict::Died);
        let before = mount.root.state_hash();
        for _ in 0..2 {
            let held = mount.exec.execute(&mount.code, &mut mount.root, &ENTRY, &calls);
            assert_eq!(held, Err(Hold::Poisoned { position: 1 }));
            assert_eq!(mount.root.state_hash(), before);
        }
        assert_eq!(trial.1.load(Ordering::Relaxed), trials, "tried in the first life, known in the second");
        // What is skipped harms nobody else.
        assert!(mount.execute(&calls[..1])[0].outcome.is_ok());
    }
}

#[test]
fn a_death_after_a_survived_trial_is_the_second() {
    let mark = Arc::new(MemoryMark::default());
    mark.set(0, Some(&Marked { call: SUSPECT, deaths: 1 }));
    let (mut mount, trial) = process(&mark, Verdict::Survived);
    let given = arguments(1, 1);
    let held = mount.exec.execute(&mount.code, &mut mount.root, &ENTRY, &[call("bump", &given, 1)]);
    assert_eq!((held, trial.1.load(Ordering::Relaxed)), (Err(Hold::Poisoned { position: 0 }), 0));
}

/// A trial that could not be made; the suspect's bytes are kept.
#[derive(Default)]
struct Packing(std::sync::Mutex<Vec<u8>>);

impl Trial for Packing {
    fn run(&self, suspect: &Suspect<'_>) -> Verdict {
        let mut bytes = self.0.lock().unwrap();
        bytes.clear();
        suspect.write(&mut *bytes).unwrap();
        Verdict::Untried
    }
}

#[test]
fn a_suspect_in_another_process_runs_as_here() {
    let mark = Arc::new(MemoryMark::default());
    mark.set(0, Some(&Marked { call: SUSPECT, deaths: 0 }));
    let trial = Arc::new(Packing::default());
    let mut mount = Mount::with(Ports { mark: mark.clone(), trial: trial.clone(), ..Ports::here() });
    let given = arguments(1, 1);
    let calls = [call("add", &given, 0), call("bump", &given, 1)];
    for _ in 0..2 {
        let held = mount.exec.execute(&mount.code, &mut mount.root, &ENTRY, &calls);
        assert_eq!(held, Err(Hold::Untried { position: 1 }), "to be tried again, and not condemned");
    }
    assert_eq!(mark.left().len(), 1, "it is a suspect still");

    let bytes = trial.0.lock().unwrap().clone();
    let mut begun = 0;
    isx_exec::try_suspect(&mut bytes.as_slice(), || begun += 1).unwrap();
    assert_eq!(begun, 1);
    for cut in (0..bytes.len()).step_by(997).chain(bytes.len() - 64..bytes.len()) {
        let refused = isx_exec::try_suspect(&mut &bytes[..cut], || panic!("it began, cut at {cut}"));
        assert_eq!(refused.unwrap_err().code, Code::Malformed, "cut at {cut}");
    }
    // Everything before the call is under a check: the code most of all, which is run as it is.
    for at in (0..bytes.len() - 200).step_by(991) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        assert!(isx_exec::try_suspect(&mut damaged.as_slice(), || panic!("it began, damaged at {at}")).is_err());
    }
}

#[test]
fn the_mark_names_the_call_while_it_runs() {
    /// Dies, as far as anybody can tell, at the third call.
    #[derive(Default)]
    struct Watching(std::sync::Mutex<Vec<Option<u64>>>);
    impl Mark for Watching {
        fn left(&self) -> Vec<(usize, Marked)> {
            Vec::new()
        }
        fn set(&self, _slot: usize, marked: Option<&Marked>) {
            self.0.lock().unwrap().push(marked.map(|marked| marked.call.place));
        }
    }
    let mark = Arc::new(Watching::default());
    let mut mount = Mount::with(Ports { mark: mark.clone(), ..Ports::here() });
    let given = arguments(1, 1);
    mount.execute(&[call("add", &given, 7), call("missing", &given, 8), call("bump", &given, 9)]);
    assert_eq!(*mark.0.lock().unwrap(), [Some(7), Some(9), None]);
}

#[test]
fn cached_code_is_not_compiled_again() {
    struct Counting(AtomicUsize);
    impl Compile for Counting {
        fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            isx_exec::compile(component)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let compile = Arc::new(Counting(AtomicUsize::new(0)));
    for _ in 0..3 {
        let ports = Ports { compile: compile.clone(), cache: Some(Cache::new(folder.path())), ..Ports::here() };
        let mut mount = Mount::with(ports);
        assert!(mount.one("add", 1, 1).outcome.is_ok());
    }
    assert_eq!(compile.0.load(Ordering::Relaxed), 1);
}

#[test]
fn the_execution_id_is_the_same_for_every_executor_of_a_build() {
    let id = || Exec::new(Ports::here()).unwrap().execution_id();
    assert_eq!(id(), id());
}
