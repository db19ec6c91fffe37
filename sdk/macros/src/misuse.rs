//! Misuse of every macro is refused where it stands, with its cure. A table, kept in one file so that what is missing shows.

use crate::function::{self, Kind};
use crate::{module, rom, table, typed};
use proc_macro2::TokenStream;
use quote::quote;

fn check(expanded: syn::Result<TokenStream>, expected: &str) {
    match expanded {
        Ok(tokens) => assert!(expected.is_empty(), "expected `{expected}`, got {tokens}"),
        Err(error) => {
            let text = error.to_string();
            assert!(!expected.is_empty() && text.contains(expected), "expected `{expected}`, got `{text}`");
        }
    }
}

fn reducer(settings: TokenStream, item: TokenStream, expected: &str) {
    check(function::expand(Kind::Reducer, settings, item), expected);
}

fn query(settings: TokenStream, item: TokenStream, expected: &str) {
    check(function::expand(Kind::Query, settings, item), expected);
}

fn view(settings: TokenStream, item: TokenStream, expected: &str) {
    check(function::expand(Kind::View, settings, item), expected);
}

fn row(settings: TokenStream, item: TokenStream, expected: &str) {
    check(table::expand(settings, item), expected);
}

#[test]
fn misuse_is_refused_with_its_cure() {
    let ok = quote!(
        fn add(ctx: &ReducerContext, n: u64) -> u64 {
            n
        }
    );
    reducer(quote!(public), ok.clone(), "");
    reducer(quote!(publik), ok.clone(), "allowed: public");
    reducer(quote!(public, public), ok.clone(), "given twice");
    reducer(quote!(public, private), ok.clone(), "exclude each other");
    reducer(quote!(public = 1), ok.clone(), "takes no value");
    reducer(quote!(reads = "counter"), ok.clone(), "write `reads(one, two)`");
    reducer(quote!(reads(counter, counter)), ok.clone(), "named twice");
    view(
        quote!(public, key(id), reads(note)),
        quote!(
            fn mine(ctx: &ViewContext, room: u32) -> Result<Vec<Note>> {}
        ),
        "",
    );
    view(
        quote!(),
        quote!(
            fn mine(ctx: &QueryContext) -> Vec<Note> {}
        ),
        "the first argument of a view is `ctx: &ViewContext`",
    );
    for rows in [quote!(-> Note), quote!(-> Result<Note>), quote!()] {
        view(
            quote!(),
            quote!(fn mine(ctx: &ViewContext) #rows {}),
            "a view gives rows: write `-> isx::Result<Vec<Row>>`",
        );
    }
    let mine = quote!(
        fn mine(ctx: &ViewContext) -> Vec<Note> {}
    );
    view(quote!(key(id, id)), mine.clone(), "named twice");
    view(quote!(key()), mine.clone(), "a key has a field at least");
    view(quote!(every = "5s"), mine.clone(), "allowed: public, key(…), reads(…)");
    query(quote!(key(id)), mine, "allowed: public, reads(…)");
    reducer(
        quote!(),
        quote!(
            struct Add;
        ),
        "`#[isx::reducer]` stands on a function",
    );
    reducer(
        quote!(),
        quote!(
            fn add() {}
        ),
        "the first argument of a reducer is `ctx: &ReducerContext`",
    );
    reducer(
        quote!(),
        quote!(
            fn add(ctx: &mut ReducerContext) {}
        ),
        "is `ctx: &ReducerContext`",
    );
    reducer(
        quote!(),
        quote!(
            fn add(ctx: &QueryContext) {}
        ),
        "is `ctx: &ReducerContext`",
    );
    reducer(
        quote!(),
        quote!(
            fn add(&self, ctx: &ReducerContext) {}
        ),
        "is `ctx: &ReducerContext`",
    );
    reducer(
        quote!(),
        quote!(
            async fn add(ctx: &ReducerContext) {}
        ),
        "delete `async`",
    );
    reducer(
        quote!(),
        quote!(
            unsafe fn add(ctx: &ReducerContext) {}
        ),
        "delete `unsafe`",
    );
    reducer(
        quote!(),
        quote!(
            extern "C" fn add(ctx: &ReducerContext) {}
        ),
        "delete `extern`",
    );
    reducer(
        quote!(),
        quote!(
            fn add<T>(ctx: &ReducerContext, t: T) {}
        ),
        "write the types out",
    );
    reducer(
        quote!(),
        quote!(
            fn add(ctx: &ReducerContext, (a, b): (u8, u8)) {}
        ),
        "give it one",
    );
    reducer(
        quote!(),
        quote!(
            fn add(ctx: &ReducerContext, name: &str) {}
        ),
        "write `String`",
    );
    reducer(
        quote!(),
        quote!(
            fn add(ctx: &ReducerContext, data: &[u8]) {}
        ),
        "write `Vec<u8>`",
    );
    reducer(
        quote!(),
        quote!(
            fn add(ctx: &ReducerContext, n: impl Into<u64>) {}
        ),
        "write it out",
    );
    reducer(
        quote!(),
        quote!(
            fn Add(ctx: &ReducerContext) {}
        ),
        "spelled with a to z",
    );

    query(
        quote!(public, reads(counter)),
        quote!(
            fn get(ctx: &QueryContext) -> u64 {
                0
            }
        ),
        "",
    );
    query(
        quote!(inserts(counter)),
        quote!(
            fn get(ctx: &QueryContext) {}
        ),
        "allowed: public, reads(…)",
    );
    query(
        quote!(on = "init"),
        quote!(
            fn get(ctx: &QueryContext) {}
        ),
        "allowed: public, reads(…)",
    );
    query(
        quote!(),
        quote!(
            fn get(ctx: &ReducerContext) {}
        ),
        "the first argument of a query is `ctx: &QueryContext`",
    );

    check(module::expand(quote!(public)), "");
    check(module::expand(quote!(private)), "");
    check(module::expand(quote!(open)), "allowed: public, private");

    check(
        rom::expand(
            quote!(),
            quote!(
                async fn main(host: Host) -> isx::rom::Result {
                    Ok(())
                }
            ),
        ),
        "",
    );
    check(
        rom::expand(
            quote!(public),
            quote!(
                async fn main(host: Host) {}
            ),
        ),
        "write `#[isx::main]`",
    );
    check(
        rom::expand(
            quote!(),
            quote!(
                fn main(host: Host) {}
            ),
        ),
        "begins with `async fn main(host: Host)",
    );
    check(
        rom::expand(
            quote!(),
            quote!(
                async fn main() {}
            ),
        ),
        "begins with `async fn main(host: Host)",
    );
    check(
        rom::expand(
            quote!(),
            quote!(
                struct Main;
            ),
        ),
        "begins with `async fn main(host: Host)",
    );
}

#[test]
fn hooks_have_the_arguments_of_their_event() {
    let none = quote!(
        fn hook(ctx: &ReducerContext) {}
    );
    let one = quote!(
        fn hook(ctx: &ReducerContext, row: Greeting) {}
    );
    let two = quote!(
        fn hook(ctx: &ReducerContext, old: Greeting, new: Greeting) {}
    );
    reducer(quote!(on = "init"), none.clone(), "");
    reducer(quote!(on = "init"), one.clone(), "no argument but the context");
    reducer(quote!(on = "greeting.insert"), one.clone(), "");
    reducer(quote!(on = "greeting.delete"), two.clone(), "`row: Row`");
    reducer(quote!(on = "greeting.update"), one.clone(), "`old: Row, new: Row`");
    reducer(quote!(on = "greeting.update"), two.clone(), "");
    reducer(quote!(on = "greeting.insert", public), one.clone(), "delete `public`");
    reducer(quote!(on = "connect"), none.clone(), "");
    reducer(quote!(on = "disconnect"), one.clone(), "no argument but the context");
    reducer(quote!(on = "start"), none.clone(), "events: \"init\"");
    reducer(quote!(on = "greeting.touch"), one.clone(), "events: \"init\"");
    reducer(quote!(on = "/home/other:greeting.insert"), one.clone(), "");
    reducer(quote!(on = "/home/other:greeting.update"), one.clone(), "`old: Row, new: Row`");
    reducer(quote!(on = "/home/other:greet.reply"), two, "");
    reducer(quote!(on = "/home/other:greet.reply"), one.clone(), "isx::Reply<Answer>");
    reducer(quote!(on = "/home/other:greeting.due"), one.clone(), "an event of another module");
    reducer(quote!(on = "/other:greeting.insert"), one.clone(), "\"/self/hello\"");
    reducer(quote!(on = "/home/other"), one, "an event of another module");
    reducer(quote!(on(init)), none.clone(), "write `on = \"…\"`");

    let count = quote!(
        fn hook(ctx: &ReducerContext, count: u64) {}
    );
    reducer(quote!(on = "upgrade"), none.clone(), "");
    reducer(quote!(on = "upgrade"), count.clone(), "");
    reducer(quote!(on = "greeting.due"), count.clone(), "");
    reducer(quote!(on = "greeting.due"), none.clone(), "`row: Row`");
    reducer(quote!(every = "50ms"), none.clone(), "");
    reducer(quote!(every = "7d"), count.clone(), "");
    for wrong in ["5", "s", "1ms", "0s", "-5s", "5 s", "401d", "99999999999999999999d", "999999999999999999d"] {
        reducer(quote!(every = #wrong), none.clone(), "10 ms to 400 days");
    }
    reducer(quote!(every = 5), none.clone(), "write `every = \"…\"`");
    reducer(
        quote!(every = "5s"),
        quote!(
            fn hook(ctx: &ReducerContext, a: u64, b: u64) {}
        ),
        "`count: u64`",
    );
    reducer(quote!(cron = "30 3 * * mon-fri"), none.clone(), "");
    reducer(quote!(cron = "61 * * * *"), none.clone(), "out of range");
    reducer(quote!(cron = "0 0 31 2 *"), none.clone(), "never comes");
    reducer(quote!(cron = "* * * *"), none.clone(), "five fields");
    reducer(quote!(cron = "* * * * *", every = "5s"), none.clone(), "a hook has one event");
    reducer(quote!(on = "init", every = "5s"), none, "a hook has one event");
}

#[test]
fn rows_are_checked() {
    let ok = quote!(
        struct Greeting {
            #[primary_key(auto_inc)]
            id: u64,
            #[index(btree)]
            name: String,
        }
    );
    row(quote!(public), ok.clone(), "");
    row(quote!(vollatile), ok.clone(), "allowed: public, durable, session, event, volatile");
    row(quote!(durable, event), ok.clone(), "a table has one kind");
    row(quote!(session, volatile), ok.clone(), "a table has one kind");
    row(quote!(volatile), ok.clone(), "no indexes, nothing unique or due, and no auto_inc");
    row(quote!(event), ok.clone(), "an event table keeps no rows");
    row(quote!(name = "Greeting"), ok, "spelled with a to z");
    for (attribute, ty, wanted) in [
        (quote!(#[due]), quote!(Time), ""),
        (quote!(#[due]), quote!(u64), "write `isx::Time`"),
        (quote!(#[due(btree)]), quote!(Time), "when log time reaches it"),
        (quote!(#[due] #[index(hash, name = "due")]), quote!(Time), "two indexes are called `due`"),
        (quote!(#[session]), quote!(SessionId), "add the word, or delete `#[session]`"),
        (quote!(#[session]), quote!(u64), "write `isx::SessionId`"),
        (quote!(#[session(hash)]), quote!(SessionId), "the host writes the session"),
    ] {
        let table = quote!(
            struct Alarm {
                #[primary_key]
                id: u64,
                #attribute
                at: #ty,
            }
        );
        row(quote!(), table, wanted);
    }
    for (column, wanted) in [
        (quote!(#[primary_key] #[session] session: SessionId), ""),
        (quote!(#[primary_key] id: u64, #[session] session: SessionId), ""),
        (quote!(#[primary_key] id: u64), "add `#[session] session: isx::SessionId`"),
        (quote!(#[primary_key] id: u64, #[session] a: SessionId, #[session] b: SessionId), "delete one"),
    ] {
        row(quote!(session), quote!(struct Online { #column, name: String }), wanted);
    }
    let key = quote!(#[primary_key] #[caller] who: Principal);
    for (columns, wanted) in [
        (key.clone(), ""),
        (quote!(#[primary_key] id: u8, #key), ""),
        (quote!(#[primary_key] id: u64), "add `#[primary_key] #[caller] who: isx::Principal`"),
        (quote!(#[primary_key] id: u64, #[caller] who: Principal), "add `#[primary_key]`"),
        (quote!(#[primary_key] #[caller] who: u64), "write `isx::Principal`"),
        (quote!(#[primary_key] #[caller(me)] who: Principal), "the host writes who put the row"),
        (quote!(#key, #[caller] other: Principal), "another column has this already"),
        (quote!(#key, #[primary_key(auto_inc)] id: u64), "no auto_inc"),
        (quote!(#key, #[index(btree)] x: u64), "no indexes"),
        (quote!(#key, #[unique] x: u64), "nothing unique"),
        (quote!(#key, #[due] x: Time), "or due"),
        (quote!(#key, #[updated_at] x: Time), "no log time"),
        (quote!(#key, #[default(5)] x: u64), "no older rows"),
        (quote!(#key, #[session] x: SessionId), "no `#[session]` column"),
    ] {
        row(quote!(public, volatile), quote!(struct Cursor { #columns, y: f32 }), wanted);
    }
    row(quote!(), quote!(struct Cursor { #key, y: f32 }), "add the word, or delete `#[caller]`");
    row(
        quote!(),
        quote!(
            fn greeting() {}
        ),
        "stands on a struct",
    );
    row(
        quote!(),
        quote!(
            struct Row(u64);
        ),
        "columns have names",
    );
    row(
        quote!(),
        quote!(
            struct Row<T> {
                #[primary_key]
                id: T,
            }
        ),
        "write the types out",
    );
    row(
        quote!(),
        quote!(
            struct Row {
                id: u64,
            }
        ),
        "put `#[primary_key]`",
    );
    row(
        quote!(),
        quote!(
            struct Row {
                #[primary_key]
                id: &'static str,
            }
        ),
        "write `String`",
    );
    row(
        quote!(),
        quote!(
            struct Row {
                #[primary_key(auto_inc)]
                id: String,
            }
        ),
        "write `u64`",
    );
    row(
        quote!(),
        quote!(
            struct Row {
                #[auto_inc]
                id: u64,
            }
        ),
        "write `#[primary_key(auto_inc)]`",
    );
    row(
        quote!(),
        quote!(
            struct Row {
                #[primary_key]
                #[primary_key]
                id: u64,
            }
        ),
        "delete one",
    );
    row(
        quote!(),
        quote!(
            struct Row {
                #[primary_key]
                id: u64,
                #[index]
                name: String,
            }
        ),
        "say how it is kept",
    );
    row(
        quote!(),
        quote!(
            struct Row {
                #[primary_key]
                id: u64,
                #[index(tree)]
                name: String,
            }
        ),
        "say how it is kept",
    );
    row(
        quote!(),
        quote!(
            struct Row {
                #[primary_key]
                id: u64,
                #[unique]
                #[index(hash)]
                name: String,
            }
        ),
        "two indexes",
    );
    let over = |index| quote!(#index struct Row { #[primary_key] id: u64, name: String });
    row(quote!(), over(quote!(#[index(btree, columns(name, id))])), "");
    row(quote!(), over(quote!(#[index(btree)])), "say which columns");
    row(quote!(), over(quote!(#[index(btree, columns(nobody))])), "no such column");
    row(quote!(), over(quote!(#[index(btree, columns(id, id))])), "named twice");
    row(quote!(), over(quote!(#[unique])), "this stands on a column");
}

#[test]
fn defaults_are_checked() {
    let with = |default: TokenStream| {
        quote!(
            struct Row {
                #[primary_key]
                id: u64,
                #default
                more: u64,
            }
        )
    };
    for good in [
        quote!(5),
        quote!(-5),
        quote!(1.5),
        quote!(-1.5),
        quote!(true),
        quote!("text"),
        quote!(b"bytes"),
        quote!(None),
        quote!(Some(5)),
        quote!([]),
        quote!(Time(0)),
        quote!(isx::Span(5)),
        quote!(Mood::Happy),
    ] {
        row(quote!(), with(quote!(#[default(#good)])), "");
    }
    row(quote!(), with(quote!(#[default])), "say what older rows have");
    row(quote!(), with(quote!(#[default()])), "say what older rows have");
    row(quote!(), with(quote!(#[default(5, 6)])), "say what older rows have");
    row(quote!(), with(quote!(#[default(5)] #[default(6)])), "delete one");
    row(quote!(), with(quote!(#[default(5u64)])), "write the number without `u64`");
    row(quote!(), with(quote!(#[default(1e999)])), "a default is finite");
    for bad in [quote!(MAX), quote!(now()), quote!(2 + 3), quote!('c'), quote!([1]), quote!(Some()), quote!(-MAX)] {
        row(quote!(), with(quote!(#[default(#bad)])), "a default is a literal");
    }
    row(
        quote!(),
        quote!(
            struct Row {
                #[primary_key]
                id: u64,
                #[default(5)]
                more: u64,
                last: u64,
            }
        ),
        "move it to the end",
    );
    row(
        quote!(),
        quote!(
            struct Row {
                more: u64,
                #[primary_key]
                #[default(5)]
                id: u64,
            }
        ),
        "was there from the start",
    );
    row(
        quote!(),
        quote!(
            #[default(5)]
            struct Row {
                #[primary_key]
                id: u64,
            }
        ),
        "this stands on a column",
    );
}

#[test]
fn times_are_checked() {
    let with = |columns: TokenStream| quote!(struct Row { #[primary_key] id: u64, #columns });
    row(quote!(), with(quote!(#[created_at] a: Time, text: String, #[updated_at] b: isx::Time)), "");
    row(quote!(event), with(quote!(#[created_at] a: Time)), "");
    row(quote!(), with(quote!(#[created_at] a: i64)), "write `isx::Time`");
    row(quote!(), with(quote!(#[updated_at] a: Option<Time>)), "write `isx::Time`");
    row(quote!(), with(quote!(#[created_at(now)] a: Time)), "allowed: nothing");
    row(quote!(), with(quote!(#[created_at] a: Time, #[created_at] b: Time)), "another column has this already");
    row(quote!(), with(quote!(#[updated_at] a: Time, #[updated_at] b: Time)), "another column has this already");
    row(quote!(), with(quote!(#[created_at] #[updated_at] a: Time)), "delete one");
    row(quote!(), with(quote!(#[created_at] #[default(Time(5))] a: Time)), "delete one");
    row(quote!(), with(quote!(#[primary_key] #[created_at] a: Time)), "put `#[primary_key]` on another");
    row(quote!(), with(quote!(#[created_at] a: Time, #[default(5)] b: u8, #[updated_at] c: Time)), "");
    row(quote!(), with(quote!(#[default(5)] b: u8, #[updated_at] c: Time, text: String)), "move it to the end");
}

#[test]
fn types_are_checked() {
    let ok = quote!(
        enum Mood {
            #[tag(1)]
            Happy,
            #[tag(2)]
            Sad { because: String },
        }
    );
    check(typed::derive(ok), "");
    check(
        typed::derive(quote!(
            enum Mood {
                Happy,
            }
        )),
        "put `#[tag(1)]` on it",
    );
    check(
        typed::derive(quote!(
            enum Mood {
                #[tag(1)]
                #[tag(2)]
                Happy,
            }
        )),
        "one tag",
    );
    check(
        typed::derive(quote!(
            enum Mood {
                #[tag(1)]
                Happy,
                #[tag(1)]
                Sad,
            }
        )),
        "another variant's",
    );
    check(
        typed::derive(quote!(
            enum Mood {
                #[tag(70000)]
                Happy,
            }
        )),
        "number too large",
    );
    check(
        typed::derive(quote!(
            enum Mood {}
        )),
        "without variants",
    );
    check(typed::derive(quote!(union Mood { a: u8 })), "use an enum");
    check(
        typed::derive(quote!(
            struct Mood<T>(T);
        )),
        "write the types out",
    );
    check(
        typed::derive(quote!(
            struct Mood {
                text: &'static str,
            }
        )),
        "write `String`",
    );
    check(
        typed::derive_failure(quote!(
            enum Refusal<T> {
                #[tag(1)]
                Other(T),
            }
        )),
        "write the types out",
    );
}
