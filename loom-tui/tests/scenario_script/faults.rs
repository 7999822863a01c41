//! Faults are done in the order they are written, add up, and are recorded at both ends.

use loom_tui::check::Stopped;
use loom_tui::history::{Action, OpType, Process};
use loom_tui::scenario::trouble::Ending;

use crate::stage::play;

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_one_link_add_up_and_heal_clears_them() {
    let source = r#"
        degrade(1, #{ latency: "80ms" });
        cut_one_way(node(1), "up");
        cut("node-2");
        heal(1);
        heal_all();
    "#;
    let played = play(source).await;
    assert_eq!(played.ended, Ok(()));
    let expected = [
        "node-1 up 80ms down 80ms",
        "node-1 up cut+80ms down 80ms",
        "node-2 up cut down cut",
        "node-1 up clear down clear",
        "heal",
    ];
    assert_eq!(played.done, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_named_by_handle_number_or_name() {
    let source = r#"
        kill(node(1)); start(1); suspend("n2"); resume("node-2"); restart(relay()); stop("relay");
    "#;
    let played = play(source).await;
    assert_eq!(played.ended, Ok(()));
    let expected = [
        "kill node-1",
        "start node-1",
        "suspend node-2",
        "resume node-2",
        "stop relay",
        "start relay",
        "stop relay",
    ];
    assert_eq!(played.done, expected);
    // Both ends of each, by the nemesis.
    assert_eq!(played.ops.len(), 12);
    assert!(
        (played.ops.iter()).all(|op| op.process == Process::Nemesis && op.kind == OpType::Info)
    );
    assert_eq!(played.ops[8].f, Action::Restart);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_the_rig_cannot_make_is_the_rigs_failure() {
    let played = play("wipe(relay())").await;
    let Err(Ending::Rig(error)) = &played.ended else {
        panic!("{played:?}");
    };
    assert_eq!(error.doing, "wipe relay");
    assert!(
        played.ops[1]
            .error
            .as_deref()
            .unwrap()
            .contains("stop it first")
    );
    // Unless the script expects it.
    let caught =
        play("try { wipe(relay()) } catch (e) { expect(e.kind == \"rig\", e.text) }").await;
    assert_eq!(caught.ended, Ok(()));
    assert!(caught.claims.expectations[0].held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_makes_no_sense_is_the_scripts_failure_not_the_rigs() {
    let played = play("step(\"x\");\nwipe(1);").await;
    let Err(Ending::Stopped(Stopped::Cluster(why))) = &played.ended else {
        panic!("{played:?}");
    };
    assert_eq!(
        why,
        "wipe node-1: it is running; stop it first (my.rhai:2:1)"
    );
    let caught = play("try { wipe(1) } catch (e) { expect(e.kind == \"refused\", e.text) }").await;
    assert_eq!(caught.ended, Ok(()));
    assert!(caught.claims.expectations[0].held);
}
