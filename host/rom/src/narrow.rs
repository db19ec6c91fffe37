//! The Host a ROM is handed: every object reached from it passes here, and nothing passes that was not declared by the
//! ROM and allowed by its user.

use crate::rule::Rule;
use async_trait::async_trait;
use isx_iface::anchor::MountLimits;
use isx_iface::{Answer, Call, Items, Object, ObjectRef};
use isx_row::codec::Layout;
use isx_row::{Code, Condition, ContentHash, Error, SessionId, Type, Typed};
use std::sync::Arc;

/// The arguments of a method whose first one names the target, relative to the object's own path.
fn naming(method: &str) -> Option<Vec<Type>> {
    match method {
        "walk" | "make" | "unmount" | "remove" => Some(vec![Type::String]),
        "mount" => Some(vec![Type::String, ContentHash::ty(), MountLimits::ty(), SessionId::ty()]),
        _ => None,
    }
}

/// What the user allows of what the ROM wants.
#[derive(Clone, Debug)]
pub enum Allowed {
    /// Everything that is not a file, the network or a device.
    Everything,
    /// What these rules cover.
    Rules(Vec<Rule>),
}

/// The rights of one run: never more than was declared, never more than was allowed.
#[derive(Debug)]
pub struct Grant {
    wants: Vec<Rule>,
    allowed: Allowed,
}

impl Grant {
    /// The rights of a ROM that wants `wants`.
    ///
    /// # Errors
    /// `missing_right` naming the first want that is not allowed, and how to allow it.
    pub fn new(wants: Vec<Rule>, allowed: Allowed) -> Result<Self, Error> {
        if let Allowed::Rules(rules) = &allowed
            && let Some(missing) = wants.iter().find(|want| !rules.iter().any(|rule| rule.contains(want)))
        {
            let text = format!("the ROM wants {missing}; allow it with `--allow {missing}`, or everything with `-A`");
            return Err(Error::new(Code::Missing, text));
        }
        Ok(Self { wants, allowed })
    }

    fn check(&self, interface: &str, method: &str, target: &str) -> Result<(), Error> {
        let declared = self.wants.iter().any(|want| want.covers(interface, method, target));
        let allowed = match &self.allowed {
            Allowed::Everything => true,
            Allowed::Rules(rules) => rules.iter().any(|rule| rule.covers(interface, method, target)),
        };
        if declared && allowed {
            return Ok(());
        }
        let why = if declared { "is not allowed" } else { "is not among what the ROM declares with `isx::wants!`" };
        let interface = interface.to_ascii_lowercase();
        Err(Error::new(Code::Missing, format!("{interface}.{method}={target} {why}")))
    }
}

/// An object as the ROM may use it.
pub(crate) struct Narrowed {
    inner: ObjectRef,
    grant: Arc<Grant>,
    /// The interface's word in rules: `host`, `anchor`, or a module's name.
    interface: String,
    /// Where it was walked to.
    path: String,
}

impl Narrowed {
    /// The Host of a run.
    pub(crate) fn host(inner: ObjectRef, grant: Grant) -> ObjectRef {
        Arc::new(Self { inner, grant: Arc::new(grant), interface: "host".into(), path: String::new() })
    }

    /// What the call is about, checked against the grant.
    fn admit(&self, call: &Call) -> Result<String, Error> {
        let system = matches!(self.interface.as_str(), "host" | "anchor");
        let target = match naming(&call.method).filter(|_| system) {
            Some(types) => self.join(&first_text(&types, &call.payload)?),
            None => self.path.clone(),
        };
        self.grant.check(&self.interface, &call.method, &target)?;
        // What a precondition looks at is read as well.
        for row in call.conditions.iter().filter_map(Condition::row) {
            self.grant.check(&self.interface, &row.table, &target)?;
        }
        Ok(target)
    }

    fn join(&self, name: &str) -> String {
        match name.starts_with('/') || self.path.is_empty() {
            true => name.to_string(),
            false => format!("{}/{name}", self.path.trim_end_matches('/')),
        }
    }

    /// What comes back is narrowed by the same grant.
    async fn narrow(&self, object: ObjectRef, path: &str) -> Result<ObjectRef, Error> {
        let name = object.whois().await?;
        let interface = name.strip_prefix("isx.").unwrap_or(&name).to_ascii_lowercase();
        Ok(Arc::new(Self { inner: object, grant: self.grant.clone(), interface, path: path.to_string() }))
    }
}

/// The first member of arguments of these types, which must be the canonical encoding: what is checked here is what the
/// callee will read.
fn first_text(types: &[Type], payload: &[u8]) -> Result<String, Error> {
    let layout = Layout::new(types);
    let member = layout.validate(payload).ok().and_then(|_| layout.member(payload, 0));
    let text = member.and_then(|member| String::decode(member).ok());
    text.ok_or_else(|| Error::new(Code::BadArguments, "the first argument is not a name"))
}

#[async_trait]
impl Object for Narrowed {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        let target = self.admit(&call)?;
        let mut answer = self.inner.call(call).await?;
        for object in &mut answer.objects {
            *object = self.narrow(object.clone(), &target).await?;
        }
        Ok(answer)
    }

    async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        futures::future::join_all(calls.into_iter().map(|call| self.call(call))).await
    }

    async fn stream(&self, call: Call) -> Result<Items, Error> {
        self.admit(&call)?;
        self.inner.stream(call).await
    }

    async fn whois(&self) -> Result<String, Error> {
        self.inner.whois().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use isx_iface::{Anchor, Host, HostStub};
    use isx_row::{Bytes, RowKey, Signature};
    use std::sync::Mutex;

    /// Answers every call with itself, and remembers what reached it.
    #[derive(Default)]
    struct Mirror(Arc<Mutex<Vec<String>>>);

    #[async_trait]
    impl Object for Mirror {
        async fn call(&self, call: Call) -> Result<Answer, Error> {
            self.0.lock().unwrap().push(call.method);
            Ok(Answer { objects: vec![Arc::new(Mirror(self.0.clone()))], ..Answer::default() })
        }
        async fn stream(&self, call: Call) -> Result<Items, Error> {
            self.0.lock().unwrap().push(call.method);
            Ok(Box::pin(futures::stream::empty()))
        }
        async fn whois(&self) -> Result<String, Error> {
            Ok("isx.Anchor".into())
        }
    }

    fn call(method: &str, payload: Vec<u8>) -> Call {
        let (objects, conditions, delivery) = (vec![], vec![], Default::default());
        Call { method: method.into(), signature: Signature::ANY, payload, objects, conditions, delivery }
    }

    fn rules(rules: &[&str]) -> Vec<Rule> {
        rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect()
    }

    fn host(wants: &[&str], allowed: Allowed) -> (HostStub, Arc<Mutex<Vec<String>>>) {
        let mirror = Mirror::default();
        let reached = mirror.0.clone();
        (HostStub(Narrowed::host(Arc::new(mirror), Grant::new(rules(wants), allowed).unwrap())), reached)
    }

    #[test]
    fn what_is_wanted_and_not_allowed_stops_the_run_before_it_begins() {
        let error =
            Grant::new(rules(&["host.walk=/self/*"]), Allowed::Rules(rules(&["host.walk=/self/a"]))).unwrap_err();
        assert_eq!(error.code, Code::Missing);
        assert!(error.text.contains("--allow host.walk=/self/*"), "{error}");
        assert!(Grant::new(rules(&["host.walk=/self/a"]), Allowed::Rules(rules(&["host"]))).is_ok());
    }

    #[test]
    fn what_is_not_declared_reaches_nothing() {
        let (host, reached) = host(&["host.walk=/self/a/*", "anchor.get=/self/a/*"], Allowed::Everything);
        let refused = |result: Result<(), Error>| assert_eq!(result.unwrap_err().code, Code::Missing);
        refused(block_on(host.walk("/self/b".into())).map(drop));
        refused(block_on(host.stop()));
        refused(block_on(host.root()).map(drop));
        assert!(reached.lock().unwrap().is_empty());

        let anchor = block_on(host.walk("/self/a/x".into())).unwrap();
        refused(block_on(anchor.remove("y".into())));
        refused(block_on(anchor.watch()).map(drop));
        let call = call("get", vec![]);
        assert!(block_on(anchor.0.call(call)).is_ok());
        assert_eq!(*reached.lock().unwrap(), ["walk", "get"]);
    }

    #[test]
    fn what_a_precondition_looks_at_must_be_declared_too() {
        let (host, reached) = host(&["host", "anchor.get", "anchor.fruit"], Allowed::Everything);
        let get = |table: &str| {
            let row = RowKey { table: table.into(), signature: Signature::ANY, key: Bytes(vec![]) };
            let anchor = block_on(host.walk("/self/a".into())).unwrap();
            let call = call("get", vec![]);
            block_on(isx_iface::when(anchor.0, vec![Condition::Absent(row)]).call(call)).map(drop)
        };
        assert_eq!(get("secret").unwrap_err().code, Code::Missing);
        assert_eq!(*reached.lock().unwrap(), ["walk"]);
        assert!(get("fruit").is_ok());
    }

    #[test]
    fn arguments_that_are_no_name_are_refused_here() {
        let (host, reached) = host(&["host"], Allowed::Everything);
        let call = call("walk", vec![0; 3]);
        assert_eq!(block_on(host.0.call(call)).err().unwrap().code, Code::BadArguments);
        assert!(reached.lock().unwrap().is_empty());
    }
}
