//! Upgrades of a mount: what one would do, what it is asked for with, and what the moving of its rows comes to.

use crate::limits::{MIGRATION_LOOK, MIGRATION_TRIED_WITHIN};
use crate::past::Place;
use crate::shared::{Shared, Who, group, mount_in, unexpected};
use crate::{links, saga};
use futures::stream::{self, BoxStream, StreamExt};
use isx_anchors::Binding;
use isx_cluster::{Entry, EntryHeader, FEATURE_LEVEL, Migration, Mode, MountView, Outcome, Record, Request, View};
use isx_iface::module::Migrated;
use isx_port::Lane;
use isx_raft::Consistency;
use isx_row::schema::Way;
use isx_row::{Code, ContentHash, Error, MountId, Time};
use isx_store::Executor;
use std::sync::Arc;

/// An upgrade, checked against what is mounted.
pub(crate) struct Planned {
    /// What asks for it.
    pub(crate) upgrade: Request,
    mount: MountId,
    view: View,
}

/// Plans the upgrade of a mount to a published module, or from one back to one that it had; none when that is there already.
///
/// # Errors
/// `not_found` for what was not published, `conflict` where it has another than the way back is from, `incompatible` for what does not fit modules that are linked.
pub(crate) async fn plan(
    shared: &Arc<Shared>,
    who: Who,
    binding: &Binding,
    (code, back): (ContentHash, Option<ContentHash>),
) -> Result<Option<Planned>, Error> {
    shared.load(code).await?;
    let view = shared.raft.read(group(binding.group), Consistency::Linearizable, shared.soon()).await?;
    let mount = mount_in(&view, &binding.mount)?;
    let present = mount.module();
    if let Some(from) = back {
        check_had(&mount, &code)?;
        if ![from, code].contains(&present.code) {
            let text = format!("the mount has module {} by now, not {from}: look again at what is lost", present.code);
            return Err(Error::new(Code::Conflict, text));
        }
    }
    let schema = shared.exec.schema(&code).ok_or_else(|| Error::new(Code::NotFound, format!("{code}")))?;
    let links = links::resolve(shared, who, &schema, Some(binding.mount)).await?;
    let is_waiting = matches!(view.migration(&binding.mount), Some(Migration::Moving { .. }));
    if present.code == code && present.links == links && !is_waiting {
        return Ok(None);
    }
    links::check_dependents(&shared.tree_view().await?, &view, &mount, &schema)?;
    let module = saga::module(shared, code, present.fuel_max, present.limits, links)?;
    let upgrade = Request::Upgrade {
        mount: binding.mount,
        expected: present.code,
        module,
        way: if back.is_some() { Way::Back } else { Way::On },
    };
    Ok(Some(Planned { upgrade, mount: binding.mount, view }))
}

/// Refuses a module that a mount never had, as far as it knows.
pub(crate) fn check_had(mount: &MountView<'_>, code: &ContentHash) -> Result<(), Error> {
    match mount.module().code == *code || mount.earlier().iter().any(|(had, _)| had == code) {
        true => Ok(()),
        false => Err(Error::new(Code::NotFound, format!("module {code} is none that the mount had"))),
    }
}

/// Does an upgrade on a fork that nobody else sees; how many rows moved.
///
/// # Errors
/// What the upgrade would be refused with.
pub(crate) async fn attempt(shared: &Arc<Shared>, planned: Planned) -> Result<Migrated, Error> {
    let time = planned.view.time().max(Time(shared.ports.clock.wall().unix_us));
    let lane = Lane::Past(u64::from(planned.view.group().0));
    let (exec, late) = (shared.clone(), shared.ports.clock.now().after(MIGRATION_TRIED_WITHIN));
    let attempt = move || {
        let Planned { upgrade, mount, view } = planned;
        let mut fork = view.fork();
        let header = EntryHeader { level: FEATURE_LEVEL, execution: exec.exec.execution_id(), time };
        let (mut request, mut done) = (upgrade, Migrated { moved: 0, rows: 0 });
        loop {
            if exec.ports.clock.now() >= late {
                let text =
                    format!("{} of {} rows moved in the time there is to try it; none failed", done.moved, done.rows);
                return Err(Error::new(Code::Deadline, text));
            }
            let records = vec![Record { nonce: done.moved, request, effect: None }];
            let entry = Entry { header, mode: Mode::Calls, records };
            let applied = fork.apply(fork.applied() + 1, &entry, &*exec.exec);
            let applied =
                applied.map_err(|hold| Error::new(Code::Busy, format!("the upgrade can not be tried now: {hold}")))?;
            match applied.outcomes.into_iter().next() {
                Some(Outcome::Mounted { .. }) => return Ok(Migrated { moved: done.rows, ..done }),
                Some(Outcome::Migrating { moved, rows }) => {
                    done = Migrated { moved, rows };
                    request = Request::Migrate { mount, moved };
                }
                Some(Outcome::Refused(error)) => return Err(error),
                Some(Outcome::Application { text, .. }) => {
                    return Err(Error::new(Code::Application, format!("upgrade: {text}")));
                }
                Some(other) => return Err(unexpected(&other)),
                None => return Err(Error::new(Code::Fatal, "an entry of one request had no outcome")),
            }
        }
    };
    shared.on(lane, attempt).await
}

/// Tells how many rows of a mount have moved to a module, now and then until that has ended.
pub(crate) fn follow(
    shared: &Arc<Shared>,
    Place { group, mount }: Place,
    code: ContentHash,
) -> BoxStream<'static, Result<Migrated, Error>> {
    let shared = shared.clone();
    let look = move |last: Option<u64>| {
        let shared = shared.clone();
        async move {
            let told = last?;
            loop {
                let view = match shared.raft.read(group, Consistency::Linearizable, shared.soon()).await {
                    Ok(view) => view,
                    Err(error) => return Some((Err(error), None)),
                };
                match view.migration(&mount) {
                    Some(Migration::Moving { code: to, moved, rows }) if to == code => {
                        if told != moved {
                            return Some((Ok(Migrated { moved, rows }), Some(moved)));
                        }
                    }
                    Some(Migration::Failed { code: to, text }) if to == code => {
                        return Some((Err(Error::new(Code::Application, text)), None));
                    }
                    _ => match mount_in(&view, &mount).map(|mount| mount.module().code == code) {
                        Ok(true) => {
                            links::heard(&shared, mount).await;
                            return None;
                        }
                        Ok(false) => {
                            let text = "the mount has another module by now than the one it was to get";
                            return Some((Err(Error::new(Code::Conflict, text)), None));
                        }
                        Err(error) => return Some((Err(error), None)),
                    },
                }
                shared.ports.clock.sleep_until(shared.ports.clock.now().after(MIGRATION_LOOK)).await;
            }
        }
    };
    stream::unfold(Some(u64::MAX), look).boxed()
}
