//! State and outcomes do not depend on where batches are cut: the committed entries of a run, applied one request at a
//! time to a fresh machine, end where the replicas are, and answer what whole entries answer.
//!
//! The machine is the oracle's own, so a replica that does something of its own shows here, too.

use crate::oracle::agreement::Agreement;
use crate::world::World;
use isx_cluster::{Applied, Entry, Machine, Outcome};
use isx_raft::{Group, MOUNTS, TREE};
use isx_store::Executor;

/// Judges a world that has come together.
pub(crate) fn check(world: &World, agreement: &Agreement) {
    let executor = match world.module_executor() {
        Ok(executor) => executor,
        Err(error) => return world.findings.report("batches", format_args!("no executor: {error}")),
    };
    for group in [TREE, MOUNTS] {
        let Some(applied) = agreement.applied(group) else { continue };
        if let Err(wrong) = replay(world, &*executor, agreement, group, applied) {
            world.findings.report("batches", format_args!("group {}: {wrong}", group.0));
        }
    }
}

fn replay(
    world: &World,
    executor: &dyn Executor,
    agreement: &Agreement,
    group: Group,
    applied: u64,
) -> Result<(), String> {
    let mut machine = Machine::new((group.0 as u32).into(), executor.execution_id());
    // The machine wants indexes that grow, and there are more entries than in the log.
    let mut place = 0;
    let mut expected = 0;
    for (index, command) in world.durable.committed(world, group, applied) {
        if index != expected {
            return Err(format!("entry {expected} stands in no log, and {index} does"));
        }
        expected = index + 1;
        if let Some(command) = command {
            let entry = Entry::decode(&command).map_err(|error| format!("entry {index}: {error}"))?;
            let whole = (entry.records.len() > 1).then(|| whole(&machine, place + 1, &entry, executor));
            let mut outcomes = Vec::new();
            for record in &entry.records {
                place += 1;
                let one = Entry { records: vec![record.clone()], ..entry.clone() };
                let Applied { outcomes: answered, .. } =
                    machine.apply(place, &one, executor).map_err(|hold| format!("entry {index}: {hold}"))?;
                outcomes.extend(answered);
            }
            if whole.is_some_and(|whole| whole != (outcomes, machine.state_hash())) {
                return Err(format!(
                    "entry {index} of {} requests does something else as a whole",
                    entry.records.len()
                ));
            }
        }
        if agreement.hash(group, index).is_some_and(|hash| hash != machine.state_hash()) {
            return Err(format!("the replicas are in another state after entry {index}"));
        }
    }
    if expected == applied + 1 {
        Ok(())
    } else {
        Err(format!("the entries from {expected} to {applied} stand in no log"))
    }
}

/// What the entry does in one piece; the machine stays as it is.
fn whole(machine: &Machine, place: u64, entry: &Entry, executor: &dyn Executor) -> (Vec<Outcome>, [u8; 32]) {
    let mut machine = machine.clone();
    let outcomes = machine.apply(place, entry, executor).map(|applied| applied.outcomes);
    (outcomes.unwrap_or_default(), machine.state_hash())
}
