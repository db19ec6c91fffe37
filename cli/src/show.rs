//! Results on stdout: tables and text for people, one JSON value a line for programs.

use serde_json::Value as Json;
use std::io::{self, Write};

/// Where results go and in which form.
#[derive(Clone, Copy)]
pub struct Show {
    /// One JSON value a line.
    pub json: bool,
}

impl Show {
    /// One result: `text` for people, `json` for programs.
    pub fn one(self, text: impl FnOnce() -> String, json: impl FnOnce() -> Json) -> io::Result<()> {
        let line = if self.json { json().to_string() } else { text() };
        match line.is_empty() && !self.json {
            true => Ok(()),
            false => writeln!(io::stdout().lock(), "{line}"),
        }
    }

    /// Records with the same members: a table for people.
    pub fn table(self, columns: &[&str], records: &[Json]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            return records.iter().try_for_each(|record| writeln!(out, "{record}"));
        }
        self::columns(columns, records).iter().try_for_each(|line| writeln!(out, "{line}"))
    }
}

/// The lines of a table: the names of its columns, then the records.
pub fn columns(names: &[&str], records: &[Json]) -> Vec<String> {
    let cells: Vec<Vec<String>> = records
        .iter()
        .map(|record| names.iter().map(|name| cell(record.get(*name).unwrap_or(&Json::Null))).collect())
        .collect();
    let width = |at: usize| {
        let longest = cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        longest.max(names[at].chars().count())
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let line = |row: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = row.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_string()
    };
    let head = line(&mut names.iter().copied());
    std::iter::once(head).chain(cells.iter().map(|row| line(&mut row.iter().map(String::as_str)))).collect()
}

/// A value in a table: strings bare, with what is not graphic escaped.
pub fn cell(value: &Json) -> String {
    let text = match value {
        Json::Null => return "-".into(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    graphic(&text)
}

/// A text with what is not graphic escaped.
pub fn graphic(text: &str) -> String {
    text.chars().flat_map(|c| if is_graphic(c) { vec![c] } else { c.escape_default().collect() }).collect()
}

/// Whether a terminal shows it as it stands: no control, no line separator, nothing unseen that turns a line around.
pub fn is_graphic(c: char) -> bool {
    // Behind another, so that the marks that letters have stay.
    c.is_ascii_graphic()
        || c == ' '
        || (!c.is_ascii() && ['x', c].iter().collect::<String>().escape_debug().nth(2).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(cell(&Json::String(text.into())), expected);
        check("a \"b\" 'c' \\", "a \"b\" 'c' \\");
        check("ä e\u{301} 漢 \u{1f600}", "ä e\u{301} 漢 \u{1f600}");
        check("a\n\u{1b}[2J\u{9b}", "a\\n\\u{1b}[2J\\u{9b}");
        let unseen = [0x200b..=0x200f, 0x2028..=0x202e, 0x2060..=0x2064, 0x2066..=0x2069, 0xfeff..=0xfeff];
        for c in unseen.into_iter().flatten() {
            let c = char::from_u32(c).unwrap();
            check(&c.to_string(), &c.escape_default().to_string());
        }
    }
}
