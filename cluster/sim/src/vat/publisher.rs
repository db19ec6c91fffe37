//! The publisher: uploads variants of tally and mounts the first, upgrades it to others while it is called, and makes and
//! removes mounts beside it.

use crate::random::Random;
use crate::vat::caller;
use crate::vat::dial::{Dialled, Right, WITHIN};
use crate::vat::ledger::Ledger;
use crate::world::{Program, World};
use isx_iface::anchor::MountLimits;
use isx_iface::payload::{encode, value_of};
use isx_iface::publish::{mount_or_upgrade, upload};
use isx_iface::{Anchor, AnchorStub, Host};
use isx_port::Clock;
use isx_row::{Class, Code, ContentHash, Error, SessionId, Time};
use std::sync::Arc;
use std::time::Duration;

/// The name under which the callers' mount is.
const NAME: &str = "tally";
/// Names of mounts beside it.
const BESIDE: u64 = 2;
/// The name of what is mounted in haste, and how long that waits for an upload.
const HASTY: &str = "hasty";
const HASTY_WITHIN: Duration = Duration::from_millis(600);
const LIMITS: MountLimits = MountLimits { fuel_max: None, table_bytes_max: None };
/// Of so many runs in a thousand the table has more rows than one part of a stream.
const MANY_ROWS_PER_MILLE: u64 = 400;

/// The publisher, who has the owner's rights.
pub(crate) struct Publisher {
    world: Arc<World>,
    program: Dialled,
    /// Gives up soon, and goes on as if all were well.
    hasty: Dialled,
    random: Random,
}

impl Publisher {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        let hasty = Dialled::within(world, Right::Owner, HASTY_WITHIN);
        let program = Dialled::new(world, Right::Owner);
        Self { world: world.clone(), program, hasty, random: world.split("publisher") }
    }

    /// Mounts tally, however often it takes, and gives it its first rows.
    pub(crate) async fn publish_first(&mut self, ledger: &Ledger) {
        let (session, component) = (self.session(), self.variant());
        while let Err(error) = self.publish(NAME, &component, session).await {
            self.judge("the first mount", &error);
            self.world.sleep(Duration::from_millis(100)).await;
        }
        if self.random.per_mille(MANY_ROWS_PER_MILLE) {
            caller::add_many(&self.program, ledger).await;
        }
    }

    /// Publishes until `end`.
    pub(crate) async fn run(&mut self, end: Duration) {
        while self.world.executor.now() < end {
            let pause = self.random.range(200..2500);
            self.world.sleep(Duration::from_millis(pause)).await;
            // Haste does harm while the disk takes no uploads.
            let chosen = if self.world.is_sound(0) { self.random.below(3) } else { 2 };
            let done = match chosen {
                0 => {
                    let (session, component) = (self.session(), self.variant());
                    self.publish(NAME, &component, session).await
                }
                1 => self.beside().await,
                _ => self.hastily().await,
            };
            if let Err(error) = done {
                self.judge("publishing", &error);
            }
        }
    }

    fn session(&mut self) -> SessionId {
        SessionId::new(Time(self.program.clock.wall().unix_us), self.random.next())
    }

    fn variant(&mut self) -> Vec<u8> {
        match &self.world.program {
            Program::Node(program) => program.variant(&mut self.random),
            Program::Raft => Vec::new(),
        }
    }

    async fn home(&self) -> Result<AnchorStub, Error> {
        self.program.host().walk("/self".into()).await
    }

    async fn publish(&self, name: &str, component: &[u8], session: SessionId) -> Result<(), Error> {
        let code = upload(&self.program.host(), component, |_| ()).await?;
        mount_or_upgrade(&self.home().await?, name, code, LIMITS, session).await.map(drop)
    }

    /// The life of a mount, from nothing to nothing. Asked once, a fresh counter counts one.
    async fn beside(&mut self) -> Result<(), Error> {
        let (session, component) = (self.session(), self.variant());
        let name = format!("beside-{}", self.random.below(BESIDE));
        let home = self.home().await?;
        home.remove(name.clone()).await?;
        self.publish(&name, &component, session).await?;
        let object = home.walk(name.clone()).await?.object().await?;
        let arguments = encode(&("one".to_owned(), 1_u64))?;
        let count: u64 = value_of(&object.call(caller::call("add", arguments, WITHIN)).await?)?;
        if count != 1 {
            self.wrong(format_args!("one call to a fresh mount counted {count}"));
        }
        home.remove(name.clone()).await?;
        match home.walk(name.clone()).await {
            Err(error) if error.code == Code::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                self.wrong(format_args!("{name} was removed and is there"));
                Ok(())
            }
        }
    }

    /// Mounts what was perhaps not uploaded: then it is not found, and what is mounted stays.
    async fn hastily(&mut self) -> Result<(), Error> {
        let (session, component) = (self.session(), self.variant());
        let home = self.home().await?;
        home.remove(HASTY.into()).await?;
        let uploaded = upload(&self.hasty.host(), &component, |_| ()).await;
        match home.mount(HASTY.into(), ContentHash::of(&component), LIMITS, session).await {
            Err(error) if error.code == Code::NotFound && uploaded.is_err() => Ok(()),
            mounted => mounted.map(drop),
        }
    }

    /// Nothing came of it in time, or the node that was asked is done: those are answers of a world that is harmed.
    fn judge(&self, what: &str, error: &Error) {
        if !matches!(error.class(), Class::Unknown | Class::Fatal) {
            self.wrong(format_args!("{what}: {}: {error}", error.code.word()));
        }
    }

    fn wrong(&self, what: std::fmt::Arguments<'_>) {
        self.world.findings.report("publisher", format_args!("at {:?}: {what}", self.world.executor.now()));
    }
}
