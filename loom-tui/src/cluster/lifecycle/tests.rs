//! The machine against a model of a process, in random order, and the cases with a name.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

const LIMITS: Limits = Limits {
    ready_within: Duration::from_secs(30),
    grace: Duration::from_secs(5),
};

/// What a real process would be doing, told only through signals.
#[derive(Debug, Default)]
struct Process {
    alive: bool,
    stopped: bool,
    /// SIGTERM is remembered while the process is stopped.
    term: bool,
    killed: bool,
    /// Catches SIGTERM and does nothing.
    stubborn: bool,
    /// Stuck in the kernel: SIGKILL takes effect late.
    stuck: bool,
    healthy: bool,
}

impl Process {
    /// Whether the next thing it does is to end.
    fn ends(&self) -> bool {
        self.alive
            && ((self.killed && !self.stuck) || (self.term && !self.stopped && !self.stubborn))
    }
}

struct World {
    machine: Lifecycle<u32>,
    process: Process,
    now: Instant,
    /// Every wish and how it was settled.
    wishes: BTreeMap<u32, (Wish, Option<Result<(), Refusal>>)>,
    announced: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self {
            machine: Lifecycle::new(LIMITS),
            process: Process::default(),
            now: Instant::now(),
            wishes: BTreeMap::new(),
            announced: Vec::new(),
        }
    }

    fn wish(&mut self, wish: Wish) -> u32 {
        let ticket = self.wishes.len() as u32;
        self.wishes.insert(ticket, (wish, None));
        self.feed(Input::Wish(wish, ticket));
        ticket
    }

    fn feed(&mut self, input: Input<u32>) {
        let mut actions = Vec::new();
        self.machine.handle(input, self.now, &mut actions);
        for action in actions {
            match action {
                Action::Spawn => {
                    assert!(!self.process.alive, "two processes");
                    self.process = Process {
                        alive: true,
                        ..Process::default()
                    };
                }
                Action::Watch => assert!(self.process.alive, "watches nothing"),
                Action::Signal(signal) => self.signal(signal),
                Action::Wipe(ticket) => {
                    assert!(!self.process.alive, "wipes under a running process");
                    self.settle(ticket, Ok(()));
                }
                Action::Settle(ticket, outcome) => self.settle(ticket, outcome),
                Action::Announce { what, .. } => self.announced.push(what),
            }
        }
        self.check();
    }

    fn signal(&mut self, signal: Signal) {
        assert!(self.process.alive, "{signal:?} to nobody");
        match signal {
            Signal::Term => self.process.term = true,
            Signal::Kill => self.process.killed = true,
            Signal::Stop => self.process.stopped = true,
            Signal::Cont => self.process.stopped = false,
        }
    }

    fn settle(&mut self, ticket: u32, outcome: Result<(), Refusal>) {
        let (wish, settled) = self.wishes.get_mut(&ticket).expect("a wish that was made");
        assert_eq!(*settled, None, "{wish:?} settled twice");
        *settled = Some(outcome);
    }

    fn check(&self) {
        let Process {
            alive,
            stopped,
            term,
            killed,
            ..
        } = self.process;
        match self.machine.life() {
            Life::Stopped | Life::Dead => assert!(!alive),
            _ if term || killed => assert!(alive),
            Life::Up | Life::Starting => assert!(alive && !stopped),
            Life::Suspended => assert!(alive && stopped),
        }
    }

    fn settled(&self, ticket: u32) -> Option<&Result<(), Refusal>> {
        self.wishes[&ticket].1.as_ref()
    }

    fn exit(&mut self) {
        self.process.alive = false;
        self.feed(Input::Exited("exit status 0".to_owned()));
    }

    fn pass_deadline(&mut self) {
        self.now = self.machine.deadline().expect("something is awaited");
        self.feed(Input::Deadline);
    }

    fn up() -> Self {
        let mut world = Self::new();
        let start = world.wish(Wish::Start);
        assert_eq!(world.settled(start), None, "start waits for health");
        world.feed(Input::Healthy);
        assert_eq!(world.settled(start), Some(&Ok(())));
        world
    }
}

#[test]
fn killing_twice_and_killing_the_dead_succeed() {
    let mut world = World::up();
    let first = world.wish(Wish::Kill);
    let second = world.wish(Wish::Kill);
    assert_eq!(world.settled(first), None, "kill waits for the end");
    world.exit();
    assert_eq!(world.settled(first), Some(&Ok(())));
    assert_eq!(world.settled(second), Some(&Ok(())));
    let third = world.wish(Wish::Kill);
    assert_eq!(world.settled(third), Some(&Ok(())));
    assert_eq!(world.machine.life(), Life::Dead);
}

#[test]
fn a_suspended_member_that_is_killed_needs_no_resume() {
    let mut world = World::up();
    world.wish(Wish::Suspend);
    world.wish(Wish::Kill);
    assert!(world.process.ends(), "SIGKILL ends a frozen process");
    world.exit();
    let resume = world.wish(Wish::Resume);
    assert_eq!(world.settled(resume), Some(&Ok(())));
    assert_eq!(world.machine.life(), Life::Dead);
}

#[test]
fn a_suspended_member_can_be_stopped_gracefully() {
    let mut world = World::up();
    world.wish(Wish::Suspend);
    let stop = world.wish(Wish::Stop);
    assert!(world.process.ends());
    world.exit();
    assert_eq!(world.settled(stop), Some(&Ok(())));
    assert_eq!(world.machine.life(), Life::Stopped);
}

#[test]
fn starting_a_suspended_member_thaws_it_and_waits_for_its_answer() {
    let mut world = World::up();
    world.wish(Wish::Suspend);
    let start = world.wish(Wish::Start);
    assert_eq!(world.settled(start), None);
    world.feed(Input::Healthy);
    assert_eq!(world.settled(start), Some(&Ok(())));
    assert_eq!(world.machine.life(), Life::Up);
}

#[test]
fn a_kill_during_start_fails_the_start_and_says_why() {
    let mut world = World::new();
    let start = world.wish(Wish::Start);
    world.wish(Wish::Kill);
    let Some(Err(refusal)) = world.settled(start) else {
        panic!("the start is not settled");
    };
    assert_eq!(refusal.reason, "it was killed before it answered");
}

#[test]
fn a_start_during_a_stop_happens_after_it() {
    let mut world = World::up();
    let stop = world.wish(Wish::Stop);
    let start = world.wish(Wish::Start);
    world.exit();
    assert_eq!(world.settled(stop), Some(&Ok(())));
    assert!(world.process.alive);
    world.feed(Input::Healthy);
    assert_eq!(world.settled(start), Some(&Ok(())));
}

#[test]
fn a_stubborn_process_is_killed_after_its_grace() {
    let mut world = World::up();
    world.process.stubborn = true;
    world.wish(Wish::Stop);
    assert!(!world.process.ends());
    world.pass_deadline();
    assert!(world.process.ends());
    world.exit();
    assert_eq!(
        world.machine.life(),
        Life::Stopped,
        "it ended because it was asked to"
    );
}

#[test]
fn a_member_that_never_answers_is_given_up_and_killed() {
    let mut world = World::new();
    let start = world.wish(Wish::Start);
    world.pass_deadline();
    let Some(Err(refusal)) = world.settled(start) else {
        panic!("the start is not settled");
    };
    assert!(refusal.reason.contains("within 30s"), "{refusal:?}");
    assert!(world.process.ends());
}

#[test]
fn an_exit_nobody_asked_for_is_announced() {
    let mut world = World::up();
    world.exit();
    assert_eq!(
        world.announced.last().map(String::as_str),
        Some("exited: exit status 0")
    );
    assert_eq!(world.machine.life(), Life::Dead);
}

/// One random history; panics where a promise is broken.
fn play(seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut world = World::new();
    let wishes = [
        Wish::Start,
        Wish::Stop,
        Wish::Kill,
        Wish::Suspend,
        Wish::Resume,
        Wish::Wipe,
    ];
    for _ in 0..80 {
        match rng.random_range(0..10) {
            0..5 => {
                world.wish(wishes[rng.random_range(0..wishes.len())]);
            }
            5 | 6 if world.process.ends() => world.exit(),
            5 if world.process.alive && !world.process.stopped => {
                world.process.healthy = true;
                world.feed(Input::Healthy);
            }
            6 if world.process.alive => {
                world.process.stubborn = rng.random();
                world.process.stuck = rng.random_bool(0.2);
            }
            7 if world.machine.deadline().is_some() => world.pass_deadline(),
            8 if world.process.alive && rng.random_bool(0.3) => world.exit(),
            8 if world.machine.is_starting() && rng.random_bool(0.3) => {
                // Only a spawn can fail: as far as the machine knows there was no process.
                world.process.alive = false;
                world.feed(Input::NotStarted("no such file".to_owned()));
            }
            _ => world.feed(Input::Deadline),
        }
    }
    // Left alone, everything is settled in bounded time.
    for _ in 0..10 {
        world.process.stuck = false;
        if world.process.ends() {
            world.exit();
        } else if world.machine.deadline().is_some() {
            world.pass_deadline();
        }
    }
    for (ticket, (wish, settled)) in &world.wishes {
        assert!(settled.is_some(), "{wish:?} ({ticket}) is never settled");
        let never_fails = matches!(wish, Wish::Resume);
        assert!(!never_fails || *settled == Some(Ok(())), "{wish:?} failed");
    }
}

#[test]
fn any_order_of_wishes_and_accidents_keeps_the_promises() {
    let one = std::env::var("LOOM_SEED")
        .ok()
        .map(|seed| seed.parse().expect("LOOM_SEED is a number"));
    let seeds = one.map_or(0..3_000, |seed: u64| seed..seed + 1);
    for seed in seeds {
        if let Err(broken) = std::panic::catch_unwind(|| play(seed)) {
            eprintln!("replay: LOOM_SEED={seed} cargo test -p loom-tui --lib any_order_of_wishes");
            std::panic::resume_unwind(broken);
        }
    }
}

#[test]
fn what_somebody_else_does_to_a_process_is_seen_for_what_it_is() {
    let mut world = World::new();
    // Nobody froze or thawed what does not run.
    world.feed(Input::Frozen);
    world.feed(Input::Thawed);
    assert_eq!(world.machine.life(), Life::Stopped);
    assert_eq!(world.announced, [""; 0]);

    world.process.alive = true;
    world.feed(Input::Found { aloud: true });
    assert_eq!(world.machine.life(), Life::Starting);
    let start = world.wish(Wish::Start);
    world.process.stopped = true;
    world.feed(Input::Frozen);
    assert_eq!(world.machine.life(), Life::Suspended);
    assert!(
        matches!(world.settled(start), Some(Err(_))),
        "it may never answer"
    );
    world.process.stopped = false;
    world.feed(Input::Thawed);
    assert_eq!(world.machine.life(), Life::Up);
    assert_eq!(
        world.announced,
        ["started", "suspended", "resumed"].map(|what| format!("{what} from outside"))
    );
}
