//! What a node says about its own link, as scripts wait for it.

use crate::bench::Bench;

#[test]
fn a_cut_is_waited_for_until_the_node_has_noticed_it() {
    let bench = Bench::new();
    let script = bench.script(
        "cut(2);
         let id = node(2).create(\"event\", #{});
         let took = node(2).await_disconnected(\"30s\");
         expect(!node(2).health()[\"sync\"].connected, `noticed after ${took} ms`);
         heal(2);
         await_visible(id, \"30s\");\n",
    );
    let ran = bench.run(&["run", script]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn a_link_that_stays_is_a_broken_claim_and_no_endless_loop() {
    let bench = Bench::new();
    let script = bench.script(
        "node(1).create(\"event\", #{});
         node(1).await_disconnected(\"200ms\");
         expect(false, \"it went on\");\n",
    );
    let ran = bench.run(&["run", script]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    let why = "node-1 is without its link to the relay within 200ms (it still has it)";
    assert!(ran.stdout.contains(why), "{}", ran.stdout);
    assert!(!ran.stdout.contains("it went on"), "{}", ran.stdout);
}
