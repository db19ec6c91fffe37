//! What following a table gives: steps of one or more whole transactions, in order.

use crate::payload::value_of;
use crate::{Call, Delivery, Error, Items, ObjectRef, choice, record};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use isx_row::{Bytes, Code, Incarnation, Revision, Signature};

#[doc(no_inline)]
pub use isx_row::schema::Doing;

choice! {
    /// What happened to a row.
    pub enum RowChange {
        /// It is there: a row of the first revision, sent before changes when there is no cursor to continue from, or after a
        /// reset.
        Present = 0,
        /// It came.
        Insert = 1,
        /// It changed.
        Update = 2,
        /// It went.
        Delete = 3,
    }
}

record! {
    /// One row's change.
    pub struct Changed {
        /// What happened.
        pub what: RowChange,
        /// The encoded row before. Of a volatile table only the last of one that went.
        pub old: Option<Bytes>,
        /// The encoded row after.
        pub new: Option<Bytes>,
    }

    /// A part of a step: of what one or more whole transactions did to the table, or of the rows of one revision. The
    /// parts of a step follow each other from number 0 to the one that says `last`, whose cursor is the step's; a
    /// consumer that sees number 0 again drops what it has of an unfinished step: the stream was opened again.
    pub struct Part {
        /// The part's number.
        pub number: u32,
        /// Whether the step is complete with it.
        pub last: bool,
        /// Whether these are all rows of the revision: what was known before is void.
        pub reset: bool,
        /// The changes, in order.
        pub changes: Vec<Changed>,
    }
}

/// A step of a followed table: it is now at `revision`.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The mount's incarnation; of a volatile table the life of its last values.
    pub incarnation: Incarnation,
    /// The revision of the step's last transaction; of a volatile table a count of its changes.
    pub revision: Revision,
    /// Whether `changes` are all rows of the revision: what was known before is void.
    pub reset: bool,
    /// The changes, in order.
    pub changes: Vec<Changed>,
}

/// Follows the table `table` of a mounted object: its rows first, or what came after the cursor `after`.
///
/// # Errors
/// `not_found` when there is no such table, or it is not the caller's to see.
///
/// # Cancel safety
/// Dropping the future abandons the stream.
pub async fn follow(
    object: &ObjectRef,
    table: &str,
    after: Option<(Incarnation, Revision)>,
) -> Result<BoxStream<'static, Result<Step, Error>>, Error> {
    follow_view(object, (table, Signature::ANY), crate::payload::encode(&())?, after).await
}

/// Follows the view `view` of a mounted object, with its encoded arguments: as [`follow`] does a table. A step is what became
/// of its rows between two revisions. A cursor is of the view, the arguments and the caller that it was given to.
///
/// # Errors
/// As [`follow`]; `stale_bindings` for another signature, `bad_arguments`, and whatever the view itself ends with.
///
/// # Cancel safety
/// As [`follow`].
pub async fn follow_view(
    object: &ObjectRef,
    (view, signature): (&str, Signature),
    arguments: Vec<u8>,
    after: Option<(Incarnation, Revision)>,
) -> Result<BoxStream<'static, Result<Step, Error>>, Error> {
    let delivery = Delivery { after, ..Delivery::default() };
    let call = Call {
        method: view.to_string(),
        signature,
        payload: arguments,
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery,
    };
    let items = object.stream(call).await?;
    let gathering = Gathering { items, next: 0, changes: Vec::new() };
    Ok(stream::unfold(gathering, |mut gathering| async move {
        let step = gathering.next().await?;
        Some((step, gathering))
    })
    .boxed())
}

/// Puts the caller's row into a volatile table of a mounted object, or deletes it: `columns` is the record of those that
/// `doing` takes, in the order of the table. The row is the caller's whoever else has one like it, and goes with his session.
/// What is put last stands; who follows the table hears of it, and no log.
///
/// # Errors
/// `not_found` when there is no such table, or it is not the caller's to see; `stale_bindings` for another signature than the
/// table's; `bad_arguments`; `limit` and `busy` at a bound, where deleting works.
///
/// # Cancel safety
/// Dropping the future abandons the answer; it may happen all the same.
pub async fn change(
    object: &ObjectRef,
    (table, doing): (&str, Doing),
    signature: Signature,
    columns: Vec<u8>,
) -> Result<(), Error> {
    let call = Call {
        method: doing.method(table),
        signature,
        payload: columns,
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery: Delivery::default(),
    };
    value_of(&object.call(call).await?)
}

/// Puts parts together.
struct Gathering {
    items: Items,
    next: u32,
    changes: Vec<Changed>,
}

impl Gathering {
    async fn next(&mut self) -> Option<Result<Step, Error>> {
        loop {
            let item = match self.items.next().await? {
                Ok(item) => item,
                Err(error) => return Some(Err(error)),
            };
            let part: Part = match crate::payload::decode_value(&item.payload) {
                Ok(part) => part,
                Err(error) => return Some(Err(error)),
            };
            if part.number == 0 {
                self.changes.clear();
            } else if part.number != self.next {
                return Some(Err(Error::new(Code::Malformed, "a part of a step is missing")));
            }
            self.next = part.number.saturating_add(1);
            self.changes.extend(part.changes);
            if part.last {
                let (incarnation, revision) = item.cursor;
                let changes = std::mem::take(&mut self.changes);
                return Some(Ok(Step { incarnation, revision, reset: part.reset, changes }));
            }
        }
    }
}
