//! `--if`: what must hold of a mount for a call to be made, in words.
//!
//! `revision=7`, `counter[apples]` (the row is there), `no counter[apples]` (it is not), `counter[apples].count=3`. A key of
//! more columns has commas between them; keys and values are typed as arguments are.

use crate::keys::{key_fields, key_of};
use crate::rows::table;
use crate::words;
use anyhow::Result;
use isx_row::schema::Schema;
use isx_row::{Bytes, Code, Condition, Error, Field, Revision, RowKey, codec};

/// The conditions that these words say, of the mount at a path.
///
/// # Errors
/// `bad_arguments` or `not_found`, naming what is wrong with which.
pub fn conditions(schema: &Schema, path: &str, words: &[String]) -> Result<Vec<Condition>> {
    words.iter().map(|word| condition(schema, path, word)).collect()
}

fn condition(schema: &Schema, path: &str, word: &str) -> Result<Condition> {
    let wrong = |why: &str| {
        let forms = "say revision=N, TABLE[KEY], 'no TABLE[KEY]' or TABLE[KEY].COLUMN=VALUE";
        Error::new(Code::BadArguments, format!("--if {word}: {why}; {forms}"))
    };
    if let Some(revision) = word.strip_prefix("revision=") {
        let revision = revision.parse().map_err(|_| wrong("a revision is a number"))?;
        return Ok(Condition::At { revision: Revision(revision), incarnation: None });
    }
    let (absent, rest) = match word.strip_prefix("no ") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, word),
    };
    let (name, rest) = rest.split_once('[').ok_or_else(|| wrong("it names no row"))?;
    let table = table(schema, path, name)?;
    let (keys, rest) = split(rest).ok_or_else(|| wrong("the key has no end"))?;
    let columns = key_fields(table);
    if keys.len() != columns.len() {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        return Err(wrong(&format!("the key of {name} is {}", names.join(","))).into());
    }
    let values = words::values(&columns, &keys, &mut std::io::empty())?;
    let key = Bytes(key_of(&columns, &values)?);
    let row = RowKey { table: name.into(), signature: table.signature(), key };
    match (rest.strip_prefix('.').and_then(|rest| rest.split_once('=')), rest) {
        (None, "") if absent => Ok(Condition::Absent(row)),
        (None, "") => Ok(Condition::Present(row)),
        (Some((column, value)), _) if !absent => {
            let found = table.columns.iter().find(|one| one.name == column);
            let found = found.ok_or_else(|| wrong(&format!("{name} has no column {column}")))?;
            let field = [Field { name: found.name.clone(), ty: found.ty.clone() }];
            let values = words::values(&field, &[value.to_string()], &mut std::io::empty())?;
            let mut bytes = Vec::new();
            for value in &values {
                codec::encode(&found.ty, value, &mut bytes)?;
            }
            Ok(Condition::Holds { row, column: column.into(), value: Bytes(bytes) })
        }
        _ => Err(wrong("what follows the key does not read").into()),
    }
}

/// The words of a key up to the `]` that ends it, and what follows; commas and brackets within JSON are its own.
fn split(text: &str) -> Option<(Vec<String>, &str)> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, character) in text.char_indices() {
        match character {
            ']' if !quoted && depth == 0 => {
                words.push(word);
                return Some((words, text.get(at + 1..)?));
            }
            ',' if !quoted && depth == 0 => {
                words.push(std::mem::take(&mut word));
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        escaped = quoted && character == '\\' && !escaped;
        word.push(character);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_key_is_split_at_its_commas() {
        let words = |text| split(text).map(|(words, rest)| (words.join("|"), rest.to_string()));
        let some = |words: &str, rest: &str| Some((words.to_string(), rest.to_string()));
        assert_eq!(words("apples]"), some("apples", ""));
        assert_eq!(words("a,7].count=[1]"), some("a|7", ".count=[1]"));
        assert_eq!(words(r#""a],\",",[1,2],{"x":[3]}] "#), some(r#""a],\","|[1,2]|{"x":[3]}"#, " "));
        assert_eq!(words("apples"), None);
        assert_eq!(words(r#""]"#), None);
    }
}
