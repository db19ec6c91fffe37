//! Requests that carry messages between mounts: a message arrives, and what it was answered comes back.

use super::bundle::Bundle;
use super::{Place, Run, no_mount, skipped};
use crate::group::MountsGroup;
use crate::inbox::Arrival;
use crate::machine::Hold;
use crate::mount::{Mount, outcome};
use crate::outcome::Outcome;
use crate::planted::Bug;
use isx_anchors::wire::Wire;
use isx_row::codec::{decode_record, encode_record};
use isx_row::limits::LINKS_MAX;
use isx_row::schema::{Hook, RowEvent, Schema, Sent};
use isx_row::{Code, Error, Field, Incarnation, MountId, Principal, Signature, Type, Value};
use isx_store::{Cause, Changes, Invocation, Listener, Message, MessageKind, event_of};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Run<'_> {
    /// Takes a message that another mount sent: once, and in order.
    pub(super) fn deliver(
        &mut self,
        group: &mut MountsGroup,
        bundle: &mut Bundle,
        place: Place,
        ((from, incarnation), to): ((MountId, Incarnation), MountId),
        (number, done_below): (u64, u64),
        message: &Message,
    ) -> Result<Outcome, Hold> {
        // Both live here. What was dropped has left no trace at those it sent to, and must not come back.
        if group.mounts.get(&from).is_none_or(|slot| slot.mount.incarnation != incarnation) {
            return Ok(Outcome::refused(Code::Gone, "the sender was removed"));
        }
        let Some(slot) = group.mounts.get_mut(&to) else {
            let gone = Outcome::refused(Code::Gone, "the mount was removed");
            return Ok(Outcome::Delivered(gone.to_wire()));
        };
        let mount = Arc::make_mut(&mut slot.mount);
        let outcome = match mount.inbox.admit((from, incarnation), number, done_below) {
            Err(error) => Outcome::Refused(error),
            Ok(Arrival::Answered(answer)) if !self.planted.has(Bug::DeliveredTwice) => Outcome::Delivered(answer),
            Ok(_) => {
                let outcome = self.arrive(mount, bundle, place, from, message)?;
                mount.inbox.answer((from, incarnation), number, &outcome);
                Outcome::Delivered(outcome.to_wire())
            }
        };
        group.reseal(&to);
        Ok(outcome)
    }

    fn arrive(
        &mut self,
        mount: &mut Mount,
        bundle: &mut Bundle,
        place: Place,
        from: MountId,
        message: &Message,
    ) -> Result<Outcome, Hold> {
        if self.skips.contains(&(self.index, place.0 as u32)) {
            return Ok(skipped());
        }
        match message.kind {
            MessageKind::Listen => Ok(self.listen(mount, from, message)),
            MessageKind::Call => self.run_message(mount, bundle, place, (from, Cause::Call, message)),
            MessageKind::Rows if hears(mount, &from, message) => {
                let outcome = self.run_message(mount, bundle, place, (from, Cause::Hook, message))?;
                if let Outcome::Refused(_) | Outcome::Application { .. } = &outcome {
                    self.log_failure(mount.id, &message.name, &outcome);
                }
                Ok(outcome)
            }
            MessageKind::Rows => Ok(Outcome::refused(Code::NotFound, format!("no hook {} listens", message.name))),
        }
    }

    /// Ends a message that was delivered: it leaves the outbox, and the hook that waits hears of it.
    pub(super) fn settle(
        &mut self,
        group: &mut MountsGroup,
        bundle: &mut Bundle,
        place: Place,
        (id, to, number): (MountId, MountId, u64),
        answer: &[u8],
    ) -> Result<Outcome, Hold> {
        let Some(slot) = group.mounts.get_mut(&id) else { return Ok(no_mount()) };
        let mount = Arc::make_mut(&mut slot.mount);
        let mut transaction = mount.database.begin();
        let message = match transaction.settle(&to, number) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Outcome::Done),
            Err(error) => return Ok(Outcome::Refused(error)),
        };
        let reply = Outcome::from_wire(answer)
            .unwrap_or_else(|_| Outcome::refused(Code::Unknown, "the answer can not be read"));
        if let Outcome::Refused(Error { code: Code::Gone, .. }) = &reply {
            // Who is not there listens to nothing. LISTENERS_MAX rows fit a transaction.
            drop(transaction.set_listeners(&to, &[]));
        }
        let changes = transaction.commit();
        self.commit(mount, changes);
        let schema = Arc::clone(mount.database.schema());
        match message.kind {
            MessageKind::Call => {
                if let Some((name, arguments)) = reply_hook(mount, &schema, (&to, &message), number, &reply) {
                    let hook = mount.hook(Cause::Hook, name, &arguments, place.1);
                    let hook = Invocation { caller: Principal::of_mount(&to), hops: message.hops, ..hook };
                    if let Err(failed) = self.run_hook(mount, bundle, place, hook)? {
                        self.log_failure(id, name, &failed);
                    }
                }
            }
            MessageKind::Listen => {
                if let Outcome::Refused(_) = &reply {
                    self.log_failure(id, "on the tables of another module", &reply);
                }
            }
            MessageKind::Rows => {}
        }
        group.reseal(&id);
        Ok(Outcome::Done)
    }

    fn run_message(
        &mut self,
        mount: &mut Mount,
        bundle: &mut Bundle,
        place: Place,
        (from, cause, message): (MountId, Cause, &Message),
    ) -> Result<Outcome, Hold> {
        let call = mount.hook(cause, &message.name, &message.payload, place.1);
        let call = Invocation {
            signature: message.signature,
            caller: Principal::of_mount(&from),
            trusted: message.trusted,
            hops: message.hops,
            ..call
        };
        let mut answered = Outcome::Done;
        for done in self.execute(mount, bundle, &[place.0], &[call])? {
            answered = outcome(&done.outcome, done.detail.as_ref(), mount.revision.next());
            self.keep(mount, bundle, done);
        }
        Ok(answered)
    }

    /// Lets hooks of another mount hear of changes here from now on, if they may and take what is here.
    fn listen(&mut self, mount: &mut Mount, from: MountId, message: &Message) -> Outcome {
        let listeners = match Listener::read_list(&message.payload) {
            Ok(listeners) => listeners,
            Err(error) => return Outcome::Refused(error),
        };
        let schema = Arc::clone(mount.database.schema());
        let allowed = listeners.iter().all(|one| {
            let table = schema.table(&one.table).filter(|table| message.trusted || schema.public && table.public);
            one.mount == from && table.is_some_and(|table| usize::from(one.columns) <= table.columns.len())
        });
        if !allowed {
            return Outcome::refused(Code::NotFound, "a table that is listened to is not there");
        }
        match mount.database.with_post() {
            Ok(database) => mount.database = database,
            Err(error) => return Outcome::Refused(error),
        }
        let mut transaction = mount.database.begin();
        match transaction.set_listeners(&from, &listeners) {
            Ok(()) => {
                let changes = transaction.commit();
                self.commit(mount, changes);
                Outcome::Done
            }
            Err(error) => Outcome::Refused(error),
        }
    }
}

/// Whether the hook that a message is for is on that event of the mount that sent it: the module may be another by now.
fn hears(mount: &Mount, from: &MountId, message: &Message) -> bool {
    let schema = mount.database.schema();
    match schema.reducer(&message.name).and_then(|reducer| reducer.hook.as_ref()) {
        Some(Hook::OtherTable { path, table, event }) => {
            event_of(table, *event) == message.path
                && mount.database.linked(path).is_some_and(|link| link.mount == *from)
        }
        _ => false,
    }
}

/// The hook that hears what became of a call, and its arguments.
fn reply_hook<'a>(
    mount: &Mount,
    schema: &'a Schema,
    (to, message): (&MountId, &Message),
    number: u64,
    reply: &Outcome,
) -> Option<(&'a str, Vec<u8>)> {
    let sent = schema.link(&message.path)?.sent(&message.name)?;
    let name = schema.reply_hook(&message.path, &message.name)?;
    // Numbers of another mount would be taken for numbers of this one.
    mount.database.linked(&message.path).filter(|link| link.mount == *to)?;
    let field = |name: &str, ty| Field { name: name.into(), ty };
    let fields = [field("number", Type::U64), field("reply", Sent::reply(&sent.answer))];
    let known = [Signature::ANY, sent.signature()].contains(&message.signature);
    let reply = match reply {
        Outcome::Answer { .. } if !known => {
            Err(Error::new(Code::StaleBindings, format!("{} was sent with other types", sent.name)))
        }
        Outcome::Answer { payload, .. } => match decode_record(&[field("value", sent.answer.clone())], payload) {
            Ok(_) if sent.answer == Type::UNIT => Ok(Vec::new()),
            Ok((_, values)) => Ok(values),
            Err(_) => Err(Error::new(Code::StaleBindings, format!("the answer of {} is of another type", sent.name))),
        },
        Outcome::Application { text, .. } => Err(Error::new(Code::Application, text.clone())),
        Outcome::Refused(error) => Err(error.clone()),
        other => Err(other.clone().into_answer().err().unwrap_or_else(|| Error::new(Code::Unknown, "no answer"))),
    };
    let arguments = |reply: Result<Vec<Value>, Error>| {
        let reply = match reply {
            Ok(values) => Value::Enum(1, values),
            Err(error) => Value::Enum(2, vec![Value::U16(error.code as u16), Value::String(error.text)]),
        };
        encode_record(0, &fields, &[Value::U64(number), reply])
    };
    let too_large = |_| {
        let text = format!("{} answered more than fits beside its number", sent.name);
        arguments(Err(Error::new(Code::Limit, text)))
    };
    Some((name, arguments(reply).or_else(too_large).ok()?))
}

/// Forgets a mount that is dropped at those it has sent to.
pub(super) fn forget(group: &mut MountsGroup, dropped: &Mount) {
    for to in dropped.database.receivers() {
        if let Some(slot) = group.mounts.get_mut(&to) {
            Arc::make_mut(&mut slot.mount).inbox.forget(dropped.id);
            group.reseal(&to);
        }
    }
}

/// What a mount listens to, by the mount that it is linked to: all of its hooks, and whether they may hear of private tables.
fn listens(mount: &Mount) -> BTreeMap<MountId, (Vec<Listener>, bool)> {
    let schema = mount.database.schema();
    let mut all: BTreeMap<MountId, (Vec<Listener>, bool)> = BTreeMap::new();
    for link in mount.module.links.iter().take(LINKS_MAX) {
        let listener = |(table, event, hook, row): (&str, RowEvent, &str, &Type)| Listener {
            table: table.into(),
            event,
            mount: mount.id,
            hook: hook.into(),
            columns: match row {
                Type::Struct(fields) => u16::try_from(fields.len()).unwrap_or(u16::MAX),
                _ => 0,
            },
        };
        let (listeners, trusted) = all.entry(link.mount).or_default();
        listeners.extend(schema.listens(&link.path).map(listener));
        *trusted |= link.trusted;
    }
    all
}

/// Writes down which mounts the module's links stand for, and tells them what listens to them from now on, where that is
/// another than under the module before.
///
/// # Errors
/// `limit` when the mount has no room for it.
pub(super) fn link(mount: &mut Mount, before: Option<&Mount>) -> Result<Changes, Error> {
    let (old, new) = (before.map(listens).unwrap_or_default(), listens(mount));
    if mount.module.links.is_empty() && old.is_empty() {
        return Ok(Changes::default());
    }
    mount.database = mount.database.with_post()?;
    let mut transaction = mount.database.begin();
    transaction.set_links(&mount.module.links)?;
    let none = (Vec::new(), false);
    for to in old.keys().chain(new.keys().filter(|to| !old.contains_key(to))) {
        let (was, is) = (old.get(to).unwrap_or(&none), new.get(to).unwrap_or(&none));
        if was.0.is_empty() && is.0.is_empty() || was == is {
            continue;
        }
        let (listeners, trusted) = is;
        let message = Message {
            kind: MessageKind::Listen,
            path: String::new(),
            name: String::new(),
            signature: Signature::ANY,
            payload: Listener::list(listeners)?,
            trusted: *trusted,
            hops: 1,
        };
        transaction.send(to, &message)?;
    }
    Ok(transaction.commit())
}
