//! Safety: what must hold at every step, whatever is broken at the moment.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use loom_node::feed::{Event, Reader, Since, Subject};
use loom_node::record::{Record, Table};
use loom_node::replica::Command;
use loom_relay::clock::{Mono, Now};
use loom_relay::machine::Effect;
use loom_relay::mesh::REMEMBERED_FOR;
use loom_relay::model::{Cell, Change, PeerId, Stamp, Write};
use loom_relay::sim::{Cells, Disk, Fed, MemberId, Watch};
use loom_relay::store::Durability;
use loom_relay::wire::{self, Body};

use crate::cast::Player;
use crate::client::{CANARY_SOUL, Request};
use crate::ledger::{Ledger, Rank, holds};

/// Sees everything and forgets nothing.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) ledger: Ledger,
    members: Vec<Seen>,
    /// What is being asked for in this step.
    asking: Option<Asking>,
    epochs: BTreeSet<u64>,
    /// Whether a process died with something that was not synced, or lost its disk.
    pub(crate) forgot: bool,
}

/// What a member's own process wants.
#[derive(Debug)]
pub(crate) enum Asking {
    /// A client wants something of a node.
    Client(Request),
    /// A foreigner is going to write this.
    Write(Write),
}

/// One member, as it must be if it has done everything right.
#[derive(Debug, Default)]
struct Seen {
    started: bool,
    /// How many processes it has had.
    life: u64,
    held: Cells,
    /// The latest stamp its process has issued or taken.
    latest: Option<Stamp>,
    requests: Vec<Request>,
    reader: Option<Reader>,
    seq: u64,
    /// When puts were last heard or sent, by link and id.
    told: BTreeMap<(PeerId, String), Mono>,
    /// It has been told that nothing can be stored.
    stalled: bool,
    /// It has just been told that something is stored.
    committed: bool,
}

type Checked = Result<(), String>;

impl Judge {
    pub(crate) fn new(members: usize) -> Self {
        Self {
            ledger: Ledger::default(),
            members: std::iter::repeat_with(Seen::default)
                .take(members)
                .collect(),
            asking: None,
            epochs: BTreeSet::new(),
            forgot: false,
        }
    }

    /// This is what the next command is for.
    pub(crate) fn ask(&mut self, asking: Asking) {
        self.asking = Some(asking);
    }

    /// It could not be made.
    pub(crate) fn not_asked(&mut self) {
        self.asking = None;
    }

    /// What a member must hold.
    pub(crate) fn held(&self, member: MemberId) -> &Cells {
        &self.members[member].held
    }

    fn check_change(
        &mut self,
        member: MemberId,
        change: &Change,
        is_foreigner: bool,
        now: Now,
    ) -> Checked {
        let Change { write, was, from } = change;
        let key = (write.soul.clone(), write.field.clone());
        let cell = &write.cell;
        let seen = &mut self.members[member];
        let held = seen.held.get(&key);
        if held != was.as_ref() {
            return Err(format!("{write:?} replaces {was:?}, but {held:?} was held"));
        }
        if held.is_some_and(|held| Rank(held.clone()) >= Rank(cell.clone())) {
            return Err(format!("{write:?} was taken although {held:?} wins"));
        }
        if from.is_some() || is_foreigner {
            if !self.ledger.is_known(&key, cell) {
                return Err(format!("{write:?} was written by nobody"));
            }
            if !is_due(cell.stamp, seen.latest, now) {
                return Err(format!(
                    "{write:?} was taken from the future: it is {} here",
                    now.wall_ms
                ));
            }
        } else {
            let asking = match &self.asking {
                Some(Asking::Client(request)) => Some(request),
                _ => None,
            };
            // A write may have to wait before it is stamped.
            let mut asked = asking.into_iter().chain(&seen.requests);
            if !asked.any(|asked| asked.allows(&key, &cell.value)) {
                return Err(format!("{write:?} was asked for by nobody"));
            }
            if key.0.starts_with("loomdb:index:") {
                // One stamp is for a record and all its index souls.
            } else if seen.latest.is_some_and(|latest| cell.stamp <= latest) {
                return Err(format!("{write:?} is stamped before {:?}", seen.latest));
            }
            self.ledger.issue(member, seen.life, &key, cell)?;
        }
        seen.latest = seen.latest.max(Some(cell.stamp));
        seen.held.insert(key, cell.clone());
        Ok(())
    }

    /// What was heard is held, or something that wins over it, unless it comes from the future.
    fn check_heard(
        &mut self,
        member: MemberId,
        peer: PeerId,
        frame: &[u8],
        before: Option<Stamp>,
        now: Now,
    ) -> Checked {
        // An array would be of answers.
        if !frame.starts_with(b"{") || !contains(frame, b"\"put\":") {
            return Ok(());
        }
        let messages = wire::decode(&bytes::Bytes::copy_from_slice(frame));
        let Some(Ok(message)) = messages.ok().and_then(|it| it.into_iter().next()) else {
            return Err(format!("sent what cannot be read: {}", text(frame)));
        };
        let Body::Put { writes, .. } = message.body else {
            return Ok(());
        };
        let seen = &mut self.members[member];
        if let (Some(id), None) = (&message.id, &message.answers) {
            seen.told.insert((peer, id.key().to_string()), now.mono);
        }
        if seen.stalled {
            return Ok(());
        }
        for Write { soul, field, cell } in writes {
            let key = (soul, field);
            let rank = Rank(cell);
            let due = is_due(rank.0.stamp, before, now);
            if due && !holds(&seen.held, &key, &rank) {
                return Err(format!(
                    "heard {key:?} {rank:?} and holds {:?}",
                    seen.held.get(&key)
                ));
            }
        }
        Ok(())
    }

    /// Nothing goes back to where it came from, or twice the same way, as long as ids are
    /// remembered: in a ring of relays a put would never come to rest.
    fn check_sent(&mut self, member: MemberId, peer: PeerId, frame: &[u8], now: Now) -> Checked {
        let Some(id) = put_id(frame) else {
            return Ok(());
        };
        let told = &mut self.members[member].told;
        let before = told.insert((peer, id.to_owned()), now.mono);
        if before.is_some_and(|before| now.mono.since(before) <= REMEMBERED_FOR) {
            return Err(format!(
                "put {id} goes over link {} once more, or back",
                peer.0
            ));
        }
        Ok(())
    }

    /// What a member does while nothing can be stored: it gives its store nothing, keeps its links,
    /// and shows what it holds.
    fn check_stalled(
        &self,
        member: MemberId,
        effects: &[Effect],
        changed: &mut BTreeSet<(Table, String)>,
    ) -> Checked {
        let bad = effects.iter().find(|effect| match effect {
            Effect::Persist { .. } | Effect::Hangup { .. } => true,
            Effect::Send { .. } => false,
        });
        if let Some(effect) = bad {
            return Err(format!(
                "does this though nothing can be stored: {effect:?}"
            ));
        }
        let mut held = self.members[member].held.keys();
        let some = held.find_map(|(soul, id)| Some((Table::of_soul(soul)?, id.to_string())));
        changed.extend(some);
        Ok(())
    }

    /// Every change of a record is one event, numbered without a gap, in the order of changes.
    fn check_feed(&mut self, member: MemberId, changes: &[Told]) -> Checked {
        let seen = &mut self.members[member];
        let Some(reader) = &mut seen.reader else {
            return Ok(());
        };
        let mut events = Vec::new();
        while let Some(next) = reader.next().now_or_never() {
            match next {
                Some(Ok(batch)) => events.extend(batch),
                other => return Err(format!("the feed ended: {other:?}")),
            }
        }
        for event in &events {
            let numbered = event.happened.is_numbered();
            let expected = seen.seq + u64::from(numbered);
            if event.seq != expected {
                return Err(format!("event {} comes after {}", event.seq, seen.seq));
            }
            seen.seq = event.seq;
        }
        let told: Vec<Told> = events.iter().map(|event| Told::of(event)).collect();
        if told != *changes {
            return Err(format!("the feed tells {told:?}, but {changes:?} happened"));
        }
        Ok(())
    }

    /// Whoever asks for a record gets what won.
    fn check_index(
        &mut self,
        member: MemberId,
        machine: &mut Player,
        changed: &BTreeSet<(Table, String)>,
        now: Now,
    ) -> Checked {
        for (table, id) in changed {
            let key = (table.soul().into(), id.as_str().into());
            let cell = self.members[member].held.get(&key);
            let held = cell.filter(|cell| is_record(*table, id, cell));
            let found = machine.ask(|reply| Command::Get(*table, id.clone(), reply), now)?;
            let found = found.map(|found| found.row.stamp);
            if found != held.map(|held| held.stamp) {
                return Err(format!("shows {table} {id} of {found:?}, holds {cell:?}"));
            }
        }
        Ok(())
    }
}

impl Watch<Player> for Judge {
    fn started(&mut self, member: MemberId, machine: &mut Player, disk: &Disk) -> Checked {
        let seen = &mut self.members[member];
        self.forgot |= seen.started;
        let held = graph_cells(machine);
        if held != *disk.synced() {
            return Err("starts with something else than its disk holds".to_owned());
        }
        if machine.mesh().deferred().count != disk.deferred().len() {
            return Err("starts without what its disk defers".to_owned());
        }
        *seen = Seen {
            latest: held.values().map(|cell| cell.stamp).max(),
            held,
            started: true,
            life: seen.life + 1,
            ..Seen::default()
        };
        if let Some(follow) = machine.follow() {
            let epoch = follow.cursor().epoch;
            if !self.epochs.insert(epoch) {
                return Err(format!("numbers changes in epoch {epoch:x} again"));
            }
            let reader = follow.open(Since::Start);
            seen.reader = Some(reader.map_err(|lost| format!("a new feed begins with {lost:?}"))?);
        }
        Ok(())
    }

    fn stepped(
        &mut self,
        member: MemberId,
        machine: &mut Player,
        fed: &Fed,
        now: Now,
        effects: &[Effect],
    ) -> Checked {
        let seen = &mut self.members[member];
        let before = seen.latest;
        if let Fed::Stalled(stalled) = fed {
            seen.stalled = *stalled;
        }
        seen.committed = matches!(fed, Fed::Committed(_));
        let is_stalled = seen.stalled;
        let is_command = matches!(fed, Fed::Command);
        let is_write = |it: &mut Asking| is_command && matches!(it, Asking::Write(_));
        if let Some(Asking::Write(write)) = self.asking.take_if(is_write)
            && !is_stalled
        {
            self.ledger.issue_foreign(write);
        }
        let is_foreigner = machine.is_foreigner();
        let mut told = Vec::new();
        let mut changed = BTreeSet::new();
        for effect in effects {
            let Effect::Persist { batch, .. } = effect else {
                continue;
            };
            for change in &batch.changes {
                self.check_change(member, change, is_foreigner, now)?;
                told.extend(Told::by(change));
                let Write { soul, field, .. } = &change.write;
                if let Some(table) = Table::of_soul(soul) {
                    changed.insert((table, field.to_string()));
                }
            }
        }
        if let Fed::Heard(peer, frame) = fed {
            self.check_heard(member, *peer, frame, before, now)?;
        }
        for effect in effects {
            if let Effect::Send { peer, frame } = effect {
                self.check_sent(member, *peer, frame, now)?;
            }
        }
        if is_stalled {
            self.check_stalled(member, effects, &mut changed)?;
        }
        self.check_feed(member, &told)?;
        if machine.follow().is_some() {
            self.check_index(member, machine, &changed, now)?;
        }
        if let Some(Asking::Client(request)) = self.asking.take_if(|_| is_command) {
            self.members[member].requests.push(request);
        }
        Ok(())
    }

    fn forgot(&mut self, member: MemberId, disks: &[&Disk]) {
        self.forgot = true;
        self.members[member].held = disks[member].synced().clone();
        let others = self.members.iter().zip(disks).enumerate();
        // Such a member is going to store what it has acknowledged, or to forget it noticeably.
        let promising =
            others.filter(|(at, (_, disk))| *at != member && disk.durability() == Durability::None);
        let in_memory: Vec<&Cells> = promising.map(|(_, (seen, _))| &seen.held).collect();
        self.ledger.excuse(member, disks, &in_memory);
    }

    fn done(&mut self, member: MemberId, disk: &Disk) -> Checked {
        let mut waiting = Vec::new();
        for mut request in std::mem::take(&mut self.members[member].requests) {
            match request.poll() {
                None => waiting.push(request),
                Some(told) => {
                    self.ledger.unstored += told.unstored;
                    for (id, stamp) in told.promised {
                        self.ledger.acknowledge(member, &id, stamp, disk)?;
                    }
                }
            }
        }
        let seen = &mut self.members[member];
        seen.requests = waiting;
        if seen.committed && disk.is_idle() && *disk.synced() != seen.held {
            return Err("was told that all is stored, and it is not".to_owned());
        }
        if seen.stalled && !seen.requests.is_empty() {
            return Err("has a client wait although nothing can be stored".to_owned());
        }
        Ok(())
    }
}

/// An event, as far as it is decided by the changes.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    what: &'static str,
    id: String,
    stamp: Option<Stamp>,
}

impl Told {
    /// What must be told of a change, if anything.
    fn by(change: &Change) -> Option<Self> {
        let Change { write, was, .. } = change;
        let Write { soul, field, cell } = write;
        let told = |what, stamp| Self {
            what,
            id: field.to_string(),
            stamp,
        };
        if soul.as_str() == CANARY_SOUL {
            // Somebody else's value that is no text is none of a node's.
            let is_text = cell.value.as_text().is_some();
            return is_text.then(|| told("canary", None));
        }
        let table = Table::of_soul(soul)?;
        let before = was.as_ref().is_some_and(|was| is_record(table, field, was));
        let after = is_record(table, field, cell);
        Some(match (before, after) {
            (false, true) => told("created", Some(cell.stamp)),
            (true, true) => told("updated", Some(cell.stamp)),
            (true, false) => told("deleted", Some(cell.stamp)),
            // Whoever made the record waits for both, also where it never was.
            (false, false) if cell.value.is_null() => told("deleted", Some(cell.stamp)),
            (false, false) => return None,
        })
    }

    fn of(event: &Event) -> Self {
        let told = |what, id: &str, stamp| Self {
            what,
            id: id.to_owned(),
            stamp,
        };
        match &event.happened.subject {
            Subject::Created(row) => told("created", &row.id, Some(row.stamp)),
            Subject::Updated(row, _) => told("updated", &row.id, Some(row.stamp)),
            Subject::Deleted { id, stamp, .. } => told("deleted", id, Some(*stamp)),
            Subject::Survived(row, _) => told("survived", &row.id, Some(row.stamp)),
            Subject::Canary { node, .. } => told("canary", node, None),
        }
    }
}

/// What a machine really holds.
pub(crate) fn graph_cells(machine: &Player) -> Cells {
    let items = machine.mesh().graph().items_after(None);
    items
        .map(|item| ((item.soul.clone(), item.field.clone()), item.cell.clone()))
        .collect()
}

/// Whether a node has to list what this cell says.
pub(crate) fn is_record(table: Table, id: &str, cell: &Cell) -> bool {
    let text = cell.value.as_text();
    text.is_some_and(|text| Record::read(table, id, &text, cell.stamp).is_ok())
}

/// Whether a stamp is not in the future of somebody whose clock shows `now`, and who has taken or
/// issued `latest`.
fn is_due(stamp: Stamp, latest: Option<Stamp>, now: Now) -> bool {
    stamp.ms() < (now.wall_ms + 1) as f64 || latest.is_some_and(|latest| stamp <= latest)
}

/// The id of a put that answers nothing.
fn put_id(frame: &[u8]) -> Option<&str> {
    let rest = frame.strip_prefix(b"{\"#\":\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let (id, rest) = rest.split_at(end);
    let is_put = rest.starts_with(b"\",\"put\":");
    is_put.then(|| std::str::from_utf8(id).ok()).flatten()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn text(frame: &[u8]) -> String {
    String::from_utf8_lossy(frame).into_owned()
}
