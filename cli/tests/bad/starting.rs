//! Starts that can not succeed: what is taken, what can not be written, what nobody listens to.

use crate::refused::{START, is_refusal, refused, refuses, sound, well};
use crate::support::{Stage, said};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The command without the right of the superuser to write where nobody may; others do not have it.
#[expect(unsafe_code, reason = "what a child does before it becomes another program has no safe form")]
fn without_override(mut command: Command) -> Command {
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    // SAFETY: one system call, which touches no memory of the process. Whoever may not make it lacks the right anyway.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0);
            Ok(())
        });
    }
    command
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_starts_nothing() {
    let stage = Stage::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let listen = address.to_string();
    let port = address.port().to_string();
    refused(&stage, &["start", "--listen", &listen], 125, "taken", &["can not listen", &port]);
    refused(&stage, &["start", "--listen", "127.0.0.1:0", "--http", &listen], 125, "taken", &[&listen, "HTTP"]);
    // An address of nobody here.
    refused(&stage, &["start", "--listen", "192.0.2.1:0"], 125, "taken", &["can not listen", "192.0.2.1"]);
    refused(&stage, &["start", "--listen", "127.0.0.1:0", "--alias", "a/b"], 125, "malformed", &["a name contains /"]);
    refused(&stage, &["status"], 127, "not_found", &["isx start"]);
    assert!(!stage.folder.path().join("runtime/isx").read_dir().is_ok_and(|mut files| files.next().is_some()));
}

#[test]
fn a_folder_has_one_node_and_it_is_not_disturbed() {
    let mut stage = Stage::new();
    stage.start(&START);
    well(&stage, &["set", "/self/motd", "here"]);
    let state = stage.folder.path().join("state").to_string_lossy().into_owned();
    refused(&stage, &START, 125, "taken", &["alpha", "runs already", "--new"]);
    let second = ["start", "--new", "--alias", "beta", "--listen", "127.0.0.1:0"];
    refused(&stage, &second, 125, "taken", &[&state, "in use by another node", "--state-dir"]);
    assert_eq!(well(&stage, &["get", "/self/motd"]), "here");
    sound(stage);
}

#[test]
fn folders_that_can_not_be_written_are_named() {
    let stage = Stage::new();
    let here = stage.folder.path();
    fs::write(here.join("file"), "").expect("a file");
    let below_file = here.join("file/state").to_string_lossy().into_owned();
    refused(&stage, &[&START[..], &["--state-dir", &below_file]].concat(), 125, "usage", &[&below_file]);
    for (name, mode) in [("sealed", 0o500), ("blind", 0o000)] {
        let sealed = here.join(name);
        fs::create_dir(&sealed).expect("a folder");
        fs::set_permissions(&sealed, fs::Permissions::from_mode(mode)).expect("a folder");
        for state in [sealed.clone(), sealed.join("state")] {
            let state = state.to_string_lossy().into_owned();
            let command = stage.isx(&[&START[..], &["--json", "--state-dir", &state]].concat());
            let command = without_override(command);
            refuses(command, 125, "usage", &[&state, "Permission denied"]);
        }
        fs::set_permissions(&sealed, fs::Permissions::from_mode(0o700)).expect("a folder");
    }
    assert_eq!(fs::read_dir(here.join("sealed")).expect("a folder").count(), 0, "nothing was begun");
}

#[test]
fn a_folder_of_another_version_is_left_as_it_is() {
    let mut stage = Stage::new();
    stage.start(&START);
    well(&stage, &["set", "/self/motd", "here"]);
    well(&stage, &["stop"]);
    assert_eq!(stage.ended(), 0);
    let version = stage.folder.path().join("state/version");
    let ours = fs::read(&version).expect("the version");
    fs::write(&version, "isx state 2\n").expect("a file");
    refused(&stage, &START, 125, "unsupported", &["isx state 2", "start it with the isx that made it"]);
    refused(&stage, &["status"], 127, "not_found", &["isx start"]);
    fs::write(&version, ours).expect("a file");
    stage.start(&START);
    assert_eq!(well(&stage, &["get", "/self/motd"]), "here");
    sound(stage);
}

#[test]
fn an_address_where_nobody_answers_is_no_reason_to_bring_a_node() {
    let stage = Stage::new();
    // Somebody listens who is no node, and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = mute.local_addr().expect("an address").port();
    let peer = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    let dead = format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}");
    let silent = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}");
    for verb in [&["ls"][..], &["call", "/self/a", "b"], &["publish", "Cargo.toml"], &["run", "x.wasm"], &["stop"]] {
        let command = stage.isx(&[&["--json", "--dial", &dead, "--within", "2s"], verb].concat()).output();
        let said = said(command.expect("the binary runs"));
        assert_ne!(said.code, 0, "{verb:?}");
        assert!(!stage.folder.path().join("state").exists(), "{verb:?} began a node");
        if verb == ["ls"] {
            is_refusal(&said, "ls", 125, "disconnected", &[&dead, "no node answers"]);
        }
    }
    refused(&stage, &["ls", "--dial", &silent, "--within", "2s"], 125, "disconnected", &[&silent, "no node answers"]);
}
