//! Any revision that is kept can be rebuilt, and is what it was; older ones are refused as such.

use crate::client::MOUNT;
use crate::executor::Life;
use crate::world::World;
use isx_raft::{MOUNTS, Moment, Raft};
use isx_row::{Code, Revision};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Revisions of each machine that are rebuilt.
const REBUILT: usize = 6;
/// How long a machine may take for one.
const WITHIN: Duration = Duration::from_secs(60);

/// The state hash of the mount's tables at revisions that were seen.
#[derive(Clone, Default)]
pub(crate) struct Known(Arc<Mutex<BTreeMap<Revision, [u8; 32]>>>);

impl Known {
    /// Begins to look at the machines now and then.
    pub(crate) fn watch(world: &Arc<World>, every: Duration) -> Self {
        let known = Self::default();
        let (looking, watched) = (known.clone(), world.clone());
        let look = async move {
            loop {
                looking.look(&watched);
                watched.sleep(every).await;
            }
        };
        world.executor.spawn(Life::WORLD, "past oracle", Box::pin(look));
        known
    }

    fn look(&self, world: &World) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for view in world.up().into_iter().filter_map(|index| world.raft(index)?.view(MOUNTS).ok()) {
            if let Some(mount) = view.mount(&MOUNT) {
                known.entry(mount.revision()).or_insert_with(|| mount.database().state_hash());
            }
        }
    }

    /// Judges every machine of a world that has come together.
    pub(crate) async fn check(&self, world: &Arc<World>) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut random = world.split("past");
        for index in world.up() {
            let Some(raft) = world.raft(index) else { continue };
            let node = index + 1;
            let Some(deadline) = world.deadline(index, WITHIN) else { continue };
            let from = match raft.replay(MOUNTS, MOUNT, None, deadline).await {
                Ok(replayed) => {
                    world.say(format_args!("node {node} goes through its past again: {replayed:?}"));
                    if let Some(differs) = replayed.differs {
                        world.findings.report("past", format_args!("node {node} differs at {differs:?}"));
                    }
                    replayed.from
                }
                // A disk that was made to fail costs the past, and nothing else.
                Err(_) if !world.is_sound(index) => continue,
                Err(error) => {
                    world.findings.report("past", format_args!("node {node} can not go through its past: {error}"));
                    continue;
                }
            };
            for _ in 0..REBUILT {
                let nth = random.below(known.len().max(1) as u64) as usize;
                let Some((revision, hash)) = known.iter().nth(nth) else { break };
                if let Some(wrong) = judge(&raft, (*revision, *hash), from, world, index).await {
                    world.findings.report("past", format_args!("node {node}, revision {revision}: {wrong}"));
                }
            }
        }
    }
}

async fn judge(
    raft: &Raft,
    (revision, hash): (Revision, [u8; 32]),
    from: Revision,
    world: &World,
    index: usize,
) -> Option<String> {
    let deadline = world.deadline(index, WITHIN)?;
    match raft.past(MOUNTS, MOUNT, Moment::Revision(revision), deadline).await {
        Ok(view) => {
            let mount = view.mount(&MOUNT)?;
            let same = (mount.revision(), mount.database().state_hash()) == (revision, hash);
            (!same).then(|| format!("rebuilt it is revision {} in another state", mount.revision()))
        }
        Err(error) if error.code == Code::TooOld && revision < from => None,
        Err(error) => Some(error.to_string()),
    }
}
