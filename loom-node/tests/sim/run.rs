//! One seed: a world is drawn, used and broken; then everything is mended, and all must agree.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use loom_node::index::Query;
use loom_node::record::Table;
use loom_node::replica::Command;
use loom_relay::clock::{Mono, Now};
use loom_relay::mesh::LOOK_AGAIN;
use loom_relay::sim::{Fault, Kinds, MemberId, Nemesis, Step, World};
use loom_relay::store::Durability;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::cast::{Order, Troupe, name};
use crate::client::Request;
use crate::judge::{Asking, Judge, graph_cells, is_record};
use crate::mutant::Mutant;
use crate::shape::{Form, Role, Shape};

/// What came of a seed.
#[derive(Debug)]
pub(crate) struct Report {
    /// Equal for two runs in which the same happened.
    pub(crate) trace: u64,
    pub(crate) events: u64,
    pub(crate) acknowledged: u64,
    pub(crate) excused: u64,
    pub(crate) waived: u64,
    pub(crate) unstored: u64,
    pub(crate) foreign: u64,
    pub(crate) form: Form,
    pub(crate) struck: BTreeMap<Fault, u32>,
    /// From when nothing was broken and no write in anybody's future until all agreed.
    pub(crate) agreed_after: Duration,
}

/// What broke.
#[derive(Debug)]
pub(crate) struct Failure {
    seed: u64,
    pub(crate) what: String,
    trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, what, trace } = self;
        write!(
            f,
            "{trace}\nseed {seed}: {what}\nreplay: SEED={seed} cargo test -p loom-node --test sim replay"
        )
    }
}

/// All agree within this time once nothing is broken and no write is in anybody's future: a dead
/// link is noticed within 5 s, dialled again within 2 s, asked again within 5 s, and what came that
/// way is asked for by the next relay within 5 s more.
const AGREE_WITHIN: Duration = Duration::from_secs(20);

/// How often it is looked whether all agree.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Clients do something.
const ACT: u64 = 0;
/// Look whether all agree.
const LOOK: u64 = 1;

struct Run {
    rng: SmallRng,
    world: World<Troupe>,
    judge: Judge,
    nemesis: Nemesis,
    acts: u64,
    requests: u64,
    gap: Duration,
    clocks_are_mended: bool,
}

/// Plays a seed, with a planted bug or without.
pub(crate) fn play(seed: u64, mutant: Option<Mutant>) -> Result<Report, Failure> {
    let mut run = Run::draw(seed, mutant);
    let result = run.whole();
    result.map_err(|what| Failure {
        seed,
        what,
        trace: run.world.trace().to_string(),
    })
}

impl Run {
    fn draw(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let shape = Shape::draw(&mut rng);
        let (members, links) = (shape.members(), shape.links.clone());
        let troupe = Troupe {
            shape,
            legacy_index: rng.random_bool(0.1),
            mutant,
            unsent: Default::default(),
        };
        let mut world = World::new(troupe, rng.random(), members, links);
        match mutant {
            Some(Mutant::AcksBeforeFsync) => world.acknowledge_early(),
            Some(Mutant::LyingDisk) => world.forget_every(10),
            Some(Mutant::DropsRefused) => world.drop_refused(),
            _ => {}
        }
        if rng.random_bool(0.3) {
            for member in 0..members {
                let all = [Durability::Sync, Durability::Os, Durability::None];
                world.set_durability(member, all[rng.random_range(0..3)]);
            }
        }
        let kinds = Kinds::draw(&mut rng);
        let nemesis = Nemesis::new(kinds, rng.random());
        Self {
            judge: Judge::new(members),
            world,
            nemesis,
            acts: rng.random_range(20..120),
            requests: 0,
            gap: Duration::from_millis([5, 50, 300][rng.random_range(0..3)]),
            clocks_are_mended: rng.random_bool(0.7),
            rng,
        }
    }

    fn whole(&mut self) -> Result<Report, String> {
        for member in 0..self.world.member_count() {
            self.world.start(member, &mut self.judge);
        }
        self.nemesis.begin(&mut self.world);
        self.world.wake(self.gap, ACT);
        self.use_and_break()?;
        let agreed_after = self.mend()?;
        self.check_end()?;
        let judge = &self.judge;
        Ok(Report {
            trace: self.world.trace().hash(),
            events: self.world.trace().len(),
            acknowledged: judge.ledger.acknowledged,
            excused: judge.ledger.excused,
            waived: judge.ledger.waived,
            unstored: judge.ledger.unstored,
            foreign: judge.ledger.foreign,
            form: self.world.cast().shape.form,
            struck: self.nemesis.struck().clone(),
            agreed_after,
        })
    }

    /// Safety: clients write, the nemesis strikes, the judge looks at every step.
    fn use_and_break(&mut self) -> Result<(), String> {
        while self.acts > 0 {
            if self.next()? == Some(ACT) {
                self.acts -= 1;
                self.act();
                let gap = self.gap.mul_f64(self.rng.random_range(0.0..2.0));
                self.world.wake(gap, ACT);
            }
        }
        Ok(())
    }

    /// Liveness: with everything mended all agree in bounded time from when on no write is in
    /// anybody's future. How long it took.
    fn mend(&mut self) -> Result<Duration, String> {
        let clocks = self.clocks_are_mended;
        self.nemesis.heal(clocks, &mut self.world, &mut self.judge);
        let healed = self.world.now();
        // Setting a clock right tells no process; those with something to wait for look in time.
        let slack = if clocks { LOOK_AGAIN } else { Duration::ZERO };
        self.world.wake(LOOK_EVERY, LOOK);
        loop {
            if self.next()? != Some(LOOK) {
                continue;
            }
            // What waited to be stamped is written only now.
            let latest_ms = self.judge.ledger.latest_ms();
            let members = 0..self.world.member_count();
            let due = members.map(|member| self.world.clock(member).until(latest_ms, healed));
            let settled = healed + due.max().unwrap_or_default();
            let limit = settled + slack + AGREE_WITHIN;
            let Err(what) = self.agree() else {
                return Ok(self.world.now().saturating_sub(settled));
            };
            if self.world.now() > limit {
                let after = limit - settled;
                return Err(format!("not all agree after {after:?}: {what}"));
            }
            self.world.wake(LOOK_EVERY, LOOK);
        }
    }

    /// Goes on until a token of its own is due.
    fn next(&mut self) -> Result<Option<u64>, String> {
        let step = self.world.step(&mut self.judge);
        let broken = |world: &World<Troupe>| world.broken().map(str::to_owned);
        let token = match step {
            Step::Woke(token) => {
                let (world, judge) = (&mut self.world, &mut self.judge);
                (!self.nemesis.woke(token, world, judge)).then_some(token)
            }
            Step::Went => None,
            Step::Over => return Err("nothing will ever happen again".to_owned()),
            Step::Broken => None,
        };
        broken(&self.world).map_or(Ok(token), Err)
    }

    fn act(&mut self) {
        let shape = self.world.cast().shape.clone();
        if self.rng.random_bool(0.1) {
            // Several write one record in the same millisecond.
            let id = format!("r{}", self.rng.random_range(0..3));
            for member in shape.nodes() {
                self.requests += 1;
                let contest = Request::contest(&mut self.rng, self.requests, &id);
                self.request(member, contest);
            }
            return;
        }
        let member = shape.draw_writer(&mut self.rng);
        if shape.role(member) == Role::Foreigner {
            let wall_ms = self.world.clock(member).wall_ms(self.world.now());
            let write = self.judge.ledger.draw_foreign(&mut self.rng, wall_ms);
            self.order(member, Order::Write(write.clone()), Asking::Write(write));
            return;
        }
        self.requests += 1;
        let drawn = Request::draw(&mut self.rng, self.requests, &name(member));
        self.request(member, drawn);
    }

    fn request(&mut self, member: MemberId, (command, request): (Command, Request)) {
        self.order(member, Order::Client(command), Asking::Client(request));
    }

    fn order(&mut self, member: MemberId, order: Order, asking: Asking) {
        self.judge.ask(asking);
        if !self.world.command(member, order, &mut self.judge) {
            self.judge.not_asked();
        }
    }

    /// Whether all hold the same and nothing is on its way.
    fn agree(&mut self) -> Result<(), String> {
        let mut roots = Vec::new();
        for member in 0..self.world.member_count() {
            let idle = self.world.disk(member).is_idle();
            let machine = self.world.machine(member).ok_or("somebody does not run")?;
            let mesh = machine.mesh();
            let deferred = mesh.deferred().count;
            if deferred > 0 {
                return Err(format!("#{member} still defers {deferred} writes"));
            }
            if !idle {
                return Err(format!("#{member} still stores"));
            }
            roots.push((mesh.graph().root(), mesh.graph().len()));
        }
        if roots.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(());
        }
        let differs = self.difference();
        Err(format!("{roots:?}: {differs}"))
    }

    fn difference(&self) -> String {
        let first = self.judge.held(0);
        for member in 1..self.world.member_count() {
            let other = self.judge.held(member);
            let keys = first.keys().chain(other.keys());
            let mut differing = keys.filter(|key| first.get(*key) != other.get(*key));
            if let Some(key) = differing.next() {
                let (ours, theirs) = (first.get(key), other.get(key));
                return format!("{key:?} is {ours:?} at #0 and {theirs:?} at #{member}");
            }
        }
        "what they really hold is not what they said".to_owned()
    }

    /// What all agree on is right, everywhere it can be seen.
    fn check_end(&mut self) -> Result<(), String> {
        for member in 0..self.world.member_count() {
            let held = self.judge.held(member).clone();
            if *self.world.disk(member).synced() != held {
                return Err(format!(
                    "#{member}'s disk holds something else than it does"
                ));
            }
            let now = Now {
                mono: Mono(self.world.now()),
                wall_ms: self.world.clock(member).wall_ms(self.world.now()),
            };
            let role = self.world.cast().shape.role(member);
            let machine = self.world.machine(member).ok_or("somebody does not run")?;
            if graph_cells(machine) != held {
                return Err(format!("#{member} holds what it never said it took"));
            }
            if role != Role::Node {
                continue;
            }
            for table in Table::ALL {
                let page = machine.ask(|reply| Command::List(Query::all(table), reply), now)?;
                let rows = page.found.iter().map(|found| &found.row);
                let listed: Vec<_> = rows.map(|row| (row.id.to_string(), row.stamp)).collect();
                let cells = held.iter().filter(|((soul, _), _)| **soul == *table.soul());
                let records = cells.filter(|((_, id), cell)| is_record(table, id, cell));
                let mut expected: Vec<_> = records
                    .map(|((_, id), cell)| (id.to_string(), cell.stamp))
                    .collect();
                expected.sort_by(|a, b| a.0.cmp(&b.0));
                if listed != expected {
                    return Err(format!("#{member} lists {listed:?}, holds {expected:?}"));
                }
            }
        }
        let forgot = self.judge.forgot;
        self.judge.ledger.check_end(self.judge.held(0), !forgot)
    }
}
