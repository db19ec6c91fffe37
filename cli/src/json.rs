//! Values as JSON and back, by their type: integers of 64 bits and wider as strings, bytes as base64url, times as
//! RFC 3339, structs as objects, enums as `"name"` or `{"name": {…}}`.

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use isx_row::{ContentHash, Field, Principal, Span, Time, Type, Value};
use serde_json::{Map, Number, Value as Json, json};

/// The JSON form of a value.
pub fn to_json(ty: &Type, value: &Value) -> Json {
    match (ty, value) {
        (_, Value::Bool(value)) => json!(value),
        (_, Value::U8(value)) => json!(value),
        (_, Value::U16(value)) => json!(value),
        (_, Value::U32(value)) => json!(value),
        (_, Value::I8(value)) => json!(value),
        (_, Value::I16(value)) => json!(value),
        (_, Value::I32(value)) => json!(value),
        (_, Value::U64(value)) => json!(value.to_string()),
        (_, Value::U128(value)) => json!(value.to_string()),
        (_, Value::I64(value)) => json!(value.to_string()),
        (_, Value::I128(value)) => json!(value.to_string()),
        (_, Value::F32(value)) => float(f64::from(*value)),
        (_, Value::F64(value)) => float(*value),
        (_, Value::String(value)) => json!(value),
        (_, Value::Bytes(value) | Value::Locator(value)) => json!(URL_SAFE_NO_PAD.encode(value)),
        (_, Value::Blob(hash)) => json!(hash.to_string()),
        (_, Value::Time(time)) => json!(rfc3339(*time)),
        (_, Value::Duration(span)) => json!(span.0.to_string()),
        (_, Value::Principal(principal)) => json!(principal.to_string()),
        (_, Value::Uuid(bytes)) => json!(uuid(bytes)),
        (Type::Option(inner), Value::Option(value)) => value.as_ref().map_or(Json::Null, |value| to_json(inner, value)),
        (Type::List(inner), Value::List(values)) => values.iter().map(|value| to_json(inner, value)).collect(),
        (Type::Map(key, member), Value::Map(pairs)) => {
            pairs.iter().map(|(k, v)| json!([to_json(key, k), to_json(member, v)])).collect()
        }
        (Type::Tuple(types), Value::Tuple(values)) => {
            types.iter().zip(values).map(|(ty, value)| to_json(ty, value)).collect()
        }
        (Type::Struct(fields), Value::Struct(values)) => members_to_json(fields, values),
        (Type::Enum(variants), Value::Enum(tag, values)) => match variants.iter().find(|variant| variant.tag == *tag) {
            Some(variant) if variant.fields.is_empty() => json!(variant.name),
            Some(variant) => json!({ &variant.name: members_to_json(&variant.fields, values) }),
            None => json!({ "tag": tag }),
        },
        // A value that is not of the type can not come out of the decoder.
        (_, other) => json!(format!("{other:?}")),
    }
}

/// Named members as a JSON object.
pub fn members_to_json(fields: &[Field], values: &[Value]) -> Json {
    let members = fields.iter().zip(values).map(|(field, value)| (field.name.clone(), to_json(&field.ty, value)));
    Json::Object(members.collect())
}

/// The value of type `ty` that `json` means.
///
/// # Errors
/// Names the place and what was expected there.
pub fn from_json(ty: &Type, json: &Json) -> Result<Value> {
    let value = match ty {
        Type::Bool => Value::Bool(json.as_bool().ok_or_else(|| expected("true or false", json))?),
        Type::U8 => Value::U8(integer(json, "u8")?),
        Type::U16 => Value::U16(integer(json, "u16")?),
        Type::U32 => Value::U32(integer(json, "u32")?),
        Type::U64 => Value::U64(integer(json, "u64")?),
        Type::U128 => Value::U128(integer(json, "u128")?),
        Type::I8 => Value::I8(integer(json, "i8")?),
        Type::I16 => Value::I16(integer(json, "i16")?),
        Type::I32 => Value::I32(integer(json, "i32")?),
        Type::I64 => Value::I64(integer(json, "i64")?),
        Type::I128 => Value::I128(integer(json, "i128")?),
        #[expect(clippy::cast_possible_truncation, reason = "an f32 argument is rounded, as a literal would be")]
        Type::F32 => Value::F32(number(json)? as f32),
        Type::F64 => Value::F64(number(json)?),
        Type::String => Value::String(text(json, "a string")?.to_string()),
        Type::Bytes => Value::Bytes(base64(json)?),
        Type::Locator => Value::Locator(base64(json)?),
        Type::Blob => Value::Blob(content_hash(text(json, "a content hash")?)?),
        Type::Time => Value::Time(parse_rfc3339(text(json, "a time")?)?),
        Type::Duration => Value::Duration(Span(integer(json, "a number of microseconds")?)),
        Type::Principal => Value::Principal(Principal(hex(text(json, "a principal")?)?)),
        Type::Uuid => Value::Uuid(hex(&text(json, "a uuid")?.replace('-', ""))?),
        Type::Option(_) if json.is_null() => Value::Option(None),
        Type::Option(inner) => Value::Option(Some(Box::new(from_json(inner, json)?))),
        Type::List(inner) => {
            let items = json.as_array().ok_or_else(|| expected("a list", json))?;
            let values =
                items.iter().enumerate().map(|(at, item)| from_json(inner, item).context(format!("item {at}")));
            Value::List(values.collect::<Result<_>>()?)
        }
        Type::Map(key, member) => {
            let pairs = json.as_array().ok_or_else(|| expected("a list of [key, value] pairs", json))?;
            let pair = |pair: &Json| match pair.as_array().map(Vec::as_slice) {
                Some([k, v]) => Ok((from_json(key, k)?, from_json(member, v)?)),
                _ => Err(expected("a [key, value] pair", pair)),
            };
            Value::Map(pairs.iter().map(pair).collect::<Result<_>>()?)
        }
        Type::Tuple(types) => {
            let items = json.as_array().filter(|items| items.len() == types.len());
            let items = items.ok_or_else(|| expected(&format!("a list of {} values", types.len()), json))?;
            Value::Tuple(types.iter().zip(items).map(|(ty, item)| from_json(ty, item)).collect::<Result<_>>()?)
        }
        Type::Struct(fields) => {
            Value::Struct(members_from_json(fields, json.as_object().ok_or_else(|| expected("an object", json))?)?)
        }
        Type::Enum(variants) => {
            let none = Map::new();
            let (name, members) = match json {
                Json::String(name) => (name, &none),
                Json::Object(object) if object.len() == 1 => {
                    let (name, members) = object.iter().next().context("one variant")?;
                    (name, members.as_object().ok_or_else(|| expected("an object of fields", members))?)
                }
                other => return Err(expected("\"variant\" or {\"variant\": {…}}", other)),
            };
            let variant = variants.iter().find(|variant| variant.name == *name).ok_or_else(|| {
                let names: Vec<_> = variants.iter().map(|variant| variant.name.as_str()).collect();
                anyhow!("no variant {name:?}; there are {}", names.join(", "))
            })?;
            Value::Enum(variant.tag, members_from_json(&variant.fields, members)?)
        }
    };
    Ok(value)
}

/// The members of a struct from a JSON object; refuses missing and unknown ones by name.
pub fn members_from_json(fields: &[Field], object: &Map<String, Json>) -> Result<Vec<Value>> {
    if let Some(unknown) = object.keys().find(|key| !fields.iter().any(|field| field.name == **key)) {
        let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        bail!("no field {unknown:?}; there are {}", names.join(", "));
    }
    let member = |field: &Field| {
        let json = match (object.get(&field.name), &field.ty) {
            (Some(json), _) => json,
            (None, Type::Option(_)) => &Json::Null,
            (None, _) => bail!("the field {:?} is missing", field.name),
        };
        from_json(&field.ty, json).context(field.name.clone())
    };
    fields.iter().map(member).collect()
}

/// One argument as typed on a command line: JSON where it is JSON of the type, else a bare word.
pub fn from_word(ty: &Type, word: &str) -> Result<Value> {
    // A bare word is a text; quotes make it JSON, and so is the `null` of an option.
    let is_none = word == "null" && matches!(ty, Type::Option(_));
    let is_json = !is_plain(ty) || word.starts_with('"') || is_none;
    let json = if is_json { serde_json::from_str(word).ok() } else { None };
    from_json(ty, &json.unwrap_or_else(|| Json::String(word.to_string())))
}

/// Whether a word, and what a file holds, is the value as it stands.
pub fn is_plain(ty: &Type) -> bool {
    match ty {
        Type::String | Type::Bytes => true,
        Type::Option(inner) => is_plain(inner),
        _ => false,
    }
}

/// How a type is written for people.
pub fn type_name(ty: &Type) -> String {
    match ty {
        Type::Option(inner) => format!("option<{}>", type_name(inner)),
        Type::List(inner) => format!("list<{}>", type_name(inner)),
        Type::Map(key, value) => format!("map<{}, {}>", type_name(key), type_name(value)),
        Type::Tuple(types) => format!("({})", types.iter().map(type_name).collect::<Vec<_>>().join(", ")),
        Type::Struct(fields) => format!("{{{}}}", fields_name(fields)),
        Type::Enum(variants) => variants
            .iter()
            .map(|variant| match variant.fields.is_empty() {
                true => variant.name.clone(),
                false => format!("{}{{{}}}", variant.name, fields_name(&variant.fields)),
            })
            .collect::<Vec<_>>()
            .join(" | "),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// `name: type, …`.
pub fn fields_name(fields: &[Field]) -> String {
    fields.iter().map(|field| format!("{}: {}", field.name, type_name(&field.ty))).collect::<Vec<_>>().join(", ")
}

fn float(value: f64) -> Json {
    // JSON has no infinities and no NaN.
    Number::from_f64(value).map_or_else(|| json!(value.to_string()), Json::Number)
}

fn number(json: &Json) -> Result<f64> {
    let parsed = match json {
        Json::String(text) => text.parse().ok(),
        other => other.as_f64(),
    };
    parsed.ok_or_else(|| expected("a number", json))
}

fn integer<T: std::str::FromStr>(json: &Json, name: &str) -> Result<T> {
    let text = match json {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        other => return Err(expected(name, other)),
    };
    text.parse().map_err(|_| anyhow!("expected {name}, got {text}"))
}

fn text<'a>(json: &'a Json, what: &str) -> Result<&'a str> {
    json.as_str().ok_or_else(|| expected(what, json))
}

fn base64(json: &Json) -> Result<Vec<u8>> {
    let text = text(json, "base64url")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|error| anyhow!("expected base64url without padding: {error}"))
}

fn hex<const N: usize>(text: &str) -> Result<[u8; N]> {
    let digits = text.as_bytes();
    let mut bytes = [0; N];
    // A number may have a sign, of which digits are to have none.
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        bail!("expected {} hexadecimal digits, got {text:?}", 2 * N);
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| anyhow!("{pair:?} is not hexadecimal"))?;
    }
    Ok(bytes)
}

/// The content hash written by [`ContentHash`]'s `Display`.
pub fn content_hash(text: &str) -> Result<ContentHash> {
    let [algorithm, digest @ ..] = hex::<33>(text)?;
    Ok(ContentHash { algorithm, digest })
}

fn uuid(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Log time as RFC 3339 in UTC with microseconds.
pub fn rfc3339(time: Time) -> String {
    let shown = jiff::Timestamp::from_microsecond(time.0).map(|timestamp| format!("{timestamp:.6}"));
    shown.unwrap_or_else(|_| format!("{} µs since 1970", time.0))
}

fn parse_rfc3339(text: &str) -> Result<Time> {
    let timestamp: jiff::Timestamp =
        text.parse().map_err(|_| anyhow!("expected a time like 2026-01-31T12:00:00Z, got {text:?}"))?;
    Ok(Time(timestamp.as_microsecond()))
}

fn expected(what: &str, found: &Json) -> anyhow::Error {
    anyhow!("expected {what}, got {found}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_row::Variant;

    fn both_ways(ty: &Type, value: Value, json: &str) {
        assert_eq!(to_json(ty, &value).to_string(), json);
        assert_eq!(from_json(ty, &serde_json::from_str(json).unwrap()).unwrap(), value);
    }

    fn refused(ty: &Type, word: &str, text: &str) {
        assert_eq!(format!("{:#}", from_word(ty, word).unwrap_err()), text);
    }

    #[test]
    fn wide_integers_and_bytes_are_strings() {
        both_ways(&Type::U64, Value::U64(u64::MAX), "\"18446744073709551615\"");
        both_ways(&Type::I128, Value::I128(-1), "\"-1\"");
        both_ways(&Type::Bytes, Value::Bytes(vec![0xff, 0xfe]), "\"__4\"");
        both_ways(&Type::U32, Value::U32(7), "7");
    }

    #[test]
    fn times_are_rfc_3339() {
        both_ways(&Type::Time, Value::Time(Time(0)), "\"1970-01-01T00:00:00.000000Z\"");
        both_ways(&Type::Time, Value::Time(Time(1_709_164_800_000_001)), "\"2024-02-29T00:00:00.000001Z\"");
        both_ways(&Type::Time, Value::Time(Time(-1)), "\"1969-12-31T23:59:59.999999Z\"");
        assert!(from_word(&Type::Time, "2023-02-29T00:00:00Z").is_err());
    }

    #[test]
    fn enums_go_by_name() {
        let fields = vec![Field { name: "x".into(), ty: Type::U8 }];
        let ty = Type::Enum(vec![
            Variant { name: "none".into(), tag: 3, fields: vec![] },
            Variant { name: "at".into(), tag: 9, fields },
        ]);
        both_ways(&ty, Value::Enum(3, vec![]), "\"none\"");
        both_ways(&ty, Value::Enum(9, vec![Value::U8(1)]), "{\"at\":{\"x\":1}}");
        refused(&ty, "some", "no variant \"some\"; there are none, at");
    }

    #[test]
    fn words_are_read_by_their_type() {
        assert_eq!(from_word(&Type::String, "42").unwrap(), Value::String("42".into()));
        assert_eq!(from_word(&Type::String, "\"a b\"").unwrap(), Value::String("a b".into()));
        let maybe = Type::Option(Box::new(Type::String));
        let some = |text: &str| Value::Option(Some(Box::new(Value::String(text.into()))));
        for (word, expected) in [("42", "42"), ("true", "true"), ("[1]", "[1]"), ("a", "a"), ("\"null\"", "null")] {
            assert_eq!(from_word(&maybe, word).unwrap(), some(expected), "{word}");
        }
        assert_eq!(from_word(&maybe, "null").unwrap(), Value::Option(None));
        assert_eq!(from_word(&Type::Bytes, "true").unwrap(), Value::Bytes(vec![0xb6, 0xbb, 0x9e]));
        assert_eq!(from_word(&Type::Bytes, "1234").unwrap(), Value::Bytes(vec![0xd7, 0x6d, 0xf8]));
        assert_eq!(from_word(&Type::U64, "42").unwrap(), Value::U64(42));
        assert_eq!(from_word(&Type::Option(Box::new(Type::U8)), "null").unwrap(), Value::Option(None));
        refused(&Type::U8, "256", "expected u8, got 256");
        refused(&Type::Bool, "maybe", "expected true or false, got \"maybe\"");
    }

    #[test]
    fn fields_are_checked_by_name() {
        let ty = Type::Struct(vec![Field { name: "a".into(), ty: Type::U8 }]);
        refused(&ty, "{}", "the field \"a\" is missing");
        refused(&ty, "{\"a\":1,\"b\":2}", "no field \"b\"; there are a");
    }
}
