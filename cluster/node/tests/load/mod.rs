//! A node in this process under load: each test that measures the process stands in a file of its own.
#![allow(dead_code, reason = "each test file uses its part")]

use futures::future::join_all;
use isx_iface::anchor::MountLimits;
use isx_iface::publish::upload;
use isx_iface::{Anchor, AnchorStub, Answer, Call, Delivery, Host, ObjectRef, payload};
use isx_node::{Budgets, Config, Node};
use isx_row::{Error, SessionId, Signature, Time};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long anything that should happen may take.
pub const WITHIN: Duration = Duration::from_secs(60);
/// Bytes of a key: rows are large and few.
pub const KEY_BYTES: usize = 3 * 1024;

/// Runs on a runtime of its own.
pub fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(body);
}

pub async fn start(folder: &Path, budgets: Budgets) -> Node {
    Node::start(Config { budgets, ..Config::dev(folder) }).await.unwrap()
}

/// Bytes of a shipped module, built by `cargo xtask guests`.
fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(3).unwrap().join("guests")
    });
    let file = folder.join(format!("{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests` first", file.display()))
}

/// Mounts `tally` under a name.
pub async fn mount(node: &Node, name: &str) -> Result<ObjectRef, Error> {
    let host = node.host();
    let code = upload(&host, &component("tally"), |_| ()).await?;
    let home: AnchorStub = host.walk("/self".into()).await?;
    let number = name.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
    let limits = MountLimits { fuel_max: None, table_bytes_max: None };
    home.mount(name.into(), code, limits, SessionId::new(Time(1), number)).await?;
    home.walk(name.into()).await?.object().await
}

/// Calls a function of `tally` on a key.
pub async fn call(object: &ObjectRef, method: &str, key: String, within: Duration) -> Result<Answer, Error> {
    let payload = payload::encode(&(key, 1_u64)).unwrap();
    called(object, method, payload, within).await
}

/// The sum over all keys.
pub async fn total(object: &ObjectRef) -> u64 {
    let answer = called(object, "total", payload::encode(&()).unwrap(), WITHIN).await.unwrap();
    payload::value_of(&answer).unwrap()
}

async fn called(object: &ObjectRef, method: &str, payload: Vec<u8>, within: Duration) -> Result<Answer, Error> {
    let call = Call {
        method: method.into(),
        signature: Signature::ANY,
        payload,
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery: Delivery { within: Some(within), ..Delivery::default() },
    };
    object.call(call).await
}

/// A key of [`KEY_BYTES`] that no other number has.
pub fn key(number: usize) -> String {
    format!("{number:0KEY_BYTES$}")
}

/// Calls, and again when it is told that what refuses it passes.
async fn persist(object: &ObjectRef, method: &str, number: usize) -> Result<Answer, Error> {
    loop {
        match call(object, method, key(number), WITHIN).await {
            Err(Error { retry_after_ms: Some(wait), .. }) => {
                tokio::time::sleep(Duration::from_millis(wait.into())).await
            }
            answered => return answered,
        }
    }
}

/// Removes rows, so many at once; what refuses it has to pass.
pub async fn remove(object: &ObjectRef, numbers: std::ops::Range<usize>, at_once: usize) {
    let mut next = numbers.start;
    while next < numbers.end {
        let end = (next + at_once).min(numbers.end);
        for removed in join_all((next..end).map(|number| persist(object, "remove", number))).await {
            removed.unwrap();
        }
        next = end;
    }
}

/// Adds rows, so many at once, until one is refused for good, looking after each time; how many there are then.
pub async fn fill(object: &ObjectRef, at_once: usize, rows_max: usize, look: impl Fn(usize)) -> (usize, Error) {
    let mut kept = 0;
    while kept < rows_max {
        let answers = join_all((kept..kept + at_once).map(|number| persist(object, "add", number))).await;
        look(kept);
        // Some behind the first that is refused may have found room.
        let refused = answers.iter().position(Result::is_err);
        kept += answers.iter().filter(|answer| answer.is_ok()).count();
        if let Some(Err(error)) = refused.and_then(|at| answers.into_iter().nth(at)) {
            return (kept, error);
        }
    }
    panic!("it is never full: {kept} rows");
}
