//! What a get finds.

use crate::graph::{Item, Vertex};
use crate::model::{PeerId, Soul, Value};
use crate::wire::{FieldQuery, Get, Id, Lex, SoulQuery, encode};

use super::Mesh;
use super::turn::Turn;

/// How much a lexical lookup answers at most, in bytes; it is collected at once.
pub const LOOKUP_BYTES_MAX: usize = 1 << 20;

/// How many matching vertices a pattern for souls may find.
const SOULS_MAX: usize = 1_000;

/// What gun.js counts for a value that is not a string, against a lookup's budget.
const BUDGET_PER_VALUE: u64 = 9;

impl Mesh {
    /// Answers a get from the graph; false when there is nothing to answer with.
    pub(super) fn look_up(
        &mut self,
        from: PeerId,
        id: &Id,
        get: &Get,
        turn: &mut Turn<'_>,
    ) -> bool {
        if let (SoulQuery::Is(soul), FieldQuery::All) = (&get.soul, &get.field) {
            return self.answer_vertex(from, id, soul, turn);
        }
        let items = self.find(get);
        if items.is_empty() {
            return false;
        }
        let graph = encode::graph(items);
        self.send_answer(from, id, &graph, true, turn);
        true
    }

    fn find<'a>(&'a self, get: &'a Get) -> Vec<Item<'a>> {
        let mut basket = Basket::new(get.budget);
        match &get.soul {
            // gun.js answers these with its whole database.
            SoulQuery::Missing => {}
            SoulQuery::Is(soul) => {
                if let Some(vertex) = self.graph.vertex(soul) {
                    pick(soul, vertex, get, &mut basket);
                }
            }
            SoulQuery::Like(lex) => {
                let souls = self.graph.vertices_from(lex.first());
                let souls = souls.take_while(|(soul, _)| !lex.is_past(soul));
                let mut found: Vec<_> = souls
                    .filter(|(soul, _)| lex.matches(soul))
                    .take(SOULS_MAX)
                    .collect();
                if get.reverse {
                    found.reverse();
                }
                for (soul, vertex) in found {
                    pick(soul, vertex, get, &mut basket);
                }
            }
        }
        basket.items
    }
}

fn pick<'a>(soul: &'a Soul, vertex: &'a Vertex, get: &Get, basket: &mut Basket<'a>) {
    let everything = Lex {
        prefix: Some(String::new()),
        ..Lex::default()
    };
    let lex = match &get.field {
        FieldQuery::Is(field) => {
            if let Some((field, cell)) = vertex.entry(field) {
                basket.put(Item { soul, field, cell });
            }
            return;
        }
        FieldQuery::All => &everything,
        FieldQuery::Like(lex) => lex,
    };
    let cells = vertex.from(lex.first());
    let mut put = |(field, cell)| basket.put(Item { soul, field, cell });
    if get.reverse {
        let found = cells.rev().filter(|(field, _)| lex.matches(field));
        let _ = found.map(&mut put).find(|has_room| !has_room);
    } else {
        let found = cells.take_while(|(field, _)| !lex.is_past(field));
        let found = found.filter(|(field, _)| lex.matches(field));
        let _ = found.map(&mut put).find(|has_room| !has_room);
    }
}

/// What was found, within what was asked for and what is given.
struct Basket<'a> {
    items: Vec<Item<'a>>,
    /// In gun.js' count: a string costs its length, anything else nine.
    budget: Option<u64>,
    bytes: usize,
}

impl<'a> Basket<'a> {
    fn new(budget: Option<u64>) -> Self {
        Self {
            items: Vec::new(),
            budget,
            bytes: 0,
        }
    }

    /// Takes one more unless full; false when nothing more fits.
    fn put(&mut self, item: Item<'a>) -> bool {
        self.bytes += item.bytes();
        if self.budget == Some(0) || (self.bytes > LOOKUP_BYTES_MAX && !self.items.is_empty()) {
            return false;
        }
        if let Some(budget) = &mut self.budget {
            *budget = budget.saturating_sub(cost(&item.cell.value));
        }
        self.items.push(item);
        true
    }
}

fn cost(value: &Value) -> u64 {
    let json = value.json();
    if json.starts_with('"') {
        json.len() as u64 - 2
    } else {
        BUDGET_PER_VALUE
    }
}
