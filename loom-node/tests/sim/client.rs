//! Clients of the nodes: what they ask for, and what they were told.

use loom_node::record::Table;
use loom_node::record::draft::Draft;
use loom_node::record::patch::Patch;
use loom_node::replica::{Command, Outcome, Refused, Wish, Written};
use loom_relay::model::{Stamp, Value};
use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::json;
use tokio::sync::oneshot::Receiver;

use crate::ledger::Key;

/// One request under way, from when it was made to when it is answered.
#[derive(Debug)]
pub(crate) struct Request {
    /// Each write it may lead to: where, and what will be in it.
    asked: Vec<Asked>,
    answer: Answer,
}

#[derive(Debug)]
struct Asked {
    table: Option<Table>,
    /// None: the node makes one.
    id: Option<String>,
    /// What its text must contain; None is a deletion.
    mark: Option<String>,
}

#[derive(Debug)]
enum Answer {
    One(Receiver<Outcome>),
    Many(Receiver<Vec<Outcome>>),
    Canary(Receiver<Result<Stamp, Refused>>, String),
}

/// What an answered request was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What is promised to be stored: ids and stamps.
    pub(crate) promised: Vec<(String, Stamp)>,
    /// How many writes were refused because nothing can be stored.
    pub(crate) unstored: u64,
}

/// Where canaries are.
pub(crate) const CANARY_SOUL: &str = loom_node::replica::CANARY_SOUL;

/// Records that all clients write.
pub(crate) const SHARED_IDS: u32 = 6;

impl Request {
    /// Draws what a client of the node called `node` wants; `number` is in what it writes.
    pub(crate) fn draw(rng: &mut SmallRng, number: u64, node: &str) -> (Command, Self) {
        match rng.random_range(0..20) {
            0 => Self::canary(number, node),
            1..4 => {
                let count = rng.random_range(2..6);
                let wishes = (0..count).map(|_| wish(rng, number, None));
                let (asked, wishes) = wishes.unzip();
                let (reply, answer) = tokio::sync::oneshot::channel();
                let answer = Answer::Many(answer);
                (Command::WriteMany(wishes, reply), Self { asked, answer })
            }
            _ => Self::one(wish(rng, number, None)),
        }
    }

    /// One write to a record that others write at the same moment.
    pub(crate) fn contest(rng: &mut SmallRng, number: u64, id: &str) -> (Command, Self) {
        Self::one(wish(rng, number, Some(id)))
    }

    fn one((asked, wish): (Asked, Wish)) -> (Command, Self) {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let asked = vec![asked];
        let answer = Answer::One(answer);
        (Command::Write(wish, reply), Self { asked, answer })
    }

    fn canary(number: u64, node: &str) -> (Command, Self) {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let asked = vec![Asked {
            table: None,
            id: Some(node.to_owned()),
            mark: Some(number.to_string()),
        }];
        let answer = Answer::Canary(answer, node.to_owned());
        (
            Command::Canary(number.to_string(), reply),
            Self { asked, answer },
        )
    }

    /// Whether the node may write this because of the request.
    pub(crate) fn allows(&self, key: &Key, value: &Value) -> bool {
        let (soul, field) = key;
        self.asked.iter().any(|asked| {
            let named = match (&asked.id, asked.table) {
                (Some(id), _) => *id == **field,
                (None, Some(table)) => field.starts_with(table.singular()),
                (None, None) => false,
            };
            if soul.starts_with("loomdb:index:") {
                return named;
            }
            let here = asked.table.map_or(CANARY_SOUL, Table::soul) == soul.as_str();
            let says = match &asked.mark {
                None => value.is_null(),
                Some(mark) => value.json().contains(mark.as_str()),
            };
            named && here && says
        })
    }

    /// What it was told, once there is an answer.
    pub(crate) fn poll(&mut self) -> Option<Told> {
        let mut told = Told::default();
        match &mut self.answer {
            Answer::One(answer) => told.add(answer.try_recv().ok()?.map(promised)),
            Answer::Many(answer) => {
                for outcome in answer.try_recv().ok()? {
                    told.add(outcome.map(promised));
                }
            }
            Answer::Canary(answer, node) => {
                let stamp = answer.try_recv().ok()?;
                told.add(stamp.map(|stamp| (node.clone(), stamp)));
            }
        }
        Some(told)
    }
}

impl Told {
    fn add(&mut self, outcome: Result<(String, Stamp), Refused>) {
        match outcome {
            Ok(promised) => self.promised.push(promised),
            Err(Refused::Stalled(_) | Refused::Unsure(_)) => self.unstored += 1,
            Err(_) => {}
        }
    }
}

fn promised(written: Written) -> (String, Stamp) {
    match written {
        Written::Created(found) | Written::Replaced(found) => {
            (found.row.id.to_string(), found.row.stamp)
        }
        Written::Deleted { id, stamp } => (id, stamp),
    }
}

fn wish(rng: &mut SmallRng, number: u64, id: Option<&str>) -> (Asked, Wish) {
    let table = if rng.random_bool(0.7) {
        Table::Nodes
    } else {
        Table::Edges
    };
    let shared = format!("r{}", rng.random_range(0..SHARED_IDS));
    let id = id.map_or(shared, str::to_owned);
    let mark = format!("op-{number}.");
    // Text that JavaScript orders in another way than bytes do.
    let pad = ["", "\u{ffee}", "😀", "\"\\\n"][rng.random_range(0..4)];
    let mut body = json!({
        "type": format!("t{}", rng.random_range(0..3)),
        "properties": {"pad": pad, "op": mark},
    });
    if table == Table::Edges {
        body["from"] = json!(format!("r{}", rng.random_range(0..SHARED_IDS)));
        body["to"] = json!(format!("r{}", rng.random_range(0..SHARED_IDS)));
    }
    let asked = |id: Option<&str>, mark: Option<String>| Asked {
        table: Some(table),
        id: id.map(str::to_owned),
        mark,
    };
    match rng.random_range(0..10) {
        0 | 1 => (
            asked(Some(&id), None),
            Wish::Delete {
                table,
                id: id.clone(),
            },
        ),
        2 | 3 => {
            let patch = Patch::read(table, &id, body).expect("a valid patch");
            (
                asked(Some(&id), Some(mark)),
                Wish::Patch {
                    table,
                    patch,
                    id: id.clone(),
                },
            )
        }
        4 => {
            let draft = Draft::read(table, None, body).expect("a valid draft");
            (
                asked(None, Some(mark)),
                Wish::Put {
                    draft,
                    if_absent: false,
                },
            )
        }
        choice => {
            let draft = Draft::read(table, Some(&id), body).expect("a valid draft");
            (
                asked(Some(&id), Some(mark)),
                Wish::Put {
                    draft,
                    if_absent: choice == 5,
                },
            )
        }
    }
}
