//! Random histories of writes, cuts, restarts and deliveries: when the links are up again,
//! everybody holds exactly the greatest write of every field.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod net;

use std::collections::BTreeMap;
use std::time::Duration;

use loom_relay::model::{Cell, Stamp, Value};
use net::{End, NODES, Net, START_MS, node, relay, rng};
use rand::RngExt as _;
use rand::rngs::SmallRng;

const SEEDS: u64 = 200;

#[test]
fn random_histories_end_in_agreement_on_the_greatest_writes() {
    let only = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = only.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        println!("SEED={seed} cargo test -p loom-relay --test mesh_sim");
        History::new(seed).run();
    }
}

struct History {
    seed: u64,
    rng: SmallRng,
    net: Net,
    relays: usize,
    /// Links that are up, by the member that dials and the one that is dialled.
    links: BTreeMap<(usize, usize), (End, End)>,
    /// All links there are when nothing is wrong.
    topology: Vec<(usize, usize)>,
    greatest: BTreeMap<String, Cell>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let relays = rng.random_range(1..3);
        let nodes = rng.random_range(2..5);
        let configs = (0..relays)
            .map(|_| relay())
            .chain((0..nodes).map(|_| node()));
        let mut net = Net::new(configs.collect::<Vec<_>>());
        for member in &mut net.members {
            member.commits_at_once = rng.random_bool(0.5);
        }
        let mut topology: Vec<_> = (relays..relays + nodes)
            .map(|node| (node, rng.random_range(0..relays)))
            .collect();
        if relays == 2 {
            topology.push((0, 1));
            // A ring now and then.
            if rng.random_bool(0.3) {
                topology.push((relays, 1 - topology[0].1));
            }
        }
        Self {
            seed,
            rng,
            net,
            relays,
            links: BTreeMap::new(),
            topology,
            greatest: BTreeMap::new(),
        }
    }

    fn run(mut self) {
        for _ in 0..self.rng.random_range(20..120) {
            self.step();
        }
        for index in 0..self.net.members.len() {
            self.net.commit_all(index);
        }
        for link in self.topology.clone() {
            self.heal(link);
        }
        self.net.settle_randomly(&mut self.rng);
        // Long enough for the latest write from the future, and for comparing again.
        self.net.pass(Duration::from_secs(20));
        self.check();
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..45 => self.write(),
            45..75 => {
                for _ in 0..self.rng.random_range(1..10) {
                    self.net.deliver_any(&mut self.rng);
                }
            }
            75..82 => {
                let link = self.random_link();
                self.heal(link);
            }
            82..88 => {
                let link = self.random_link();
                self.cut(link);
            }
            88..93 => {
                let member = self.rng.random_range(0..self.net.members.len());
                self.net.commit_all(member);
            }
            93..97 => {
                let ms = self.rng.random_range(0..3_000);
                self.net.pass(Duration::from_millis(ms));
            }
            _ => self.restart(),
        }
    }

    /// A node writes: by its clock, or with a stamp out of order, or one from the near future.
    fn write(&mut self) {
        let member = self.rng.random_range(self.relays..self.net.members.len());
        let field = format!("f{}", self.rng.random_range(0..12));
        let ms = match self.rng.random_range(0..10) {
            0 => self.net.now.wall_ms as f64 + f64::from(self.rng.random_range(0..9_000_u32)),
            1..4 => START_MS as f64 - f64::from(self.rng.random_range(0..3_u32)),
            _ => {
                let wall_ms = self.net.now.wall_ms;
                self.net.members[member].mesh.issue(wall_ms).ms()
            }
        };
        let cell = Cell {
            stamp: Stamp::new(ms).unwrap(),
            value: Value::text(["a", "b", "\u{ffee}", "😀"][self.rng.random_range(0..4)]),
        };
        let order = |cell: &Cell| (cell.stamp, cell.value.clone());
        let held = self.greatest.get(&field);
        if held.is_none_or(|held| order(held) < order(&cell)) {
            self.greatest.insert(field.clone(), cell.clone());
        }
        self.net.write_cell(member, &field, cell);
    }

    fn random_link(&mut self) -> (usize, usize) {
        self.topology[self.rng.random_range(0..self.topology.len())]
    }

    fn heal(&mut self, link: (usize, usize)) {
        if !self.links.contains_key(&link) {
            let ends = self.net.link(link.0, link.1);
            self.links.insert(link, ends);
        }
    }

    fn cut(&mut self, link: (usize, usize)) {
        if let Some(ends) = self.links.remove(&link) {
            self.net.cut(ends);
        }
    }

    /// A member starts again with what its store holds.
    fn restart(&mut self) {
        let member = self.rng.random_range(0..self.net.members.len());
        let mine = |link: &(usize, usize)| link.0 == member || link.1 == member;
        for link in self.links.keys().copied().filter(mine).collect::<Vec<_>>() {
            self.cut(link);
        }
        let before = self.net.members[member].mesh.graph().root();
        let held = self.net.members[member].held();
        assert_eq!(
            held.graph.root(),
            before,
            "seed {}: what is stored is held",
            self.seed
        );
        let config = if member < self.relays {
            relay()
        } else {
            node()
        };
        self.net.restart(member, config, held);
    }

    fn check(&self) {
        let seed = self.seed;
        self.net.assert_agreed(&format!("seed {seed}"));
        let vertex = self.net.members[0].mesh.graph().vertex(NODES);
        let held: BTreeMap<String, Cell> = vertex
            .into_iter()
            .flat_map(|vertex| vertex.iter())
            .map(|(field, cell)| (field.to_string(), cell.clone()))
            .collect();
        assert_eq!(held, self.greatest, "seed {seed}");
    }
}
