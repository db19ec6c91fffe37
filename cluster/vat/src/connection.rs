//! One connection: made anywhere, driven on a vat thread until it ends.

use crate::authority::{Authority, Table};
use crate::export::Exported;
use crate::limits::{
    KEEPALIVE_EVERY, KEEPALIVE_WITHIN, LOGIN_WITHIN, MESSAGE_BYTES_MAX, NESTING_MAX, SILENCE_MAX, STALL_MAX,
    STREAM_CREDIT_MAX, WATCH_EVERY,
};
use crate::login::{Door, Entered, LoginGate};
use crate::object_capnp::{object, source};
use crate::references::{Import, References};
use crate::remote::{Command, Link, Number, Permit, Remote, disconnected};
use crate::transport::{Transport, WhenStalled};
use crate::wire::{malformed, read_failure, read_item, read_outcome, write_call};
use capnp::message::ReaderOptions;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{Either, LocalBoxFuture, poll_fn, select};
use futures::io::BufReader;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use isx_iface::{Answer, Call, Item, ObjectRef, serve_login};
use isx_port::{Clock, Instant, PeerId, Stream};
use isx_row::{Code, Error};
use std::rc::Rc;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};

/// Bytes read at once.
const BUFFER_BYTES: usize = 16 * 1024;
/// Items that wait for a consumer besides those that the wire has credit for.
const FEED_COUNT_MAX: usize = STREAM_CREDIT_MAX as usize;

/// A connection that is not driven yet. Driving it is up to [`crate::Vats`].
pub struct Connection {
    stream: Box<dyn Stream>,
    clock: Arc<dyn Clock>,
    commands: UnboundedReceiver<Command>,
    role: Role,
}

enum Role {
    /// Ends when the last reference is dropped, so it holds the way back only weakly.
    Dials(Weak<Link>),
    Serves {
        link: Arc<Link>,
        login: ObjectRef,
        entered: Arc<Entered>,
        table: Arc<Table>,
    },
}

/// The dialling side: its peer's `Login`, and the connection to drive. Calls may be made before it is driven.
///
/// The connection ends when every reference obtained over it is dropped.
pub fn connect(stream: Box<dyn Stream>, clock: Arc<dyn Clock>) -> (ObjectRef, Connection) {
    let (sender, commands) = unbounded();
    let link = Arc::new(Link::new(sender, clock.clone()));
    let connection = Connection { stream, clock, commands, role: Role::Dials(Arc::downgrade(&link)) };
    (Arc::new(Remote::new(link, Number::BOOTSTRAP)), connection)
}

/// The serving side of a stream that `peer` opened: admits it by `gate`, keeps its references in a table of
/// `authority`. It ends with the stream, and everything that the peer holds with it.
pub fn serve(
    stream: Box<dyn Stream>,
    peer: PeerId,
    gate: Arc<dyn LoginGate>,
    authority: &Authority,
    clock: Arc<dyn Clock>,
) -> Connection {
    let (sender, commands) = unbounded();
    let link = Arc::new(Link::new(sender, clock.clone()));
    let (table, entered) = (authority.table(peer), Arc::new(Entered::default()));
    let door = Door { peer, gate, table: table.clone(), entered: entered.clone(), attempts: AtomicU32::new(0) };
    Connection { stream, clock, commands, role: Role::Serves { link, login: serve_login(door), entered, table } }
}

impl Connection {
    /// Drives the connection to its end; says why it ended. Not `Send`: everything of capnp lives in here.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) async fn drive(self) -> Error {
        let Self { stream, clock, mut commands, role } = self;
        let (side, when_stalled, link) = match &role {
            Role::Dials(link) => (Side::Client, WhenStalled::Read, link.clone()),
            Role::Serves { link, .. } => (Side::Server, WhenStalled::Wait, Arc::downgrade(link)),
        };
        let references = References::new(clock.clone(), link);
        let transport = Transport::new(stream, clock.clone(), when_stalled);
        let bootstrap = match &role {
            Role::Dials(_) => None,
            Role::Serves { login, .. } => {
                let exported = Exported::new(login.clone(), references.clone(), None);
                Some(capnp_rpc::new_client::<object::Client, _>(exported))
            }
        };
        let mut system = rpc_system(&transport, side, bootstrap);
        let watching: LocalBoxFuture<'static, Error> = match &role {
            Role::Dials(_) => {
                let login: object::Client = system.bootstrap(Side::Server);
                references.insert(Number::BOOTSTRAP, Import { client: login.clone(), obtaining: None });
                keep_alive(login, clock).boxed_local()
            }
            Role::Serves { entered, .. } => watch(transport.clone(), entered.clone(), clock).boxed_local(),
        };
        let end = run(system, watching, &mut commands, &references, &transport).await;
        // Why it ends may be in there; who does not take it now does not hear it.
        let _ = poll_fn(|cx| transport.poll_send_now(cx)).now_or_never();
        if let Role::Serves { table, .. } = &role {
            // References that outlive the connection by other ways must not outlive its authority.
            table.revoke();
        }
        // What was asked and not sent is told so; what was sent is `unknown`, by its dropped sender.
        commands.close();
        while let Ok(command) = commands.try_recv() {
            refuse(command);
        }
        end
    }
}

fn rpc_system(transport: &Transport, side: Side, bootstrap: Option<object::Client>) -> RpcSystem<Side> {
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(MESSAGE_BYTES_MAX / 8)).nesting_limit(NESTING_MAX);
    let reader = BufReader::with_capacity(BUFFER_BYTES, transport.clone());
    let network = twoparty::VatNetwork::new(reader, transport.clone(), side, options);
    RpcSystem::new(Box::new(network), bootstrap.map(|client| client.client))
}

/// Runs the protocol, what it is watched by, commands and what they began, until one of the first three ends. What all of
/// them wrote is sent when they write no more.
async fn run(
    system: RpcSystem<Side>,
    watching: LocalBoxFuture<'static, Error>,
    commands: &mut UnboundedReceiver<Command>,
    references: &Rc<References>,
    transport: &Transport,
) -> Error {
    let mut sending = poll_fn(|cx| transport.poll_send(cx)).fuse();
    let mut tasks: FuturesUnordered<LocalBoxFuture<'static, ()>> = FuturesUnordered::new();
    let (mut system, mut watching) = (system.fuse(), watching.fuse());
    loop {
        futures::select_biased! {
            ended = system => {
                return match ended {
                    Ok(()) => disconnected(),
                    Err(error) => Error::new(Code::Disconnected, format!("the connection failed: {:?}", error.kind)),
                };
            }
            error = watching => return error,
            command = commands.next() => match command {
                Some(command) => tasks.extend(begin(command, references)),
                None => return Error::new(Code::Disconnected, "nobody holds a reference any more"),
            },
            _ = tasks.select_next_some() => {}
            error = sending => {
                return Error::new(Code::Disconnected, format!("the connection failed: {:?}", error.kind()));
            }
        }
    }
}

/// Begins a command: sends its message at once, so that messages leave in the order of the commands.
fn begin(command: Command, references: &Rc<References>) -> Option<LocalBoxFuture<'static, ()>> {
    let references = references.clone();
    match command {
        Command::Release(number) => {
            references.release(number);
            None
        }
        Command::Call { target, call, answer, permit } => {
            let asked = references.get(target).ok_or_else(gone).and_then(|import| {
                let (outcome, _) = send_call(&references, &import, &call)?;
                Ok((import, outcome))
            });
            Some(reply(answer, permit, async move {
                let (import, outcome) = asked?;
                explained(import, outcome.await).await
            }))
        }
        Command::Pipeline { target, call, first, permit } => {
            let asked = references.get(target).ok_or_else(gone).and_then(|import| {
                let (outcome, first) = send_call(&references, &import, &call)?;
                Ok((import, outcome, first))
            });
            let (client, obtaining) = match asked {
                Err(error) => {
                    let broken = capnp_rpc::new_broken_cap(capnp::Error::failed("refused".into()));
                    (
                        capnp::capability::FromClientHook::new(broken.hook),
                        futures::future::ready(Err(error)).boxed_local(),
                    )
                }
                Ok((import, outcome, first)) => {
                    let obtaining = async move {
                        let _permit = permit;
                        isx_iface::object_of(explained(import, outcome.await).await?.objects).map(drop)
                    };
                    (first, obtaining.boxed_local())
                }
            };
            let obtaining = obtaining.shared();
            references.insert(first, Import { client, obtaining: Some(obtaining.clone()) });
            Some(obtaining.map(drop).boxed_local())
        }
        Command::Batch { target, calls, answers, permit } => {
            let count = calls.len();
            let asked = references.get(target).ok_or_else(gone).and_then(|import| {
                let outcomes = send_batch(&references, &import, calls)?;
                Ok((import, outcomes))
            });
            Some(reply(answers, permit, async move {
                let outcome = match asked {
                    Ok((import, outcomes)) => explained(import, outcomes.await).await,
                    Err(error) => Err(error),
                };
                outcome.unwrap_or_else(|error| (0..count).map(|_| Err(error.clone())).collect())
            }))
        }
        Command::Whois { target, name, permit } => {
            let asked = references.get(target).ok_or_else(gone).map(|import| (send_whois(&import), import));
            Some(reply(name, permit, async move {
                let (name, import) = asked?;
                explained(import, name.await).await
            }))
        }
        Command::Stream { target, call, items, permit } => {
            let asked = references.get(target).ok_or_else(gone).and_then(|import| {
                let source = send_stream(&references, &import, &call)?;
                Ok((import, source))
            });
            Some(
                async move {
                    let opening = async move {
                        let (import, source) = asked?;
                        explained(import, source.await).await
                    };
                    let (items, opened) = unless_closed(items, opening).await?;
                    drop(permit);
                    let (feed, fed) = mpsc::channel(FEED_COUNT_MAX);
                    match opened {
                        Ok(source) => {
                            items.send(Ok(fed)).ok()?;
                            pump(source, feed).await;
                        }
                        Err(error) => drop(items.send(Err(error))),
                    }
                    Some(())
                }
                .map(drop)
                .boxed_local(),
            )
        }
    }
}

/// Sends the output of `body`; gives up, which withdraws the call, when nobody waits for it any more.
fn reply<T: 'static>(
    to: oneshot::Sender<T>,
    permit: Permit,
    body: impl Future<Output = T> + 'static,
) -> LocalBoxFuture<'static, ()> {
    async move {
        let _permit = permit;
        if let Some((to, output)) = unless_closed(to, body).await {
            let _ = to.send(output);
        }
    }
    .boxed_local()
}

async fn unless_closed<T, U>(
    mut to: oneshot::Sender<T>,
    body: impl Future<Output = U>,
) -> Option<(oneshot::Sender<T>, U)> {
    futures::pin_mut!(body);
    let output = {
        let closed = to.closed();
        futures::pin_mut!(closed);
        match select(body, closed).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    };
    output.map(|output| (to, output))
}

/// What a failed exchange with the peer means. When the call went to a reference that was still on its way, the reason
/// is why that was not obtained.
async fn explained<T>(import: Import, outcome: Result<T, Fault>) -> Result<T, Error> {
    match outcome {
        Ok(value) => Ok(value),
        Err(Fault::Answered(error)) => Err(error),
        Err(Fault::Exception(exception)) => {
            if let Some(obtaining) = import.obtaining {
                obtaining.await?;
            }
            let (code, text) = match exception.kind {
                capnp::ErrorKind::Disconnected => (Code::Unknown, "the connection closed before the answer came"),
                capnp::ErrorKind::Overloaded => (Code::Busy, "the peer is overloaded"),
                capnp::ErrorKind::Unimplemented => (Code::Unsupported, "the peer does not know this kind of message"),
                _ => (Code::Unknown, "the peer failed"),
            };
            Err(Error::new(code, text))
        }
    }
}

/// Why an exchange gave no value.
enum Fault {
    /// The peer said so.
    Answered(Error),
    /// Connection or peer are at fault.
    Exception(capnp::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Answered(error)
    }
}

impl From<capnp::Error> for Fault {
    fn from(exception: capnp::Error) -> Self {
        Self::Exception(exception)
    }
}

fn gone() -> Error {
    Error::new(Code::Gone, "the reference was dropped")
}

/// An exchange under way.
type Exchange<T> = LocalBoxFuture<'static, Result<T, Fault>>;

fn send_call(
    references: &Rc<References>,
    import: &Import,
    call: &Call,
) -> Result<(Exchange<Answer>, object::Client), Error> {
    let mut request = import.client.call_request();
    write_call(references, call, request.get().init_call())?;
    let sent = request.send();
    let first = sent.pipeline.get_first();
    let references = references.clone();
    let outcome = async move {
        let response = sent.promise.await?;
        Ok(read_outcome(&references, response.get()?.get_outcome()?)?)
    };
    Ok((outcome.boxed_local(), first))
}

fn send_batch(
    references: &Rc<References>,
    import: &Import,
    calls: Vec<Call>,
) -> Result<Exchange<Vec<Result<Answer, Error>>>, Error> {
    let count = calls.len();
    let mut request = import.client.batch_request();
    let mut list = request.get().init_calls(count as u32);
    for (position, call) in (0..).zip(&calls) {
        write_call(references, call, list.reborrow().get(position))?;
    }
    let sent = request.send();
    let references = references.clone();
    let outcomes = async move {
        let response = sent.promise.await?;
        let list = response.get()?.get_outcomes()?;
        // No more than were asked for, whatever the list's header says.
        Ok(list.iter().take(count).map(|outcome| read_outcome(&references, outcome)).collect())
    };
    Ok(outcomes.boxed_local())
}

fn send_whois(import: &Import) -> Exchange<String> {
    let sent = import.client.whois_request().send();
    async move {
        let response = sent.promise.await?;
        let response = response.get()?;
        if response.has_failure() {
            return Err(read_failure(response.get_failure()?).into());
        }
        Ok(response.get_name()?.to_str().map_err(|_| Error::new(Code::Malformed, "the name is not UTF-8"))?.to_owned())
    }
    .boxed_local()
}

fn send_stream(references: &Rc<References>, import: &Import, call: &Call) -> Result<Exchange<source::Client>, Error> {
    let mut request = import.client.stream_request();
    write_call(references, call, request.get().init_call())?;
    let sent = request.send();
    let source = async move {
        let response = sent.promise.await?;
        let response = response.get()?;
        if response.has_failure() {
            return Err(read_failure(response.get_failure()?).into());
        }
        Ok(response.get_source()?)
    };
    Ok(source.boxed_local())
}

/// Moves items from the wire to their consumer, asking for more when there is room for them.
async fn pump(source: source::Client, feed: mpsc::Sender<Option<Result<Item, Error>>>) {
    loop {
        let mut request = source.next_request();
        request.get().set_count(STREAM_CREDIT_MAX);
        let next = async {
            let response = request.send().promise.await?;
            let response = response.get()?;
            let items: Result<Vec<_>, Error> =
                response.get_items()?.iter().take(STREAM_CREDIT_MAX as usize).map(read_item).collect();
            let failure = response.has_failure().then(|| response.get_failure().map(read_failure)).transpose()?;
            Ok::<_, capnp::Error>((items, response.get_ended(), failure))
        };
        futures::pin_mut!(next);
        let closed = feed.closed();
        futures::pin_mut!(closed);
        let Either::Left((next, _)) = select(next, closed).await else { return };
        let (items, ended, failure) = match next {
            Ok((Ok(items), ended, failure)) => (items, ended, failure),
            Ok((Err(error), ..)) => (Vec::new(), true, Some(error)),
            Err(exception) if exception.kind == capnp::ErrorKind::Disconnected => {
                (Vec::new(), true, Some(disconnected()))
            }
            Err(exception) => (Vec::new(), true, Some(malformed(exception))),
        };
        for item in items {
            if feed.send(Some(Ok(item))).await.is_err() {
                return;
            }
        }
        if ended || failure.is_some() {
            let _ = feed.send(failure.map(Err)).await;
            return;
        }
    }
}

/// Answers a command that was never sent.
fn refuse(command: Command) {
    match command {
        Command::Release(_) | Command::Pipeline { .. } => {}
        Command::Call { answer, .. } => drop(answer.send(Err(disconnected()))),
        Command::Batch { calls, answers, .. } => {
            drop(answers.send(calls.iter().map(|_| Err(disconnected())).collect()));
        }
        Command::Stream { items, .. } => drop(items.send(Err(disconnected()))),
        Command::Whois { name, .. } => drop(name.send(Err(disconnected()))),
    }
}

/// The dialling side asks for signs of life, which also are its own.
async fn keep_alive(login: object::Client, clock: Arc<dyn Clock>) -> Error {
    loop {
        clock.sleep_until(clock.now().after(KEEPALIVE_EVERY)).await;
        let sign = login.whois_request().send().promise;
        if let Either::Right(_) = select(sign, clock.sleep_until(clock.now().after(KEEPALIVE_WITHIN))).await {
            return Error::new(Code::Disconnected, "the node gives no sign of life");
        }
    }
}

/// The serving side closes what does not log in, says nothing, or takes no bytes.
async fn watch(transport: Transport, entered: Arc<Entered>, clock: Arc<dyn Clock>) -> Error {
    let login_by = clock.now().after(LOGIN_WITHIN);
    let late = |since: Instant, max| clock.now().since(since) > max;
    loop {
        clock.sleep_until(clock.now().after(WATCH_EVERY)).await;
        let why = if !entered.yes() && clock.now() >= login_by {
            "no login in time"
        } else if transport.stalled().is_some_and(|since| late(since, STALL_MAX)) {
            "the peer takes no bytes"
        } else if transport.stalled().is_none() && late(transport.heard(), SILENCE_MAX) {
            "the peer gives no sign of life"
        } else {
            continue;
        };
        return Error::new(Code::Disconnected, why);
    }
}
