//! Random writes at random nodes over links that come and go: in the end all hold the same, and
//! every index says what its graph says.
//!
//! A failure names its seed; `LOOM_SEED=<n> cargo nextest run -p loom-node random_clusters` replays it.

use rand::RngExt as _;

use super::*;

#[test]
fn random_clusters_end_with_the_same_records_everywhere() {
    match std::env::var("LOOM_SEED") {
        Ok(seed) => ends_alike(seed.parse().expect("LOOM_SEED is a number")),
        Err(_) => (0..60).for_each(ends_alike),
    }
}

fn ends_alike(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::new(3);
    for _ in 0..rng.random_range(20..120) {
        let node = rng.random_range(0..3);
        match rng.random_range(0..10) {
            0 if cluster.linked[node].is_some() => cluster.cut(node),
            0 | 1 if cluster.linked[node].is_none() => cluster.heal(node),
            2 => cluster.pass(rng.random_range(0..3)),
            _ => {
                let wish = random_wish(&mut rng);
                // Refusals are as good as any other answer here.
                let _ = cluster.wish(node, wish);
            }
        }
    }
    for node in 0..3 {
        if cluster.linked[node].is_none() {
            cluster.heal(node);
        }
    }
    assert!(cluster.agree(), "seed {seed}");
    for table in Table::ALL {
        let lists = [0, 1, 2].map(|node| cluster.list(node, table));
        assert!(
            lists.iter().all(|list| *list == lists[0]),
            "seed {seed}: {table} differ"
        );
    }
    for node in 0..3 {
        let (before, dangling) = (
            cluster.list(node, Table::Edges),
            cluster.status(node).dangling,
        );
        let graph = cluster.nodes[node].mesh.graph().clone();
        let config = cluster.nodes[node].config.clone();
        cluster.nodes[node] = Replica::new(config, graph);
        assert_eq!(
            cluster.list(node, Table::Edges),
            before,
            "seed {seed}: index and graph differ"
        );
        assert_eq!(cluster.status(node).dangling, dangling, "seed {seed}");
    }
}

fn random_wish(rng: &mut StdRng) -> Wish {
    let table = if rng.random_bool(0.6) {
        Table::Nodes
    } else {
        Table::Edges
    };
    let id = format!("r{}", rng.random_range(0..6));
    let mut body = json!({
        "type": format!("t{}", rng.random_range(0..3)),
        "properties": {"value": rng.random_range(0..1000)},
    });
    if table == Table::Edges {
        body["from"] = json!(format!("r{}", rng.random_range(0..6)));
        body["to"] = json!(format!("r{}", rng.random_range(0..6)));
    }
    match rng.random_range(0..6) {
        0 => Wish::Delete { table, id },
        1 => Wish::Patch {
            table,
            patch: Patch::read(table, &id, body).expect("a valid patch"),
            id,
        },
        choice => Wish::Put {
            draft: Draft::read(table, Some(&id), body).expect("a valid draft"),
            if_absent: choice == 2,
        },
    }
}
