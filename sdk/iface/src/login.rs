//! `Login`: what a connection finds first.

use crate::host::HostStub;
use crate::interface;
use isx_row::Bytes;

interface! {
    /// The first object of every connection. It gives nothing but the exchange of proof for a `Host`.
    ///
    /// Alive as long as its connection.
    "isx.Login": trait Login, stub LoginStub, served by serve_login {
        /// The `Host` that the caller has a right to. Who the caller is was proved by the connection's key; `secret`,
        /// of the node's 0600 runtime file, adds the owner's rights.
        ///
        /// Idempotent. The `Host` lives as long as its connection, or until the node revokes it.
        /// Errors: `not_found` when neither key nor secret admits the caller; `busy` when the node admits no more.
        object fn login(secret: Option<Bytes>) -> HostStub;
    }
}
