//! What tests of single stories share: the SDK's module `probe`, mounted in a world of fair weather.

use crate::vat::dial::{Dialled, Right};
use crate::vat::{ConfigureNode, Modules, Program, STACK_BYTES};
use crate::world::{self, Configure, World};
use isx_iface::anchor::MountLimits;
use isx_iface::publish::{mount_or_upgrade, upload};
use isx_iface::{Anchor, Call, Host, ObjectRef};
use isx_port::Clock;
use isx_row::typed::{decode_answer, encode_arguments};
use isx_row::{Error, SessionId, Signature, Time, Typed};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a segment of the log: small, so that there are many.
const SEGMENT_BYTES_MAX: u64 = 128 * 1024;
/// How long a story may take.
const WITHIN: Duration = Duration::from_secs(300);

/// The module.
pub(crate) struct Probe(Arc<Modules>);

impl Probe {
    /// Mounts a variant of it, or upgrades what is mounted.
    pub(crate) async fn publish(&self, world: &Arc<World>, variant: u64) {
        let publisher = Dialled::new(world, Right::Owner);
        let code = upload(&publisher.host(), &self.0.variant(variant), |_| ()).await.unwrap();
        let home = publisher.host().walk("/self".into()).await.unwrap();
        let session = SessionId::new(Time(publisher.clock.wall().unix_us), variant);
        let limits = MountLimits { fuel_max: None, table_bytes_max: None };
        mount_or_upgrade(&home, "probe", code, limits, session).await.unwrap();
        world.end_caller(publisher.life);
    }
}

/// The mounted module.
pub(crate) async fn object(program: &Dialled) -> Result<ObjectRef, Error> {
    program.host().walk("/self/probe".into()).await?.object().await
}

/// Calls a function that must answer.
pub(crate) async fn ask<A: Typed, T: Typed>(object: &ObjectRef, method: &str, arguments: A) -> T {
    let (method, payload) = (method.to_string(), encode_arguments(&arguments).unwrap());
    let call = Call {
        method,
        signature: Signature::ANY,
        payload,
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery: Default::default(),
    };
    decode_answer(&object.call(call).await.unwrap().payload).unwrap()
}

/// Plays a story to its end.
pub(crate) fn run<F>(seed: u64, story: fn(Arc<World>, Arc<Probe>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    run_with(seed, ConfigureNode::default(), story);
}

/// Plays a story whose node is another.
pub(crate) fn run_with<F>(seed: u64, configure: ConfigureNode, story: fn(Arc<World>, Arc<Probe>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(3).unwrap().join("guests")
    });
    let file = folder.join("probe.wasm");
    let run = move || {
        let modules = Modules::of_file(&file).unwrap();
        let program = Program::new(modules.clone(), configure);
        let small: Configure = Arc::new(|_, options| options.segment_bytes_max = SEGMENT_BYTES_MAX);
        let world = World::of(seed, 1, small, world::Program::Node(program));
        world.net.set_weather(crate::net::Weather::fair());
        let done = world.executor.block_on(WITHIN, story(world.clone(), Arc::new(Probe(modules))));
        world.end_all();
        assert_eq!(done, Some(()), "seed {seed}: the world stands still");
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap().join().unwrap();
}
