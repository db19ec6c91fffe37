//! Sends calls to `hello`, hears what became of them, and counts every greeting there, whoever made it.
//!
//! Both modules are transactions of their own: a greeting is there before it is heard of. Each is heard of once and in
//! order, through restarts too. What has to happen in one transaction is called [`HelloNow`].

use isx::{Error, QueryContext, ReducerContext, Reply, Time};

isx::module!(public);

/// What is sent to `hello`.
#[isx::send("/self/hello")]
pub trait Hello {
    /// Greets; answers the number of the greeting.
    fn greet(name: String) -> u64;
}

/// What is called of `hello` within a transaction: with what it does there, or without.
#[isx::together("/self/hello")]
pub trait HelloNow {
    /// Greets; answers the number of the greeting.
    fn greet(name: String) -> u64;
    /// The greetings of a name.
    fn greetings_for(name: String) -> Vec<WholeGreeting>;
}

/// A greeting as `hello` answers it.
#[derive(isx::Typed, Clone, Debug, PartialEq, Eq)]
pub struct WholeGreeting {
    /// Its number.
    pub id: u64,
    /// Who is greeted.
    pub name: String,
    /// When, by log time.
    pub at: Time,
}

/// A greeting, as far as it matters here: the first columns of the table.
#[derive(isx::Typed, Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its number.
    pub id: u64,
    /// Who is greeted.
    pub name: String,
}

/// What has happened so far: one row.
#[isx::table(public)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Always 0.
    #[primary_key]
    pub id: u8,
    /// Calls sent.
    pub sent: u64,
    /// Of them, answered.
    pub answered: u64,
    /// Of them, refused.
    pub refused: u64,
    /// Greetings heard of, those of others too.
    pub heard: u64,
    /// The number of the greeting heard of last: as many as were heard of, if none was missed or came twice.
    pub last: u64,
}

/// Sends a greeting; answers the number of the call.
#[isx::reducer(public)]
fn greet(ctx: &ReducerContext, name: String) -> Result<u64, Error> {
    let number = Hello::greet(ctx, name)?;
    counting(ctx, |count| count.sent += 1)?;
    Ok(number)
}

/// Greets whom nobody has greeted yet; answers the number of the first greeting. Nobody comes between the two.
#[isx::reducer(public)]
fn greet_once(ctx: &ReducerContext, name: String) -> Result<u64, Error> {
    match HelloNow::greetings_for(ctx, name.clone())?.first() {
        Some(greeting) => Ok(greeting.id),
        None => HelloNow::greet(ctx, name),
    }
}

/// Greets both or nobody; answers the number of the second greeting.
#[isx::reducer(public)]
fn greet_both(ctx: &ReducerContext, first: String, second: String) -> Result<u64, Error> {
    HelloNow::greet(ctx, first)?;
    HelloNow::greet(ctx, second)
}

/// Greets the first, or the second where the first can not be greeted.
#[isx::reducer(public)]
fn greet_either(ctx: &ReducerContext, first: String, second: String) -> Result<u64, Error> {
    HelloNow::greet(ctx, first).or_else(|error| {
        isx::log!(info, "not the first: {error}");
        HelloNow::greet(ctx, second)
    })
}

/// Hears what became of a greeting that was sent.
#[isx::reducer(on = "/self/hello:greet.reply")]
fn greeted(ctx: &ReducerContext, number: u64, reply: Reply<u64>) -> Result<(), Error> {
    match reply {
        Reply::Answered(_) => counting(ctx, |count| count.answered += 1),
        Reply::Refused(error) => {
            isx::log!(info, "greeting {number} was refused: {error}");
            counting(ctx, |count| count.refused += 1)
        }
    }
}

/// Hears of a greeting.
#[isx::reducer(on = "/self/hello:greeting.insert")]
fn heard(ctx: &ReducerContext, row: Greeting) -> Result<(), Error> {
    counting(ctx, |count| {
        count.heard += 1;
        count.last = row.id;
    })
}

/// What has happened so far.
#[isx::query(public)]
fn count(ctx: &QueryContext) -> Result<Totals, Error> {
    Ok(ctx.db.totals().get(&0)?.unwrap_or_default())
}

fn counting(ctx: &ReducerContext, change: impl FnOnce(&mut Totals)) -> Result<(), Error> {
    let counts = ctx.db.totals();
    match counts.get(&0)? {
        Some(mut count) => {
            change(&mut count);
            counts.update(&count)
        }
        None => {
            let mut count = Totals::default();
            change(&mut count);
            counts.insert(count).map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_testing::{Module, Refused};

    #[test]
    fn a_greeting_is_sent_with_the_call_that_sends_it() -> Result<(), Refused> {
        let mut module = Module::new();
        for name in ["ada", "bob"] {
            module.call(greet, (name.into(),))?;
        }
        let sent = module.sent();
        assert!(sent.iter().all(|sent| (sent.path.as_str(), sent.reducer.as_str()) == ("/self/hello", "greet")));
        assert!(sent.len() == 2 && sent[0].number < sent[1].number);
        assert_eq!(module.query(count, ())?.sent, 2);
        assert!(module.sent().is_empty());
        Ok(())
    }

    #[test]
    fn who_is_not_there_is_not_called() {
        // Natively there is this module alone.
        assert!(Module::new().call(greet_once, ("ada".into(),)).is_err());
    }
}
