//! Turns calls, answers, items and errors into the wire's messages and back. What comes from the wire is checked here,
//! once.

use crate::limits::{ERROR_TEXT_BYTES_MAX, METHOD_BYTES_MAX, OBJECTS_PER_CALL_MAX};
use crate::object_capnp::{answer, call, failure, item, object, outcome};
use crate::references::References;
use capnp::capability::FromClientHook;
use isx_iface::{Answer, Call, Delivery, Item, ObjectRef, SessionCall};
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::{Code, Error, Incarnation, Revision, Sequence, SessionId, Signature, condition};
use std::rc::Rc;
use std::time::Duration;

/// A message that is well-formed Cap'n Proto but not of our schema's bounds, or not readable at all.
pub(crate) fn malformed(_: capnp::Error) -> Error {
    Error::new(Code::Malformed, "the message does not read")
}

fn too_large(what: &str) -> Error {
    Error::new(Code::Limit, format!("{what} is too large"))
}

/// Checks what can be checked before a call waits for its turn.
pub(crate) fn check_call(call: &Call) -> Result<(), Error> {
    if call.method.len() > METHOD_BYTES_MAX {
        return Err(too_large("METHOD_BYTES_MAX: the method's name"));
    }
    if call.payload.len() > VALUE_BYTES_MAX {
        return Err(too_large("VALUE_BYTES_MAX: the payload"));
    }
    if call.objects.len() > OBJECTS_PER_CALL_MAX {
        return Err(too_large("OBJECTS_PER_CALL_MAX: the number of references"));
    }
    if !call.conditions.is_empty() {
        condition::encode(&call.conditions)?;
    }
    Ok(())
}

pub(crate) fn write_call(references: &Rc<References>, call: &Call, mut to: call::Builder<'_>) -> Result<(), Error> {
    to.set_method(call.method.as_str());
    if call.signature != Signature::ANY {
        to.set_signature(&call.signature.0);
    }
    to.set_payload(&call.payload);
    if !call.objects.is_empty() {
        write_objects(references, &call.objects, to.reborrow().init_objects(call.objects.len() as u32))?;
    }
    if let Some(coordinates) = &call.delivery.session {
        let mut session = to.reborrow().init_session();
        session.set_id(&coordinates.session.0);
        session.set_sequence(coordinates.sequence.0);
        session.set_done_below(coordinates.done_below.0);
    }
    if !call.conditions.is_empty() {
        to.set_conditions(&condition::encode(&call.conditions)?);
    }
    if let Some(within) = call.delivery.within {
        to.set_within_ms(u64::try_from(within.as_millis()).unwrap_or(u64::MAX).max(1));
    }
    to.set_revision_min(call.delivery.revision_min.map_or(0, |revision| revision.next().0));
    if let Some((incarnation, revision)) = call.delivery.after {
        let mut after = to.init_after();
        after.set_incarnation(incarnation.0);
        after.set_revision(revision.0);
    }
    Ok(())
}

pub(crate) fn read_call(references: &Rc<References>, from: call::Reader<'_>) -> Result<Call, Error> {
    let method = from.get_method().map_err(malformed)?;
    if method.len() > METHOD_BYTES_MAX {
        return Err(too_large("METHOD_BYTES_MAX: the method's name"));
    }
    let method = method.to_str().map_err(|_| Error::new(Code::Malformed, "the method's name is not UTF-8"))?.to_owned();
    let signature = match from.get_signature().map_err(malformed)? {
        [] => Signature::ANY,
        bytes => Signature(id_of(bytes)?),
    };
    let session = if from.has_session() {
        let session = from.get_session().map_err(malformed)?;
        Some(SessionCall {
            session: SessionId(id_of(session.get_id().map_err(malformed)?)?),
            sequence: Sequence(session.get_sequence()),
            done_below: Sequence(session.get_done_below()),
        })
    } else {
        None
    };
    let after = if from.has_after() {
        let after = from.get_after().map_err(malformed)?;
        Some((Incarnation(after.get_incarnation()), Revision(after.get_revision())))
    } else {
        None
    };
    let within = Some(from.get_within_ms()).filter(|within| *within != 0).map(Duration::from_millis);
    let delivery = Delivery { session, within, revision_min: revision_of(from.get_revision_min()), after };
    let payload = payload_of(from.get_payload())?;
    let objects = read_objects(references, from.has_objects().then(|| from.get_objects()))?;
    let conditions = condition::decode(from.get_conditions().map_err(malformed)?)?;
    Ok(Call { method, signature, payload, objects, conditions, delivery })
}

/// Writes an answer; its first object also to `first`, so that calls on it need not wait.
pub(crate) fn write_outcome(
    references: &Rc<References>,
    outcome: Result<Answer, Error>,
    mut to: outcome::Builder<'_>,
) -> Option<object::Client> {
    let written = outcome.and_then(|answer| {
        if answer.payload.len() > VALUE_BYTES_MAX {
            return Err(too_large("VALUE_BYTES_MAX: the answer"));
        }
        write_answer(references, &answer, to.reborrow().init_answer())
    });
    match written {
        Ok(first) => first,
        Err(error) => {
            write_failure(&error, to.init_failure());
            None
        }
    }
}

fn write_answer(
    references: &Rc<References>,
    answer: &Answer,
    mut to: answer::Builder<'_>,
) -> Result<Option<object::Client>, Error> {
    to.set_payload(&answer.payload);
    to.set_revision(answer.revision.map_or(0, |revision| revision.next().0));
    if let Some(error) = &answer.application_error {
        to.set_application_error(error);
    }
    if answer.objects.is_empty() {
        return Ok(None);
    }
    if answer.objects.len() > OBJECTS_PER_CALL_MAX {
        return Err(too_large("OBJECTS_PER_CALL_MAX: the number of references"));
    }
    write_objects(references, &answer.objects, to.init_objects(answer.objects.len() as u32))
}

pub(crate) fn read_outcome(references: &Rc<References>, from: outcome::Reader<'_>) -> Result<Answer, Error> {
    match from.which() {
        Ok(outcome::Which::Answer(answer)) => read_answer(references, answer.map_err(malformed)?),
        Ok(outcome::Which::Failure(failure)) => Err(read_failure(failure.map_err(malformed)?)),
        Err(_) => Err(Error::new(Code::Unknown, "the answer is of a kind that is not known here")),
    }
}

fn read_answer(references: &Rc<References>, from: answer::Reader<'_>) -> Result<Answer, Error> {
    let application_error =
        if from.has_application_error() { Some(payload_of(from.get_application_error())?) } else { None };
    Ok(Answer {
        payload: payload_of(from.get_payload())?,
        objects: read_objects(references, from.has_objects().then(|| from.get_objects()))?,
        revision: revision_of(from.get_revision()),
        application_error,
    })
}

pub(crate) fn write_failure(error: &Error, mut to: failure::Builder<'_>) {
    let mut end = error.text.len().min(ERROR_TEXT_BYTES_MAX);
    while !error.text.is_char_boundary(end) {
        end -= 1;
    }
    to.set_code(error.code as u16);
    to.set_text(&error.text[..end]);
    to.set_retry_after_ms(error.retry_after_ms.map_or(0, |ms| ms.saturating_add(1)));
}

pub(crate) fn read_failure(from: failure::Reader<'_>) -> Error {
    let text = from.get_text().ok().filter(|text| text.len() <= ERROR_TEXT_BYTES_MAX);
    let text = text.and_then(|text| text.to_str().ok()).unwrap_or("the peer's reason does not read");
    let mut error = Error::new(Code::from_number(from.get_code()).unwrap_or(Code::Unknown), text);
    error.retry_after_ms = from.get_retry_after_ms().checked_sub(1);
    error
}

pub(crate) fn write_item(item: &Item, mut to: item::Builder<'_>) {
    to.set_payload(&item.payload);
    let mut cursor = to.init_cursor();
    cursor.set_incarnation(item.cursor.0.0);
    cursor.set_revision(item.cursor.1.0);
}

pub(crate) fn read_item(from: item::Reader<'_>) -> Result<Item, Error> {
    let cursor = from.get_cursor().map_err(malformed)?;
    Ok(Item {
        cursor: (Incarnation(cursor.get_incarnation()), Revision(cursor.get_revision())),
        payload: payload_of(from.get_payload())?,
    })
}

fn write_objects(
    references: &Rc<References>,
    objects: &[ObjectRef],
    mut to: capnp::capability_list::Builder<'_, object::Client>,
) -> Result<Option<object::Client>, Error> {
    let mut first = None;
    for (position, object) in (0..).zip(objects) {
        let client = references.export(object.clone())?;
        first.get_or_insert_with(|| client.clone());
        to.set(position, client.into_client_hook());
    }
    Ok(first)
}

fn read_objects(
    references: &Rc<References>,
    from: Option<capnp::Result<capnp::capability_list::Reader<'_, object::Client>>>,
) -> Result<Vec<ObjectRef>, Error> {
    let Some(list) = from.transpose().map_err(malformed)? else { return Ok(Vec::new()) };
    if list.len() as usize > OBJECTS_PER_CALL_MAX {
        return Err(too_large("OBJECTS_PER_CALL_MAX: the number of references"));
    }
    (0..list.len()).map(|position| references.import(list.get(position).map_err(malformed)?)).collect()
}

fn payload_of(bytes: capnp::Result<capnp::data::Reader<'_>>) -> Result<Vec<u8>, Error> {
    let bytes = bytes.map_err(malformed)?;
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(too_large("VALUE_BYTES_MAX: the payload"));
    }
    Ok(bytes.to_vec())
}

fn id_of(bytes: &[u8]) -> Result<[u8; 16], Error> {
    bytes.try_into().map_err(|_| Error::new(Code::Malformed, "an id has 16 bytes"))
}

fn revision_of(plus_one: u64) -> Option<Revision> {
    plus_one.checked_sub(1).map(Revision)
}
