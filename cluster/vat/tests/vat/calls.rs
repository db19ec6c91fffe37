//! Calls, batches, references and errors over the wire.

use crate::service::Service;
use crate::{Stage, call};
use expect_test::{Expect, expect};
use futures::future::join_all;
use isx_iface::{Answer, Login, SessionCall};
use isx_row::{Bytes, Code, Error, Incarnation, Revision, Sequence, SessionId};
use isx_vat::limits::{BATCH_CALLS_MAX, CALLS_IN_FLIGHT_MAX};

fn told(answer: &Result<Answer, Error>) -> String {
    match answer {
        Ok(answer) => format!(
            "{:?} objects {} revision {:?} own {:?}",
            String::from_utf8_lossy(&answer.payload),
            answer.objects.len(),
            answer.revision,
            answer.application_error
        ),
        Err(error) => format!("{error}, retry {:?}", error.retry_after_ms),
    }
}

fn check(method: &str, payload: &[u8], expected: Expect) {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let answer = stage.run(host.call(call(method, payload)));
    expected.assert_eq(&told(&answer));
    let answers = stage.run(host.batch(vec![call(method, payload)]));
    expected.assert_eq(&told(&answers[0]));
}

#[test]
fn an_answer_crosses_whole() {
    check("echo", b"hi", expect![[r#""hi" objects 0 revision Some(Revision(3)) own None"#]]);
    check("echo", b"", expect![[r#""" objects 0 revision Some(Revision(3)) own None"#]]);
    check("own", b"", expect![[r#""" objects 0 revision None own Some([1, 2])"#]]);
    check("child", b"", expect![[r#""" objects 1 revision None own None"#]]);
}

#[test]
fn calls_that_are_made_together_leave_together_and_so_do_their_answers() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (host, pipe) = stage.host();
    stage.settle();
    let (to, by) = pipe.writes();
    let answers = stage.run(join_all((0..64).map(|_| host.call(call("echo", b"hi")))));
    assert!(answers.iter().all(Result::is_ok));
    stage.settle();
    let (answered, asked) = (pipe.writes().0 - to, pipe.writes().1 - by);
    assert_eq!((asked, answered), (1, 1));
}

#[test]
fn an_error_crosses_with_code_text_and_time() {
    check("fail", b"", expect!["conflict: as you wished, retry Some(0)"]);
    check("missing", b"", expect!["not_found: test.Service has no such method, retry None"]);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    check("echo", &vec![0; 256 * 1024 + 1], expect!["limit: VALUE_BYTES_MAX: the payload is too large, retry None"]);
    let method = "m".repeat(1000);
    check(&method, b"", expect!["limit: METHOD_BYTES_MAX: the method's name is too large, retry None"]);
}

#[test]
fn delivery_crosses_whole() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let mut asked = call("delivery", b"");
    asked.delivery.session =
        Some(SessionCall { session: SessionId([9; 16]), sequence: Sequence(2), done_below: Sequence(1) });
    asked.delivery.revision_min = Some(Revision(0));
    asked.delivery.after = Some((Incarnation(4), Revision(5)));
    let expected = format!("{:?} {:?} {:?}", asked.delivery.session, asked.delivery.revision_min, asked.delivery.after);
    let answer = stage.run(host.call(asked)).unwrap();
    assert_eq!(String::from_utf8(answer.payload).unwrap(), expected);
}

#[test]
fn a_batch_is_answered_call_by_call_in_order() {
    let (service, seen) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let count = 2 * BATCH_CALLS_MAX + 7;
    let calls = (0..count).map(|number| match number % 3 {
        0 => call("fail", b""),
        1 => call("echo", &vec![0; 256 * 1024 + 1]),
        _ => call("echo", number.to_string().as_bytes()),
    });
    let answers = stage.run(host.batch(calls.collect()));
    assert_eq!(answers.len(), count);
    for (number, answer) in answers.into_iter().enumerate() {
        match number % 3 {
            0 => assert_eq!(answer.err().unwrap().code, Code::Conflict),
            1 => assert_eq!(answer.err().unwrap().code, Code::Limit),
            _ => assert_eq!(answer.unwrap().payload, number.to_string().as_bytes()),
        }
    }
    assert_eq!(seen.begun(), count - count / 3, "what was refused here did not travel");
}

#[test]
fn more_calls_than_fit_in_flight_wait_for_their_turn() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let calls = (0..2 * CALLS_IN_FLIGHT_MAX).map(|_| host.call(call("echo", &[1; 5000])));
    let answers = stage.run(join_all(calls));
    assert!(answers.iter().all(Result::is_ok));
}

#[test]
fn the_first_object_of_an_answer_can_be_called_before_it_is_here() {
    let (service, seen) = Service::create();
    let mut stage = Stage::new(service);
    let (login, _cut) = stage.connect();
    // Login, two steps of a walk and a call leave in one go.
    let host = login.0.clone().first(isx_iface::LoginStub::interface().call("login", &(None::<Bytes>,)).unwrap());
    let far = host.clone().first(call("child", b"")).first(call("child", b""));
    let answer = stage.run(far.call(call("echo", b"far"))).unwrap();
    assert_eq!(answer.payload, b"far");
    assert_eq!(seen.begun(), 3);
}

#[test]
fn a_call_on_what_was_not_obtained_fails_as_that_did() {
    let (service, seen) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let missing = host.clone().first(call("fail", b""));
    let error = stage.run(missing.call(call("echo", b""))).err().unwrap();
    assert_eq!((error.code, error.text.as_str()), (Code::Conflict, "as you wished"));
    let error = stage.run(missing.clone().first(call("child", b"")).whois()).err().unwrap();
    assert_eq!(error.code, Code::Conflict);
    let nothing = host.first(call("echo", b""));
    assert_eq!(stage.run(nothing.call(call("echo", b""))).err().unwrap().code, Code::Malformed);
    assert_eq!(seen.begun(), 2, "nothing was called on what is not there");
}

#[test]
fn an_object_passed_along_is_called_back() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let (mine, seen) = Service::create();
    let mut asking = call("ask", b"back");
    asking.objects.push(mine);
    assert_eq!(stage.run(host.call(asking)).unwrap().payload, b"back");
    assert_eq!(seen.begun(), 1);
}

#[test]
fn a_dropped_reference_is_released() {
    let (service, seen) = Service::create();
    let weak = std::sync::Arc::downgrade(&service);
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    // More than may be alive at once, were they not released.
    for _ in 0..11 {
        let answers = stage.run(host.batch((0..1000).map(|_| call("child", b"")).collect()));
        assert!(answers.iter().all(Result::is_ok));
    }
    assert_eq!(seen.begun(), 11_000);
    assert_eq!(weak.strong_count(), 2, "the gate's and the table's");
}

#[test]
fn logins_are_bounded_and_judged_by_the_gate() {
    let (service, _) = Service::create();
    let mut stage = Stage::new(service);
    let (login, _cut) = stage.connect();
    let wrong = || login.login(Some(Bytes(b"guess".to_vec())));
    assert_eq!(stage.run(wrong()).err().unwrap().code, Code::NotFound);
    assert!(stage.run(login.login(Some(Bytes(b"open sesame".to_vec())))).is_ok());
    for _ in 2..isx_vat::limits::LOGINS_MAX {
        assert_eq!(stage.run(wrong()).err().unwrap().code, Code::NotFound);
    }
    assert_eq!(stage.run(login.login(None)).err().unwrap().code, Code::Busy);
}
