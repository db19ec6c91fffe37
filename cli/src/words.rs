//! The arguments of a call as typed on a command line: bare words, JSON, `@FILE`, and `-` for standard input.
//!
//! What a file holds is read by the argument's type: as it stands where that is a string or bytes, as JSON where it has
//! structure. A string that begins with `@`, or is `-`, is written as JSON: `'"@x"'`.

use crate::json::{from_word, is_plain};
use anyhow::Result;
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::{Code, Error, Field, Type, Value};
use std::fs::File;
use std::io::{self, Read};

/// Bytes of JSON that one argument is read from; more is refused. The widest value of its size, many small integers
/// with white space between them, is far below.
const JSON_BYTES_MAX: usize = 16 * VALUE_BYTES_MAX;

/// The values of `fields`, one of each word.
///
/// # Errors
/// `bad_arguments` or `limit`, naming the argument and what is wrong with it.
pub fn values(fields: &[Field], words: &[String], stdin: &mut dyn Read) -> Result<Vec<Value>, Error> {
    let from_stdin = |word: &&String| word.as_str() == "-";
    if words.iter().filter(from_stdin).count() > 1 {
        let text = "`-` stands for standard input, which can be read once; give the others with @FILE, and the text - \
                    as '\"-\"'";
        return Err(Error::new(Code::BadArguments, text));
    }
    fields.iter().zip(words).map(|(field, word)| value(field, word, stdin)).collect()
}

fn value(field: &Field, word: &str, stdin: &mut dyn Read) -> Result<Value, Error> {
    let most = if is_plain(&field.ty) { VALUE_BYTES_MAX } else { JSON_BYTES_MAX };
    let bytes = match word.strip_prefix('@') {
        Some(name) => file(&field.name, name, most)?,
        None if word == "-" => bounded(&field.name, "standard input", stdin, most)?,
        None => {
            let read = from_word(&field.ty, word);
            return read.map_err(|error| Error::new(Code::BadArguments, format!("{}: {error:#}", field.name)));
        }
    };
    let from = if word == "-" { "standard input" } else { word };
    content(&field.ty, bytes)
        .map_err(|error| Error::new(Code::BadArguments, format!("{}: {from}: {error:#}", field.name)))
}

fn content(ty: &Type, bytes: Vec<u8>) -> Result<Value> {
    match ty {
        Type::Bytes => Ok(Value::Bytes(bytes)),
        Type::Option(inner) if is_plain(inner) => Ok(Value::Option(Some(Box::new(content(inner, bytes)?)))),
        ty => {
            let text = String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("is not UTF-8"))?;
            match ty {
                Type::String => Ok(Value::String(text)),
                ty => from_word(ty, text.trim()),
            }
        }
    }
}

fn file(argument: &str, name: &str, most: usize) -> Result<Vec<u8>, Error> {
    let failed = |error: io::Error| {
        let what = match error.kind() {
            io::ErrorKind::NotFound => format!("no file {name:?}"),
            _ => format!("can not read {name:?}: {error}"),
        };
        let cure = format!("a word that begins with @ is a file; the text itself is '\"@{name}\"'");
        Error::new(Code::BadArguments, format!("{argument}: {what}; {cure}"))
    };
    let mut file = File::open(name).map_err(failed)?;
    bounded(argument, name, &mut file, most)
}

fn bounded(argument: &str, name: &str, from: &mut dyn Read, most: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = from.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::new(Code::BadArguments, format!("{argument}: can not read {name}: {error}")))?;
    if bytes.len() > most {
        let text = format!(
            "{argument}: {name} has more than {most} bytes; a value has at most {VALUE_BYTES_MAX}, larger things are published or split"
        );
        return Err(Error::new(Code::Limit, text));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ty: Type, word: &str, stdin: &[u8], expected: &str) {
        let fields = [Field { name: "it".into(), ty }];
        let found = match values(&fields, &[word.to_string()], &mut &*stdin) {
            Ok(values) => format!("{:?}", values[0]),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{word}: {found}");
    }

    #[test]
    fn what_a_file_holds_is_read_by_the_type() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let file = folder.path().join(name);
            std::fs::write(&file, bytes).unwrap();
            format!("@{}", file.display())
        };
        let text = put("text", b"[1, 2]\n");
        check(Type::String, &text, b"", r#"String("[1, 2]\n")"#);
        check(Type::Bytes, &text, b"", "Bytes([91, 49, 44, 32, 50, 93, 10])");
        check(Type::Option(Box::new(Type::String)), &text, b"", r#"Option(Some(String("[1, 2]\n")))"#);
        check(Type::List(Box::new(Type::U8)), &text, b"", "List([U8(1), U8(2)])");
        check(Type::U8, &put("number", b" 7\n"), b"", "U8(7)");
        check(Type::U8, &text, b"", "expected u8, got [1,2]");
        check(Type::String, &put("binary", &[0xff]), b"", "is not UTF-8");
        check(Type::Bytes, &put("binary", &[0xff]), b"", "Bytes([255])");
        check(Type::String, &format!("@{}", folder.path().display()), b"", "it: can not read");
    }

    #[test]
    fn standard_input_is_read_once() {
        check(Type::String, "-", b"so\n", r#"String("so\n")"#);
        check(Type::U64, "-", b"12\n", "U64(12)");
        let fields = [Field { name: "a".into(), ty: Type::String }, Field { name: "b".into(), ty: Type::String }];
        let twice = values(&fields, &["-".into(), "-".into()], &mut &b""[..]).unwrap_err();
        assert_eq!(twice.code, Code::BadArguments);
        assert!(twice.text.contains("can be read once"), "{twice}");
    }

    #[test]
    fn what_looks_like_a_file_is_written_as_json() {
        check(Type::String, "\"@x\"", b"", r#"String("@x")"#);
        check(Type::String, "\"-\"", b"in", r#"String("-")"#);
        check(Type::String, "-x", b"", r#"String("-x")"#);
        check(Type::I8, "-5", b"", "I8(-5)");
        check(
            Type::String,
            "@/no/where",
            b"",
            r#"no file "/no/where"; a word that begins with @ is a file; the text itself is '"@/no/where"'"#,
        );
    }

    #[test]
    fn what_is_too_large_is_not_read_to_its_end() {
        check(Type::String, "-", &vec![b'x'; VALUE_BYTES_MAX], "String(");
        check(Type::String, "-", &vec![b'x'; VALUE_BYTES_MAX + 1], "standard input has more than 262144 bytes");
        check(Type::String, "@/dev/zero", b"", "/dev/zero has more than 262144 bytes");
        check(Type::List(Box::new(Type::U8)), "@/dev/zero", b"", "/dev/zero has more than 4194304 bytes");
    }
}
