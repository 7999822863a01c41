//! Makes the faults a run has, ends each after a while, and in the end all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::disk::Speed;
use super::link::{ACCEPTOR, DIALLER, Side};
use super::{Cast, Fault, Kinds, LinkId, MemberId, Pace, Watch, World};

/// Who makes faults.
#[derive(Debug)]
pub struct Nemesis {
    kinds: Kinds,
    rng: SmallRng,
    /// Faults on, by the token that ends them.
    on: BTreeMap<u64, Ending>,
    next: u64,
    struck: BTreeMap<Fault, u32>,
    pause: Duration,
    stopped: bool,
}

#[derive(Debug)]
enum Ending {
    Mend(Vec<(LinkId, Side)>),
    Start(MemberId),
    Resume(MemberId),
    MakeRoom(MemberId),
}

/// Tokens from here on are the nemesis'; others must not use them.
const TOKENS: u64 = 1 << 40;

impl Nemesis {
    /// One that knows these kinds.
    pub fn new(kinds: Kinds, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        Self {
            kinds,
            on: BTreeMap::new(),
            next: TOKENS + 1,
            struck: BTreeMap::new(),
            pause: Duration::from_millis([200, 1_000, 4_000][rng.random_range(0..3)]),
            rng,
            stopped: false,
        }
    }

    /// What faults there were, and how often.
    pub fn struck(&self) -> &BTreeMap<Fault, u32> {
        &self.struck
    }

    /// The kinds it knows.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Makes the world what it is in this run, and sets itself to work.
    pub fn begin<C: Cast>(&mut self, world: &mut World<C>) {
        let kinds: Vec<Fault> = self.kinds.iter().collect();
        world.say(format!("faults: {kinds:?}"));
        for fault in kinds.into_iter().filter(|fault| fault.is_lasting()) {
            *self.struck.entry(fault).or_default() += 1;
            self.condition(fault, world);
        }
        if self.kinds.iter().any(|fault| !fault.is_lasting()) {
            world.wake(self.pause, TOKENS);
        }
    }

    fn condition<C: Cast>(&mut self, fault: Fault, world: &mut World<C>) {
        let rng = &mut self.rng;
        match fault {
            Fault::Slow | Fault::Lose | Fault::Double | Fault::Swap => {
                // At least one, else the kind was drawn for nothing.
                let sure = rng.random_range(0..world.links.len());
                for (index, link) in world.links.iter_mut().enumerate() {
                    if index != sure && rng.random_bool(0.5) {
                        continue;
                    }
                    let share = rng.random_range(0.005..0.1);
                    match fault {
                        Fault::Lose => link.frames.lost = share,
                        Fault::Double => link.frames.doubled = share,
                        Fault::Swap => link.frames.swapped = share,
                        _ => {
                            let least = Duration::from_millis(rng.random_range(1..200));
                            link.delay = (least, least * rng.random_range(1..4));
                        }
                    }
                }
            }
            Fault::Narrow => world.set_pace(Pace {
                queue_bytes_max: rng.random_range(500..8_000),
                ..Pace::default()
            }),
            Fault::SlowDisk => {
                for member in &mut world.members {
                    let most = rng.random_range(10..2_000);
                    member.disk.speed.max = Duration::from_millis(most);
                }
            }
            Fault::ClockOffset | Fault::ClockDrift => {
                let now = world.now;
                for member in &mut world.members {
                    if rng.random_bool(0.5) {
                        continue;
                    }
                    if fault == Fault::ClockDrift {
                        member.clock.set_drift(rng.random_range(-0.02..0.02), now);
                    } else {
                        member.clock.jump(jump_ms(rng));
                    }
                }
            }
            // It is asked for at each crash.
            _ => {}
        }
    }

    /// Whether the token was its own; if so it has done what was due.
    pub fn woke<C: Cast>(
        &mut self,
        token: u64,
        world: &mut World<C>,
        watch: &mut impl Watch<C::Machine>,
    ) -> bool {
        if token < TOKENS {
            return false;
        }
        if self.stopped {
            return true;
        }
        if token == TOKENS {
            self.strike(world, watch);
            let pause = self.pause.mul_f64(self.rng.random_range(0.1..2.0));
            world.wake(pause, TOKENS);
        } else if let Some(ending) = self.on.remove(&token) {
            world.say(format!("ends: {ending:?}"));
            match ending {
                Ending::Mend(ways) => {
                    for (link, side) in ways {
                        world.cut_way(link, side, false);
                    }
                }
                Ending::Start(member) => world.start(member, watch),
                Ending::Resume(member) => world.resume(member, watch),
                Ending::MakeRoom(member) => world.members[member].disk.full = false,
            }
        }
        true
    }

    fn strike<C: Cast>(&mut self, world: &mut World<C>, watch: &mut impl Watch<C::Machine>) {
        let kinds: Vec<Fault> = self.kinds.iter().filter(|it| !it.is_lasting()).collect();
        let fault = kinds[self.rng.random_range(0..kinds.len())];
        *self.struck.entry(fault).or_default() += 1;
        let link = self.rng.random_range(0..world.links.len());
        let member = self.rng.random_range(0..world.members.len());
        let side = self.rng.random_range(0..2);
        world.say(format!(
            "fault: {fault:?}, link {link} side {side} or #{member}"
        ));
        let both = |link| [(link, DIALLER), (link, ACCEPTOR)];
        let cut = self.between(100, 12_000);
        match fault {
            Fault::Cut => self.cut(both(link).into(), cut, world),
            Fault::CutOneWay => self.cut(vec![(link, side)], cut, world),
            Fault::Hold => {
                let hold = self.between(20, 3_000);
                self.cut(vec![(link, side)], hold, world);
            }
            Fault::Isolate => {
                let links = 0..world.links.len();
                let its = links.filter(|link| world.links[*link].ends.contains(&member));
                self.cut(its.flat_map(both).collect(), cut, world);
            }
            Fault::Reset => world.reset_link(link, watch),
            Fault::Crash | Fault::PowerLoss | Fault::Wipe => {
                let torn = self.kinds.has(Fault::Torn) && self.rng.random_bool(0.5);
                let mut forgot = world.crash(member, fault == Fault::PowerLoss, torn);
                if fault == Fault::Wipe {
                    world.wipe(member);
                    forgot = true;
                }
                if forgot {
                    watch.forgot(member, &world.disks());
                }
                let down = self.between(20, 6_000);
                self.end_with(Ending::Start(member), down, world);
            }
            Fault::FullDisk => {
                world.members[member].disk.full = true;
                let full = self.between(50, 12_000);
                self.end_with(Ending::MakeRoom(member), full, world);
            }
            Fault::Pause => {
                world.pause(member);
                let still = self.between(50, 9_000);
                self.end_with(Ending::Resume(member), still, world);
            }
            Fault::ClockJump => {
                let by_ms = jump_ms(&mut self.rng);
                world.say(format!("#{member}'s clock jumps by {by_ms:.0} ms"));
                world.clock_mut(member).jump(by_ms);
            }
            _ => {}
        }
    }

    fn cut<C: Cast>(&mut self, ways: Vec<(LinkId, Side)>, time: Duration, world: &mut World<C>) {
        for (link, side) in &ways {
            world.cut_way(*link, *side, true);
        }
        self.end_with(Ending::Mend(ways), time, world);
    }

    fn end_with<C: Cast>(&mut self, ending: Ending, after: Duration, world: &mut World<C>) {
        self.on.insert(self.next, ending);
        world.wake(after, self.next);
        self.next += 1;
    }

    /// Ends every fault and makes no more: links and disks are quick, there is room, everybody
    /// runs, and clocks are right, unless `clocks` may stay wrong.
    pub fn heal<C: Cast>(
        &mut self,
        clocks: bool,
        world: &mut World<C>,
        watch: &mut impl Watch<C::Machine>,
    ) {
        self.stopped = true;
        self.on.clear();
        world.say("heal".to_owned());
        world.set_pace(Pace::default());
        world.mend_links(watch);
        for member in 0..world.member_count() {
            world.members[member].disk.speed = Speed::default();
            world.members[member].disk.full = false;
            if clocks {
                world.clock_mut(member).mend();
            }
            world.resume(member, watch);
            world.start(member, watch);
        }
    }

    /// Short far more often than long.
    fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        let (least, most) = ((least_ms as f64).ln(), (most_ms as f64).ln());
        Duration::from_secs_f64(self.rng.random_range(least..most).exp() / 1_000.0)
    }
}

/// From a few milliseconds to five minutes, either way.
fn jump_ms(rng: &mut SmallRng) -> f64 {
    let ms = rng.random_range(5_f64.ln()..300_000_f64.ln()).exp();
    if rng.random_bool(0.5) { ms } else { -ms }
}
