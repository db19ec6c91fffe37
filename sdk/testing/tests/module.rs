//! A module under test: what a call is told, what it does to tables, and what is left of it when it fails.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use isx::{Code, Error, Failed, Principal, QueryContext, ReducerContext, SessionId, Time};
use isx_testing::Module;

isx::module!();

#[isx::table]
#[derive(Clone, Debug, PartialEq)]
struct Note {
    #[primary_key(auto_inc)]
    id: u64,
    #[unique]
    text: String,
    #[index(btree)]
    rank: i16,
    #[created_at]
    at: Time,
}

#[isx::table]
#[derive(Clone, Debug, PartialEq)]
struct Event {
    #[primary_key(auto_inc)]
    id: u64,
    what: String,
}

#[derive(Clone, Debug, PartialEq, isx::Typed, isx::Failure)]
enum Refusal {
    #[tag(1)]
    TooLow { least: i16 },
}

#[isx::reducer(on = "init")]
fn begin(ctx: &ReducerContext) -> Result<(), Error> {
    ctx.db.event().insert(Event { id: 0, what: "begin".into() }).map(drop)
}

#[isx::reducer]
fn jot(ctx: &ReducerContext, text: String, rank: i16) -> Result<Note, Failed<Refusal>> {
    let stored = ctx.db.note().insert(Note { id: 0, text, rank, at: Time(0) })?;
    if rank < 0 {
        return Err(Refusal::TooLow { least: 0 }.into());
    }
    isx::log!(info, "noted {}", stored.text);
    Ok(stored)
}

#[isx::reducer(on = "note.insert")]
fn on_note(ctx: &ReducerContext, row: Note) -> Result<(), Error> {
    if row.text == "forbidden" {
        return Err(isx::refused("the hook says no"));
    }
    ctx.db.event().insert(Event { id: 0, what: row.text }).map(drop)
}

#[isx::reducer(on = "event.delete")]
fn on_gone(ctx: &ReducerContext, row: Event) -> Result<(), Error> {
    ctx.db.event().insert(Event { id: 0, what: format!("no {}", row.what) })?;
    ctx.db.event().delete(&(row.id + 1)).map(drop)
}

#[isx::reducer]
fn forget(ctx: &ReducerContext, id: u64) -> Result<bool, Error> {
    Ok(ctx.db.event().delete(&id)?.is_some())
}

#[isx::reducer(reads(note))]
fn sly(ctx: &ReducerContext) -> Result<(), Error> {
    ctx.db.event().insert(Event { id: 0, what: "sly".into() }).map(drop)
}

#[isx::reducer]
fn fall(ctx: &ReducerContext, text: String) -> u64 {
    let _ = ctx.db.note().insert(Note { id: 0, text: text.clone(), rank: 1, at: Time(0) });
    assert!(text.is_empty(), "fell over {text}");
    7
}

#[isx::reducer]
fn told(ctx: &ReducerContext) -> Result<(Principal, Option<isx::Uuid>, Time, u64), Error> {
    Ok((ctx.caller(), ctx.session().map(|session| isx::Uuid(session.0)), ctx.time(), ctx.random()?))
}

#[isx::query]
fn best(ctx: &QueryContext, count: u32) -> Result<Vec<String>, Error> {
    ctx.db.note().range_by_rank(..).reverse().take(count as usize).map(|row| row.map(|row| row.text)).collect()
}

#[isx::query(reads(event))]
fn blind(ctx: &QueryContext) -> Result<u64, Error> {
    ctx.db.note().count()
}

fn events(module: &mut Module) -> Vec<String> {
    module.read(|ctx| ctx.db.event().scan().map(|row| row.unwrap().what).collect())
}

fn noted(module: &mut Module, text: &str, rank: i16) -> Note {
    module.call(jot, (text.into(), rank)).unwrap()
}

#[test]
fn calls_see_tables_indexes_numbers_times_and_hooks() {
    let mut module = Module::new();
    assert_eq!(events(&mut module), ["begin"]);
    module.set_time(Time(9));
    assert_eq!(noted(&mut module, "a", 1), Note { id: 1, text: "a".into(), rank: 1, at: Time(9) });
    assert_eq!(module.log(), [("info".to_string(), "noted a".to_string())]);
    for number in 2..300 {
        noted(&mut module, &format!("n{number}"), number);
    }
    assert_eq!(events(&mut module).len(), 300);
    assert_eq!(module.query(best, (2,)).unwrap(), ["n299", "n298"]);
    // More rows than a chunk has.
    assert_eq!(module.query(best, (1000,)).unwrap().len(), 299);
    assert_eq!(Module::new().query(best, (2,)).unwrap(), Vec::<String>::new(), "a mount has tables of its own");
    module.database().audit().unwrap();
}

#[test]
fn what_fails_is_rolled_back() {
    let mut module = Module::new();
    noted(&mut module, "a", 1);
    let before = module.database().state_hash();
    let low = module.call(jot, ("b".into(), -1)).unwrap_err();
    assert_eq!((low.error.code, low.own()), (Code::Application, Some(Refusal::TooLow { least: 0 })));
    assert_eq!(low.own::<u64>(), None);
    let taken = module.call(jot, ("a".into(), 5)).unwrap_err();
    assert_eq!((taken.error.code, taken.own::<Refusal>()), (Code::Duplicate, None));
    let hook = module.call(jot, ("forbidden".into(), 5)).unwrap_err();
    assert_eq!(hook.to_string(), "application: the hook says no");
    assert_eq!(module.log().len(), 1, "a log is no state");
    let fell = module.call(fall, ("over".into(),)).unwrap_err();
    assert_eq!(fell.to_string(), "trap: the function panicked: fell over over");
    assert_eq!(module.database().state_hash(), before, "numbers are not used up either");
    assert_eq!(module.call(fall, (String::new(),)), Ok(7), "what returns no `Result` is called alike");
}

#[test]
fn declared_access_holds() {
    let mut module = Module::new();
    let before = module.database().state_hash();
    let denied = module.call(sly, ()).unwrap_err();
    assert_eq!(denied.to_string(), "denied: the function does not declare inserts(event)");
    assert_eq!(module.query(blind, ()).unwrap_err().to_string(), "denied: the function does not declare reads(note)");
    let hook = module.call(begin, ()).unwrap_err();
    assert_eq!(hook.error.code, Code::Denied);
    assert_eq!(module.database().state_hash(), before);
}

#[test]
fn hooks_end_at_their_depth() {
    let mut module = Module::new();
    assert_eq!(module.call(forget, (99,)), Ok(false));
    let endless = module.call(forget, (1,)).unwrap_err();
    assert!(endless.to_string().contains("HOOK_DEPTH_MAX (8)"), "{endless}");
    assert_eq!(events(&mut module), ["begin"]);
}

#[test]
fn what_calls_are_told_is_the_tests_to_say() {
    let mut module = Module::new();
    let (caller, session, _, random) = module.call(told, ()).unwrap();
    assert_eq!((caller, session), (Principal::anonymous(), None));
    assert_ne!(module.call(told, ()).unwrap().3, random, "each call draws anew");
    assert_eq!(Module::new().call(told, ()).unwrap().3, random, "and alike in every run");
    module.set_caller(Principal([5; 32]));
    module.set_session(Some(SessionId([6; 16])));
    module.set_time(Time(-3));
    module.set_seed([7; 32]);
    let random = u64::from_le_bytes([0x00, 0xf7, 0xf5, 0xfc, 0xe5, 0x96, 0x50, 0xc3]);
    assert_eq!(module.call(told, ()), Ok((Principal([5; 32]), Some(isx::Uuid([6; 16])), Time(-3), random)));
}

#[test]
#[should_panic(expected = "`best` is no reducer of the module")]
fn a_query_is_not_called_by_name() {
    let _ = Module::new().call_encoded("best", &[0, 0]);
}

#[test]
#[should_panic(expected = "call the function through `isx_testing::Module`")]
fn without_a_mount_the_panic_says_the_cure() {
    let _ = best(&QueryContext::__begin(), 1);
}
