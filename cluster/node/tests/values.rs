//! Last values over the network: in no log, and no more of them than a node keeps.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

#[path = "../../../host/exec/tests/modules/mod.rs"]
mod modules;

use futures::StreamExt;
use isx_client::{Target, dial};
use isx_iface::anchor::MountLimits;
use isx_iface::publish::upload;
use isx_iface::table::{Doing, RowChange, change, follow};
use isx_iface::{Anchor, Host, HostStub, Module, ObjectRef};
use isx_node::limits::MEMORY_BYTES_LEAST;
use isx_node::{Budgets, Config, Node};
use isx_row::schema::{Column, Fill, Schema, Table, TableKind};
use isx_row::typed::{decode_record, encode_arguments};
use isx_row::{Bytes, Code, Error, Principal, SessionId, Signature, Time, Type};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Longer than anything here takes.
const WITHIN: Duration = Duration::from_secs(60);

/// A module without schedules, in whose log nothing happens by itself, with a table of last values.
fn module() -> Vec<u8> {
    let column = |name: &str, ty: Type, default| Column { name: name.into(), ty, default, since: 1 };
    let mouse = Table {
        name: "mouse".into(),
        kind: TableKind::Volatile,
        public: true,
        version: 1,
        columns: vec![
            column("who", Type::Principal, Some(Fill::Caller)),
            column("hand", Type::U16, None),
            column("x", Type::F32, None),
            column("label", Type::String, None),
        ],
        primary_key: vec![0, 1],
        auto_inc: None,
        indexes: vec![],
    };
    let Schema { mut tables, .. } = modules::kv_schema();
    tables.push(mouse);
    modules::component(modules::KV, &Schema { tables, ..modules::kv_schema() })
}

fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(body);
}

async fn start(folder: &Path, budgets: Budgets) -> Node {
    Node::start(Config { budgets, ..Config::dev(folder) }).await.unwrap()
}

async fn mount(host: &HostStub) {
    let code = upload(host, &module(), |_| ()).await.unwrap();
    let limits = MountLimits { fuel_max: None, table_bytes_max: None };
    let home = host.walk("/self".into()).await.unwrap();
    home.mount("kv".into(), code, limits, SessionId::new(Time(1), 1)).await.unwrap();
}

async fn object(host: &HostStub) -> ObjectRef {
    host.walk("/self/kv".into()).await.unwrap().object().await.unwrap()
}

async fn put(object: &ObjectRef, hand: u16, x: f32, label: &str) -> Result<(), Error> {
    let columns = encode_arguments(&(hand, x, label.to_string())).unwrap();
    change(object, ("mouse", Doing::Put), Signature::ANY, columns).await
}

/// The bytes of the log, file by file.
fn log(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder.join("wal")).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

#[test]
fn a_thousand_updates_a_second_add_no_byte_to_the_log() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let node = start(folder.path(), Budgets::default()).await;
        mount(&node.host()).await;
        let target = || Target { addresses: node.addresses().to_vec(), secret: Some(node.secret().to_vec()) };
        let one = dial(target(), [1; 32]).await.unwrap();
        let (host, other) = (HostStub(one.host()), dial(target(), [2; 32]).await.unwrap());
        let (putting, following) = (object(&host).await, object(&HostStub(other.host())).await);
        let who = host.whoami().await.unwrap().principal;
        let mut steps = follow(&following, "mouse", None).await.unwrap();
        assert!(steps.next().await.unwrap().unwrap().reset);
        put(&putting, 1, 0.0, "first").await.unwrap();

        let before = log(folder.path());
        assert!(!before.is_empty());
        let begun = tokio::time::Instant::now();
        let (hand, count) = (1_u16, 1000_u16);
        let telling = async {
            for number in 1..=count {
                put(&putting, hand, f32::from(number), "moving").await.unwrap();
                tokio::time::sleep_until(begun + Duration::from_millis(number.into())).await;
            }
        };
        let hearing = async {
            let mut told = 0;
            while let Some(step) = steps.next().await {
                for change in step.unwrap().changes {
                    told += 1;
                    let Bytes(row) = change.new.unwrap();
                    let (_, row): (_, (Principal, u16, f32, String)) = decode_record(&row).unwrap();
                    assert_eq!((row.0, row.1), (who, hand));
                    if row.2 == f32::from(count) {
                        return told;
                    }
                }
            }
            panic!("it ended")
        };
        let (_, told) = tokio::time::timeout(WITHIN, futures::future::join(telling, hearing)).await.unwrap();
        assert!(told < usize::from(count), "it was told each of them");
        assert!(log(folder.path()) == before, "the log has other bytes");
        // What is in the log changes it, so that the comparison is one.
        host.walk("/self".into()).await.unwrap().make("cell".into()).await.unwrap();
        assert!(log(folder.path()) != before);
        drop((putting, following, steps));
        node.stop().await.unwrap();
    });
}

#[test]
fn a_node_keeps_no_more_than_it_may_and_forgets_them_with_the_mount() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let budgets = Budgets { memory_bytes: Some(MEMORY_BYTES_LEAST), ..Budgets::default() };
        let node = start(folder.path(), budgets).await;
        let host = node.host();
        mount(&host).await;
        let module = host.walk("/self/kv".into()).await.unwrap().module().await.unwrap();
        let used = async || {
            let budgets = host.status().await.unwrap().budgets;
            budgets.into_iter().find(|budget| budget.resource == "memory").unwrap().used.unwrap()
        };
        let empty = used().await;
        // Without a session values are of the object over which they were put.
        let object = object(&host).await;
        for hand in 0..64 {
            put(&object, hand, 0.0, &"x".repeat(16_000)).await.unwrap();
        }
        assert_eq!(put(&object, 64, 0.0, "").await.unwrap_err().code, Code::Limit);
        assert!(used().await > empty + 64 * 16_000, "they count as memory");
        let rows = module.rows("mouse".into(), None, 1000).await.unwrap();
        let next = module.rows("mouse".into(), rows.next.clone(), 1000).await.unwrap();
        assert!(rows.next.is_some() && rows.rows.len() < 64, "a page has bounds");
        assert!(next.rows.first() != rows.rows.first() && !next.rows.is_empty());

        let mut steps = follow(&object, "mouse", None).await.unwrap();
        let first = steps.next().await.unwrap().unwrap();
        assert!(first.reset && first.changes.len() == 64, "in parts");
        assert!(first.changes.iter().all(|change| change.what == RowChange::Present));
        host.walk("/self".into()).await.unwrap().remove("kv".into()).await.unwrap();
        let ended = tokio::time::timeout(WITHIN, steps.next()).await.unwrap().unwrap();
        assert_eq!(ended.unwrap_err().code, Code::Gone);
        assert_eq!(put(&object, 1, 0.0, "").await.unwrap_err().code, Code::Gone);
        let until = tokio::time::Instant::now() + WITHIN;
        while used().await > empty + 64 * 16_000 {
            assert!(tokio::time::Instant::now() < until, "they are kept");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        drop((object, steps, module));
        node.stop().await.unwrap();
    });
}
