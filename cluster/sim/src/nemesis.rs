//! What goes wrong, and when: drawn from the seed, until the world is healed.

use crate::disk::{Crash, Fault, SimDisk};
use crate::executor::Life;
use crate::net::Weather;
use crate::random::Random;
use crate::world::World;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Wall clocks jump at most this far, so that sessions are neither too old nor from the future.
const JUMP_MAX_US: u64 = 60_000_000;

/// Bytes that a full disk has left, at most.
const ROOM_BYTES_MAX: u64 = 32 * 1024;
/// The folder of a node's log.
pub(crate) const LOG_DIR: &str = "wal";
/// How long a process may live whose log has failed.
const END_WITHIN: Duration = Duration::from_secs(1);
/// Of so many restarts in a thousand there is soon another crash.
const AGAIN_PER_MILLE: u64 = 300;

/// Does harm until `end`, then heals the world and starts every machine.
pub async fn harm(world: Arc<World>, end: Duration) {
    let mut random = world.split("nemesis");
    while world.executor.now() < end {
        world.sleep(Duration::from_millis(random.range(200..2500))).await;
        harm_once(&world, &mut random).await;
    }
    world.say(format_args!("the world heals"));
    world.net.heal();
    world.net.set_weather(Weather::fair());
    for index in 0..world.nodes.len() {
        world.disk(index).iter().for_each(SimDisk::mend);
    }
    for index in 0..world.nodes.len() {
        world.start(index);
    }
}

async fn harm_once(world: &Arc<World>, random: &mut Random) {
    let count = world.nodes.len() as u64;
    let victim = random.below(count) as usize;
    match random.below(13) {
        0..=3 => crash(world, random, &[victim]).await,
        4 => crash(world, random, &(0..count as usize).collect::<Vec<_>>()).await,
        5 | 6 if world.peers().len() > 1 => cut(world, random, victim).await,
        7 => {
            world.say(format_args!("every stream is reset"));
            world.net.storm();
        }
        8 => weather(world, random),
        9 | 10 => {
            let after = random.below(12);
            let faults = [Fault::Sync { after }, Fault::Write { after }, Fault::Read { after }, Fault::Gone { after }];
            if let Some(fault) = random.pick(&faults) {
                world.plant(victim, *fault);
            }
        }
        11 => fill(world, random, victim),
        _ => {
            let by = random.below(2 * JUMP_MAX_US) as i64 - JUMP_MAX_US as i64;
            world.say(format_args!("the wall clock of node {} is off by {by} us", victim + 1));
            world.jump(victim, by);
        }
    }
}

/// Cuts the power of machines, each with a model of its own, and gives it back after a while.
async fn crash(world: &Arc<World>, random: &mut Random, victims: &[usize]) {
    for victim in victims {
        let model = random.pick(Crash::ALL).copied().unwrap_or(Crash::DropUnsynced);
        world.kill(*victim, model, random);
    }
    for victim in victims {
        world.sleep(Duration::from_millis(random.range(10..1500))).await;
        world.start(*victim);
        // Some fall again while they catch up.
        if random.per_mille(AGAIN_PER_MILLE) {
            world.sleep(Duration::from_millis(random.range(50..1000))).await;
            let model = random.pick(Crash::ALL).copied().unwrap_or(Crash::DropUnsynced);
            world.kill(*victim, model, random);
            world.sleep(Duration::from_millis(random.range(10..300))).await;
            world.start(*victim);
        }
    }
}

/// Leaves little room on a disk, for a while.
fn fill(world: &Arc<World>, random: &mut Random, victim: usize) {
    let Some(disk) = world.disk(victim) else { return };
    let room = random.below(ROOM_BYTES_MAX);
    world.say(format_args!("the disk of node {} has room for {room} bytes", victim + 1));
    disk.set_capacity(Some(disk.used_bytes() + room));
    let (until, later) = (Duration::from_millis(random.range(300..6000)), world.clone());
    world.executor.after(Life::WORLD, until, move || {
        later.say(format_args!("the disk of node {} has room again", victim + 1));
        later.disk(victim).iter().for_each(|disk| disk.set_capacity(None));
    });
}

/// Starts processes again that ended by themselves, and reports those that should have and did not.
pub(crate) async fn supervise(world: Arc<World>) {
    let mut random = world.split("supervisor");
    let mut since: BTreeMap<usize, (Option<Life>, Duration)> = BTreeMap::new();
    loop {
        for index in 0..world.nodes.len() {
            if world.has_ended(index) {
                let model = random.pick(Crash::ALL).copied().unwrap_or(Crash::DropUnsynced);
                world.kill(index, model, &mut random);
                let (pause, later) = (Duration::from_millis(random.range(10..1500)), world.clone());
                world.executor.after(Life::WORLD, pause, move || later.start(index));
            } else if world.disk(index).is_some_and(|disk| disk.has_failed(LOG_DIR)) && world.raft(index).is_some() {
                let now = world.executor.now();
                let (life, first) = *since.entry(index).or_insert((world.life(index), now));
                if life != world.life(index) {
                    since.insert(index, (world.life(index), now));
                } else if now > first + END_WITHIN {
                    let what = format_args!("node {} goes on after its log failed", index + 1).to_string();
                    world.findings.report("disk", format_args!("{what}"));
                }
            }
        }
        world.sleep(Duration::from_millis(20)).await;
    }
}

/// Cuts the links of a machine, in both directions or in one.
async fn cut(world: &Arc<World>, random: &mut Random, victim: usize) {
    let Some(node) = world.nodes.get(victim) else { return };
    let directions = random.below(3);
    world.say(format_args!("node {} is cut off, way {directions}", node.id));
    for other in world.peers().into_iter().filter(|other| *other != node.peer) {
        if directions != 1 {
            world.net.cut(node.peer, other);
        }
        if directions != 0 {
            world.net.cut(other, node.peer);
        }
    }
    world.sleep(Duration::from_millis(random.range(300..4000))).await;
    world.say(format_args!("the links are mended"));
    world.net.heal();
}

fn weather(world: &Arc<World>, random: &mut Random) {
    let slowest = random.range(500..40_000);
    let weather = Weather {
        delay: (Duration::from_micros(50), Duration::from_micros(slowest)),
        loss_per_mille: random.below(20),
        reset_per_myriad: random.below(20),
    };
    world.say(format_args!("{weather:?}"));
    world.net.set_weather(weather);
}
