//! Greets people, and remembers whom.

use isx::{Error, QueryContext, ReducerContext};

isx::module!(public);

/// A greeting that was given.
#[isx::table(public)]
pub struct Greeting {
    /// Numbered on insert.
    #[primary_key(auto_inc)]
    pub id: u64,
    /// Who was greeted.
    #[index(btree)]
    pub name: String,
    /// What was said.
    pub text: String,
}

/// Greets; answers what was said.
#[isx::reducer(public)]
fn greet(ctx: &ReducerContext, name: String) -> Result<String, Error> {
    if name.is_empty() {
        return Err(isx::refused("whom to greet?"));
    }
    let text = greeting(&name);
    ctx.db.greeting().insert(Greeting { id: 0, name, text: text.clone() })?;
    Ok(text)
}

/// How often someone was greeted.
#[isx::query(public)]
fn count(ctx: &QueryContext, name: String) -> Result<u64, Error> {
    let mut count = 0;
    for row in ctx.db.greeting().by_name(&name) {
        row?;
        count += 1;
    }
    Ok(count)
}

fn greeting(name: &str) -> String {
    format!("hello, {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_says_the_name() {
        assert_eq!(greeting("ada"), "hello, ada");
    }
}
