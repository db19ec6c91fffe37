//! The publisher: uploads variants of tally and mounts the first, upgrades it to others while it is called, and makes and
//! removes mounts beside it.

use crate::random::Random;
use crate::vat::caller;
use crate::vat::dial::{Dialled, Right, WITHIN};
use crate::vat::ledger::Ledger;
use crate::vat::modules::{Modules, VARIANTS};
use crate::world::World;
use isx_iface::anchor::MountLimits;
use isx_iface::payload::{encode, value_of};
use isx_iface::publish::{mount_or_upgrade, upload};
use isx_iface::{Anchor, Host};
use isx_port::Clock;
use isx_row::{Class, Code, Error, SessionId, Time};
use std::sync::Arc;
use std::time::Duration;

/// The name under which the callers' mount is.
const NAME: &str = "tally";
/// Names of mounts beside it.
const BESIDE: u64 = 2;
/// Of so many runs in a thousand the table has more rows than one part of a stream.
const MANY_ROWS_PER_MILLE: u64 = 300;

/// The publisher, who has the owner's rights.
pub(crate) struct Publisher {
    world: Arc<World>,
    program: Dialled,
    modules: Arc<Modules>,
    random: Random,
}

impl Publisher {
    pub(crate) fn new(world: &Arc<World>, modules: Arc<Modules>) -> Self {
        let program = Dialled::new(world, Right::Owner);
        Self { world: world.clone(), program, modules, random: world.split("publisher") }
    }

    /// Mounts tally, however often it takes, and gives it its first rows.
    pub(crate) async fn publish_first(&mut self, ledger: &Ledger) {
        let session = self.session();
        while let Err(error) = self.publish(NAME, 0, session).await {
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
            let pause = self.random.range(200..3000);
            self.world.sleep(Duration::from_millis(pause)).await;
            let (session, variant) = (self.session(), self.random.below(VARIANTS));
            let done = match self.random.below(2) {
                0 => self.publish(NAME, variant, session).await,
                _ => self.beside(variant, session).await,
            };
            if let Err(error) = done {
                self.judge("publishing", &error);
            }
        }
    }

    fn session(&mut self) -> SessionId {
        SessionId::new(Time(self.program.clock.wall().unix_us), self.random.next())
    }

    async fn publish(&self, name: &str, variant: u64, session: SessionId) -> Result<(), Error> {
        let host = self.program.host();
        let code = upload(&host, &self.modules.variant(variant), |_| ()).await?;
        let home = host.walk("/self".into()).await?;
        let limits = MountLimits { fuel_max: None, table_bytes_max: None };
        mount_or_upgrade(&home, name, code, limits, session).await.map(drop)
    }

    /// The life of a mount, from nothing to nothing. Asked once, a fresh counter counts one.
    async fn beside(&mut self, variant: u64, session: SessionId) -> Result<(), Error> {
        let name = format!("beside-{}", self.random.below(BESIDE));
        let home = self.program.host().walk("/self".into()).await?;
        home.remove(name.clone()).await?;
        self.publish(&name, variant, session).await?;
        let object = home.walk(name.clone()).await?.object().await?;
        let arguments = encode(&("one".to_owned(), 1_u64))?;
        let count: u64 = value_of(&object.call(caller::call("add", arguments, WITHIN)).await?)?;
        if count != 1 {
            self.world.findings.report("publisher", format_args!("one call to a fresh mount counted {count}"));
        }
        home.remove(name.clone()).await?;
        match home.walk(name.clone()).await {
            Err(error) if error.code == Code::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                self.world.findings.report("publisher", format_args!("{name} was removed and is there"));
                Ok(())
            }
        }
    }

    /// Nothing came of it in time, or the node that was asked is done: those are answers of a world that is harmed.
    fn judge(&self, what: &str, error: &Error) {
        if !matches!(error.class(), Class::Unknown | Class::Fatal) {
            let at = self.world.executor.now();
            self.world.findings.report("publisher", format_args!("{what} at {at:?}: {}: {error}", error.code.word()));
        }
    }
}
