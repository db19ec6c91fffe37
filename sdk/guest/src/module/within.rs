//! What a scan reads: bounds of whole keys, of the column after the first ones, or the beginning of a text.

use crate::module::key::Key;
use crate::module::port::tables as host;
use isx_row::Type;
use isx_row::codec::CodecError;
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

/// The bounds of a scan over keys of type `K`:
///
/// | bounds | rows |
/// |---|---|
/// | `..`, `a..b`, `a..=b`, `a..`, `..b`, `..=b` | whose keys lie between; for several columns `a` and `b` are tuples of them all |
/// | `isx::after(a)` | behind `a`: where the page before ended |
/// | `isx::prefix("ab")` | whose text begins with `ab` |
/// | `(room, 5..)`, `(room, isx::after(5))`, `(room, isx::prefix("ab"))` | with these values in the first columns and the next one within bounds; columns after it are free |
/// | `(room, ..)` | with these values in the first columns |
/// | `(5..9,)` | with the first column within bounds; the others are free |
///
/// ```
/// use isx::{QueryContext, Result};
///
/// isx::module!();
///
/// #[isx::table]
/// #[index(btree, columns(room, name))]
/// struct Item {
///     #[primary_key]
///     id: u64,
///     room: u8,
///     name: String,
/// }
///
/// /// The ten items of a room that follow the one called `last`.
/// #[isx::query(reads(item))]
/// fn page(ctx: &QueryContext, room: u8, last: String) -> Result<Vec<Item>> {
///     ctx.db.item().range_by_room_name((room, isx::after(last.as_str()))).take(10).collect()
/// }
///
/// /// The last item of a room whose name begins with `text`.
/// #[isx::query(reads(item))]
/// fn last(ctx: &QueryContext, room: u8, text: String) -> Result<Option<Item>> {
///     ctx.db.item().range_by_room_name((room, isx::prefix(&text))).reverse().next().transpose()
/// }
/// ```
///
/// What does not fit the columns does not compile:
/// ```compile_fail,E0277
/// # isx::module!();
/// # #[isx::table]
/// # struct Item { #[primary_key] room: u8, #[primary_key] name: String }
/// #[isx::query]
/// fn named(ctx: &isx::QueryContext) -> isx::Result<Vec<Item>> {
///     ctx.db.item().range((isx::prefix("a"), ..)).collect()
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not bound keys of type `{K}`",
    note = "give a range of keys: `a..b`; for several columns also the values of the first ones and bounds of the next: \
            `(room, 5..)`; for a text also its beginning: `isx::prefix(\"ab\")`"
)]
pub trait Within<K> {
    /// The least and the greatest keys, all beginning with `first`.
    #[doc(hidden)]
    fn __bounds(&self, first: &[u8]) -> Result<(host::Bound, host::Bound), CodecError>;
}

/// The texts that begin with `text`. See [`Within`].
pub fn prefix(text: &str) -> Prefix<'_> {
    Prefix(text)
}

/// Made by [`prefix`].
#[derive(Clone, Copy, Debug)]
pub struct Prefix<'a>(&'a str);

impl Within<String> for Prefix<'_> {
    fn __bounds(&self, first: &[u8]) -> Result<(host::Bound, host::Bound), CodecError> {
        let mut beginning = first.to_vec();
        isx_row::key::append(&Type::String, self.0.as_bytes(), &mut beginning)?;
        // Without the two bytes that end the text.
        beginning.truncate(beginning.len() - 2);
        Ok((host::Bound::Included(beginning.clone()), host::Bound::Included(beginning)))
    }
}

/// The keys behind `key`, without it. See [`Within`].
pub fn after<Q>(key: Q) -> After<Q> {
    After(key)
}

/// Made by [`after`].
#[derive(Clone, Copy, Debug)]
pub struct After<Q>(Q);

fn included<K, Q: Key<K>>(first: &[u8], key: &Q) -> Result<host::Bound, CodecError> {
    whole(first, key).map(host::Bound::Included)
}

fn excluded<K, Q: Key<K>>(first: &[u8], key: &Q) -> Result<host::Bound, CodecError> {
    whole(first, key).map(host::Bound::Excluded)
}

fn whole<K, Q: Key<K>>(first: &[u8], key: &Q) -> Result<Vec<u8>, CodecError> {
    let mut bytes = first.to_vec();
    key.append(&mut bytes)?;
    Ok(bytes)
}

/// Every key that begins with `first`: a bound stands for all of them.
fn open(first: &[u8]) -> host::Bound {
    if first.is_empty() { host::Bound::Unbounded } else { host::Bound::Included(first.to_vec()) }
}

macro_rules! ranges {
    ($($range:ident |$self:ident, $first:ident| $lower:expr, $upper:expr;)*) => {$(
        impl<K, Q: Key<K>> Within<K> for $range<Q> {
            fn __bounds(&$self, $first: &[u8]) -> Result<(host::Bound, host::Bound), CodecError> {
                Ok(($lower, $upper))
            }
        }
    )*};
}

ranges! {
    Range |self, first| included(first, &self.start)?, excluded(first, &self.end)?;
    RangeInclusive |self, first| included(first, self.start())?, included(first, self.end())?;
    RangeFrom |self, first| included(first, &self.start)?, open(first);
    RangeTo |self, first| open(first), excluded(first, &self.end)?;
    RangeToInclusive |self, first| open(first), included(first, &self.end)?;
}

impl<K> Within<K> for RangeFull {
    fn __bounds(&self, first: &[u8]) -> Result<(host::Bound, host::Bound), CodecError> {
        Ok((open(first), open(first)))
    }
}

impl<K, Q: Key<K>> Within<K> for After<Q> {
    fn __bounds(&self, first: &[u8]) -> Result<(host::Bound, host::Bound), CodecError> {
        Ok((excluded(first, &self.0)?, open(first)))
    }
}

/// For the types of a key's columns, each with a name for the value given for it: bounds of each column behind values of
/// those before.
macro_rules! columns {
    ([$($value:ident $column:ident)*]) => {};
    ([$($value:ident $column:ident)*] $next_value:ident $next:ident $($free_value:ident $free:ident)*) => {
        impl<$($column, $value: Key<$column>,)* $next, $($free,)* W: Within<$next>>
            Within<($($column,)* $next, $($free,)*)> for ($($value,)* W,)
        {
            #[allow(non_snake_case, reason = "a value is called as its type")]
            fn __bounds(&self, first: &[u8]) -> Result<(host::Bound, host::Bound), CodecError> {
                let ($($value,)* within,) = self;
                #[allow(unused_mut, reason = "there may be no column before")]
                let mut first = first.to_vec();
                $(Key::<$column>::append($value, &mut first)?;)*
                within.__bounds(&first)
            }
        }

        columns! { [$($value $column)* $next_value $next] $($free_value $free)* }
    };
}

columns! { [] Q A R B }
columns! { [] Q A R B S C }
columns! { [] Q A R B S C T D }
columns! { [] Q A R B S C T D U E }
columns! { [] Q A R B S C T D U E V F }
columns! { [] Q A R B S C T D U E V F X G }
columns! { [] Q A R B S C T D U E V F X G Y H }

#[cfg(test)]
mod tests {
    use super::*;
    use isx_row::Typed;

    type Bounds = (host::Bound, host::Bound);

    fn bounds<K>(within: impl Within<K>) -> Bounds {
        within.__bounds(&[]).expect("the keys are short")
    }

    /// Whether a scan within these bounds gives a row with this key: as the contract says, a bound stands for every key that
    /// begins with it.
    fn takes<K: Typed>((lower, upper): &Bounds, key: &K) -> bool {
        let key = whole(&[], key).expect("the key is short");
        let above = match lower {
            host::Bound::Unbounded => true,
            host::Bound::Included(bound) => key >= *bound,
            host::Bound::Excluded(bound) => key > *bound && !key.starts_with(bound),
        };
        let below = match upper {
            host::Bound::Unbounded => true,
            host::Bound::Included(bound) => key < *bound || key.starts_with(bound),
            host::Bound::Excluded(bound) => key < *bound,
        };
        above && below
    }

    const TEXTS: [&str; 9] = ["", "a", "a\0", "a\0b", "ab", "abc", "b", "ä", "\u{10ffff}"];

    #[test]
    fn texts_are_bounded_as_rust_orders_them() {
        let check = |bounds: &Bounds, expected: &dyn Fn(&str) -> bool| {
            for text in TEXTS {
                assert_eq!(takes(bounds, &text.to_owned()), expected(text), "{text:?} in {bounds:?}");
            }
        };
        for a in TEXTS {
            check(&bounds::<String>(prefix(a)), &|text| text.starts_with(a));
            check(&bounds::<String>(a..), &|text| text >= a);
            check(&bounds::<String>(..a), &|text| text < a);
            check(&bounds::<String>(..=a), &|text| text <= a);
            check(&bounds::<String>(after(a)), &|text| text > a);
            for b in TEXTS {
                check(&bounds::<String>(a..b), &|text| (a..b).contains(&text));
                check(&bounds::<String>(a..=b), &|text| (a..=b).contains(&text));
            }
        }
        check(&bounds::<String>(..), &|_| true);
    }

    #[test]
    fn the_first_columns_are_bounded_and_the_others_free() {
        type Key3 = (u8, String, i8);
        let check = |bounds: &Bounds, expected: &dyn Fn(u8, &str, i8) -> bool| {
            for (first, second, third) in
                (0..3).flat_map(|n| TEXTS.iter().flat_map(move |text| [-1, 0, 1].map(|i| (n, *text, i))))
            {
                let key = (first, second.to_owned(), third);
                assert_eq!(takes(bounds, &key), expected(first, second, third), "{key:?} in {bounds:?}");
            }
        };
        check(&bounds::<Key3>((1..2,)), &|first, _, _| first == 1);
        check(&bounds::<Key3>((1..,)), &|first, _, _| first >= 1);
        check(&bounds::<Key3>((1, ..)), &|first, _, _| first == 1);
        check(&bounds::<Key3>((1, "a"..="ab")), &|first, second, _| first == 1 && ("a"..="ab").contains(&second));
        check(&bounds::<Key3>((1, ..="ab")), &|first, second, _| first == 1 && second <= "ab");
        check(&bounds::<Key3>((1, after("a"))), &|first, second, _| first == 1 && second > "a");
        check(&bounds::<Key3>((1, prefix("a"))), &|first, second, _| first == 1 && second.starts_with('a'));
        check(&bounds::<Key3>((1, "ab", 0..)), &|first, second, third| (first, second) == (1, "ab") && third >= 0);
        check(&bounds::<Key3>((1, "ab", ..0)), &|first, second, third| (first, second) == (1, "ab") && third < 0);
        let whole = (1, "a".to_owned(), 0)..(2, "a".to_owned(), 0);
        check(&bounds::<Key3>(whole), &|first, second, third| {
            ((1, "a", 0)..(2, "a", 0)).contains(&(first, second, third))
        });
        check(&bounds::<Key3>(..), &|_, _, _| true);
    }

    #[test]
    fn bounds_that_are_too_long_are_refused() {
        let long = "x".repeat(isx_row::limits::KEY_BYTES_MAX);
        let within: &dyn Within<String> = &prefix(&long);
        assert_eq!(within.__bounds(&[]).map(drop), Err(CodecError::Limit("KEY_BYTES_MAX")));
        let half = "x".repeat(isx_row::limits::KEY_BYTES_MAX / 2);
        let within: &dyn Within<(String, String)> = &(half.as_str(), half.as_str()..);
        assert_eq!(within.__bounds(&[]).map(drop), Err(CodecError::Limit("KEY_BYTES_MAX")));
    }
}
