//! What breaks: connections, peers, bytes, time.

use crate::service::Service;
use crate::{Stage, call};
use futures::future::{join, select};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt};
use isx_iface::Login;
use isx_row::Code;
use isx_vat::limits::{CALL_WITHIN, GRACE, LOGIN_WITHIN, SILENCE_MAX, STALL_MAX, WATCH_EVERY};
use std::time::Duration;

#[test]
fn a_call_under_way_is_unknown_and_later_ones_disconnected() {
    let (service, seen) = Service::create();
    let mut stage = Stage::new(service);
    let (host, cut) = stage.host();
    let items = stage.run(host.stream(call("hang", b""))).unwrap();
    let cutting = async {
        while seen.begun() == 0 {
            futures::pending!();
        }
        cut.cut();
    };
    let (answer, ()) = {
        let calling = host.call(call("hang", b""));
        // The cutting side looks again whenever anything was polled.
        let cutting = futures::future::poll_fn({
            let mut cutting = Box::pin(cutting);
            move |cx| {
                cx.waker().wake_by_ref();
                cutting.poll_unpin(cx)
            }
        });
        stage.run(join(calling, cutting))
    };
    assert_eq!(answer.err().unwrap().code, Code::Unknown);
    assert_eq!(stage.run(host.call(call("echo", b""))).err().unwrap().code, Code::Disconnected);
    assert_eq!(stage.run(host.whois()).err().unwrap().code, Code::Disconnected);
    let batch = stage.run(host.batch(vec![call("echo", b""), call("echo", b"")]));
    assert!(batch.iter().all(|answer| answer.as_ref().is_err_and(|error| error.code == Code::Disconnected)));
    let ends: Vec<_> = stage.run(items.collect());
    assert!(ends.iter().all(|item| item.as_ref().is_err_and(|error| error.code == Code::Disconnected)), "{ends:?}");
    assert_eq!(ends.len(), 1, "the consumer is told");
    stage.settle();
    assert_eq!(seen.dropped(), 2, "the serving side dropped the call and the stream");
}

#[test]
fn a_withdrawn_call_is_dropped_at_the_other_side() {
    let (service, seen) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    {
        let calling = host.call(call("hang", b""));
        futures::pin_mut!(calling);
        let begun = futures::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if seen.begun() == 1 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        stage.run(select(calling, begun));
        assert_eq!(seen.dropped(), 0);
    }
    stage.settle();
    assert_eq!(seen.dropped(), 1);
}

#[test]
fn a_call_ends_at_its_deadline_whoever_is_at_fault() {
    for (within, waits) in [(Some(Duration::from_secs(2)), 2), (None, CALL_WITHIN.as_secs())] {
        let (service, seen) = Service::create();
        let mut stage = Stage::new(service);
        let (host, _cut) = stage.host();
        let mut hanging = call("hang", b"");
        hanging.delivery.within = within;
        let mut calling = host.call(hanging);
        assert!(stage.run(futures::future::poll_fn(|cx| std::task::Poll::Ready(calling.poll_unpin(cx)))).is_pending());
        // Second by second, so that signs of life come and go.
        for _ in 0..waits {
            stage.settle();
            stage.clock.0.advance(Duration::from_secs(1));
        }
        stage.settle();
        let answer = calling.now_or_never().expect("the deadline has passed");
        assert_eq!(answer.err().unwrap().text, "the time of the call is over", "the callee's word comes first");
        assert_eq!(seen.dropped(), 1);
    }
}

#[test]
fn a_silent_node_is_noticed() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    // Nobody reads or writes at the other end.
    let (ours, _theirs) = crate::pipe::pipe();
    let (login, connection) = isx_vat::connect(Box::new(ours), std::sync::Arc::new(stage.clock.clone()));
    stage.vats.drive(connection).unwrap();
    let login = isx_iface::LoginStub(login);
    let mut calling = login.login(None);
    assert!(stage.run(futures::future::poll_fn(|cx| std::task::Poll::Ready(calling.poll_unpin(cx)))).is_pending());
    for _ in 0..16 {
        stage.settle();
        stage.clock.0.advance(Duration::from_secs(1));
    }
    stage.settle();
    assert_eq!(calling.now_or_never().expect("noticed").err().unwrap().code, Code::Unknown);
    let _ = GRACE;
}

#[test]
fn a_silent_caller_is_let_go() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let pipe = stage.dial();
    let cut = pipe.cut();
    stage.settle();
    stage.clock.0.advance(LOGIN_WITHIN / 2);
    stage.settle();
    assert!(!cut.is_closed());
    stage.clock.0.advance(LOGIN_WITHIN / 2 + WATCH_EVERY);
    stage.settle();
    assert!(cut.is_closed(), "no login in time");

    // One that logged in and then falls silent: its vat is driven no more, its pipe stays.
    let (login, cut) = stage.connect();
    let host = stage.run(login.login(None)).unwrap();
    stage.settle();
    cut.hold();
    for _ in 0..(SILENCE_MAX + 2 * WATCH_EVERY).as_secs() {
        stage.clock.0.advance(Duration::from_secs(1));
        stage.settle();
    }
    assert!(cut.is_closed(), "no sign of life");
    drop(host);
}

#[test]
fn a_caller_that_takes_no_answers_is_read_no_further_and_let_go() {
    let (service, seen) = Service::create();
    let mut stage = Stage::new(service);
    let (host, cut) = stage.host();
    cut.hold_answers();
    let mut calls: Vec<_> = (0..64).map(|_| host.call(call("echo", &[0; 60_000]))).collect();
    stage.run(futures::future::poll_fn(|cx| {
        let _ = calls.iter_mut().map(|call| call.poll_unpin(cx).is_ready()).filter(|ready| *ready).count();
        std::task::Poll::Ready(())
    }));
    stage.settle();
    assert!(seen.begun() < 8, "{} calls begun though no answer was taken", seen.begun());
    for _ in 0..(STALL_MAX + 2 * WATCH_EVERY).as_secs() {
        stage.clock.0.advance(Duration::from_secs(1));
        stage.settle();
    }
    assert!(cut.is_closed());
}

/// Bytes, and whether the server may keep the connection until the login is due.
fn refuse(name: &str, bytes: &[u8]) {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let mut pipe = stage.dial();
    let cut = pipe.cut();
    stage.run(async {
        let _ = pipe.write_all(bytes).await;
    });
    stage.settle();
    for _ in 0..16 {
        stage.clock.0.advance(Duration::from_secs(1));
        stage.settle();
    }
    assert!(cut.is_closed(), "{name}: the connection goes on");
    let mut rest = Vec::new();
    let _ = stage.run(pipe.read_to_end(&mut rest));
    assert!(rest.len() < 4096, "{name}: {} bytes of answers", rest.len());
    assert!(stage.run(host.call(call("echo", b""))).is_ok(), "{name}: another connection suffered");
}

#[test]
fn junk_ends_its_connection_and_nothing_else() {
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    refuse("text", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    refuse("ones", &[0xff; 4096]);
    refuse("zeros", &[0; 4096]);
    refuse("a thousand segments", &words(&[(1000 << 32) | 1000]));
    refuse("a giant segment", &words(&[0xffff_ffff << 32]));
    refuse("half a message", &words(&[8 << 32, 0]));
    // A root struct whose pointer points at itself, at the end, and far away.
    refuse("itself", &words(&[2 << 32, 0x0001_0000_0000_0000, 0x0001_0000_ffff_fffc]));
    refuse("beyond", &words(&[2 << 32, 0x0001_0001_0000_0000, 0x7fff_ffff_0000_0001]));
    refuse("a far pointer nowhere", &words(&[2 << 32, 0x0000_0007_0000_0002, 0]));
}

#[test]
fn random_bytes_and_broken_real_messages_never_take_others_along() {
    // What a real client says first, as it crossed the pipe.
    let (ours, mut theirs) = crate::pipe::pipe();
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (login, connection) = isx_vat::connect(Box::new(ours), std::sync::Arc::new(stage.clock.clone()));
    stage.vats.drive(connection).unwrap();
    let login = isx_iface::LoginStub(login);
    let mut calling = login.login(None);
    stage.run(futures::future::poll_fn(|cx| std::task::Poll::Ready(calling.poll_unpin(cx).is_ready())));
    stage.settle();
    let mut real = vec![0; 4096];
    let length = stage.run(theirs.read(&mut real)).unwrap();
    real.truncate(length);

    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..400 {
        let mut bytes = real.clone();
        for _ in 0..=round % 7 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = (random >> 33) as usize % bytes.len();
            bytes[place] = (random >> 24) as u8;
        }
        let (service, _) = Service::create();
        let mut stage = Stage::new(service);
        let (host, _cut) = stage.host();
        let mut pipe = stage.dial();
        stage.run(async {
            let _ = pipe.write_all(&bytes).await;
        });
        stage.settle();
        assert!(stage.run(host.call(call("echo", b""))).is_ok(), "round {round}: {bytes:?}");
    }
}
