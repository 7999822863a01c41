//! A mistake in a script is answered with its place and what was probably meant.

use loom_tui::scenario::engine;

use crate::stage::{play, play_with, script};

#[test]
fn a_syntax_error_is_found_before_anything_is_started() {
    let error = engine::check(&script("let x = 1;\nlet y = x +* 2;")).unwrap_err();
    assert!(error.starts_with("my.rhai:2:12: "), "{error}");
    assert_eq!(engine::check(&script("let x = 1;")), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_has_its_place_and_a_suggestion() {
    for (source, place, hint) in [
        ("let a = 1;\nnodse()", "my.rhai:2:1", "did you mean nodes?"),
        (
            "node(1).craete(\"event\", #{})",
            "my.rhai:1:9",
            "did you mean create?",
        ),
        (
            "node(1).create(\"event\")",
            "my.rhai:1:9",
            "used as n.create(type, properties)",
        ),
        (
            "let count = 1;\nlog(cuont)",
            "my.rhai:2:5",
            "did you mean count?",
        ),
        (
            "fn helper() { 1 }\nhelpr()",
            "my.rhai:2:1",
            "did you mean helper?",
        ),
        (
            "fn inner() {\n  frobnicate()\n}\ninner()",
            "my.rhai:2:3",
            "there is no function",
        ),
        ("node(1).props", "my.rhai:1:9", "props"),
        (
            "node(9)",
            "my.rhai:1:1",
            "this cluster has relay, node-1, node-2",
        ),
        ("kill(\"node-7\")", "my.rhai:1:1", "there is no node-7"),
        ("cut(relay())", "my.rhai:1:1", "links belong to nodes"),
        ("cut_one_way(1, \"left\")", "my.rhai:1:1", "use \"up\""),
        (
            "degrade(1, #{ latancy: \"1s\" })",
            "my.rhai:1:1",
            "it takes latency",
        ),
        ("sleep(5)", "my.rhai:1:1", "write sleep(\"500ms\")"),
        (
            "await_converged(\"5 parsecs\")",
            "my.rhai:1:1",
            "is no unit of time",
        ),
        (
            "load(#{ count: 5 })",
            "my.rhai:1:1",
            "either rate (per second) or clients",
        ),
        (
            "load(#{ clients: 1, count: 1, mix: #{ create: 0 } })",
            "my.rhai:1:1",
            "create above 0",
        ),
        (
            "threshold(\"x\", \"=<\", 5)",
            "my.rhai:1:1",
            "is no comparison",
        ),
        ("concurrently([1])", "my.rhai:1:1", "an array of functions"),
        ("random().pick([])", "my.rhai:1:10", "nothing to pick from"),
    ] {
        let stopped = play(source).await.stopped();
        assert!(stopped.contains("Mistake"), "{source}: {stopped}");
        assert!(stopped.contains(place), "{source}: {stopped}");
        assert!(
            stopped.replace("\\\"", "\"").contains(hint),
            "{source}: {stopped}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_branch_is_where_it_is_written() {
    let stopped = play("concurrently([\n  || 1,\n  || nodse(),\n])")
        .await
        .stopped();
    assert!(stopped.contains("my.rhai:3:6"), "{stopped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_of_the_wrong_kind_is_refused() {
    let set = [("count", "many")];
    let played = play_with("arg(\"count\", 50)", &set, Default::default()).await;
    let stopped = played.stopped();
    assert!(stopped.contains("must be a whole number"), "{stopped}");
    let set = [("count", "7")];
    let source = "metric(\"n\", arg(\"count\", 50), \"\")";
    let played = play_with(source, &set, Default::default()).await;
    assert_eq!(played.metrics[0].value, 7.0);
}
