//! Views: rows for who asks, and what they depend on.

use crate::mount::{Mount, call};
use isx_row::typed::{decode_answer, encode_arguments};
use isx_row::{Code, Principal, Revision, Time};
use isx_store::{Executed, Executor, Invocation, Reads};
use probe::notes::{Note, Shown};

const PEOPLE: [Principal; 3] = [Principal([1; 32]), Principal([2; 32]), Principal([3; 32])];
const ROOMS: u32 = 3;
const STEPS: u64 = 1500;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A view, as somebody follows it.
struct Followed {
    view: &'static str,
    arguments: Vec<u8>,
    who: Principal,
    answer: Vec<u8>,
    reads: Reads,
}

fn ask(mount: &Mount, view: &str, arguments: &[u8], who: Principal) -> (Vec<u8>, Reads) {
    let call = Invocation { caller: who, ..call(view, arguments) };
    let Executed { outcome, reads, .. } = mount.exec.query(&mount.code, &mount.root, (Revision(1), Time(0)), &call);
    (outcome.unwrap(), reads)
}

impl Followed {
    fn new(mount: &Mount, view: &'static str, arguments: Vec<u8>, who: Principal) -> Self {
        let (answer, reads) = ask(mount, view, &arguments, who);
        Self { view, arguments, who, answer, reads }
    }
}

#[test]
fn what_no_change_touches_is_read_the_same() {
    let mut mount = Mount::new();
    let mut numbers = Numbers(7);
    let mut followed: Vec<Followed> = Vec::new();
    for who in PEOPLE {
        followed.push(Followed::new(&mount, "mine", encode_arguments(&()).unwrap(), who));
        for room in 0..ROOMS {
            followed.push(Followed::new(&mount, "hanging", encode_arguments(&(room,)).unwrap(), who));
        }
    }
    let (mut spared, mut told) = (0, 0);
    for step in 0..STEPS {
        let (id, room) = (numbers.below(12), numbers.below(ROOMS.into()) as u32);
        let mut person = || PEOPLE[numbers.below(3) as usize];
        let (caller, to) = (person(), person());
        let (name, arguments) = match numbers.below(10) {
            0..5 => ("hang", encode_arguments(&(id, to, room, "x".repeat(numbers.below(9) as usize)))),
            5..7 => ("tear", encode_arguments(&(id,))),
            7..9 => ("enter", encode_arguments(&(room,))),
            _ => ("leave", encode_arguments(&(room,))),
        };
        let arguments = arguments.unwrap();
        let Executed { changes, .. } = mount.run(&Invocation { caller, ..call(name, &arguments) });
        for one in &mut followed {
            let touched = changes.iter().any(|change| one.reads.is_touched(&mount.root, change));
            let (answer, reads) = ask(&mount, one.view, &one.arguments, one.who);
            if !touched {
                assert_eq!(answer, one.answer, "step {step}: {name} changed {} unnoticed", one.view);
                assert_eq!(reads, one.reads, "step {step}");
                spared += 1;
            }
            told += u64::from(answer != one.answer);
            (one.answer, one.reads) = (answer, reads);
            if one.view == "mine" {
                let mine: Vec<Note> = decode_answer(&one.answer).unwrap();
                assert!(mine.iter().all(|note| note.to == one.who), "step {step}: a note for another");
            }
        }
    }
    // The followed are twelve: most changes are nothing to most of them, and some are something.
    assert!(spared > STEPS * 12 / 2 && told > STEPS / 4, "{spared} spared, {told} told");
}

#[test]
fn a_view_is_asked_as_a_query_is() {
    let mut mount = Mount::new();
    mount.execute("hang", &(1_u64, PEOPLE[0], 2_u32, "four".to_string())).outcome.unwrap();
    let arguments = encode_arguments(&(2_u32,)).unwrap();
    let hanging =
        |mount: &Mount| -> Vec<Shown> { decode_answer(&ask(mount, "hanging", &arguments, PEOPLE[0]).0).unwrap() };
    assert_eq!(hanging(&mount), []);
    mount.run(&Invocation { caller: PEOPLE[0], ..call("enter", &arguments) }).outcome.unwrap();
    assert_eq!(hanging(&mount), [Shown { id: 1, length: 4 }]);

    let every = mount.query_within::<_, Vec<Note>>(u64::MAX, "every", ());
    assert_eq!(every.unwrap_err().code, Code::NotFound, "it is not public");
}
