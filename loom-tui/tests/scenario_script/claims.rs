//! What a script claims, and how what it could not do ends it.

use loom_tui::check::Stopped;
use loom_tui::history::{Action, OpType};
use loom_tui::scenario::trouble::Ending;
use loom_tui::snapshot::Verdict;

use crate::stage::play;

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_expectation_is_recorded_with_its_place_and_the_script_goes_on() {
    let played = play("expect(1 > 2, \"order\");\nexpect(true, \"after\");").await;
    assert_eq!(played.ended, Ok(()));
    let claims: Vec<_> = played
        .claims
        .expectations
        .iter()
        .map(|claim| (claim.held, claim.text.as_str(), claim.place.as_deref()))
        .collect();
    let expected = [
        (false, "order", Some("my.rhai:1:1")),
        (true, "after", Some("my.rhai:2:1")),
    ];
    assert_eq!(claims, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_in_vain_is_a_broken_expectation_and_ends_the_script() {
    let played = play("await_visible(\"x\", \"50ms\");\nexpect(true, \"never\");").await;
    assert_eq!(played.ended, Err(Ending::Stopped(Stopped::Claim)));
    assert_eq!(played.claims.expectations.len(), 1);
    let claim = &played.claims.expectations[0];
    assert!(!claim.held);
    assert!(
        claim.text.contains("not on node-1, node-2"),
        "{}",
        claim.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_did_not_happen_and_can_be_caught() {
    let source = r#"
        try { node(2).create("event", #{}) }
        catch (e) { expect(e.kind == "refused", `${e.kind}: ${e.text}`) }
        node(1).create("event", #{});
    "#;
    let played = play(source).await;
    let Err(Ending::Stopped(Stopped::Cluster(why))) = &played.ended else {
        panic!("{played:?}");
    };
    assert!(
        why.contains("create nodes/r-n2 on node-1 was refused"),
        "{why}"
    );
    assert!(why.ends_with("(my.rhai:4:17)"), "{why}");
    assert!(played.claims.expectations[0].held, "{played:?}");
    let ops: Vec<_> = played.ops.iter().map(|op| (op.kind, op.f)).collect();
    let (invoke, fail) = (OpType::Invoke, OpType::Fail);
    let create = Action::Create;
    assert_eq!(
        ops,
        [
            (invoke, create),
            (fail, create),
            (invoke, create),
            (fail, create)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_throws_itself_fails_it() {
    let played = play("let x = 1;\nthrow `x is ${x}`;").await;
    let Err(Ending::Stopped(Stopped::Thrown(why))) = &played.ended else {
        panic!("{played:?}");
    };
    assert_eq!(why, "x is 1 (my.rhai:2:1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_meets_its_metric_whichever_comes_first() {
    let source = r#"
        threshold("early", "<", 5);
        metric("early", 4, "ms");
        metric("late", 6.5, "ms");
        threshold("late", ">=", 7);
        metric("nothing", (), "ms");
        threshold("nothing", "<", 5);
        expect_below((), 5, "direct");
    "#;
    let played = play(source).await;
    assert_eq!(played.ended, Ok(()));
    let mut values: Vec<_> = played
        .claims
        .thresholds
        .iter()
        .map(|threshold| (threshold.name.as_str(), threshold.value))
        .collect();
    values.sort_by_key(|(name, _)| *name);
    let expected = [
        ("direct", None),
        ("early", Some(4.0)),
        ("late", Some(6.5)),
        ("nothing", None),
    ];
    assert_eq!(values, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_judges_every_number_a_loop_has_measured() {
    let source = r#"
        for took in [3000, 50000, 1000] {
            metric("slowest", took, "ms");
            metric("rate", took, "ops/s");
        }
        threshold("slowest", "<", 15000);
        threshold("rate", ">=", 2000);
    "#;
    let claims = play(source).await.claims;
    let judged = claims.thresholds.iter();
    let judged: Vec<_> = judged.map(|it| (it.value, it.verdict())).collect();
    let expected = [
        (Some(50_000.0), Verdict::Fail),
        (Some(1_000.0), Verdict::Fail),
    ];
    assert_eq!(judged, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_of_nothing_is_not_a_number() {
    let source = r#"
        let seen = latency();
        expect(seen.count == 0 && seen.p99 == (), `${seen}`);
        gate(seen.count > 0, "something was measured");
    "#;
    let played = play(source).await;
    assert!(played.claims.expectations[0].held, "{played:?}");
    assert!(!played.claims.gates[0].held);
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_counts_what_a_process_grew_by_before_it_was_killed() {
    // The scenario's own functions, called with figures of ours.
    let soak = include_str!("../../scenarios/soak.rhai");
    let mut functions = String::new();
    for part in soak.split("\nfn ").skip(1) {
        let end = part.find("\n}\n").unwrap();
        functions.push_str(&format!("fn {}\n}}\n", &part[..end]));
    }
    let calls = r#"
        let life = unborn();
        for held in [100, 90, 170, 120] { life = looked(life, held); }
        life = killed(life);
        for held in [60, 80] { life = looked(life, held); }
        metric("grown", life.grown, "");
        metric("longest", life.longest, "");
    "#;
    let played = play(&format!("{functions}{calls}")).await;
    assert_eq!(played.ended, Ok(()));
    let values: Vec<_> = played.metrics.iter().map(|metric| metric.value).collect();
    // From 90 to 170 in the first life; 20 in the second.
    assert_eq!(values, [80.0, 4.0]);
}
