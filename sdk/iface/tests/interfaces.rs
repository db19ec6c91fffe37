//! The interfaces of the system as they are: a change here changes what callers are typed against.

use expect_test::expect;
use isx_iface::{AnchorStub, HostStub, Interface, LoginStub, MethodKind, ModuleStub};
use std::fmt::Write;

fn told(interface: &Interface) -> String {
    let mut text = format!("{}\n", interface.name);
    for method in &interface.methods {
        let arguments: Vec<_> = method.arguments.iter().map(|argument| argument.name.as_str()).collect();
        let kind = match method.kind {
            MethodKind::Call => "call",
            MethodKind::Object => "object",
            MethodKind::Stream => "stream",
        };
        writeln!(text, "  {kind} {}({}) {}", method.name, arguments.join(", "), method.signature)
            .expect("a string grows");
    }
    text
}

#[test]
fn the_interfaces_change_only_on_purpose() {
    let interfaces = [LoginStub::interface(), HostStub::interface(), AnchorStub::interface(), ModuleStub::interface()];
    expect![[r#"
        isx.Login
          object login(secret) b76d722e84437d1c89a901169e8ac0d3
        isx.Host
          call whoami() 435db00cd83a792f626975c118c8ebf9
          object root() da3eaa089a47bcf6e99215f19482ff0b
          object walk(path) d0fdd3c41e5824f4c05c9c06433743c7
          call status() 9a4187ce0dd72bbc5062125a075eeade
          call usage(after) 57df6274ab7fe1617049e1774cd66e69
          call blob_begin(hash, size_bytes) 633b1591e2cdb2884bf88622efc211dd
          call blob_put(hash, offset, bytes) 5186594e28d2d236795bda591d05cc47
          call blob_done(hash) 8b96b18ce54dfe63312a00dac1993b03
          call blob_get(hash, offset) 692e959ba3574e58299a53ae6f4365ad
          call skip(group) 38f6fcd9b0f6f55134dd38da8164b502
          call stop() 04e1e5a2229693ec72f0f70df2fca136
        isx.Anchor
          call path() d6a9aaefb43d4f3dd778bf8a940ee63e
          call ls(after) 386ff2190981f387507711e852d3e2ed
          object walk(path) d0fdd3c41e5824f4c05c9c06433743c7
          object make(name) 2e1f483b097ac57f08a64e5644ea9703
          call get() 7fd5df7b41282b9c0f032dc9511b594e
          call set(value) c1570ae308a9ce022f2635f5934fa0f5
          call swap(expected, value) 38fbeaa9134ea096336a56b77b973279
          stream watch() 83c495aecdc97968ae4c717bf1663318
          object mount(name, code, limits, session) 68b9334c638b1b243c21ecc8a1a22843
          call unmount(name) f4806922c16555d4f8b19f8cd91ff3b7
          call remove(name) dd7b8cabcb8bd83a45aeafe0e173efc6
          object object() b916029218de68c45d13d25603fe1390
          object module() 1c3465f339415c96dd84fe20400b49ea
        isx.Module
          call describe(schema_offset) 679dc1547e96bd559610b4c96f032525
          call rows(table, after, limit) e14be0c7377593c47f285e1029830bcf
          stream log(after) 36ed69b53258910944caa5b939a6b209
          call dry_run(reducer, arguments, conditions) 004c46a6e6ccb8a11eec5d909dc0478f
          call usage() 1418ef07e7f6fd16ac69bdd0b7774dc0
          call upgrade(code, back) 0c7fec84eb23e97c08c2410d98e2ce2e
          stream migration(code) 9a2633d009deb93136c8ee66aef0ab9e
          call try_upgrade(code, back) 7b72446d84bdcaa87c7b9427cdcfe797
          call schema_of(code, offset) 437d55e993dedd0f839b5725ae754fe1
          call ask(name, arguments) 2984028b5a38d6e4616d7ef75e30a898
          object at(at) 35e03ed9a6295d2ac981c8f6b5853043
          call history(before, limit) d95012cedfe2a3a7bb7529c8118d4095
          call blame(table, key) 027f4c89a2fe43e3b5e2ea5127839883
          call replay(to) 67d0f4d4a5739359fb0f7f0d52d1d282
    "#]]
    .assert_eq(&interfaces.map(told).concat());
}
