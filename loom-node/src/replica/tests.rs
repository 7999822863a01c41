//! What a replica promises to clients and to other replicas.

mod cluster;
mod lease;
mod planted;
mod random;

use std::collections::VecDeque;

use loom_relay::model::Value;
use serde_json::{Value as Json, json};

use self::cluster::Cluster;
use super::*;
use crate::feed::{Origin, Since, Subject};
use crate::record::draft::Draft;
use crate::record::patch::Patch;

const WALL_MS: u64 = 1_800_000_000_000;

fn put(table: Table, body: Json) -> Wish {
    Wish::Put {
        draft: Draft::read(table, None, body).unwrap(),
        if_absent: false,
    }
}

fn node(id: &str, value: u64) -> Json {
    json!({"id": id, "properties": {"value": value}})
}

#[test]
fn what_one_node_writes_every_node_lists() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, Table::Nodes, node("a", 1));
    cluster.put(
        1,
        Table::Edges,
        json!({"id": "e", "from": "a", "to": "b", "weight": 2}),
    );
    for at in 0..3 {
        assert_eq!(cluster.get(at, "a").unwrap().properties["value"], 1);
        let edges = cluster.list(at, Table::Edges);
        assert_eq!(edges[0].link.as_ref().unwrap().from, "a");
        assert_eq!(edges[0].metadata.created_by, "node-2");
    }
    assert!(cluster.agree());
    let [first, second] = [cluster.status(0).stats, cluster.status(1).stats];
    assert_eq!(
        (
            first.nodes_created,
            first.edges_created,
            first.remote_changes
        ),
        (1, 0, 1)
    );
    assert_eq!(
        (
            second.nodes_created,
            second.edges_created,
            second.remote_changes
        ),
        (0, 1, 1)
    );
    cluster
        .wish(
            2,
            Wish::Delete {
                table: Table::Nodes,
                id: "a".into(),
            },
        )
        .unwrap();
    assert!((0..3).all(|at| cluster.get(at, "a").is_none()));
    assert!(cluster.agree());
}

#[test]
fn replacing_keeps_who_created_it_and_counts_on() {
    let mut cluster = Cluster::new(2);
    cluster.put(
        0,
        Table::Nodes,
        json!({"id": "a", "metadata": {"labels": ["l"]}}),
    );
    cluster.pass(5);
    let Written::Replaced(_) = cluster.put(1, Table::Nodes, node("a", 2)) else {
        panic!("it was there");
    };
    let patch = Patch::read(Table::Nodes, "a", json!({"properties": {"more": true}})).unwrap();
    cluster.pass(5);
    cluster
        .wish(
            0,
            Wish::Patch {
                table: Table::Nodes,
                id: "a".into(),
                patch,
            },
        )
        .unwrap();
    let record = cluster.get(1, "a").unwrap();
    assert_eq!(record.metadata.created_by, "node-1");
    assert_eq!(record.metadata.created_at, WALL_MS.into());
    assert_eq!(record.metadata.updated_at, (WALL_MS + 10).into());
    assert_eq!((record.metadata.version, record.metadata.labels), (3, None));
    assert_eq!(
        Json::from(record.properties),
        json!({"value": 2, "more": true})
    );
    assert_eq!(
        cluster.status(0).stats.conflicts,
        0,
        "each write built on the one before"
    );
}

#[test]
fn a_write_is_acknowledged_only_when_it_is_durable_but_read_at_once() {
    let mut cluster = Cluster::new(1);
    cluster.put(0, Table::Nodes, node("before", 1));
    cluster.disk = Some(Vec::new());
    let mut first = cluster.send(0, |reply| {
        Command::Write(put(Table::Nodes, node("a", 1)), reply)
    });
    let mut second = cluster.send(0, |reply| {
        Command::WriteMany(vec![put(Table::Nodes, node("b", 1))], reply)
    });
    let mut canary = cluster.send(0, |reply| Command::Canary("c".into(), reply));
    assert!(cluster.get(0, "a").is_some());
    assert_eq!(cluster.status(0).commits_waiting, 3);
    assert!(first.try_recv().is_err() && second.try_recv().is_err() && canary.try_recv().is_err());
    let disk = cluster.disk.clone().unwrap();
    cluster.run(VecDeque::from([(Some(0), Input::Committed(disk[1]))]));
    assert!(first.try_recv().is_ok() && second.try_recv().is_ok() && canary.try_recv().is_err());
    cluster.run(VecDeque::from([(Some(0), Input::Committed(disk[2]))]));
    assert!(canary.try_recv().is_ok());
    assert_eq!(cluster.status(0).commits_waiting, 0);
}

#[test]
fn a_record_made_and_deleted_while_a_node_was_away_is_told_as_deleted_there() {
    let mut cluster = Cluster::new(2);
    cluster.cut(1);
    cluster.put(0, Table::Nodes, node("a", 1));
    let delete = Wish::Delete {
        table: Table::Nodes,
        id: "a".into(),
    };
    cluster.wish(0, delete).unwrap();
    cluster.heal(1);
    assert!(cluster.agree());
    let told = cluster.history(1);
    let deleted = told.iter().any(
        |event| matches!(&event.happened.subject, Subject::Deleted { id, .. } if &**id == "a"),
    );
    assert!(deleted, "{told:?}");
    assert_eq!(cluster.status(1).nodes, 0);
}

#[test]
fn while_nothing_can_be_stored_writes_are_refused_reads_go_on_and_what_was_missed_comes_after() {
    let mut cluster = Cluster::new(2);
    cluster.put(0, Table::Nodes, node("before", 1));
    cluster.disk = Some(Vec::new());
    let mut waiting = cluster.send(0, |reply| {
        Command::Write(put(Table::Nodes, node("waiting", 1)), reply)
    });
    let stalled = Input::Stalled("disk full".into());
    cluster.run(VecDeque::from([(Some(0), stalled)]));
    let unsure = waiting.try_recv().unwrap();
    assert!(matches!(unsure, Err(Refused::Unsure(_))), "{unsure:?}");
    let refused = cluster.wish(0, put(Table::Nodes, node("refused", 1)));
    assert!(matches!(refused, Err(Refused::Stalled(_))), "{refused:?}");
    let canary = cluster.ask(0, |reply| Command::Canary("c".into(), reply));
    assert!(matches!(canary, Err(Refused::Stalled(_))), "{canary:?}");
    assert_eq!(cluster.status(0).stalled.as_deref(), Some("disk full"));
    assert!(cluster.get(0, "before").is_some() && cluster.get(0, "refused").is_none());

    // Another node's write is not taken in, and comes when roots are compared.
    let stored = cluster.disk.take().unwrap();
    cluster.put(1, Table::Nodes, node("missed", 1));
    assert!(cluster.get(0, "missed").is_none());
    let inputs = stored
        .into_iter()
        .map(|commit| (Some(0), Input::Committed(commit)));
    let mut inputs: VecDeque<_> = inputs.collect();
    inputs.push_front((Some(0), Input::Resumed));
    cluster.run(inputs);
    for _ in 0..10 {
        cluster.pass(5_000);
        cluster.run(VecDeque::from([(Some(0), Input::Deadline)]));
    }
    assert!(cluster.get(0, "missed").is_some());
    cluster.put(0, Table::Nodes, node("after", 1));
    assert!(cluster.agree());
}

#[test]
fn a_refused_wish_changes_nothing_and_waits_for_nothing() {
    let mut cluster = Cluster::new(1);
    cluster.put(0, Table::Nodes, node("a", 1));
    cluster.disk = Some(Vec::new());
    let draft = Draft::read(Table::Nodes, None, node("a", 2)).unwrap();
    let exists = cluster.wish(
        0,
        Wish::Put {
            draft,
            if_absent: true,
        },
    );
    assert!(matches!(exists, Err(Refused::Exists { .. })), "{exists:?}");
    let missing = cluster.wish(
        0,
        Wish::Delete {
            table: Table::Edges,
            id: "a".into(),
        },
    );
    assert!(
        matches!(missing, Err(Refused::Missing { .. })),
        "{missing:?}"
    );
    let huge = json!({"properties": {"x": "x".repeat(crate::limits::RECORD_BYTES_MAX)}});
    let huge = cluster.wish(0, put(Table::Nodes, huge));
    assert!(matches!(huge, Err(Refused::Invalid(_))));
    assert_eq!(cluster.get(0, "a").unwrap().properties["value"], 1);
    assert_eq!(cluster.disk, Some(Vec::new()));
}

#[test]
fn what_cannot_travel_is_never_acknowledged() {
    // No flag sets such a name, but the library can be given one.
    let mut cluster = Cluster::with(1, |config| config.node_id = "_".into());
    let canary = cluster.ask(0, |reply| Command::Canary("c".into(), reply));
    assert!(matches!(canary, Err(Refused::Unwritable(_))), "{canary:?}");
}

#[test]
fn a_type_too_long_for_an_index_soul_keeps_no_record_from_being_changed() {
    let mut cluster = Cluster::with(1, |config| config.legacy_index = true);
    let text = json!({"type": "t".repeat(5_000)}).to_string();
    let value = Value::text(&text);
    cluster.foreign_write("loomdb:nodes", "a", value, WALL_MS as f64);
    cluster.put(0, Table::Nodes, node("a", 1));
    let (table, id) = (Table::Nodes, "a".to_owned());
    cluster.wish(0, Wish::Delete { table, id }).unwrap();
    let refused = cluster.nodes[0].mesh.counters().messages_refused;
    assert_eq!((cluster.status(0).nodes, refused), (0, 0));
}

#[test]
fn a_batch_may_name_a_record_twice_and_is_one_commit_otherwise() {
    let mut cluster = Cluster::new(2);
    cluster.put(0, Table::Nodes, node("before", 1));
    cluster.disk = Some(Vec::new());
    let wishes = vec![
        put(Table::Nodes, node("a", 1)),
        put(Table::Nodes, node("b", 1)),
        put(Table::Nodes, node("a", 2)),
    ];
    let mut answer = cluster.send(0, |reply| Command::WriteMany(wishes, reply));
    let disk = cluster.disk.take().unwrap();
    let of_writer = disk.len();
    assert!(answer.try_recv().is_err());
    for commit in disk {
        cluster.run(VecDeque::from([(Some(0), Input::Committed(commit))]));
    }
    let outcomes = answer.try_recv().unwrap();
    assert!(
        matches!(outcomes[0], Ok(Written::Created(_))),
        "{outcomes:?}"
    );
    assert!(
        matches!(outcomes[2], Ok(Written::Replaced(_))),
        "{outcomes:?}"
    );
    // Two of node-1, two of node-2 as it heard them.
    assert_eq!(of_writer, 4);
    assert_eq!(cluster.get(1, "a").unwrap().properties["value"], 2);
    assert_eq!(cluster.get(1, "a").unwrap().metadata.version, 2);
}

#[test]
fn both_sides_of_a_cut_end_with_everything_and_pending_changes_are_counted() {
    let mut cluster = Cluster::new(3);
    cluster.cut(0);
    for n in 0..20 {
        cluster.put(0, Table::Nodes, node(&format!("cut-{n}"), n));
        cluster.put(1, Table::Nodes, node(&format!("rest-{n}"), n));
    }
    assert_eq!(cluster.status(0).unheld, 20);
    assert_eq!(cluster.list(0, Table::Nodes).len(), 20);
    cluster.heal(0);
    assert!((0..3).all(|at| cluster.list(at, Table::Nodes).len() == 40));
    assert!(cluster.agree());
    assert_eq!(cluster.status(0).unheld, 0);
}

#[test]
fn concurrent_updates_end_with_hams_winner_and_both_sides_are_told() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, Table::Nodes, node("a", 0));
    cluster.cut(0);
    cluster.put(0, Table::Nodes, node("a", 1));
    cluster.put(0, Table::Nodes, node("a", 2));
    cluster.pass(1);
    cluster.put(1, Table::Nodes, node("a", 3));
    cluster.heal(0);
    for at in 0..3 {
        assert_eq!(
            cluster.get(at, "a").unwrap().properties["value"],
            3,
            "the later stamp wins"
        );
    }
    assert!(cluster.agree());
    let stats = cluster.status(0).stats;
    assert_eq!(stats.conflicts, 1);
    let history = cluster.history(0);
    let Subject::Updated(_, Some(conflict)) = &history.last().unwrap().happened.subject else {
        panic!("{:?}", history.last());
    };
    assert_eq!(conflict.winner, Origin::Remote);
    assert_eq!(conflict.lost.record().properties["value"], 2);
}

#[test]
fn a_held_value_that_survives_is_told_as_a_conflict_too() {
    let mut cluster = Cluster::new(2);
    cluster.cut(0);
    cluster.put(0, Table::Nodes, node("a", 2));
    cluster.pass(1);
    cluster.put(1, Table::Nodes, node("a", 1));
    // node-1's write arrives by itself, as it does when both were on their way at once.
    let beaten = cluster.nodes[0]
        .mesh
        .graph()
        .get("loomdb:nodes", "a")
        .unwrap()
        .clone();
    cluster.arrive(1, "loomdb:nodes", "a", &beaten);
    assert_eq!(cluster.get(1, "a").unwrap().properties["value"], 1);
    assert_eq!(cluster.status(1).stats.conflicts, 1);
    let history = cluster.history(1);
    let Subject::Survived(held, conflict) = &history.last().unwrap().happened.subject else {
        panic!("{:?}", history.last());
    };
    assert_eq!(held.record().properties["value"], 1);
    assert_eq!(
        (
            conflict.winner,
            conflict.lost.record().properties["value"].clone()
        ),
        (Origin::Local, json!(2))
    );
    let mut text = String::new();
    history.last().unwrap().push_json(&mut text);
    let shown: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["type"], "node_conflict");
    assert_eq!(shown["conflict"]["lost"]["properties"]["value"], 2);
}

#[tokio::test]
async fn a_query_shows_a_record_as_soon_as_its_event_is_out() {
    let mut cluster = Cluster::new(2);
    let mut reader = cluster.nodes[1].follow().open(Since::Now).unwrap();
    cluster.put(0, Table::Nodes, node("a", 1));
    let events = reader.next().await.unwrap().unwrap();
    let Subject::Created(row) = &events[0].happened.subject else {
        panic!("{events:?}");
    };
    assert_eq!(events[0].happened.origin, Origin::Remote);
    assert_eq!(cluster.get(1, "a").unwrap(), row.record());
}

#[tokio::test]
async fn canaries_travel_and_leave_no_trace_but_in_the_feed() {
    let mut cluster = Cluster::new(2);
    cluster.put(0, Table::Nodes, node("a", 1));
    let before = (
        cluster.ask(1, Command::Digest),
        cluster.status(1).stats,
        cluster.history(1).len(),
    );
    let mut reader = cluster.nodes[1].follow().open(Since::Now).unwrap();
    cluster
        .ask(0, |reply| Command::Canary("sings".into(), reply))
        .unwrap();
    let events = reader.next().await.unwrap().unwrap();
    let canary = Subject::Canary {
        node: "node-1".into(),
        value: "sings".into(),
    };
    assert_eq!(events[0].happened.subject, canary);
    let after = (
        cluster.ask(1, Command::Digest),
        cluster.status(1).stats,
        cluster.history(1).len(),
    );
    assert_eq!(before, after);
    assert_eq!(cluster.list(1, Table::Nodes).len(), 1);
}

#[test]
fn what_is_no_record_is_kept_counted_and_not_listed() {
    let mut cluster = Cluster::new(1);
    cluster.put(0, Table::Nodes, node("a", 1));
    let later = (WALL_MS + 1) as f64;
    cluster.pass(10);
    for (field, value) in [
        ("number", Value::number(5.0).unwrap()),
        ("text", Value::text("hello")),
        ("surrogate", Value::parse(r#""\ud800""#).unwrap()),
        ("a", Value::text("[]")),
    ] {
        cluster.foreign_write("loomdb:nodes", field, value, later);
    }
    cluster.foreign_write("chat", "a", Value::text("not ours"), later);
    assert_eq!((cluster.status(0).foreign, cluster.status(0).nodes), (4, 0));
    cluster.put(0, Table::Nodes, node("a", 2));
    cluster.foreign_write("loomdb:nodes", "text", Value::null(), later + 1.0);
    assert_eq!((cluster.status(0).foreign, cluster.status(0).nodes), (2, 1));
    assert_eq!(cluster.list(0, Table::Nodes).len(), 1);
}

#[test]
fn a_restarted_node_shows_what_its_store_held_and_no_changes() {
    let mut cluster = Cluster::new(1);
    cluster.put(0, Table::Nodes, node("a", 1));
    cluster.put(
        0,
        Table::Edges,
        json!({"id": "e", "from": "a", "to": "nowhere"}),
    );
    cluster
        .wish(
            0,
            Wish::Delete {
                table: Table::Nodes,
                id: "a".into(),
            },
        )
        .unwrap();
    cluster.put(0, Table::Nodes, node("b", 1));
    let graph = cluster.nodes[0].mesh.graph().clone();
    let digest = cluster.ask(0, Command::Digest);
    let config = cluster.nodes[0].config.clone();
    cluster.nodes[0] = Replica::new(config, graph);
    assert_eq!(cluster.ask(0, Command::Digest), digest);
    assert_eq!(cluster.list(0, Table::Nodes).len(), 1);
    assert_eq!(
        (cluster.status(0).dangling, cluster.history(0).len()),
        (1, 0)
    );
}

#[test]
fn the_original_finds_our_records_by_its_index_souls() {
    let mut cluster = Cluster::with(1, |config| config.legacy_index = true);
    cluster.put(0, Table::Nodes, json!({"id": "a", "type": "agent"}));
    cluster.put(0, Table::Nodes, json!({"id": "a", "type": "task"}));
    let graph = cluster.relay.graph();
    let listed = |kind: &str| {
        let soul = format!("loomdb:index:nodes:type:{kind}");
        graph
            .get(&soul, "a")
            .map(|cell| cell.value.json().to_owned())
    };
    assert_eq!(listed("agent").as_deref(), Some("null"));
    assert_eq!(listed("task").as_deref(), Some("true"));
}
