//! Publishing of a ROM: its blob on a node, and an anchor whose value is the hash.

use crate::modules::upload_shown;
use crate::names::{split, walk};
use crate::show::Show;
use crate::source::hash_in;
use anyhow::{Context, Result};
use isx_iface::anchor::AnchorStub;
use isx_iface::{Anchor, HostStub};
use isx_row::{Bytes, Code, ContentHash, Error};
use serde_json::json;

/// What publishing a ROM would do.
pub struct Binding {
    path: String,
    parent: AnchorStub,
    hash: ContentHash,
    bytes: usize,
    /// The anchor's value now.
    present: Option<Bytes>,
}

impl Binding {
    /// Looks at the anchor that is to name the ROM.
    ///
    /// # Errors
    /// When no path is said, a module is mounted there, or the anchor's value is something else, which would be lost.
    pub async fn new(host: &HostStub, component: &[u8], name: &str, path: Option<&str>) -> Result<Self> {
        let path = path.ok_or_else(|| {
            let text = format!(
                "{name} is a ROM: run it with `isx run`, or say which anchor is to hold its hash, as \
                 `isx publish {name} /self/NAME` does for `isx run /self/NAME`"
            );
            Error::new(Code::BadArguments, text)
        })?;
        let (parent, child) = split(path)?;
        let parent = walk(host, parent).await?;
        let present = match parent.walk(child.into()).await {
            Ok(anchor) if anchor.module().await.is_ok() => {
                return Err(Error::new(Code::Taken, format!("a module is mounted at {path}")).into());
            }
            Ok(anchor) => anchor.get().await.with_context(|| path.to_string())?,
            Err(error) if error.code == Code::NotFound => None,
            Err(error) => return Err(anyhow::Error::new(error).context(path.to_string())),
        };
        if present.as_ref().is_some_and(|value| hash_in(&value.0).is_none()) {
            let text =
                format!("{path} has a value that is no content hash, which would be lost: `isx rm {path}` removes it");
            return Err(Error::new(Code::Conflict, text).into());
        }
        let (hash, bytes) = (ContentHash::of(component), component.len());
        Ok(Self { path: path.into(), parent, hash, bytes, present })
    }

    /// Uploads the ROM, then names it.
    ///
    /// # Errors
    /// `conflict` when the anchor has got another value meanwhile.
    pub async fn carry_out(self, host: &HostStub, component: &[u8], show: Show) -> Result<()> {
        upload_shown(host, component).await?;
        let (_, child) = split(&self.path)?;
        let failed = || self.path.clone();
        let anchor = self.parent.make(child.into()).await.with_context(failed)?;
        let value = Some(Bytes(self.hash.to_string().into_bytes()));
        if !anchor.swap(self.present.clone(), value).await.with_context(failed)? {
            return Err(Error::new(Code::Conflict, format!("{} has got another value meanwhile", self.path)).into());
        }
        let done = match &self.present {
            None => "bound",
            Some(value) if hash_in(&value.0) == Some(self.hash) => "unchanged",
            Some(_) => "bound anew",
        };
        self.show(done, show)
    }

    /// Says what is or would be done.
    ///
    /// # Errors
    /// The output's.
    pub fn show(&self, done: &str, show: Show) -> Result<()> {
        let Self { path, hash, bytes, .. } = self;
        Ok(show.one(
            || format!("{done} {path}: a ROM of {bytes} bytes\n  code {hash}"),
            || json!({ "path": path, "done": done, "code": hash.to_string(), "bytes": bytes }),
        )?)
    }
}
