//! Processes: started, stopped, killed, wiped, told what is stored.

use super::super::disk::Synced;
use super::super::link::{End, Item, Side};
use super::super::{Cast, MemberId, Watch};
use super::{Event, Life, World};
use crate::machine::Input;

impl<C: Cast> World<C> {
    /// Starts a member with what its disk holds, unless it runs.
    pub fn start(&mut self, member: MemberId, watch: &mut impl Watch<C::Machine>) {
        if self.members[member].life.is_some() {
            return;
        }
        let seed = rand::RngExt::random(&mut self.rng);
        let held = self.members[member].disk.load();
        let (fields, deferred) = (held.graph.len(), held.deferred.len());
        self.say(format!(
            "#{member} starts with {fields} fields, {deferred} deferred"
        ));
        let mut machine = self.cast.start(member, held, seed);
        let it = &mut self.members[member];
        let seen = watch.started(member, &mut machine, &it.disk);
        it.lives += 1;
        let nth = it.lives;
        it.life = Some(Life {
            machine,
            nth,
            born: self.now,
            paused: false,
            alarm: None,
            synced: false,
        });
        if let Err(what) = seen {
            self.breaks(format!("#{member}: {what}"));
        }
        // Whoever still believes in a connection to the process before learns better.
        for (number, side) in self.ends_of(member) {
            let conn = &self.conns[&number];
            if conn.ends[side] == End::Closed && conn.ends[1 - side] != End::Closed {
                self.push(number, side, Item::Fin);
            }
        }
        for link in 0..self.links.len() {
            if self.links[link].ends[0] == member {
                self.links[link].backoff.reset();
                self.schedule(self.now, Event::Dial { link, life: nth });
            }
        }
        self.set_alarm(member);
    }

    /// A member's process dies. With `quiet` its machine lost power, so nobody is told. Whether it
    /// has forgotten what it said it had stored.
    pub(in super::super) fn crash(&mut self, member: MemberId, quiet: bool, torn: bool) -> bool {
        let it = &mut self.members[member];
        if it.life.take().is_none() {
            return false;
        }
        let forgot = it.disk.crash(quiet, torn, &mut self.rng);
        for (number, side) in self.ends_of(member) {
            if let Some(peer) = self.end(number, side, !quiet) {
                self.by_peer.remove(&peer);
            }
        }
        self.conns.retain(|_, conn| !conn.is_over());
        forgot
    }

    /// Its disk is empty from now on. It must not be running.
    pub(in super::super) fn wipe(&mut self, member: MemberId) {
        self.members[member].disk.wipe();
    }

    /// Stops a process where it stands.
    pub(in super::super) fn pause(&mut self, member: MemberId) {
        if let Some(life) = &mut self.members[member].life {
            life.paused = true;
            self.look_after_member(member);
        }
    }

    /// Lets it go on: first what its disk did meanwhile, then what has arrived.
    pub(in super::super) fn resume(
        &mut self,
        member: MemberId,
        watch: &mut impl Watch<C::Machine>,
    ) {
        let it = &mut self.members[member];
        let Some(life) = it.life.as_mut().filter(|life| life.paused) else {
            return;
        };
        life.paused = false;
        life.alarm = None;
        let synced = std::mem::take(&mut life.synced);
        self.hear_afresh(member);
        self.look_after_member(member);
        if synced {
            self.end_commit(member, watch);
        }
        self.sync_disk(member);
        self.set_alarm(member);
    }

    /// A member's disk is done with a commit, and its process hears of it.
    pub(super) fn end_commit(&mut self, member: MemberId, watch: &mut impl Watch<C::Machine>) {
        match self.members[member].disk.finish() {
            Synced::Refused { again, news } => {
                if let Some(life) = self.members[member].life.as_ref().map(|life| life.nth) {
                    self.schedule(self.now + again, Event::Synced { member, life });
                }
                if news {
                    let why = "its disk is full".into();
                    self.feed(member, Input::Stalled(why), watch);
                }
            }
            Synced::Kept { commit, resumed } => {
                self.sync_disk(member);
                if resumed {
                    self.feed(member, Input::Resumed, watch);
                }
                if let Some(commit) = commit {
                    self.feed(member, Input::Committed(commit), watch);
                }
            }
        }
    }

    /// The connections a member has an end of.
    fn ends_of(&self, member: MemberId) -> Vec<(u64, Side)> {
        let conns = self.conns.iter();
        let ends = conns.flat_map(|(number, conn)| {
            let ends = self.links[conn.link].ends;
            [0, 1].map(|side| (*number, side, ends[side]))
        });
        ends.filter(|(.., end)| *end == member)
            .map(|(number, side, _)| (number, side))
            .collect()
    }
}
