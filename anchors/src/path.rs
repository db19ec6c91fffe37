//! Names and paths: text that was checked once.

use crate::limits::{DEPTH_MAX, NAME_BYTES_MAX};
use crate::wire::{Reader, Wire, WireError, put_bytes, put_count};
use isx_row::{Code, Error};
use std::fmt;
use std::sync::Arc;

/// One part of a path: not empty, not `.` or `..`, at most [`NAME_BYTES_MAX`] bytes, without `/`, `:` (it separates a
/// member), `*` (it ends a rule), control and invisible characters, or white space at its ends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// `limit` when it is too long, `malformed` when it breaks a rule; the text says which.
    pub fn new(text: &str) -> Result<Self, Error> {
        if text.len() > NAME_BYTES_MAX {
            return Err(Error::new(Code::Limit, format!("a name is longer than NAME_BYTES_MAX = {NAME_BYTES_MAX}")));
        }
        let wrong = if text.is_empty() {
            "a name is empty"
        } else if text == "." || text == ".." {
            "a name is . or .."
        } else if text.contains(['/', ':', '*']) {
            "a name contains / : or *"
        } else if text.contains(invisible) {
            "a name contains a control or invisible character"
        } else if text.trim() != text {
            "a name begins or ends with white space"
        } else {
            return Ok(Self(text.into()));
        };
        Err(Error::new(Code::Malformed, wrong))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, and those that show nothing or turn the text around them: two names that look alike are one.
fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Wire for Name {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.0.as_bytes(), out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let text = reader.text(NAME_BYTES_MAX, "NAME_BYTES_MAX")?;
        Self::new(text).map_err(|_| WireError::Canonical("a name breaks a rule"))
    }
}

/// Names from some anchor downwards, at most [`DEPTH_MAX`]; the empty path is that anchor itself.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Name>);

impl Path {
    /// Checks a path: names separated by `/`, with or without one before the first.
    ///
    /// # Errors
    /// As [`Name::new`], and `limit` when there are too many names.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut path = Self::default();
        for part in text.split('/') {
            path = path.join(Name::new(part)?)?;
        }
        Ok(path)
    }

    /// The path one name further.
    ///
    /// # Errors
    /// `limit` when there are too many names.
    pub fn join(mut self, name: Name) -> Result<Self, Error> {
        if self.0.len() >= DEPTH_MAX {
            return Err(Error::new(Code::Limit, format!("a path has more names than DEPTH_MAX = {DEPTH_MAX}")));
        }
        self.0.push(name);
        Ok(self)
    }

    /// The names.
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// The last name and the path before it; `None` for the empty path.
    pub fn split_last(&self) -> Option<(&Name, Self)> {
        let (last, before) = self.0.split_last()?;
        Some((last, Self(before.to_vec())))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

impl Wire for Path {
    fn put(&self, out: &mut Vec<u8>) {
        put_count(self.0.len(), out);
        self.0.iter().for_each(|name| name.put(out));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.count(DEPTH_MAX, "DEPTH_MAX")?;
        Ok(Self((0..count).map(|_| Name::take(reader)).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    fn check(text: &str, expect: &str) {
        let shown = match Path::parse(text) {
            Ok(path) => path.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expect, "{text:?}");
    }

    #[test]
    fn paths() {
        check("", "/");
        check("/", "/");
        check("/beta/notes", "/beta/notes");
        check("beta/größe", "/beta/größe");
        check("/a//b", "malformed: a name is empty");
        check("/a/", "malformed: a name is empty");
        check("/a/../b", "malformed: a name is . or ..");
        check("/a/.", "malformed: a name is . or ..");
        check("/a:b", "malformed: a name contains / : or *");
        check("/a\u{1b}[2J", "malformed: a name contains a control or invisible character");
        check("/a\u{202e}b", "malformed: a name contains a control or invisible character");
        check("/a ", "malformed: a name begins or ends with white space");
        check(&"x".repeat(129), "limit: a name is longer than NAME_BYTES_MAX = 128");
        check(&"/x".repeat(17), "limit: a path has more names than DEPTH_MAX = 16");
    }
}
