//! The world: what happens next, to whom, and what comes of it.

mod conns;
mod lives;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::disk::Disk;
use super::link::{Conn, Link, Side};
use super::trace::{Note, Trace};
use super::{Cast, Fed, LinkId, MemberId, Time, WallClock, Watch};
use crate::clock::{Mono, Now};
use crate::machine::{Effect, Input, Machine};
use crate::model::PeerId;
use crate::store::Durability;

type CommandOf<C> = <<C as Cast>::Machine as Machine>::Command;

/// Times and bounds, as the driver has them.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A link that was silent for this long is dead.
    pub ping_timeout: Duration,
    /// Pings go out this often, so that silence may be noticed this much sooner.
    pub ping_interval: Duration,
    /// For connecting.
    pub dial_timeout: Duration,
    /// A link with more than this on its way is hung up on.
    pub queue_bytes_max: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ping_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_millis(1_500),
            dial_timeout: Duration::from_secs(2),
            queue_bytes_max: 16 << 20,
        }
    }
}

/// What [`World::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something happened.
    Went,
    /// The moment given to [`World::wake`] with this token has come.
    Woke(u64),
    /// Nothing will ever happen again.
    Over,
    /// Something is wrong: see [`World::broken`].
    Broken,
}

/// Members, links between them, and time.
#[derive(Debug)]
pub struct World<C: Cast> {
    cast: C,
    rng: SmallRng,
    pub(super) now: Time,
    agenda: BTreeMap<(Time, u64), Event>,
    scheduled: u64,
    at_once: u32,
    pub(super) members: Vec<Member<C::Machine>>,
    pub(super) links: Vec<Link>,
    conns: BTreeMap<u64, Conn>,
    by_peer: BTreeMap<PeerId, (u64, Side)>,
    numbers: u64,
    trace: Trace,
    pace: Pace,
    acks_early: bool,
    broken: Option<String>,
}

#[derive(Debug)]
pub(super) struct Member<M> {
    life: Option<Life<M>>,
    lives: u64,
    pub(super) clock: WallClock,
    pub(super) disk: Disk,
}

/// One process, from its start to its end.
#[derive(Debug)]
struct Life<M> {
    machine: M,
    nth: u64,
    born: Time,
    paused: bool,
    alarm: Option<Time>,
    /// A commit that was done while it was paused.
    synced: bool,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Something may have arrived at this side.
    Arrive {
        conn: u64,
        at: Side,
    },
    Deadline {
        member: MemberId,
        life: u64,
        at: Time,
    },
    Synced {
        member: MemberId,
        life: u64,
    },
    Dial {
        link: LinkId,
        life: u64,
    },
    DialLimit {
        conn: u64,
    },
    Silence {
        conn: u64,
        at: Side,
        since: Time,
    },
    Wake(u64),
}

/// Steps at one instant that are still progress.
const AT_ONCE_MAX: u32 = 100_000;

impl<C: Cast> World<C> {
    /// A world in which nobody runs yet. Each link is its dialler and whom that dials.
    pub fn new(
        cast: C,
        seed: u64,
        members: usize,
        links: impl IntoIterator<Item = (MemberId, MemberId)>,
    ) -> Self {
        let member = || Member {
            life: None,
            lives: 0,
            clock: WallClock::default(),
            disk: Disk::default(),
        };
        let links = links.into_iter();
        Self {
            cast,
            rng: SmallRng::seed_from_u64(seed),
            now: Time::ZERO,
            agenda: BTreeMap::new(),
            scheduled: 0,
            at_once: 0,
            members: std::iter::repeat_with(member).take(members).collect(),
            links: links.map(|(from, to)| Link::new(from, to)).collect(),
            conns: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            numbers: 0,
            trace: Trace::default(),
            pace: Pace::default(),
            acks_early: false,
            broken: None,
        }
    }

    /// Lets the next thing happen.
    pub fn step(&mut self, watch: &mut impl Watch<C::Machine>) -> Step {
        if self.broken.is_some() {
            return Step::Broken;
        }
        let Some(((at, _), event)) = self.agenda.pop_first() else {
            return Step::Over;
        };
        self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
        self.now = self.now.max(at);
        if self.at_once > AT_ONCE_MAX {
            self.breaks(format!(
                "no end of events at one instant; the next is {event:?}"
            ));
            return Step::Broken;
        }
        match event {
            Event::Wake(token) => return Step::Woke(token),
            Event::Arrive { conn, at } => self.on_arrive(conn, at, watch),
            Event::Deadline { member, life, at } => self.on_deadline(member, life, at, watch),
            Event::Synced { member, life } => self.on_synced(member, life, watch),
            Event::Dial { link, life } => self.on_dial(link, life),
            Event::DialLimit { conn } => self.on_dial_limit(conn, watch),
            Event::Silence { conn, at, since } => self.on_silence(conn, at, since, watch),
        }
        Step::Went
    }

    /// Has [`World::step`] return `token` in `after` from now.
    pub fn wake(&mut self, after: Duration, token: u64) {
        self.schedule(self.now + after, Event::Wake(token));
    }

    /// A member's own process wants something; false if it is not running, or not at the moment.
    pub fn command(
        &mut self,
        member: MemberId,
        command: CommandOf<C>,
        watch: &mut impl Watch<C::Machine>,
    ) -> bool {
        let runs = self.is_running(member);
        if runs {
            self.feed(member, Input::Command(command), watch);
        }
        runs
    }

    /// Virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many members there are.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// How many links there are.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// A member's wall clock.
    pub fn clock(&self, member: MemberId) -> &WallClock {
        &self.members[member].clock
    }

    /// The same, to be set.
    pub fn clock_mut(&mut self, member: MemberId) -> &mut WallClock {
        &mut self.members[member].clock
    }

    /// A member's disk.
    pub fn disk(&self, member: MemberId) -> &Disk {
        &self.members[member].disk
    }

    /// Everybody's disk.
    pub fn disks(&self) -> Vec<&Disk> {
        self.members.iter().map(|member| &member.disk).collect()
    }

    /// A member's machine, if its process exists.
    pub fn machine(&mut self, member: MemberId) -> Option<&mut C::Machine> {
        let life = self.members[member].life.as_mut();
        life.map(|life| &mut life.machine)
    }

    /// What a member's store promises, from now on; the highest otherwise.
    pub fn set_durability(&mut self, member: MemberId, durability: Durability) {
        self.members[member].disk.set_durability(durability);
    }

    /// Who starts members.
    pub fn cast(&self) -> &C {
        &self.cast
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What is wrong, if anything is.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Ends the run: something is wrong.
    pub fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// Puts a line into the trace.
    pub fn say(&mut self, what: String) {
        self.trace.note(self.now, Note::Said(what));
    }

    /// Times and bounds.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// The planted fault: members are told that a commit is stored before it is.
    pub fn acknowledge_early(&mut self) {
        self.acks_early = true;
    }

    /// The planted fault: disks say they have stored every `nth` commit, and have not.
    pub fn forget_every(&mut self, nth: u64) {
        for member in &mut self.members {
            member.disk.forgets_every = Some(nth);
        }
    }

    /// The planted fault: what a full disk refused is gone when there is room again.
    pub fn drop_refused(&mut self) {
        for member in &mut self.members {
            member.disk.drops_refused = true;
        }
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.scheduled += 1;
        self.agenda
            .insert((at.max(self.now), self.scheduled), event);
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn is_running(&self, member: MemberId) -> bool {
        let life = self.members[member].life.as_ref();
        life.is_some_and(|life| !life.paused)
    }

    /// Hands a machine one input, and the inputs its effects give rise to, as the driver does.
    fn feed(
        &mut self,
        member: MemberId,
        input: Input<CommandOf<C>>,
        watch: &mut impl Watch<C::Machine>,
    ) {
        let mut waiting = VecDeque::from([input]);
        while let Some(input) = waiting.pop_front() {
            let it = &mut self.members[member];
            let Some(life) = &mut it.life else { return };
            let now = Now {
                mono: Mono(self.now - life.born),
                wall_ms: it.clock.wall_ms(self.now),
            };
            let fed = fed(&input);
            self.trace.note(self.now, note(member, &fed));
            let mut effects = Vec::new();
            let machine = &mut life.machine;
            let handled = catch_unwind(AssertUnwindSafe(|| {
                machine.handle(input, now, &mut effects)
            }));
            let seen = match handled {
                Ok(()) => watch.stepped(member, machine, &fed, now, &effects),
                Err(panic) => Err(format!("the machine panicked: {}", words(&*panic))),
            };
            if let Err(what) = seen {
                self.breaks(format!("#{member}: {what}"));
                return;
            }
            for effect in effects {
                self.carry_out(member, effect, &mut waiting);
            }
            if let Err(what) = watch.done(member, &self.members[member].disk) {
                self.breaks(format!("#{member}: {what}"));
                return;
            }
        }
        self.set_alarm(member);
    }

    fn carry_out(
        &mut self,
        member: MemberId,
        effect: Effect,
        waiting: &mut VecDeque<Input<CommandOf<C>>>,
    ) {
        match effect {
            Effect::Send { peer, frame } => {
                self.trace
                    .note(self.now, Note::Sent(member, peer, frame.clone()));
                if self.send(peer, frame) {
                    waiting.push_back(Input::PeerDown { peer });
                }
            }
            Effect::Hangup { peer, .. } => {
                if self.hang_up(peer) {
                    waiting.push_back(Input::PeerDown { peer });
                }
            }
            Effect::Persist { commit, batch } => {
                self.trace.note(self.now, Note::Persist(member, commit));
                self.members[member].disk.submit(commit, batch);
                self.sync_disk(member);
                let durability = self.members[member].disk.durability();
                if self.acks_early || durability == Durability::None {
                    waiting.push_back(Input::Committed(commit));
                }
            }
        }
    }

    fn sync_disk(&mut self, member: MemberId) {
        let it = &mut self.members[member];
        let Some(life) = &it.life else { return };
        let life = life.nth;
        if let Some(takes) = it.disk.start(&mut self.rng) {
            self.schedule(self.now + takes, Event::Synced { member, life });
        }
    }

    fn on_synced(&mut self, member: MemberId, nth: u64, watch: &mut impl Watch<C::Machine>) {
        let it = &mut self.members[member];
        let Some(life) = it.life.as_mut().filter(|life| life.nth == nth) else {
            return;
        };
        if life.paused {
            life.synced = true;
            return;
        }
        self.end_commit(member, watch);
    }

    fn on_deadline(
        &mut self,
        member: MemberId,
        nth: u64,
        at: Time,
        watch: &mut impl Watch<C::Machine>,
    ) {
        let life = self.members[member].life.as_mut();
        let life = life.filter(|life| life.nth == nth && !life.paused && life.alarm == Some(at));
        if let Some(life) = life {
            life.alarm = None;
            self.feed(member, Input::Deadline, watch);
        }
    }

    fn set_alarm(&mut self, member: MemberId) {
        let now = self.now;
        let Some(life) = &mut self.members[member].life else {
            return;
        };
        let due = life.machine.deadline();
        let due = due.map(|due| life.born.saturating_add(due.0).max(now));
        let (nth, before) = (life.nth, std::mem::replace(&mut life.alarm, due));
        if let Some(at) = due.filter(|_| due != before) {
            let life = nth;
            self.schedule(at, Event::Deadline { member, life, at });
        }
    }

    fn draw(&mut self, (least, most): (Duration, Duration)) -> Duration {
        self.rng.random_range(least..=most)
    }
}

fn fed<C>(input: &Input<C>) -> Fed {
    match input {
        Input::PeerUp { peer, .. } => Fed::Up(*peer),
        Input::PeerDown { peer } => Fed::Down(*peer),
        Input::Heard { peer, frame } => Fed::Heard(*peer, frame.clone()),
        // Nothing here makes frames of that size.
        Input::Oversized { peer } => Fed::Heard(*peer, bytes::Bytes::new()),
        Input::Committed(commit) => Fed::Committed(*commit),
        Input::Stalled(_) => Fed::Stalled(true),
        Input::Resumed => Fed::Stalled(false),
        Input::Command(_) => Fed::Command,
        Input::Deadline => Fed::Deadline,
    }
}

fn note(member: MemberId, fed: &Fed) -> Note {
    match fed {
        Fed::Up(peer) => Note::Up(member, *peer),
        Fed::Down(peer) => Note::Down(member, *peer),
        Fed::Heard(peer, frame) => Note::Heard(member, *peer, frame.clone()),
        Fed::Committed(commit) => Note::Committed(member, *commit),
        Fed::Stalled(stalled) => Note::Stalled(member, *stalled),
        Fed::Command => Note::Command(member),
        Fed::Deadline => Note::Deadline(member),
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
