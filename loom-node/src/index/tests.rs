use std::collections::BTreeMap;

use loom_relay::model::{Stamp, Value};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::record::{Foreign, Record};

fn row(table: Table, id: &str, text: &str) -> Arc<Row> {
    let stamp = Stamp::new(1.0).unwrap();
    Arc::new(Row::new(
        &Record::read(table, id, text, stamp).unwrap(),
        stamp,
    ))
}

fn node(id: &str, kind: &str) -> Arc<Row> {
    row(Table::Nodes, id, &format!(r#"{{"type":"{kind}"}}"#))
}

fn edge(id: &str, from: &str, to: &str, kind: &str) -> Arc<Row> {
    let text = format!(r#"{{"from":"{from}","to":"{to}","type":"{kind}"}}"#);
    row(Table::Edges, id, &text)
}

fn ids(page: &Page) -> Vec<&str> {
    page.found.iter().map(|found| &*found.row.id).collect()
}

fn dangling(index: &Index, id: &str) -> bool {
    index.get(Table::Edges, id).unwrap().dangling
}

#[test]
fn a_changed_type_is_found_under_the_new_one_only() {
    let mut index = Index::default();
    assert!(index.put(&node("a", "old")).is_none());
    assert_eq!(index.put(&node("a", "new")).unwrap().kind, "old".into());
    let of = |kind: &str| Query {
        kind: Some(kind.to_owned()),
        ..Query::all(Table::Nodes)
    };
    assert!(index.list(&of("old")).found.is_empty());
    assert_eq!(ids(&index.list(&of("new"))), ["a"]);
}

#[test]
fn a_combined_filter_looks_only_at_its_rarest_condition() {
    let mut index = Index::default();
    for n in 0..1000 {
        index.put(&edge(
            &format!("e{n:04}"),
            "hub",
            &format!("v{}", n % 100),
            "t",
        ));
    }
    let page = index.list(&Query {
        kind: Some("t".into()),
        from: Some("hub".into()),
        to: Some("v7".into()),
        ..Query::all(Table::Edges)
    });
    assert_eq!((page.found.len(), page.examined), (10, 10));
}

#[test]
fn an_edge_dangles_exactly_while_an_end_is_missing() {
    let mut index = Index::default();
    index.put(&edge("e", "a", "b", "t"));
    assert!(dangling(&index, "e"));
    index.put(&node("a", "t"));
    assert!(dangling(&index, "e"));
    index.put(&node("b", "t"));
    assert!(!dangling(&index, "e"));
    index.remove(Table::Nodes, "a");
    assert!(dangling(&index, "e"));
    index.put(&edge("e", "b", "b", "t"));
    assert!(!dangling(&index, "e"));
    assert_eq!(index.dangling(), 0);
}

#[test]
fn pages_join_to_the_whole_list_and_the_last_one_says_so() {
    let mut index = Index::default();
    for n in 0..10 {
        index.put(&node(&format!("n{n}"), "t"));
    }
    for limit in 1..=11 {
        let mut query = Query {
            limit: Some(limit),
            ..Query::all(Table::Nodes)
        };
        let mut seen = Vec::new();
        loop {
            let page = index.list(&query);
            assert!(page.found.len() <= limit);
            seen.extend(page.found.into_iter().map(|found| found.row.id.to_string()));
            match page.next {
                Some(next) => query.after = Some(next.to_string()),
                None => break,
            }
        }
        assert_eq!(seen, (0..10).map(|n| format!("n{n}")).collect::<Vec<_>>());
    }
}

/// Random operations against the plainest thing that could be right: a map that is scanned.
#[test]
fn random_operations_agree_with_a_scan() {
    for seed in 0..40 {
        agrees_with_a_scan(seed);
    }
}

fn agrees_with_a_scan(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut index = Index::default();
    let mut model: BTreeMap<(Table, String), Arc<Row>> = BTreeMap::new();
    let pick = |rng: &mut StdRng, prefix: &str, count: u32| {
        format!("{prefix}{}", rng.random_range(0..count))
    };
    for step in 0..300 {
        let table = if rng.random_bool(0.5) {
            Table::Nodes
        } else {
            Table::Edges
        };
        let id = pick(&mut rng, "v", 12);
        if rng.random_bool(0.3) {
            let was = index.remove(table, &id);
            assert_eq!(was, model.remove(&(table, id)), "seed {seed} step {step}");
        } else {
            let kind = pick(&mut rng, "t", 3);
            let row = match table {
                Table::Nodes => node(&id, &kind),
                Table::Edges => edge(
                    &id,
                    &pick(&mut rng, "v", 12),
                    &pick(&mut rng, "v", 12),
                    &kind,
                ),
            };
            let was = index.put(&row);
            assert_eq!(
                was,
                model.insert((table, id), row),
                "seed {seed} step {step}"
            );
        }
        let mut maybe = |prefix: &str, count| {
            let wanted = rng.random_bool(0.4);
            let value = pick(&mut rng, prefix, count);
            wanted.then_some(value)
        };
        let query = Query {
            table,
            kind: maybe("t", 4),
            from: maybe("v", 12).filter(|_| table == Table::Edges),
            to: maybe("v", 12).filter(|_| table == Table::Edges),
            touching: maybe("v", 12).filter(|_| table == Table::Edges),
            after: maybe("v", 12),
            limit: maybe("", 4).map(|text| text.parse::<usize>().unwrap() + 1),
        };
        let expected = scan(&model, &query);
        let page = index.list(&query);
        assert_eq!(
            page.found, expected.found,
            "seed {seed} step {step} {query:?}"
        );
        assert_eq!(
            page.next, expected.next,
            "seed {seed} step {step} {query:?}"
        );
        let dangling = scan(&model, &Query::all(Table::Edges)).found.into_iter();
        assert_eq!(
            index.dangling(),
            dangling.filter(|found| found.dangling).count()
        );
    }
}

fn scan(model: &BTreeMap<(Table, String), Arc<Row>>, query: &Query) -> Page {
    let exists = |id: &str| model.contains_key(&(Table::Nodes, id.to_owned()));
    let is =
        |wanted: &Option<String>, held: &str| wanted.as_ref().is_none_or(|wanted| wanted == held);
    let mut page = Page::default();
    for ((table, id), row) in model {
        let (from, to) = match &row.ends {
            Some(ends) => (&*ends.from, &*ends.to),
            None => ("", ""),
        };
        let wanted = *table == query.table
            && query.after.as_ref().is_none_or(|after| id > after)
            && is(&query.kind, &row.kind)
            && is(&query.from, from)
            && is(&query.to, to)
            && (is(&query.touching, from) || is(&query.touching, to));
        if !wanted {
            continue;
        }
        if Some(page.found.len()) == query.limit {
            page.next = page.found.last().map(|last| last.row.id.clone());
            break;
        }
        page.found.push(Found {
            row: row.clone(),
            dangling: *table == Table::Edges && !(exists(from) && exists(to)),
        });
    }
    page
}

#[test]
fn an_index_made_at_once_is_the_one_made_record_by_record() {
    let mut rng = StdRng::seed_from_u64(3);
    // As many as are shared between threads, too.
    for (vertices, edges) in [(0, 0), (30, 60), (21_000, 500)] {
        let mut nodes = BTreeMap::new();
        for nth in 0..vertices {
            let id = format!("v{nth:05}");
            nodes.insert(id.clone(), node(&id, ["a", "b", "c"][nth % 3]));
        }
        let mut links = BTreeMap::new();
        for nth in 0..edges {
            // Some to where there is nothing.
            let mut end = || format!("v{:05}", rng.random_range(0..vertices * 2));
            let id = format!("e{nth:05}");
            links.insert(id.clone(), edge(&id, &end(), &end(), "t"));
        }
        let mut one_by_one = Index::default();
        for row in nodes.values().chain(links.values()) {
            one_by_one.put(row);
        }
        let [nodes, links] = [nodes, links].map(|rows| rows.into_values().collect::<Vec<_>>());
        let at_once = Index::of(&nodes, &links);
        assert!(at_once == one_by_one, "{vertices} and {edges} differ");
    }
}

#[test]
fn a_row_of_what_is_held_is_the_row_of_its_record() {
    let stamp = Stamp::new(5.5).unwrap();
    let mut kinds = Kinds::default();
    let mut held = |table, text: &str| {
        let value = Value::text(text);
        Row::of_held(table, "a".into(), (stamp, &value), &mut kinds)
    };
    for (table, text) in [
        (
            Table::Nodes,
            r#"{"type":"task","properties":{"title":"\"weave\"\n\u00e4"},"x":1}"#,
        ),
        (Table::Nodes, r#"{"id":"other","colour":"red","state":9}"#),
        (
            Table::Edges,
            r#"{"from":"x","to":"y","type":"task","metadata":{"version":3}}"#,
        ),
    ] {
        let row = held(table, text).unwrap().unwrap();
        let record = Record::read(table, "a", text, stamp).unwrap();
        let expected = Row::new(&record, stamp);
        assert_eq!((&row.kind, &row.ends), (&expected.kind, &expected.ends));
        // Before anybody has looked at it.
        assert_eq!(row.clone().weight(), expected.weight());
        assert_eq!(row.clone().record(), record);
        assert_eq!(row, expected);
    }
    assert_eq!(held(Table::Edges, "{}"), Err(Foreign::NoEnds));
    assert_eq!(held(Table::Nodes, "7"), Err(Foreign::NotAnObject));
    for value in [Value::null(), true.into()] {
        let row = Row::of_held(Table::Nodes, "a".into(), (stamp, &value), &mut kinds);
        assert_eq!(row.is_ok(), value.is_null());
        assert_eq!(row.unwrap_or(None), None);
    }
}
