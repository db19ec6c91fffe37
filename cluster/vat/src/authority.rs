//! Who may call what, until when: the one place where it is decided.
//!
//! Each connection has a [`Table`]. A reference handed out through it is wrapped: every use checks that the table has
//! not been revoked since and that the [`Rules`] allow the method, and whatever it returns is wrapped in the same way.
//! So rules only narrow, and nothing escapes them by being obtained indirectly. The node may revoke; calls in flight then
//! run to their end, and no call starts after [`Authority::revoke`] returned.

use async_trait::async_trait;
use futures::{StreamExt, future, stream};
use isx_iface::{Answer, Call, Items, Object, ObjectRef};
use isx_port::PeerId;
use isx_row::{Code, Condition, Error};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::OnceCell;

/// What the interfaces of the system begin with; all others are modules' or guests' own.
const SYSTEM: &str = "isx.";

/// What a rule allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One method of an interface.
    Method {
        /// The interface's name, `isx.Anchor`.
        interface: String,
        /// The method's name.
        method: String,
    },
    /// Every method of an interface.
    Interface(String),
    /// Every method of every interface that is not the system's: contracts decide about those.
    Modules,
}

/// What may be called; what no rule allows is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Everything.
    All,
    /// What one of them allows.
    Only(Vec<Rule>),
}

impl Rules {
    fn allow(&self, interface: &str, method: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(rules) => rules.iter().any(|rule| match rule {
                Rule::Method { interface: of, method: only } => of == interface && only == method,
                Rule::Interface(of) => of == interface,
                Rule::Modules => !interface.starts_with(SYSTEM),
            }),
        }
    }
}

/// Counts revocations of a table; what was handed out under an earlier one is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Generation(u64);

/// The references handed out to one holder.
pub struct Table {
    peer: PeerId,
    generation: AtomicU64,
}

impl Table {
    /// Wraps `object` for the holder: only what `rules` allow, until the next revocation.
    pub fn hand_out(self: &Arc<Self>, object: ObjectRef, rules: &Arc<Rules>) -> ObjectRef {
        self.hand_out_under(self.generation(), object, rules)
    }

    /// What a wrapped reference returns is as old as itself: a call in flight can not outlive a revocation.
    fn hand_out_under(self: &Arc<Self>, generation: Generation, object: ObjectRef, rules: &Arc<Rules>) -> ObjectRef {
        Arc::new(Held { object, table: self.clone(), generation, rules: rules.clone(), interface: OnceCell::new() })
    }

    /// Makes everything handed out so far answer `gone`.
    pub fn revoke(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }
}

/// The tables of a node, by connection.
#[derive(Default)]
pub struct Authority {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    next: u64,
    tables: BTreeMap<u64, Weak<Table>>,
}

impl Authority {
    /// A table for a connection of `peer`; forgotten when its last reference is.
    pub fn table(&self, peer: PeerId) -> Arc<Table> {
        let table = Arc::new(Table { peer, generation: AtomicU64::new(0) });
        let mut tables = self.lock();
        // Tables end with their connections, which are bounded: sweeping at each new one keeps the map as small.
        tables.tables.retain(|_, table| table.strong_count() > 0);
        tables.next += 1;
        let number = tables.next;
        tables.tables.insert(number, Arc::downgrade(&table));
        table
    }

    /// Revokes everything that `peer` holds over any connection. When it returns no call of theirs starts; those in
    /// flight run to their end.
    pub fn revoke(&self, peer: PeerId) {
        for table in self.lock().tables.values().filter_map(Weak::upgrade) {
            if table.peer == peer {
                table.revoke();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reference as its holder has it.
struct Held {
    object: ObjectRef,
    table: Arc<Table>,
    generation: Generation,
    rules: Arc<Rules>,
    interface: OnceCell<String>,
}

impl Held {
    fn alive(&self) -> Result<(), Error> {
        if self.table.generation() == self.generation {
            Ok(())
        } else {
            Err(Error::new(Code::Gone, "the reference was revoked"))
        }
    }

    /// Checks a call, and that what its preconditions look at might be followed as well.
    async fn check_call(&self, call: &Call) -> Result<(), Error> {
        self.check(&call.method).await?;
        for row in call.conditions.iter().filter_map(Condition::row) {
            self.check(&row.table).await?;
        }
        Ok(())
    }

    async fn check(&self, method: &str) -> Result<(), Error> {
        self.alive()?;
        if *self.rules == Rules::All {
            return Ok(());
        }
        let interface = self.interface.get_or_try_init(|| self.object.whois()).await?;
        if !self.rules.allow(interface, method) {
            // The words of the interface's own dispatcher: denied and missing look alike.
            return Err(Error::new(Code::NotFound, format!("{interface} has no such method")));
        }
        // The table may have been revoked while the interface was asked for.
        self.alive()
    }

    fn wrap(&self, mut answer: Answer) -> Answer {
        for object in &mut answer.objects {
            *object = self.table.hand_out_under(self.generation, object.clone(), &self.rules);
        }
        answer
    }
}

#[async_trait]
impl Object for Held {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        self.check_call(&call).await?;
        Ok(self.wrap(self.object.call(call).await?))
    }

    async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        let mut answers = Vec::with_capacity(calls.len());
        let mut allowed = Vec::with_capacity(calls.len());
        for call in calls {
            let refused = self.check_call(&call).await.err();
            if refused.is_none() {
                allowed.push(call);
            }
            answers.push(refused);
        }
        let mut outcomes = self.object.batch(allowed).await.into_iter();
        let lost = || Err(Error::new(Code::Unknown, "the batch was not answered in full"));
        let answer = |refused: Option<Error>| match refused {
            Some(error) => Err(error),
            None => outcomes.next().unwrap_or_else(lost).map(|answer| self.wrap(answer)),
        };
        answers.into_iter().map(answer).collect()
    }

    async fn stream(&self, call: Call) -> Result<Items, Error> {
        self.check(&call.method).await?;
        let items = self.object.stream(call).await?;
        let (table, generation) = (self.table.clone(), self.generation);
        let alive = move || table.generation() == generation;
        let gone = stream::once(future::ready(Err(Error::new(Code::Gone, "the reference was revoked"))));
        // An item that was ready before the revocation is not handed out after it.
        let until = {
            let alive = alive.clone();
            items.take_while(move |_| future::ready(alive()))
        };
        let end =
            stream::once(async move { alive() }).filter_map(|alive| future::ready((!alive).then_some(()))).boxed();
        Ok(until.chain(end.zip(gone).map(|((), gone)| gone)).boxed())
    }

    async fn whois(&self) -> Result<String, Error> {
        self.alive()?;
        self.object.whois().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::fmt::Write;

    #[test]
    fn rules_allow_what_they_name_and_nothing_else() {
        let anchor_get = Rule::Method { interface: "isx.Anchor".into(), method: "get".into() };
        let sets = [
            ("all", Rules::All),
            ("none", Rules::Only(vec![])),
            ("anchor.get", Rules::Only(vec![anchor_get])),
            ("host, modules", Rules::Only(vec![Rule::Interface("isx.Host".into()), Rule::Modules])),
        ];
        let mut table = String::new();
        for (name, rules) in sets {
            let calls = [("isx.Anchor", "get"), ("isx.Anchor", "set"), ("isx.Host", "stop"), ("tally", "add")];
            let allowed: Vec<_> = calls.iter().filter(|(of, method)| rules.allow(of, method)).collect();
            writeln!(table, "{name}: {allowed:?}").expect("a string grows");
        }
        expect![[r#"
            all: [("isx.Anchor", "get"), ("isx.Anchor", "set"), ("isx.Host", "stop"), ("tally", "add")]
            none: []
            anchor.get: [("isx.Anchor", "get")]
            host, modules: [("isx.Host", "stop"), ("tally", "add")]
        "#]]
        .assert_eq(&table);
    }
}
