//! Planted faults do what they say, so that a tester that misses one is to blame.

use super::*;
use crate::plant::Plant;

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
