use loom_relay::model::Stamp;

use super::*;
use crate::record::{Record, Table};

const EPOCH: u64 = 0x5f1d_9c3a_00e2_b714;

fn feed(events: usize, bytes: usize) -> (Feed, Follow) {
    let feed = Feed::new(EPOCH, Limits { events, bytes });
    let follow = feed.follow();
    (feed, follow)
}

fn created(id: &str) -> Happened {
    let stamp = Stamp::new(5.5).unwrap();
    let record = Record::read(Table::Nodes, id, "{}", stamp).unwrap();
    Happened {
        at_ms: 7,
        origin: Origin::Local,
        subject: Subject::Created(Arc::new(crate::index::Row::new(&record, stamp))),
    }
}

fn canary() -> Happened {
    Happened {
        at_ms: 7,
        origin: Origin::Remote,
        subject: Subject::Canary {
            node: "node-2".into(),
            value: "v".into(),
        },
    }
}

async fn seqs(reader: &mut Reader) -> Vec<u64> {
    let batch = reader.next().await.unwrap().unwrap();
    batch.iter().map(|event| event.seq).collect()
}

fn after(seq: u64) -> Since {
    Since::After(Cursor { epoch: EPOCH, seq })
}

#[tokio::test]
async fn a_reader_resumes_exactly_after_its_cursor() {
    let (mut feed, follow) = feed(100, 1 << 20);
    for n in 0..5 {
        feed.publish(created(&format!("n{n}")));
    }
    assert_eq!(seqs(&mut follow.open(after(3)).unwrap()).await, [4, 5]);
    assert_eq!(
        seqs(&mut follow.open(Since::Start).unwrap()).await,
        [1, 2, 3, 4, 5]
    );
    let mut now = follow.open(Since::Now).unwrap();
    feed.publish(created("n5"));
    assert_eq!(seqs(&mut now).await, [6]);
    assert_eq!(
        now.cursor(),
        Cursor {
            epoch: EPOCH,
            seq: 6
        }
    );
}

#[tokio::test]
async fn a_sleeping_reader_is_woken_by_a_publish() {
    let (mut feed, follow) = feed(100, 1 << 20);
    let mut reader = follow.open(Since::Now).unwrap();
    let reading = tokio::spawn(async move { seqs(&mut reader).await });
    tokio::task::yield_now().await;
    feed.publish(created("a"));
    assert_eq!(reading.await.unwrap(), [1]);
}

#[tokio::test]
async fn what_left_the_ring_is_reported_never_skipped() {
    let (mut feed, follow) = feed(3, 1 << 20);
    let mut slow = follow.open(Since::Now).unwrap();
    for n in 0..5 {
        feed.publish(created(&format!("n{n}")));
    }
    let restart = Cursor {
        epoch: EPOCH,
        seq: 5,
    };
    assert_eq!(slow.next().await, Some(Err(Lost { restart })));
    assert_eq!(follow.open(after(1)).unwrap_err(), Lost { restart });
    assert_eq!(follow.open(Since::Start).unwrap_err(), Lost { restart });
    assert_eq!(seqs(&mut follow.open(after(2)).unwrap()).await, [3, 4, 5]);
}

#[test]
fn cursors_of_another_start_or_of_the_future_are_refused() {
    let (_feed, follow) = feed(3, 1 << 20);
    let other = Since::After(Cursor { epoch: 1, seq: 0 });
    assert!(follow.open(other).is_err());
    assert!(follow.open(after(1)).is_err());
}

#[tokio::test]
async fn bytes_bound_the_ring_too_and_a_huge_event_is_a_loss() {
    let weight = Event {
        seq: 1,
        happened: created("n0"),
    }
    .weight();
    let (mut feed, follow) = feed(100, weight * 2);
    for n in 0..3 {
        feed.publish(created(&format!("n{n}")));
    }
    assert_eq!(seqs(&mut follow.open(after(1)).unwrap()).await, [2, 3]);
    let mut reader = follow.open(Since::Now).unwrap();
    feed.publish(created(&"x".repeat(weight * 3)));
    assert!(matches!(reader.next().await, Some(Err(_))));
}

#[tokio::test]
async fn canaries_are_delivered_but_take_no_number() {
    let (mut feed, follow) = feed(100, 1 << 20);
    let mut reader = follow.open(Since::Now).unwrap();
    for happened in [created("a"), canary(), created("b"), canary()] {
        feed.publish(happened);
    }
    assert_eq!(seqs(&mut reader).await, [1, 1, 2, 2]);
    // Resuming after 1 must not skip the change that followed the canary.
    assert_eq!(seqs(&mut follow.open(after(1)).unwrap()).await, [2, 2]);
}

#[test]
fn dropped_canaries_are_no_gap_in_the_changes() {
    let (mut feed, follow) = feed(2, 1 << 20);
    feed.publish(created("a"));
    for _ in 0..2 {
        feed.publish(canary());
    }
    assert!(follow.open(after(1)).is_ok());
    assert!(follow.open(Since::Start).is_err());
}

#[test]
fn only_open_readers_are_counted() {
    let (feed, follow) = feed(2, 1 << 20);
    assert_eq!(feed.readers(), 0);
    let reader = follow.open(Since::Now).unwrap();
    assert_eq!(feed.readers(), 1);
    drop(reader);
    assert_eq!(feed.readers(), 0);
}

#[test]
fn cursors_read_back_and_junk_does_not() {
    let cursor = Cursor {
        epoch: EPOCH,
        seq: 42,
    };
    assert_eq!(cursor.to_string(), "5f1d9c3a00e2b714-42");
    assert_eq!("5f1d9c3a00e2b714-42".parse(), Ok(Since::After(cursor)));
    for junk in [
        "",
        "-",
        "1-1",
        "5f1d9c3a00e2b714",
        "5f1d9c3a00e2b714-",
        "5f1d9c3a00e2b714--1",
        "5f1d9c3a00e2b714-99999999999999999999",
        "+f1d9c3a00e2b714-1",
    ] {
        assert!(junk.parse::<Since>().is_err(), "{junk}");
    }
}

#[test]
fn events_are_one_line_of_json_with_loomdbs_members() {
    let mut text = String::new();
    Event {
        seq: 3,
        happened: created("a\n\"b"),
    }
    .push_json(&mut text);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(!text.contains('\n'));
    assert_eq!(json["seq"], 3);
    assert_eq!(json["type"], "node_created");
    assert_eq!(json["nodeId"], "a\n\"b");
    assert_eq!(json["node"]["id"], "a\n\"b");
    assert_eq!(json["node"]["state"], 5.5);
    assert_eq!(json["state"], 5.5);
    assert_eq!(json["origin"], "local");

    let mut text = String::new();
    Event {
        seq: 3,
        happened: canary(),
    }
    .push_json(&mut text);
    assert_eq!(
        text,
        r#"{"type":"canary","timestamp":7,"origin":"node-2","value":"v"}"#
    );
}
