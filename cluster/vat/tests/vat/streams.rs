//! Streams: order, end, back-pressure, withdrawal.

use crate::service::Service;
use crate::{Stage, call};
use futures::StreamExt;
use isx_row::{Code, Incarnation, Revision};
use isx_vat::limits::{STREAM_CREDIT_MAX, STREAMS_MAX};

#[test]
fn items_come_in_order_with_their_cursors_and_the_end_with_its_reason() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let items = stage.run(host.stream(call("count", &[3]))).unwrap();
    let items: Vec<_> = stage.run(items.collect());
    assert_eq!(items.len(), 301);
    for (number, item) in items[..300].iter().enumerate() {
        let item = item.as_ref().unwrap();
        assert_eq!(item.cursor, (Incarnation(1), Revision(number as u64)));
        assert_eq!(item.payload, number.to_le_bytes());
    }
    assert_eq!(items[300].as_ref().unwrap_err().code, Code::Held);
}

#[test]
fn a_producer_runs_a_bounded_number_of_items_ahead() {
    let (service, seen) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let mut items = stage.run(host.stream(call("count", &[250]))).unwrap();
    stage.settle();
    let ahead = 2 * STREAM_CREDIT_MAX as usize;
    assert!(seen.items() <= ahead, "{} items while nobody takes one", seen.items());
    for taken in 1..500 {
        stage.run(items.next()).unwrap().unwrap();
        stage.settle();
        assert!(seen.items() <= taken + ahead, "{} items after {taken}", seen.items());
    }
}

#[test]
fn dropping_the_items_ends_the_producer() {
    let (service, seen) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    for method in ["hang", "count"] {
        let before = seen.dropped();
        let items = stage.run(host.stream(call(method, &[9]))).unwrap();
        stage.settle();
        assert_eq!(seen.dropped(), before);
        drop(items);
        stage.settle();
        assert_eq!(seen.dropped(), before + 1, "{method}");
    }
}

#[test]
fn streams_are_bounded_and_a_missing_one_is_refused() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let code = |result: Result<_, isx_row::Error>| result.map(drop).err().map(|error| error.code);
    let missing = stage.run(host.stream(call("missing", b"")));
    assert_eq!(code(missing.map(drop)), Some(Code::NotFound));
    let mut open: Vec<_> = (0..STREAMS_MAX).map(|_| stage.run(host.stream(call("hang", b""))).unwrap()).collect();
    let refused = stage.run(host.stream(call("hang", b"")));
    assert_eq!(code(refused.map(drop)), Some(Code::Busy));
    open.pop();
    stage.settle();
    assert!(stage.run(host.stream(call("hang", b""))).is_ok());
}

#[test]
fn a_stream_outlives_the_reference_it_came_from() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let items = stage.run(host.stream(call("count", &[5]))).unwrap();
    drop(host);
    stage.settle();
    assert_eq!(stage.run(items.count()), 501);
}
