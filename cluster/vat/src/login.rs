//! What a connection finds first: the exchange of proof for a `Host`.

use crate::authority::{Rules, Table};
use crate::limits::LOGINS_MAX;
use async_trait::async_trait;
use isx_iface::{HostStub, Login, ObjectRef};
use isx_port::PeerId;
use isx_row::{Bytes, Code, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What a login gives.
pub struct Admission {
    /// The `Host` made for the caller.
    pub host: ObjectRef,
    /// What may be called on it and on everything reached from it.
    pub rules: Rules,
}

/// Decides whom the node admits, and to what.
#[async_trait]
pub trait LoginGate: Send + Sync + 'static {
    /// The admission of `peer`, whose key the transport proved; `secret` is unproved until compared.
    ///
    /// # Errors
    /// `not_found` when nothing admits the caller, `busy` when there are too many.
    async fn admit(&self, peer: PeerId, secret: Option<&[u8]>) -> Result<Admission, Error>;
}

/// Whether a connection has logged in.
#[derive(Default)]
pub(crate) struct Entered(AtomicBool);

impl Entered {
    pub(crate) fn yes(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The `Login` of one connection.
pub(crate) struct Door {
    pub(crate) peer: PeerId,
    pub(crate) gate: Arc<dyn LoginGate>,
    pub(crate) table: Arc<Table>,
    pub(crate) entered: Arc<Entered>,
    pub(crate) attempts: AtomicU32,
}

#[async_trait]
impl Login for Door {
    async fn login(&self, secret: Option<Bytes>) -> Result<HostStub, Error> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) >= LOGINS_MAX {
            return Err(Error::new(Code::Busy, "too many logins on one connection"));
        }
        let admission = self.gate.admit(self.peer, secret.as_ref().map(|secret| secret.0.as_slice())).await?;
        self.entered.0.store(true, Ordering::Relaxed);
        Ok(HostStub(self.table.hand_out(admission.host, &Arc::new(admission.rules))))
    }
}
