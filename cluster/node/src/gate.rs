//! Who is admitted, and to what.

use crate::host::NodeHost;
use crate::shared::{Shared, Who};
use async_trait::async_trait;
use isx_iface::serve_host;
use isx_port::PeerId;
use isx_row::{Code, Error, Principal};
use isx_vat::authority::{Rule, Rules};
use isx_vat::{Admission, LoginGate};
use std::sync::Arc;

/// Gives the owner's root to whoever has the secret; with `public`, a root that sees public members to everybody else.
pub(crate) struct Gate {
    pub(crate) shared: Arc<Shared>,
    pub(crate) secret: [u8; 32],
    pub(crate) public: bool,
}

/// The methods of the system's objects that callers without a right may use.
const PUBLIC: &[(&str, &str)] = &[
    ("isx.Host", "whoami"),
    ("isx.Host", "root"),
    ("isx.Host", "walk"),
    ("isx.Anchor", "path"),
    ("isx.Anchor", "ls"),
    ("isx.Anchor", "walk"),
    ("isx.Anchor", "get"),
    ("isx.Anchor", "watch"),
    ("isx.Anchor", "object"),
];

fn public_rules() -> Rules {
    let method = |(interface, method): &(&str, &str)| Rule::Method {
        interface: (*interface).to_string(),
        method: (*method).to_string(),
    };
    Rules::Only(PUBLIC.iter().map(method).chain([Rule::Modules]).collect())
}

#[async_trait]
impl LoginGate for Gate {
    async fn admit(&self, peer: PeerId, secret: Option<&[u8]>) -> Result<Admission, Error> {
        // Hashes are compared, so that the time taken says nothing about the secret.
        let owner = secret.is_some_and(|given| blake3::hash(given) == blake3::hash(&self.secret));
        if !owner && !self.public {
            return Err(Error::new(Code::NotFound, "nothing here is for this key"));
        }
        let who = Who { principal: Principal::of_peer(&peer.0), owner };
        self.shared.callers.send_modify(|callers| *callers += 1);
        let host = serve_host(NodeHost { shared: self.shared.clone(), peer, who });
        Ok(Admission { host, rules: if owner { Rules::All } else { public_rules() } })
    }
}
