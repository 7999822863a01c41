//! How what gun.js clients wrote offline arrives, although they never send it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod net;

use net::{Net, START_MS, get, messages, put, relay};
use serde_json::{Value as Json, json};

/// A state in the past.
const T: f64 = (START_MS - 1_000) as f64;

#[test]
fn what_a_gun_client_wrote_offline_arrives_when_it_asks_for_the_soul_again() {
    let mut net = Net::new([relay()]);
    let [a, b] = [0; 2].map(|member| net.client(member));
    net.say(b, put("p1", "s", "f", T, "\"old\""));
    net.heard(a);
    net.heard(b);
    // `a` reconnected with a newer value of its own and re-asks, as gun.js does.
    net.say(a, get("q1", "s"));
    let said = messages(&mut net, a);
    let pull = said.iter().find(|said| said["get"].is_object()).unwrap();
    let question = pull["#"].as_str().unwrap();
    let answer = put("a1", "s", "f", T + 1.0, "\"offline\"");
    net.heard(b);
    net.say(
        a,
        answer.replace("\"put\"", &format!("\"@\":\"{question}\",\"put\"")),
    );
    let heard = messages(&mut net, b);
    assert_eq!(heard[0]["put"]["s"]["f"], "offline");
    net.say(a, get("q2", "s"));
    let again = messages(&mut net, a);
    assert!(
        again.iter().all(|said| said["get"].is_null()),
        "once per connection"
    );
}

#[test]
fn a_client_that_follows_one_field_is_asked_for_the_vertex_and_for_what_it_turns_out_to_link_to() {
    let mut net = Net::new([relay()]);
    let [a, b] = [0; 2].map(|member| net.client(member));
    net.heard(b);
    net.say(a, r##"{"#":"q1","get":{"#":"list",".":"title"}}"##);
    let said = messages(&mut net, a);
    let pull = said.iter().find(|said| said["get"].is_object()).unwrap();
    assert_eq!(pull["get"], json!({"#": "list"}));
    net.heard(b);
    let question = pull["#"].as_str().unwrap();
    let answer = put("a1", "list", "new", T, r##"{"#":"item"}"##);
    let answer = answer.replace("\"put\"", &format!("\"@\":\"{question}\",\"put\""));
    net.say(a, answer);
    let said = messages(&mut net, a);
    let gets: Vec<_> = said.iter().map(|said| &said["get"]).collect();
    assert_eq!(gets, [&json!({"#": "item"})]);
    let heard = messages(&mut net, b);
    assert_eq!(heard[0]["put"]["list"]["new"], json!({"#": "item"}));
}

#[test]
fn a_client_that_is_back_is_asked_for_what_it_wrote_before_it_went() {
    let mut net = Net::new([relay()]);
    let hello = |id: &str| format!(r##"{{"#":"{id}","@":"x","dam":"?","pid":"T4uCJk1oz"}}"##);
    let gets = |net: &mut Net, client| -> Vec<Json> {
        let said = messages(net, client).into_iter();
        said.map(|said| said["get"].clone())
            .filter(|get| !get.is_null())
            .collect()
    };
    let first = net.client(0);
    net.say(first, hello("h1"));
    net.say(first, put("p1", "s", "f", T, "1"));
    assert!(gets(&mut net, first).is_empty());
    // The second link comes up before the end of the first is noticed, the third after that.
    let second = net.client(0);
    net.say(second, hello("h2"));
    assert_eq!(gets(&mut net, second), [json!({"#": "s"})]);
    net.hang_up(first);
    net.hang_up(second);
    let third = net.client(0);
    net.say(third, hello("h3"));
    assert_eq!(gets(&mut net, third), [json!({"#": "s"})]);
    let stranger = net.client(0);
    net.say(stranger, hello("h4").replace("T4uCJk1oz", "somebody"));
    assert!(gets(&mut net, stranger).is_empty());
}
