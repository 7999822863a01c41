//! `docs/scenarios.md` is made from the table of functions, and the table is what scripts get.

use std::collections::BTreeSet;
use std::path::Path;

use loom_tui::scenario::api::{Doc, docs, markdown};
use loom_tui::scenario::{catalogue, engine};

#[test]
fn the_page_is_what_the_table_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scenarios.md");
    let fresh = markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        kept == fresh,
        "docs/scenarios.md is stale: UPDATE_DOCS=1 cargo test -p loom-tui --test scenario_docs"
    );
}

#[test]
fn every_built_in_scenario_can_be_read() {
    for scenario in catalogue() {
        assert_eq!(engine::check(&scenario), Ok(()), "{}", scenario.name);
    }
}

#[test]
fn the_example_of_the_page_can_be_read() {
    let page = markdown();
    let example = page.split("```js\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let scenario = loom_tui::scenario::Scenario {
        name: "example".to_owned(),
        file: "example.rhai".to_owned(),
        source: example.to_owned().into(),
    };
    assert_eq!(engine::check(&scenario), Ok(()));
}

#[test]
fn no_function_is_described_twice_in_the_same_words() {
    let usages: Vec<_> = docs().map(|doc| doc.usage).collect();
    let distinct: BTreeSet<_> = usages.iter().collect();
    assert_eq!(usages.len(), distinct.len());
    assert!(docs().map(Doc::name).all(|name| !name.is_empty()));
}
