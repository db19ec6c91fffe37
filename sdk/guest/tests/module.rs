//! A module as a guest writes it: what its items declare, and how its functions are called. Tables need a host.

use expect_test::expect;
use isx::__rt::{Record, Refused, call, inventory};
use isx::{Bytes, Code, Error, Failed, Handle, Principal, QueryContext, ReducerContext, Time};
use isx_row::schema::Schema;
use isx_row::typed::{decode_answer, encode_arguments};

isx::module!(public);

#[isx::table(public)]
#[derive(Clone, Debug, PartialEq)]
struct Greeting {
    #[primary_key(auto_inc)]
    id: u64,
    #[index(btree)]
    name: String,
    #[unique]
    text: String,
    mood: Mood,
}

#[isx::table(name = "placed")]
#[index(btree, columns(y, x))]
struct Place {
    #[primary_key]
    x: i32,
    #[primary_key]
    y: i32,
    #[index(hash, name = "owner_of")]
    owner: Principal,
    #[created_at]
    came: Time,
    seen: Option<Time>,
    data: Bytes,
}

#[isx::table(event)]
struct Wave {
    #[primary_key]
    by: Principal,
}

#[isx::table]
struct Grown {
    #[primary_key]
    id: u64,
    name: String,
    #[default(-5)]
    rank: i16,
    #[default("none")]
    #[index(btree)]
    note: String,
    #[default(Some(2.5))]
    share: Option<f64>,
    #[default([])]
    moods: Vec<Mood>,
    #[default(Level::High)]
    level: Level,
    #[default(Some(Level::Low))]
    before: Option<Level>,
    #[default(Time(7))]
    at: Time,
    #[default(b"\x01")]
    data: Bytes,
    #[updated_at]
    changed: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, isx::Typed)]
enum Level {
    #[tag(1)]
    Low,
    #[tag(258)]
    High,
}

#[derive(Clone, Debug, PartialEq, isx::Typed)]
enum Mood {
    #[tag(7)]
    Happy,
    #[tag(2)]
    VerySad { because: String },
    #[tag(3)]
    Between(u8, u8),
}

#[derive(Clone, Debug, PartialEq, isx::Typed)]
struct Pair(u32, String);

#[derive(Clone, Debug, PartialEq, isx::Typed, isx::Failure)]
enum Refusal {
    #[tag(1)]
    NotToday,
    #[tag(2)]
    TooMany { count: u64 },
}

#[isx::reducer(on = "init")]
fn fill(_ctx: &ReducerContext) {}

#[isx::reducer(on = "greeting.update", reads(), inserts(wave))]
fn on_change(_ctx: &ReducerContext, _old: Greeting, _new: Greeting) -> Result<(), Error> {
    Ok(())
}

#[isx::reducer(public)]
fn double(_ctx: &ReducerContext, n: u64) -> u64 {
    n * 2
}

#[isx::reducer(reads(greeting, placed))]
fn choose(_ctx: &ReducerContext, pair: Pair, mood: Option<Mood>) -> Result<Vec<Mood>, Refusal> {
    match (pair.0, mood) {
        (0, _) => Err(Refusal::NotToday),
        (count, None) => Err(Refusal::TooMany { count: count.into() }),
        (count, Some(mood)) => Ok(vec![mood; count as usize]),
    }
}

#[isx::reducer(reads())]
fn either(_ctx: &ReducerContext, whose: u8) -> Result<u8, Failed<Refusal>> {
    match whose {
        0 => Ok(0),
        1 => Err(Refusal::TooMany { count: 1 })?,
        2 => Err(Error::new(Code::Limit, "the mount is full"))?,
        _ => Err(isx::refused("with a text only"))?,
    }
}

#[isx::query(public, reads(greeting))]
fn nothing(_ctx: &QueryContext) -> isx::Result<()> {
    Err(isx::refused("not today"))
}

/// Never called, only compiled: what handles have.
#[isx::query]
fn every_way_to_read(ctx: &QueryContext) -> isx::Result<()> {
    let greetings = ctx.db.greeting();
    let _: Option<Greeting> = greetings.get(&5)?;
    let _: Option<Greeting> = greetings.find_by_text("hello")?;
    let _: Vec<Greeting> = greetings.by_name(&String::from("ada")).collect::<isx::Result<_>>()?;
    let _: Vec<Greeting> = greetings.range_by_name("a".to_owned()..).reverse().take(3).collect::<isx::Result<_>>()?;
    let _: u64 = greetings.scan().count() as u64 + greetings.count()?;
    let places: &Handle<Place, _> = &ctx.db.placed();
    let _: Option<Place> = places.get(&(1, 2))?;
    let _ = places.range((0, 0)..=(3, 3)).count() + places.range((1, 2..)).count() + places.range((1..,)).count();
    let _ = greetings.range_by_name(isx::prefix("a")).take(3).count() + greetings.range_by_name("a".."b").count();
    let _ = greetings.range(isx::after(1)).count() + ctx.db.placed().range_by_y_x((7, ..)).count();
    let _ = ctx.db.placed().by_owner_of(&ctx.caller()).count() + ctx.db.placed().range_by_y_x(..(1, 1)).count();
    Ok(())
}

/// Never called, only compiled: what handles have besides in reducers.
#[isx::reducer]
fn every_way_to_change(ctx: &ReducerContext) -> isx::Result<()> {
    let row = Greeting { id: 0, name: "ada".into(), text: format!("{}", ctx.random()?), mood: Mood::Happy };
    let row = ctx.db.greeting().insert(row)?;
    ctx.db.greeting().update(&row)?;
    let _: Option<Greeting> = ctx.db.greeting().delete(&row.id)?;
    let _ = ctx.db.wave().insert(Wave { by: ctx.caller() })?;
    isx::log!(info, "{} at {:?} in {:?}", row.name, ctx.time(), ctx.session());
    Ok(())
}

#[test]
fn the_schema_is_what_the_items_say() {
    let records: Vec<u8> = inventory::iter::<Record>().flat_map(|record| record.0).copied().collect();
    let schema = Schema::lift(&records).unwrap();
    let mut lines = vec![format!("{} public={}", schema.name, schema.public)];
    for table in &schema.tables {
        let mut line = format!("table {} {:?} public={}", table.name, table.kind, table.public);
        line += &format!(" key={:?} auto_inc={:?}", table.primary_key, table.auto_inc);
        lines.push(line);
        lines.extend(table.columns.iter().map(|column| {
            let default = column.default.as_ref().map(|default| format!(" since {} as {default:?}", column.since));
            format!("  {}: {:?}{}", column.name, column.ty, default.unwrap_or_default())
        }));
        lines.extend(table.indexes.iter().map(|index| format!("  {index:?}")));
    }
    for reducer in &schema.reducers {
        let arguments: Vec<&str> = reducer.arguments.iter().map(|argument| argument.name.as_str()).collect();
        lines.push(format!("reducer {} public={} {arguments:?}", reducer.name, reducer.public));
        lines.push(format!("  {:?} {:?}", reducer.hook, reducer.access));
        lines.extend(reducer.error.iter().map(|error| format!("  or {error:?}")));
    }
    for query in &schema.queries {
        lines.push(format!("query {} public={} {:?}", query.name, query.public, query.reads));
    }
    expect![[r#"
        isx-sdk public=true
        table greeting Durable public=true key=[0] auto_inc=Some(0)
          id: U64
          name: String
          text: String
          mood: Enum([Variant { name: "very_sad", tag: 2, fields: [Field { name: "because", ty: String }] }, Variant { name: "between", tag: 3, fields: [Field { name: "_0", ty: U8 }, Field { name: "_1", ty: U8 }] }, Variant { name: "happy", tag: 7, fields: [] }])
          Index { name: "name", columns: [1], kind: Btree, unique: false }
          Index { name: "text", columns: [2], kind: Btree, unique: true }
        table grown Durable public=false key=[0] auto_inc=None
          id: U64
          name: String
          rank: I16 since 2 as Value([251, 255])
          note: String since 3 as Value([110, 111, 110, 101])
          share: Option(F64) since 4 as Value([1, 0, 0, 0, 0, 0, 0, 4, 64])
          moods: List(Enum([Variant { name: "very_sad", tag: 2, fields: [Field { name: "because", ty: String }] }, Variant { name: "between", tag: 3, fields: [Field { name: "_0", ty: U8 }, Field { name: "_1", ty: U8 }] }, Variant { name: "happy", tag: 7, fields: [] }])) since 5 as Value([0, 0, 0, 0])
          level: Enum([Variant { name: "low", tag: 1, fields: [] }, Variant { name: "high", tag: 258, fields: [] }]) since 6 as Value([2, 1])
          before: Option(Enum([Variant { name: "low", tag: 1, fields: [] }, Variant { name: "high", tag: 258, fields: [] }])) since 7 as Value([1, 1, 0])
          at: Time since 8 as Value([7, 0, 0, 0, 0, 0, 0, 0])
          data: Bytes since 9 as Value([1])
          changed: Time since 10 as Updated
          Index { name: "note", columns: [3], kind: Btree, unique: false }
        table placed Durable public=false key=[0, 1] auto_inc=None
          x: I32
          y: I32
          owner: Principal
          came: Time since 1 as Created
          seen: Option(Time)
          data: Bytes
          Index { name: "owner_of", columns: [2], kind: Hash, unique: false }
          Index { name: "y_x", columns: [1, 0], kind: Btree, unique: false }
        table wave Event public=false key=[0] auto_inc=None
          by: Principal
        reducer choose public=false ["pair", "mood"]
          None Some(Access { reads: ["greeting", "placed"], inserts: [], updates: [], deletes: [] })
          or Enum([Variant { name: "not_today", tag: 1, fields: [] }, Variant { name: "too_many", tag: 2, fields: [Field { name: "count", ty: U64 }] }])
        reducer double public=true ["n"]
          None None
        reducer either public=false ["whose"]
          None Some(Access { reads: [], inserts: [], updates: [], deletes: [] })
          or Enum([Variant { name: "not_today", tag: 1, fields: [] }, Variant { name: "too_many", tag: 2, fields: [Field { name: "count", ty: U64 }] }])
        reducer every_way_to_change public=false []
          None None
        reducer fill public=false []
          Some(Init) None
        reducer on_change public=false ["old", "new"]
          Some(OwnTable { table: "greeting", event: Update }) Some(Access { reads: [], inserts: ["wave"], updates: [], deletes: [] })
        query every_way_to_read public=false None
        query nothing public=true Some(["greeting"])"#]].assert_eq(&lines.join("\n"));
}

fn run<A: isx::Typed, T: isx::Typed>(name: &str, arguments: A) -> Result<T, Refused> {
    call(name, &encode_arguments(&arguments).expect("they encode"))
        .map(|answer| decode_answer(&answer).expect("it decodes"))
}

#[test]
fn functions_are_found_by_name() {
    assert_eq!(run::<_, u64>("double", (21_u64,)).unwrap(), 42);
    run::<_, ()>("fill", ()).unwrap();
    assert!(matches!(call("doubl", &[]), Err(Refused::Absent)));
    assert!(matches!(call("", &[]), Err(Refused::Absent)));
}

#[test]
fn arguments_and_answers_are_canonical() {
    let mood = Mood::VerySad { because: "rain".into() };
    let moods: Vec<Mood> = run("choose", (Pair(2, "x".into()), Some(mood.clone()))).unwrap();
    assert_eq!(moods, [mood.clone(), mood]);
    let between: Vec<Mood> = run("choose", (Pair(1, String::new()), Some(Mood::Between(1, 2)))).unwrap();
    assert_eq!(between, [Mood::Between(1, 2)]);
}

#[test]
fn hostile_arguments_are_refused() {
    let good = encode_arguments(&(21_u64,)).unwrap();
    for bad in [&[][..], &[0], &[1, 0], &good[..9], &[&good[..], &[0]].concat(), &[0xff; 64]] {
        let Err(Refused::Fault(fault)) = call("double", bad) else { panic!("accepted {bad:?}") };
        assert_eq!(fault.code, Code::BadArguments as u16);
    }
}

#[test]
fn errors_keep_their_type() {
    let Err(Refused::Application(refusal)) = run::<_, Vec<Mood>>("choose", (Pair(5, String::new()), None::<Mood>))
    else {
        panic!("no refusal")
    };
    assert_eq!(refusal.text, "too many");
    assert_eq!(decode_answer::<Refusal>(&refusal.detail), Ok(Refusal::TooMany { count: 5 }));
    let Err(Refused::Application(refusal)) = run::<_, ()>("nothing", ()) else { panic!("no refusal") };
    assert_eq!((refusal.text.as_str(), refusal.detail.as_slice()), ("not today", &[][..]));
}

#[test]
fn an_own_error_and_the_systems_stay_apart() {
    assert_eq!(run::<_, u8>("either", (0_u8,)).unwrap(), 0);
    let Err(Refused::Application(own)) = run::<_, u8>("either", (1_u8,)) else { panic!("not its own") };
    assert_eq!(decode_answer::<Refusal>(&own.detail), Ok(Refusal::TooMany { count: 1 }));
    let Err(Refused::Fault(fault)) = run::<_, u8>("either", (2_u8,)) else { panic!("no fault") };
    assert_eq!((fault.code, fault.text.as_str()), (Code::Limit as u16, "the mount is full"));
    let Err(Refused::Application(text)) = run::<_, u8>("either", (3_u8,)) else { panic!("no refusal") };
    assert_eq!((text.text.as_str(), text.detail.as_slice()), ("with a text only", &[][..]));
}
