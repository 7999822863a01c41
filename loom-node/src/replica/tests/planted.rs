//! Planted faults do what they say, so that a tester that misses one is to blame.

use loom_relay::model::Cell;

use super::*;
use crate::plant::{LATE_BY, Plant};

fn with(count: usize, plant: Plant) -> Cluster {
    Cluster::with(count, |config| config.plant = Some(plant))
}

#[test]
fn lose_acked_acknowledges_what_it_forgets() {
    let mut cluster = with(1, Plant::LoseAcked);
    for n in 0..10 {
        let Written::Created(_) = cluster.put(0, Table::Nodes, node(&format!("n{n}"), n)) else {
            panic!("every create is acknowledged as one");
        };
    }
    assert_eq!(cluster.list(0, Table::Nodes).len(), 8);
}

#[test]
fn drop_remote_ends_with_different_replicas() {
    let mut cluster = with(2, Plant::DropRemote);
    for n in 0..10 {
        cluster.put(0, Table::Nodes, node(&format!("n{n}"), n));
    }
    assert_eq!(cluster.list(0, Table::Nodes).len(), 10);
    assert_eq!(cluster.list(1, Table::Nodes).len(), 8);
    assert!(!cluster.agree());
}

#[test]
fn reverse_tie_keeps_the_loser_of_a_conflict_and_only_of_a_conflict() {
    let mut cluster = with(2, Plant::ReverseTie);
    cluster.put(0, Table::Nodes, node("a", 0));
    cluster.pass(1);
    cluster.put(1, Table::Nodes, node("a", 1));
    assert_eq!(
        cluster.get(0, "a").unwrap().properties["value"],
        1,
        "an update is no conflict"
    );
    cluster.cut(0);
    cluster.put(0, Table::Nodes, node("a", 2));
    cluster.pass(1);
    cluster.put(1, Table::Nodes, node("a", 3));
    cluster.heal(0);
    assert_eq!(cluster.get(0, "a").unwrap().properties["value"], 2);
}

#[test]
fn invent_adds_what_nobody_wrote() {
    let mut cluster = with(2, Plant::Invent);
    for n in 0..10 {
        cluster.put(0, Table::Nodes, node(&format!("n{n}"), n));
    }
    assert_eq!(cluster.list(1, Table::Nodes).len(), 11);
}

fn changed(id: &str, value: u64) -> Wish {
    let body = json!({"properties": {"value": value}});
    Wish::Patch {
        table: Table::Nodes,
        id: id.to_owned(),
        patch: Patch::read(Table::Nodes, id, body).unwrap(),
    }
}

#[test]
fn keep_refused_keeps_what_it_says_it_does_not_have() {
    let mut cluster = with(1, Plant::KeepRefused);
    let refused = cluster.wish(0, changed("a", 1));
    assert!(
        matches!(refused, Err(Refused::Missing { .. })),
        "{refused:?}"
    );
    assert_eq!(value(&mut cluster, 0), 1);
}

#[test]
fn refuse_patches_refuses_what_it_could_do() {
    let mut cluster = with(1, Plant::RefusePatches);
    cluster.put(0, Table::Nodes, node("a", 0));
    assert!(cluster.wish(0, changed("a", 1)).is_err());
    assert_eq!(value(&mut cluster, 0), 0);
}

fn value(cluster: &mut Cluster, who: usize) -> Json {
    cluster.get(who, "a").unwrap().properties["value"].clone()
}

#[test]
fn stale_read_shows_once_what_was_before_an_own_write() {
    let mut cluster = with(2, Plant::StaleRead);
    cluster.put(0, Table::Nodes, node("a", 0));
    cluster.wish(0, changed("a", 1)).unwrap();
    assert_eq!(
        value(&mut cluster, 1),
        1,
        "another's write is shown as it is"
    );
    let shown = [(); 2].map(|()| value(&mut cluster, 0));
    assert_eq!(shown, [0, 1]);
}

#[test]
fn flip_flop_shows_what_a_peer_wrote_and_what_was_before_by_turns() {
    let mut cluster = with(2, Plant::FlipFlop);
    cluster.put(0, Table::Nodes, node("a", 0));
    cluster.wish(0, changed("a", 1)).unwrap();
    let shown = [(); 4].map(|()| value(&mut cluster, 1));
    assert_eq!(shown, [1, 0, 1, 0]);
}

#[test]
fn resurrect_makes_again_what_a_peer_deletes() {
    let mut cluster = with(2, Plant::Resurrect);
    cluster.put(0, Table::Nodes, node("a", 0));
    let (table, id) = (Table::Nodes, "a".to_owned());
    cluster.wish(0, Wish::Delete { table, id }).unwrap();
    assert!(cluster.get(0, "a").is_some());
    assert!(cluster.agree());
}

#[test]
fn forget_on_restart_stores_four_of_five() {
    let mut cluster = with(1, Plant::ForgetOnRestart);
    let mut stored = 0;
    for n in 0..10 {
        let (reply, _answer) = tokio::sync::oneshot::channel();
        let wish = put(Table::Nodes, node(&format!("n{n}"), n));
        let mut inputs = VecDeque::from([Input::Command(Command::Write(wish, reply))]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            cluster.nodes[0].handle(input, cluster.now, &mut effects);
            for effect in effects {
                if let Effect::Persist { commit, batch } = effect {
                    stored += batch.changes.len();
                    inputs.push_back(Input::Committed(commit));
                }
            }
        }
    }
    assert_eq!((stored, cluster.list(0, Table::Nodes).len()), (8, 10));
}

#[test]
fn ignore_deferred_never_shows_what_was_not_due() {
    for (plant, shows) in [(None, true), (Some(Plant::IgnoreDeferred), false)] {
        let mut cluster = Cluster::with(1, |config| config.plant = plant);
        let cell = Cell {
            stamp: Stamp::new((WALL_MS + 60_000) as f64).unwrap(),
            value: Value::text(r#"{"id":"a","type":"custom"}"#),
        };
        cluster.arrive(0, Table::Nodes.soul(), "a", &cell);
        assert!(cluster.get(0, "a").is_none());
        cluster.pass(61_000);
        cluster.run([(Some(0), Input::Deadline)].into());
        assert_eq!(cluster.get(0, "a").is_some(), shows, "{plant:?}");
    }
}

#[test]
fn stuck_until_nudged_hears_others_when_its_own_client_writes() {
    let mut cluster = with(2, Plant::StuckUntilNudged);
    cluster.put(0, Table::Nodes, node("a", 0));
    assert!(cluster.get(1, "a").is_none());
    cluster.put(1, Table::Nodes, node("b", 0));
    assert!(cluster.get(1, "a").is_some());
}

#[test]
fn deliver_late_hears_others_by_itself_and_late() {
    let mut cluster = with(2, Plant::DeliverLate);
    cluster.put(0, Table::Nodes, node("a", 0));
    let late_ms = LATE_BY.as_millis() as u64;
    cluster.pass(late_ms - 1_000);
    cluster.run([(Some(1), Input::Deadline)].into());
    assert!(cluster.get(1, "a").is_none());
    assert!(cluster.nodes[1].deadline() <= Some(cluster.now.mono.after(LATE_BY)));
    cluster.pass(1_000);
    cluster.run([(Some(1), Input::Deadline)].into());
    assert!(cluster.get(1, "a").is_some());
    assert!(cluster.agree());
}

#[test]
#[should_panic(expected = "planted")]
fn crash_breaks_down_at_the_tenth_write() {
    let mut cluster = with(1, Plant::Crash);
    for n in 0..10 {
        cluster.put(0, Table::Nodes, node(&format!("n{n}"), n));
    }
}
