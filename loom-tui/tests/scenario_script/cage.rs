//! What a script cannot do, and how it is stopped.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use loom_tui::check::Stopped;
use loom_tui::history::Recorder;
use loom_tui::scenario::api;
use loom_tui::scenario::trouble::Ending;
use tokio_util::sync::CancellationToken;

use crate::stage::{Puppet, host, play, play_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_script_reaches_nothing_but_the_cluster() {
    for source in [
        "import \"/etc/passwd\" as x;",
        "eval(\"1\")",
        "open_file(\"x\")",
    ] {
        let stopped = play(source).await.stopped();
        assert!(stopped.contains("Mistake"), "{source}: {stopped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_ended() {
    for (source, hint) in [
        ("loop { }", "it looks like a loop without an end"),
        ("fn f(n) { f(n + 1) + 1 }\nf(0)", "Stack overflow"),
        ("let s = \"x\"; loop { s += s; }", "my.rhai:1"),
    ] {
        let stopped = play(source).await.stopped();
        assert!(stopped.contains("Mistake"), "{source}: {stopped}");
        assert!(stopped.contains(hint), "{source}: {stopped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_script_ends_at_its_next_call() {
    for source in [
        "print(\"stop me\"); loop { }",
        "print(\"stop me\"); sleep(\"1h\")",
        "print(\"stop me\"); loop { try { sleep(\"1h\") } catch { } }",
        "concurrently([|| { print(\"stop me\"); sleep(\"1h\") }, || sleep(\"1h\")])",
    ] {
        let playing = play_with(source, &[], CancellationToken::new());
        let played = tokio::time::timeout(Duration::from_secs(20), playing).await;
        let ended = played.expect("it ends when it is told to").ended;
        let cancelled = Err(Ending::Stopped(Stopped::Cancelled));
        assert_eq!(ended, cancelled, "{source}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_run_at_once_on_copies_of_what_they_capture() {
    let source = r#"
        let begin = elapsed_ms();
        let n = 1;
        let got = concurrently([
            || { n += 1; sleep("400ms"); n },
            || { n += 10; sleep("400ms"); n },
            || { sleep("400ms"); n },
        ]);
        expect(got == [2, 11, 1], `each branch has its own: ${got}`);
        expect(n == 1, "and leaves the original alone");
        expect(elapsed_ms() - begin < 1100.0, "all at once");
        let named = concurrently(nodes(), |node| node.name);
        expect(named == ["node-1", "node-2"], `one branch per item: ${named}`);
    "#;
    let played = play(source).await;
    assert_eq!(played.ended, Ok(()));
    let broken: Vec<_> = played
        .claims
        .expectations
        .iter()
        .filter(|e| !e.held)
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(played.claims.expectations.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_makes_the_same_choices() {
    let source = r#"
        let r = random(42);
        metric("a", r.int(1, 1000000), "");
        metric("b", r.float(), "");
        metric("c", r.pick([1, 2, 3, 4, 5, 6, 7]), "");
        metric("d", r.shuffle([1, 2, 3, 4, 5, 6, 7])[0], "");
    "#;
    let first = play(source).await.metrics;
    assert_eq!(first.len(), 4);
    assert_eq!(play(source).await.metrics, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_given_exactly_what_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, _writer) = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
    let backend = Arc::new(Puppet::default());
    let host = host(&backend, recorder, &[], CancellationToken::new()).await;
    let given = api::register(&mut rhai::Engine::new(), &host, &Weak::new());
    let described: BTreeSet<_> = api::docs().map(api::Doc::name).collect();
    assert_eq!(given, described);
}
