//! openraft's own suite for storage passes over the log and snapshots on a simulated disk.

use isx_port::{PeerId, Ports};
use isx_row::{ContentHash, Error};
use isx_sim::disk::SimDisk;
use isx_sim::{Executor, LaneTimes, Life, Random, SimClock, SimEntropy, SimNet, Trace, Weather};
use isx_store::{Database, EntryContext, Executed, ExecutionId, Hold, Invocation, Joined};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

struct NoCode;

impl isx_store::Executor for NoCode {
    fn execution_id(&self) -> ExecutionId {
        ExecutionId([0; 32])
    }
    fn has(&self, _code: &ContentHash) -> bool {
        false
    }
    fn execute_joined(
        &self,
        code: &ContentHash,
        _root: &mut Database,
        _entry: &EntryContext,
        _calls: &[Invocation<'_>],
        _joined: &mut [Joined],
    ) -> Result<Vec<Executed>, Hold> {
        Err(Hold::NoCode(*code))
    }
    fn query(
        &self,
        _code: &ContentHash,
        _root: &Database,
        _at: (isx_row::Revision, isx_row::Time),
        _call: &Invocation<'_>,
    ) -> Executed {
        Executed::refused(Error::new(isx_row::Code::Busy, "no code"))
    }
}

#[test]
fn openraft_storage_suite() {
    let mut random = Random::new(1);
    let trace = Trace::default();
    let executor = Executor::new(random.split("executor"), LaneTimes::default(), trace);
    let net = SimNet::new(executor.clone(), random.split("net"), Weather::fair());
    let life = Life(1);
    let base = Ports {
        net: net.port(PeerId([1; 32]), life),
        disk: Arc::new(SimDisk::new()),
        clock: Arc::new(SimClock::new(executor.clone(), life, 0, Arc::new(AtomicI64::new(0)))),
        entropy: Arc::new(SimEntropy::new(random.split("entropy"))),
        spawn: executor.spawner(life),
    };
    let ports = move || Ports { disk: Arc::new(SimDisk::new()), ..base.clone() };
    let suite = isx_raft::conformance::storage_suite(ports, Arc::new(NoCode));
    let result = executor.block_on(Duration::from_secs(3600), suite);
    assert_eq!(result, Some(Ok(())));
}
