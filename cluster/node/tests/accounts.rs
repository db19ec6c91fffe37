//! The accounts of a node are what its callers count.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use futures::future::join_all;
use isx_iface::anchor::MountLimits;
use isx_iface::publish::upload;
use isx_iface::usage::Usage;
use isx_iface::{Anchor, Answer, Call, Delivery, Host, Module, ModuleStub, ObjectRef, payload};
use isx_node::{Config, Node};
use isx_row::{Code, Error, SessionId, Signature, Time};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn tally() -> Vec<u8> {
    let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(3).unwrap().join("guests")
    });
    let file = folder.join("tally.wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests` first", file.display()))
}

fn call(method: &str, arguments: &impl isx_row::Typed) -> Call {
    Call {
        method: method.into(),
        signature: Signature::ANY,
        payload: payload::encode(arguments).unwrap(),
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery: Delivery::default(),
    }
}

/// What a caller sees of its calls.
#[derive(Default)]
struct Seen(BTreeMap<String, Usage>);

impl Seen {
    fn note(&mut self, call: &Call, answered: &Result<Answer, Error>, known: &[&str]) {
        let name = if known.contains(&call.method.as_str()) { call.method.clone() } else { String::new() };
        let usage = self.0.entry(name).or_default();
        usage.calls += 1;
        usage.in_bytes += call.payload.len() as u64;
        match answered {
            Ok(Answer { application_error: Some(error), .. }) => {
                usage.application += 1;
                usage.out_bytes += error.len() as u64;
            }
            Ok(answer) => usage.out_bytes += answer.payload.len() as u64,
            Err(error) if error.code == Code::Application => usage.application += 1,
            Err(error) if error.code == Code::OutOfFuel => usage.trapped += 1,
            Err(_) => usage.refused += 1,
        }
    }
}

async fn compare(module: &ModuleStub, seen: &Seen) {
    let counted = module.usage().await.unwrap();
    let counted: BTreeMap<String, Usage> = counted.into_iter().map(|one| (one.function, one.usage)).collect();
    assert_eq!(counted.keys().collect::<Vec<_>>(), seen.0.keys().collect::<Vec<_>>());
    for (name, here) in &counted {
        let there = &seen.0[name];
        let outside = |usage: &Usage| {
            let failed = (usage.application, usage.trapped, usage.refused, usage.busy, usage.failed);
            (usage.calls, failed, usage.in_bytes, usage.out_bytes)
        };
        assert_eq!(outside(here), outside(there), "{name}");
        // A name that is no function ends before the guest begins.
        assert_eq!((here.fuel > 0, here.host_calls > 0), (!name.is_empty(), !name.is_empty()), "{name}: {here:?}");
    }
}

#[test]
fn the_node_counts_what_its_caller_counts() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        state_dir: folder.path().to_path_buf(),
        alias: "alpha".into(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        http: None,
        history: None,
        budgets: isx_node::Budgets::default(),
        public: false,
        exec: isx_exec::Ports::here(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let node = Node::start(config).await.unwrap();
        let host = node.host();
        let code = upload(&host, &tally(), |_| ()).await.unwrap();
        let home = host.walk("/self".into()).await.unwrap();
        let mount = async |name: &str, number: u8, fuel_max: Option<u64>| {
            let session = SessionId::new(Time(1), u64::from(number));
            let limits = MountLimits { fuel_max, table_bytes_max: None };
            let module = home.mount(name.into(), code, limits, session).await.unwrap();
            (module, home.walk(name.into()).await.unwrap().object().await.unwrap())
        };
        let (rich, poor) = (mount("rich", 1, None).await, mount("poor", 2, Some(3_000)).await);

        let mut calls = Vec::new();
        for number in 0..200_u64 {
            calls.push(match number % 5 {
                0 => call("remove", &("a".to_string(), 1_000_000_u64)),
                1 => call("total", &()),
                2 => call("add", &("a".to_string(),)),
                3 => call(&format!("junk{number}"), &()),
                _ => call("add", &("x".repeat(number as usize), number)),
            });
        }
        for (module, object) in [&rich, &poor] {
            let seen = make(object, &calls).await;
            compare(module, &seen).await;
        }
        let (rich_usage, poor_usage) = (total(&rich.0).await, total(&poor.0).await);
        assert_eq!((rich_usage.trapped, rich_usage.application), (0, 40));
        assert!(poor_usage.trapped > 0, "{poor_usage:?}");
        assert!(rich_usage.rows_changed >= 80 && poor_usage.rows_changed == 0, "{rich_usage:?} {poor_usage:?}");

        let all = host.usage(None).await.unwrap();
        let told: Vec<_> = all.mounts.iter().map(|one| (one.path.clone().unwrap(), one.usage.calls)).collect();
        assert!(told.contains(&("/alpha/rich".into(), 200)) && told.contains(&("/alpha/poor".into(), 200)), "{told:?}");
        node.stop().await.unwrap();
    });
}

/// Makes the calls, some at a time, and notes what came of them.
async fn make(object: &ObjectRef, calls: &[Call]) -> Seen {
    let mut seen = Seen::default();
    for together in calls.chunks(17) {
        let answers = join_all(together.iter().map(|call| object.call(call.clone()))).await;
        together.iter().zip(&answers).for_each(|(call, answer)| seen.note(call, answer, &["add", "remove", "total"]));
    }
    seen
}

async fn total(module: &ModuleStub) -> Usage {
    let mut total = Usage::default();
    module.usage().await.unwrap().iter().for_each(|one| total.add(&one.usage));
    total
}
