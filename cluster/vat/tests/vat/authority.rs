//! Rules and revocation, over the wire and without one.

use crate::service::Service;
use crate::{CALLER, Stage, call};
use futures::StreamExt;
use futures::executor::block_on;
use isx_port::PeerId;
use isx_row::Code;
use isx_vat::authority::{Authority, Rule, Rules};
use std::sync::Arc;

fn only(methods: &[&str]) -> Rules {
    let rule = |method: &&str| Rule::Method { interface: "test.Service".into(), method: (*method).into() };
    Rules::Only(methods.iter().map(rule).collect())
}

#[test]
fn a_method_outside_the_rules_looks_missing() {
    let (service, seen) = Service::create();
    let mut stage = Stage::with_rules(service, only(&["child", "echo"]));
    let (host, _cut) = stage.host();
    let denied = stage.run(host.call(call("hang", b""))).err().unwrap();
    let missing = stage.run(host.call(call("missing", b""))).err().unwrap();
    assert_eq!(denied, missing);
    let answers = stage.run(host.batch(vec![call("own", b""), call("echo", b"yes"), call("fail", b"")]));
    assert_eq!(answers[0].as_ref().err().unwrap(), &missing);
    assert_eq!(answers[1].as_ref().unwrap().payload, b"yes");
    assert_eq!(answers[2].as_ref().err().unwrap(), &missing);
    let Err(denied) = stage.run(host.stream(call("count", &[1]))) else { panic!("a stream outside the rules") };
    assert_eq!(denied, missing);
    assert_eq!(seen.begun(), 1, "what is denied does not reach the object");
}

#[test]
fn what_is_returned_is_under_the_same_rules() {
    let (service, seen) = Service::create();
    let mut stage = Stage::with_rules(service, only(&["child"]));
    let (host, _cut) = stage.host();
    let far = host.first(call("child", b"")).first(call("child", b""));
    assert_eq!(stage.run(far.call(call("echo", b""))).err().unwrap().code, Code::NotFound);
    assert!(stage.run(far.call(call("child", b""))).is_ok());
    assert_eq!(seen.begun(), 3);
}

#[test]
fn after_a_revocation_no_call_starts_and_no_item_comes() {
    let (service, seen) = Service::create();
    let mut stage = Stage::new(service);
    let (host, _cut) = stage.host();
    let child = stage.run(host.call(call("child", b""))).unwrap().objects.remove(0);
    let mut items = stage.run(host.stream(call("count", &[250]))).unwrap();
    stage.run(items.next()).unwrap().unwrap();
    let begun = seen.begun();

    stage.authority.revoke(PeerId([1; 32]));
    assert!(stage.run(child.call(call("echo", b""))).is_ok(), "another peer's revocation");

    stage.authority.revoke(CALLER);
    for object in [&host, &child] {
        assert_eq!(stage.run(object.call(call("echo", b""))).err().unwrap().code, Code::Gone);
        assert_eq!(stage.run(object.whois()).err().unwrap().code, Code::Gone);
        assert!(stage.run(object.stream(call("count", &[1]))).is_err_and(|error| error.code == Code::Gone));
    }
    assert_eq!(seen.begun(), begun + 1);
    let rest: Vec<_> = stage.run(items.collect());
    assert_eq!(rest.last().unwrap().as_ref().unwrap_err().code, Code::Gone);
    assert!(rest.len() < 200, "{} items were on their way", rest.len());

    let (again, _cut) = stage.host();
    assert!(stage.run(again.call(call("echo", b""))).is_ok(), "a new login is the gate's to judge");
}

#[test]
fn the_table_serves_local_holders_alike() {
    let (service, _) = Service::create();
    let table = Authority::default().table(CALLER);
    let held = table.hand_out(service, &Arc::new(only(&["child"])));
    assert_eq!(block_on(held.call(call("echo", b""))).err().unwrap().code, Code::NotFound);
    let child = block_on(held.call(call("child", b""))).unwrap().objects.remove(0);
    assert_eq!(block_on(child.call(call("echo", b""))).err().unwrap().code, Code::NotFound);
    table.revoke();
    assert_eq!(block_on(child.call(call("child", b""))).err().unwrap().code, Code::Gone);
}
