//! ROMs run with objects of the test's own in place of a node: many calls in flight, cancelled calls, timers, streams, ends.
//! The ROM is `rom-probe`, built by `cargo xtask guests`.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use async_trait::async_trait;
use futures::future::{Either, pending, select};
use isx_iface::{Answer, Call, Items, Object, ObjectRef, payload};
use isx_rom_host::{Access, Allowed, Given, Grant, Preopen, Program, Programs, READER_GONE, Rule, Streams};
use isx_row::{Code, Error};
use std::io::{self, PipeReader, Read, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What has come to the fake object.
#[derive(Clone, Default)]
struct Seen {
    held_count: u64,
    asked_count: u64,
    cancelled_count: u64,
}

/// The Host and the object at `/self/fake` in one.
struct Fake {
    /// Calls of `hold` that are answered together.
    together_count: u64,
    seen: watch::Sender<Seen>,
}

/// Counts a call that ends before it is answered.
struct Answering<'a>(&'a watch::Sender<Seen>);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|seen| seen.cancelled_count += 1);
    }
}

#[async_trait]
impl Object for Fake {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        let value = |value: u64| Ok(Answer { payload: payload::encode_value(value)?, ..Answer::default() });
        match call.method.as_str() {
            "walk" => {
                let fake = Fake { together_count: self.together_count, seen: self.seen.clone() };
                Ok(Answer { objects: vec![Arc::new(fake)], ..Answer::default() })
            }
            "hold" => {
                let (number,) = payload::decode::<(u64,)>(&call)?;
                self.seen.send_modify(|seen| seen.held_count += 1);
                self.seen.subscribe().wait_for(|seen| seen.held_count == self.together_count).await.unwrap();
                value(number)
            }
            "slow" => {
                let _answering = Answering(&self.seen);
                self.seen.send_modify(|seen| seen.asked_count += 1);
                pending().await
            }
            "fast" => value(payload::decode::<(u64,)>(&call)?.0),
            "cancelled" => value(self.seen.borrow().cancelled_count),
            other => Err(Error::new(Code::NotFound, format!("there is no {other}"))),
        }
    }

    async fn stream(&self, _call: Call) -> Result<Items, Error> {
        Err(Error::new(Code::NotFound, "nothing is followed here"))
    }

    async fn whois(&self) -> Result<String, Error> {
        Ok("fake".into())
    }
}

/// Takes what is written, for all to see.
#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Text {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// One run to be.
struct Stage {
    programs: Programs,
    program: Program,
    seen: watch::Sender<Seen>,
    stdout: Text,
    stderr: Text,
}

impl Stage {
    fn new() -> Self {
        let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
            let test = std::env::current_exe().unwrap();
            test.ancestors().nth(3).unwrap().join("guests")
        });
        let file = folder.join("rom-probe.wasm");
        let bytes = std::fs::read(&file)
            .unwrap_or_else(|_| panic!("{} is missing: run `cargo xtask guests` first", file.display()));
        // Compiled once for all tests of a build.
        let programs = Programs::new(Some(folder.join("compiled"))).unwrap();
        let program = programs.load(&bytes).unwrap();
        let (seen, _) = watch::channel(Seen::default());
        Self { programs, program, seen, stdout: Text::default(), stderr: Text::default() }
    }

    fn given(&self, arguments: &[&str], stdin: &str) -> Given {
        let together_count = arguments.get(1).and_then(|count| count.parse().ok()).unwrap_or(0);
        let host: ObjectRef = Arc::new(Fake { together_count, seen: self.seen.clone() });
        let wants = self.program.wants().to_vec();
        Given {
            host,
            grant: Grant::new(wants, Allowed::Everything).unwrap(),
            arguments: ["rom-probe"].iter().chain(arguments).map(|word| word.to_string()).collect(),
            environment: vec![("LANG".into(), "C".into())],
            preopens: Vec::new(),
            streams: Streams::Piped {
                stdin: stdin.into(),
                stdout: Box::new(self.stdout.clone()),
                stderr: Box::new(self.stderr.clone()),
            },
        }
    }

    async fn run(&self, given: Given) -> Result<u8, Error> {
        self.programs.run(&self.program, given).await
    }
}

async fn check(arguments: &[&str], stdin: &str, code: u8, printed: &str) -> Stage {
    let stage = Stage::new();
    let ended = stage.run(stage.given(arguments, stdin)).await;
    assert_eq!(ended.as_ref().ok(), Some(&code), "{ended:?} {}", stage.stderr.text());
    assert_eq!(stage.stdout.text(), printed, "{}", stage.stderr.text());
    stage
}

#[tokio::test]
async fn many_calls_are_in_flight_at_once() {
    // None is answered before all are there.
    check(&["hold", "1024"], "", 0, "1024 answers, 0 of them another's\n").await;
    check(&["hold", "5000"], "", 0, "5000 answers, 0 of them another's\n").await;
}

#[tokio::test]
async fn a_call_whose_future_is_dropped_is_cancelled() {
    check(&["select"], "", 0, "fast 7, 1 cancelled\n").await;
    check(&["timeout"], "", 0, "deadline, 1 cancelled\n8\n").await;
}

#[tokio::test]
async fn no_timer_is_early_and_none_holds_up_another() {
    check(&["timers"], "", 0, "all in time\n").await;
}

#[tokio::test]
async fn a_run_that_is_dropped_ends_its_program_and_its_calls() {
    for (program, sign) in [("ask", "asking"), ("spin", "spinning"), ("wait", "waiting")] {
        let stage = Stage::new();
        let mut seen = stage.seen.subscribe();
        let begun = async {
            if program == "ask" {
                seen.wait_for(|seen| seen.asked_count == 1).await.unwrap();
            }
            while !stage.stderr.text().contains(sign) {
                tokio::task::yield_now().await;
            }
        };
        match select(pin!(stage.run(stage.given(&[program], ""))), pin!(begun)).await {
            Either::Left((ended, _)) => panic!("{program} ended by itself: {ended:?}"),
            Either::Right(_) => {}
        }
        // Everything of the run was dropped with its future, which ends here.
        let cancelled_count = stage.seen.borrow().cancelled_count;
        assert_eq!(cancelled_count, u64::from(program == "ask"), "{program}");
    }
}

#[tokio::test]
async fn a_program_ends_with_its_own_code() {
    for code in [0, 1, 7, 124, 255] {
        check(&["exit", &code.to_string()], "", code, "").await;
    }
    let stage = check(&["fail"], "", 1, "").await;
    assert!(stage.stderr.text().starts_with("error: conflict: it was told to fail\n"), "{}", stage.stderr.text());
    let stage = Stage::new();
    let trapped = stage.run(stage.given(&["panic"], "")).await.unwrap_err();
    assert_eq!(trapped.code, Code::Trap);
    assert!(stage.stderr.text().contains("it was told to panic"), "{}", stage.stderr.text());
}

#[tokio::test]
async fn lines_come_in_and_go_out_while_timers_run() {
    check(&["upper"], "one\r\ntwo\n\nlast", 0, "ONE\nTWO\n\nLAST\n").await;
    check(&["upper"], "", 0, "").await;
    let long = "x".repeat(100_000);
    check(&["upper"], &long, 0, &format!("{}\n", long.to_uppercase())).await;
    let stage = Stage::new();
    // A line has at most 1 MiB.
    let endless = "y".repeat(2 * 1024 * 1024);
    assert_eq!(stage.run(stage.given(&["upper"], &endless)).await.unwrap(), 1);
    assert!(stage.stderr.text().contains("a line of standard input has more than"), "{}", stage.stderr.text());
    check(&["tell"], "", 0, "LANG=C\n").await;
}

/// A pipe whose reader we are.
fn pour(stage: &Stage, words: &[&str]) -> (Given, PipeReader) {
    let (read, write) = io::pipe().unwrap();
    let mut given = stage.given(words, "");
    given.streams =
        Streams::Piped { stdin: Vec::new(), stdout: Box::new(write), stderr: Box::new(stage.stderr.clone()) };
    (given, read)
}

#[tokio::test]
async fn a_reader_that_goes_ends_the_program_without_a_word() {
    for words in [&["pour"][..], &["pour", "blocking"]] {
        let stage = Stage::new();
        let (given, mut read) = pour(&stage, words);
        let reading = std::thread::spawn(move || {
            let mut bytes = [0; 300_000];
            read.read_exact(&mut bytes).unwrap();
        });
        assert_eq!(stage.run(given).await.unwrap(), READER_GONE, "{words:?}");
        reading.join().unwrap();
        assert_eq!(stage.stderr.text(), "pouring\n", "{words:?}");
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let stage = Stage::new();
    let mut given = stage.given(&["tell"], "");
    given.preopens = vec![Preopen { host: "/no/such".into(), guest: "/data".into(), access: Access::ReadOnly }];
    let error = stage.run(given).await.unwrap_err();
    assert_eq!(error.code, Code::NotFound);
    assert!(error.text.contains("the folder /no/such"), "{error}");
}

#[test]
fn a_rom_is_refused_before_it_runs_what_is_not_allowed() {
    let stage = Stage::new();
    let allowed = Allowed::Rules(vec![Rule::parse("host").unwrap()]);
    let refused = Grant::new(stage.program.wants().to_vec(), allowed).unwrap_err();
    assert_eq!(refused.code, Code::Missing);
    assert!(refused.text.contains("--allow anchor.mount=/self/rom-probe"), "{refused}");
}
