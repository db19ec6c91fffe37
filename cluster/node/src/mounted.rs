//! The object a mount is: its reducers and queries are its methods, its tables are its streams; those of volatile tables are
//! put by methods too.

use crate::admission::may_grow;
use crate::follow::live::{self, Asked};
use crate::follow::{Table, follow, values};
use crate::planted::Bug;
use crate::presence::Held;
use crate::shared::{Shared, Who, group, mount_in, unexpected};
use crate::values::{Holder, is_visible};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all, ready};
use isx_anchors::Binding;
use isx_cluster::{Outcome, QueryCall, ReducerCall, Request, View};
use isx_iface::{Answer, Call, Items, Object, ObjectRef};
use isx_port::{Instant, Lane};
use isx_raft::{Consistency, Group};
use isx_row::schema::{self, Doing, Schema};
use isx_row::{Code, Error, MountId, SessionId, Signature};
use std::sync::Arc;

/// The mounted object for a caller.
pub(crate) fn mounted(shared: &Arc<Shared>, who: Who, binding: &Binding) -> ObjectRef {
    let held = shared.presence.of(binding.mount, who.principal);
    Arc::new(Mounted { shared: shared.clone(), who, mount: binding.mount, group: group(binding.group), held })
}

/// Names a call in traces.
type TraceId = [u8; 16];

struct Mounted {
    shared: Arc<Shared>,
    who: Who,
    mount: MountId,
    group: Group,
    held: Held,
}

/// What a node knows of a call before it makes it.
#[derive(Clone, Copy)]
struct Known {
    /// Its session has not called over this object before.
    first: bool,
    /// The caller may call what it names.
    visible: bool,
    /// It may make the state larger.
    may_grow: bool,
}

impl Mounted {
    /// The mount's schema, as this node has it now.
    fn schema(&self) -> Result<(View, Arc<Schema>), Error> {
        let view = self.shared.raft.view(self.group)?;
        let code = mount_in(&view, &self.mount)?.module().code;
        let schema = self.shared.exec.schema(&code);
        let schema =
            schema.ok_or_else(|| Error::new(Code::Busy, "the module's code is not here; `isx publish` brings it"))?;
        Ok((view, schema))
    }

    /// Makes a call that is a query or a reducer by `schema`.
    fn make(&self, call: Call, schema: &Schema, trace: TraceId) -> BoxFuture<'_, Result<Answer, Error>> {
        if !call.objects.is_empty() {
            let error = Error::new(Code::Unsupported, "objects can not be passed to modules in this version");
            return ready(Err(error)).boxed();
        }
        let first = match call.delivery.session.map(|coordinates| self.held.hold(coordinates.session)).transpose() {
            Ok(first) => first == Some(true),
            Err(error) => return ready(Err(error)).boxed(),
        };
        if let Some((table, doing)) = schema.doing(&call.method) {
            if !is_visible(schema, table, self.who) {
                // In the executor's words for what is not there, and in no log either.
                return ready(Err(Error::new(Code::NotFound, format!("reducer {:.64}", call.method)))).boxed();
            }
            return self.put(call, (Arc::new(table.clone()), doing)).boxed();
        }
        // Names that are neither are refused by the executor, in the words it has for what the caller may not see.
        if schema.query(&call.method).is_some() {
            self.ask(call).boxed()
        } else {
            // Who may not call a reducer, or names none, does not set off the hook of a session's beginning.
            let visible = schema
                .reducer(&call.method)
                .is_some_and(|reducer| self.who.owner || schema.public && reducer.public && reducer.hook.is_none());
            let may_grow = may_grow(schema, &call.method);
            self.reduce(call, trace, Known { first, visible, may_grow }).boxed()
        }
    }

    /// Puts a row of the caller's into a volatile table, or deletes one: in no log.
    async fn put(&self, call: Call, (table, doing): (Arc<schema::Table>, Doing)) -> Result<Answer, Error> {
        let _running = match self.shared.governor.is_limited() {
            true => Some(self.shared.governor.paced(self.shared.deadline(&call.delivery)).boxed().await?),
            false => None,
        };
        let (session, sequence) = match call.delivery.session {
            Some(coordinates) => (coordinates.session, coordinates.sequence.0),
            None => (self.held.own(|| self.shared.own_session())?, 0),
        };
        let holder = Holder { principal: self.who.principal, session, sequence };
        self.shared.put_value((self.group, self.mount), (table, doing), &call, holder)
    }

    /// The request is made here, not in the future: hundreds of these are alive at once, and small ones are made faster.
    fn reduce(
        &self,
        call: Call,
        trace: TraceId,
        Known { first, visible, may_grow }: Known,
    ) -> impl Future<Output = Result<Answer, Error>> + Send {
        let deadline = self.shared.deadline(&call.delivery);
        let session = call.delivery.session.filter(|_| !self.shared.planted.has(Bug::SessionForgotten));
        let session = session.map(|coordinates| isx_cluster::SessionCall {
            session: coordinates.session,
            sequence: coordinates.sequence,
            done_below: coordinates.done_below,
        });
        let call = Box::new(ReducerCall {
            mount: self.mount,
            name: call.method,
            signature: call.signature,
            session,
            principal: self.who.principal,
            trusted: self.who.owner,
            grant: None,
            within_ms: call.delivery.within.map(|within| u32::try_from(within.as_millis()).unwrap_or(u32::MAX)),
            trace,
            hops: 0,
            revision_min: call.delivery.revision_min,
            conditions: call.conditions,
            payload: call.payload,
            locators: Vec::new(),
        });
        async move {
            let _admitted = match self.shared.governor.is_limited() {
                true => Some(self.shared.admit_call(self.group, &call, may_grow, deadline).boxed().await?),
                false => None,
            };
            let request = Request::Call(call);
            if let Some(call) = session.filter(|_| first && visible)
                && self.must_connect(call.session)?
            {
                // What it is refused with is told below, unless the call was answered before the session ended.
                let _ = self.connect(call.session, deadline).await;
            }
            let outcome = self.shared.raft.propose(self.group, &request, deadline).await?;
            match session {
                // The executor's words for what is not there; nothing runs, so nothing needs a session.
                Some(_) if outcome == Outcome::Unconnected && !visible => {
                    answer(self.shared.raft.propose(self.group, without_session(request), deadline).await?)
                }
                Some(call) if outcome == Outcome::Unconnected => {
                    if self.must_connect(call.session)? {
                        self.connect(call.session, deadline).await?;
                    }
                    answer(self.shared.raft.propose(self.group, &request, deadline).await?)
                }
                _ => answer(outcome),
            }
        }
    }

    /// Whether the mount's module has to know of a session, and does not: by what this node has applied.
    fn must_connect(&self, session: SessionId) -> Result<bool, Error> {
        let view = self.shared.raft.view(self.group)?;
        mount_in(&view, &self.mount)?.must_connect(session, &self.who.principal, view.time())
    }

    async fn connect(&self, session: SessionId, deadline: Instant) -> Result<(), Error> {
        let connect = Request::Connect { mount: self.mount, session, principal: self.who.principal };
        match self.shared.raft.propose(self.group, connect, deadline).await? {
            Outcome::Done => Ok(()),
            Outcome::Refused(error) => Err(error),
            Outcome::Application { text, .. } => Err(Error::new(Code::Application, format!("connect: {text}"))),
            other => Err(unexpected(&other)),
        }
    }

    fn query(&self, call: &Call) -> QueryCall {
        QueryCall {
            name: call.method.clone(),
            signature: call.signature,
            principal: self.who.principal,
            trusted: self.who.owner,
            payload: call.payload.clone(),
        }
    }

    async fn ask(&self, call: Call) -> Result<Answer, Error> {
        let deadline = self.shared.deadline(&call.delivery);
        let _running = match self.shared.governor.is_limited() {
            true => Some(self.shared.governor.paced(deadline).boxed().await?),
            false => None,
        };
        let view = self.shared.raft.read(self.group, Consistency::Linearizable, deadline).await?;
        let mount = mount_in(&view, &self.mount)?;
        let revision = mount.revision();
        if call.delivery.revision_min.is_some_and(|least| least > revision) {
            return Err(Error::new(Code::Busy, format!("the mount is at revision {revision}")));
        }
        mount.check(&call.conditions, self.who.owner)?;
        let query = self.query(&call);
        let (shared, mount) = (self.shared.clone(), self.mount);
        let payload = self
            .shared
            .on(Lane::Query(self.group.0), move || mount_in(&view, &mount)?.query(&*shared.metered, &query))
            .await?;
        Ok(Answer { payload, revision: Some(revision), ..Answer::default() })
    }
}

fn without_session(request: Request) -> Request {
    match request {
        Request::Call(call) => Request::Call(Box::new(ReducerCall { session: None, ..*call })),
        request => request,
    }
}

/// What a reducer's outcome is to its caller.
fn answer(outcome: Outcome) -> Result<Answer, Error> {
    if let Outcome::Application { detail, text } = &outcome
        && detail.is_empty()
    {
        // A refusal without a type of its own: its text is all there is.
        return Err(Error::new(Code::Application, text.clone()));
    }
    let isx_cluster::CallAnswer { revision, payload, application_error } = outcome.into_answer()?;
    Ok(Answer { payload, revision, application_error, ..Answer::default() })
}

#[async_trait]
impl Object for Mounted {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        let (_, schema) = self.schema()?;
        let mut trace = TraceId::default();
        self.shared.ports.entropy.fill(&mut trace);
        let answered = self.make(call, &schema, trace).await;
        self.shared.gauges.note(&answered);
        answered
    }

    async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        // The schema and the randomness are asked for once for all.
        let schema = match self.schema() {
            Ok((_, schema)) => schema,
            Err(error) => return calls.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut traces = vec![TraceId::default(); calls.len()];
        self.shared.ports.entropy.fill(traces.as_flattened_mut());
        // Polled in order the first time, which is the order in which they are queued.
        let answered =
            join_all(calls.into_iter().zip(traces).map(|(call, trace)| self.make(call, &schema, trace))).await;
        answered.iter().for_each(|answered| self.shared.gauges.note(answered));
        answered
    }

    async fn stream(&self, call: Call) -> Result<Items, Error> {
        if !call.conditions.is_empty() {
            return Err(Error::new(Code::Unsupported, "following has no preconditions"));
        }
        let (view, schema) = self.schema()?;
        let missing = || Error::new(Code::NotFound, format!("table or view {} is not found", call.method));
        if let Some(query) = schema.query(&call.method).filter(|query| self.who.owner || schema.public && query.public)
        {
            let asked = Asked::new(self.group, self.mount, query, self.query(&call)).ok_or_else(|| {
                let text = format!("{0} is a query: call it, or make it a view with `#[isx::view]`", call.method);
                Error::new(Code::Unsupported, text)
            })?;
            call.delivery.session.map(|coordinates| self.held.hold(coordinates.session)).transpose()?;
            return live::follow(&self.shared, asked, call.delivery.after);
        }
        let table = schema.table(&call.method).filter(|table| table.public || self.who.owner).ok_or_else(missing)?;
        if !table.kind.is_stored() {
            let visible = Some(table).filter(|table| is_visible(&schema, table, self.who)).ok_or_else(missing)?;
            if call.signature != Signature::ANY && call.signature != visible.signature() {
                return Err(Error::new(Code::StaleBindings, format!("table {} has other columns", visible.name)));
            }
            call.delivery.session.map(|coordinates| self.held.hold(coordinates.session)).transpose()?;
            let table = Arc::new(visible.clone());
            let asked = values::Asked { group: self.group, mount: self.mount, table, who: self.who };
            return values::follow(&self.shared, asked, call.delivery.after);
        }
        let id = mount_in(&view, &self.mount)?.database().table(&table.name).ok_or_else(missing)?;
        // Who follows is there, although it may not call for long.
        call.delivery.session.map(|coordinates| self.held.hold(coordinates.session)).transpose()?;
        let table = Table { group: self.group, mount: self.mount, table: id, begun: Arc::new(table.clone()) };
        follow(&self.shared, table, call.delivery.after)
    }

    async fn whois(&self) -> Result<String, Error> {
        Ok(self.schema()?.1.name.clone())
    }
}
