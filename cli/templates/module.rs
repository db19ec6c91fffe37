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
    use isx_testing::{Module, Refused};

    #[test]
    fn greetings_are_counted() -> Result<(), Refused> {
        let mut module = Module::new();
        assert_eq!(module.call(greet, ("ada".into(),))?, "hello, ada");
        module.call(greet, ("ada".into(),))?;
        module.call(greet, ("grace".into(),))?;
        assert_eq!(module.query(count, ("ada".into(),))?, 2);
        Ok(())
    }

    #[test]
    fn nobody_is_not_greeted() -> Result<(), Refused> {
        let mut module = Module::new();
        let refused = module.call(greet, (String::new(),)).unwrap_err();
        assert_eq!(refused.to_string(), "application: whom to greet?");
        assert_eq!(module.query(count, (String::new(),))?, 0);
        Ok(())
    }
}
