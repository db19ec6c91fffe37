//! Rules: what a ROM declares that it wants, and what its user allows.
//!
//! `INTERFACE[.method][=TARGET]`: TARGET is a path, a folder or a host and port; `*` stands only at its end. A rule of
//! an interface without a method covers all its methods; a rule without a target covers every target. A volatile table has
//! the methods `TABLE`, which follows it, `TABLE.put` and `TABLE.delete`.

use crate::limits::{RULES_MAX, WANTS_BYTES_MAX};
use isx_row::schema::Doing;
use isx_row::{Code, Error};
use std::fmt;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    interface: String,
    method: Option<String>,
    target: Option<String>,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// `malformed`, naming what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::new(Code::Malformed, format!("the rule {text:?} {why}")));
        let (what, target) = text.split_once('=').map_or((text, None), |(what, target)| (what, Some(target)));
        let (interface, method) = what.split_once('.').map_or((what, None), |(i, method)| (i, Some(method)));
        let word =
            |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        // Of a volatile table there are two methods.
        let of_table = |method: &str| {
            Doing::ALL.iter().find_map(|doing| method.strip_suffix(&format!(".{}", doing.word()))).is_some_and(word)
        };
        if !word(interface) || !method.is_none_or(|method| word(method) || of_table(method)) {
            return wrong("is not INTERFACE[.method][=TARGET]");
        }
        if let Some(target) = target
            && (target.is_empty() || target.strip_suffix('*').unwrap_or(target).contains('*'))
        {
            return wrong("has an empty target, or a `*` that is not at its end");
        }
        let own = |text: &str| text.to_ascii_lowercase();
        Ok(Self { interface: own(interface), method: method.map(own), target: target.map(str::to_string) })
    }

    /// Whether the rule covers this method of this interface on this target.
    pub fn covers(&self, interface: &str, method: &str, target: &str) -> bool {
        let covers_target = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => target.starts_with(prefix),
            None => target == pattern,
        };
        self.interface == interface.to_ascii_lowercase()
            && self.method.as_ref().is_none_or(|named| *named == method.to_ascii_lowercase())
            && self.target.as_deref().is_none_or(covers_target)
    }

    /// Whether everything that `other` covers is covered.
    pub fn contains(&self, other: &Self) -> bool {
        let contains_target = match (&self.target, &other.target) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(ours), Some(theirs)) => match ours.strip_suffix('*') {
                Some(prefix) => theirs.strip_suffix('*').unwrap_or(theirs).starts_with(prefix),
                None => ours == theirs,
            },
        };
        self.interface == other.interface && (self.method.is_none() || self.method == other.method) && contains_target
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interface)?;
        self.method.iter().try_for_each(|method| write!(f, ".{method}"))?;
        self.target.iter().try_for_each(|target| write!(f, "={target}"))
    }
}

/// Reads the `isx:wants` section: one rule a line, empty lines allowed. Several sections are one after another.
///
/// # Errors
/// `malformed` for bytes that are no rules, `limit` for too many.
pub fn parse_wants(section: &[u8]) -> Result<Vec<Rule>, Error> {
    if section.len() > WANTS_BYTES_MAX {
        return Err(Error::new(Code::Limit, format!("the ROM's wants take more than {WANTS_BYTES_MAX} bytes")));
    }
    let text =
        std::str::from_utf8(section).map_err(|_| Error::new(Code::Malformed, "the ROM's wants are not UTF-8"))?;
    let rules = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Rule::parse);
    let rules: Vec<_> = rules.collect::<Result<_, _>>()?;
    if rules.len() > RULES_MAX {
        return Err(Error::new(Code::Limit, format!("the ROM wants more than {RULES_MAX} rights")));
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        Rule::parse(text).unwrap()
    }

    #[test]
    fn rules_cover_what_they_name() {
        assert!(rule("host").covers("Host", "walk", "/self/a"));
        assert!(rule("host.walk=/self/*").covers("Host", "walk", "/self/a"));
        assert!(!rule("host.walk=/self/*").covers("Host", "walk", "/beta/a"));
        assert!(!rule("host.walk=/self/a").covers("Host", "walk", "/self/ab"));
        assert!(!rule("host.walk").covers("Host", "stop", ""));
        assert!(!rule("anchor").covers("Host", "walk", ""));
        assert!(rule("paint.cursor.put=/self/p").covers("paint", "cursor.put", "/self/p"));
        assert!(!rule("paint.cursor").covers("paint", "cursor.put", "/self/p"));
        assert!(!rule("paint.cursor.put").covers("paint", "cursor.delete", "/self/p"));
    }

    #[test]
    fn what_is_not_a_rule_is_refused() {
        for text in ["", ".walk", "host.", "host=", "host=*a", "host=/a*b*", "ho st", "host.walk.now"] {
            assert_eq!(Rule::parse(text).unwrap_err().code, Code::Malformed, "{text:?}");
        }
    }

    #[test]
    fn a_rule_contains_only_narrower_ones() {
        assert!(rule("host").contains(&rule("host.walk=/self/a")));
        assert!(rule("host.walk=/self/*").contains(&rule("host.walk=/self/a")));
        assert!(rule("host.walk=/self/*").contains(&rule("host.walk=/self/a/*")));
        assert!(!rule("host.walk=/self/a").contains(&rule("host.walk=/self/*")));
        assert!(!rule("host.walk=/self/*").contains(&rule("host.walk")));
        assert!(!rule("host.walk").contains(&rule("host")));
    }

    #[test]
    fn wants_are_bounded_and_read_line_by_line() {
        assert_eq!(parse_wants(b"host.walk=/self/a\n\n anchor \n").unwrap().len(), 2);
        assert_eq!(parse_wants(&[0xff]).unwrap_err().code, Code::Malformed);
        assert_eq!(parse_wants(&vec![b'\n'; WANTS_BYTES_MAX + 1]).unwrap_err().code, Code::Limit);
        assert_eq!(parse_wants("host\n".repeat(RULES_MAX + 1).as_bytes()).unwrap_err().code, Code::Limit);
    }
}
