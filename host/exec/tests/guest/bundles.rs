//! Calls into another mount within a transaction: `caller` and `hello`.

use crate::mount::{call, guest};
use isx_exec::{Exec, Ports};
use isx_row::typed::{decode_answer, encode_arguments};
use isx_row::{Code, ContentHash, Error, MountId, Time};
use isx_store::{Database, EntryContext, Executed, Executor, Invocation, Joined, Linked};

const HELLO: MountId = MountId([1; 16]);
const CALLER: MountId = MountId([2; 16]);

/// A mount of `caller` that is linked to one of `hello`.
struct Pair {
    exec: Exec,
    code: ContentHash,
    root: Database,
    joined: Vec<Joined>,
}

impl Pair {
    fn new() -> Self {
        Self::linked(HELLO)
    }

    /// The same, linked to this mount in the place of that of `hello`.
    fn linked(to: MountId) -> Self {
        let exec = Exec::new(Ports::here()).unwrap();
        let (hello, schema) = exec.add(&guest("hello")).unwrap();
        let joined = vec![Joined { mount: HELLO, code: hello, root: Database::new(schema).unwrap() }];
        let (code, schema) = exec.add(&guest("caller")).unwrap();
        let mut root = Database::new(schema).unwrap().with_post().unwrap();
        let mut transaction = root.begin();
        transaction.set_links(&[Linked { path: "/self/hello".into(), mount: to, trusted: false }]).unwrap();
        transaction.commit();
        Self { exec, code, root, joined }
    }

    fn run(&mut self, calls: &[Invocation<'_>]) -> Vec<Executed> {
        let entry = EntryContext { time: Time(1_000_000), seed: [9; 32] };
        self.exec.execute_joined(&self.code, &mut self.root, &entry, calls, &mut self.joined).unwrap()
    }

    fn one(&mut self, name: &str, names: &[&str]) -> Executed {
        self.run(&[of(name, &arguments(names))]).remove(0)
    }

    fn refused(&mut self, name: &str, names: &[&str]) -> Error {
        let before = self.hashes();
        let done = self.one(name, names);
        assert!(done.changes.is_empty() && done.joined.iter().all(|one| one.changes.is_empty()), "{done:?}");
        assert_eq!(self.hashes(), before);
        done.outcome.unwrap_err()
    }

    fn hashes(&self) -> [[u8; 32]; 2] {
        [self.root.state_hash(), self.joined[0].root.state_hash()]
    }

    fn greetings(&self) -> u64 {
        let root = &self.joined[0].root;
        root.row_count(root.table("greeting").unwrap()).unwrap()
    }
}

fn arguments(names: &[&str]) -> Vec<u8> {
    let name = |at: usize| names[at].to_string();
    let encoded = match names.len() {
        1 => encode_arguments(&(name(0),)),
        _ => encode_arguments(&(name(0), name(1))),
    };
    encoded.unwrap()
}

fn of<'a>(name: &'a str, arguments: &'a [u8]) -> Invocation<'a> {
    Invocation { mount: CALLER, ..call(name, arguments) }
}

fn number(done: &Executed) -> u64 {
    decode_answer(done.outcome.as_ref().unwrap()).unwrap()
}

#[test]
fn what_is_done_there_is_kept_with_what_is_done_here() {
    let mut pair = Pair::new();
    let done = pair.one("greet_once", &["ada"]);
    assert_eq!(number(&done), 1);
    // The greeting, and what the hook there counts.
    assert_eq!(done.joined.iter().map(|one| (one.mount, one.changes.len())).collect::<Vec<_>>(), [(HELLO, 2)]);
    let again = pair.one("greet_once", &["ada"]);
    assert_eq!((number(&again), again.joined.len(), pair.greetings()), (1, 0, 1));
    assert_eq!(number(&pair.one("greet_both", &["bob", "cyd"])), 3);
    assert_eq!(pair.greetings(), 3);
    pair.joined[0].root.audit().unwrap();
}

#[test]
fn what_fails_undoes_its_own_and_its_caller_goes_on() {
    let mut pair = Pair::new();
    let error = pair.refused("greet_both", &["ada", ""]);
    assert_eq!(error.code, Code::Application);
    assert!(error.text.contains("a name has 1 to 200 bytes"), "{}", error.text);
    assert_eq!(pair.greetings(), 0);
    let done = pair.one("greet_either", &["", "bob"]);
    // Numbers of what was undone are not used up.
    assert_eq!((number(&done), pair.greetings()), (1, 1));
    assert!(done.log.iter().any(|(_, line)| line.contains("not the first")), "{:?}", done.log);
}

#[test]
fn who_can_not_be_called_is_an_error_for_who_calls() {
    let text = |pair: &mut Pair| pair.refused("greet_once", &["ada"]).text;
    let mut gone = Pair::new();
    gone.joined.clear();
    let done = gone.run(&[of("greet_once", &arguments(&["ada"]))]).remove(0);
    assert!(done.outcome.unwrap_err().text.contains("/self/hello was removed"));
    // Linked to itself: it would have to answer before it has answered.
    assert!(text(&mut Pair::linked(CALLER)).contains("waits for what comes of this call"));
    // Another module in its place.
    let mut stale = Pair::new();
    let (code, schema) = stale.exec.add(&guest("tally")).unwrap();
    stale.joined[0].code = code;
    stale.joined[0].root = Database::new(schema).unwrap();
    assert!(text(&mut stale).contains("/self/hello has no greetings_for"));
}

#[test]
fn fuel_is_the_outer_calls() {
    let mut pair = Pair::new();
    let needed = pair.one("greet_both", &["ada", "bob"]).fuel;
    let before = pair.hashes();
    for fuel_max in [needed / 8, needed / 4, needed / 2, needed - needed / 8] {
        let given = arguments(&["cyd", "dan"]);
        let done = pair.run(&[Invocation { fuel_max, ..of("greet_both", &given) }]).remove(0);
        assert_eq!(done.outcome.unwrap_err().code, Code::OutOfFuel, "with {fuel_max} of {needed}");
        assert!(done.fuel <= fuel_max, "{} of {fuel_max}", done.fuel);
        assert_eq!(pair.hashes(), before);
    }
}

#[test]
fn outcomes_do_not_depend_on_where_lists_are_cut() {
    let calls = [
        ("greet_once", vec!["ada"]),
        ("greet_both", vec!["bob", ""]),
        ("greet_either", vec!["", "bob"]),
        ("greet", vec!["eve"]),
        ("greet_once", vec!["ada"]),
        ("greet_both", vec!["cyd", "dan"]),
    ];
    let encoded: Vec<_> = calls.iter().map(|(name, names)| (*name, arguments(names))).collect();
    let place =
        |(place, (name, arguments)): (usize, &(&'static str, Vec<u8>))| (place as u64, *name, arguments.clone());
    let all: Vec<_> = encoded.iter().enumerate().map(place).collect();
    let run = |cut: usize| {
        let mut pair = Pair::new();
        let mut done = Vec::new();
        for list in all.chunks(cut) {
            let calls: Vec<_> = list
                .iter()
                .map(|(place, name, arguments)| Invocation { place: *place, ..of(name, arguments) })
                .collect();
            let executed = pair.run(&calls).into_iter();
            // Fuel is less where an instance has served before.
            done.extend(executed.map(|one| (one.outcome, one.detail, one.changes, one.log, one.joined)));
        }
        (done, pair.hashes())
    };
    let single = run(1);
    for cut in 2..=all.len() {
        assert_eq!(run(cut), single, "lists of {cut}");
    }
}
