//! A real gun.js peer in a process of its own, and what its callbacks say.
//!
//! [`Puppet`] is the door. It remembers every event, so that a test can wait for what may have
//! happened already; `puppet.js` is the other end.

#![allow(dead_code, reason = "each test target uses its own part")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Long enough for a loaded machine; nothing waits for it to pass.
const SOON: Duration = Duration::from_secs(20);

/// A way to run gun.js.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The library without any storage: only the far end can answer it.
    Bare,
    /// As in a page, with `localStorage`, which answers first.
    Page,
    /// The library with SEA, which signs what its user writes and checks what it hears.
    Signed,
    /// The build for servers, which routes by subscription.
    ServerAxe,
    /// The build for servers, which floods.
    ServerFlood,
}

/// Part of a path through the graph.
pub(crate) type Step<'a> = &'a str;

/// What a callback of `on` or `once` will be called; its events carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call(u64);

/// A gun.js peer.
#[derive(Debug)]
pub(crate) struct Puppet {
    _process: Child,
    strings: ChildStdin,
    events: UnboundedReceiver<Value>,
    heard: Vec<Value>,
    calls: u64,
    _home: tempfile::TempDir,
}

impl Puppet {
    /// Starts one that knows `peers`, such as `http://127.0.0.1:8765/gun`.
    pub(crate) async fn start(modules: &Path, kind: Kind, peers: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let settings = json!({
            "modules": modules,
            "kind": match kind {
                Kind::Bare => "bare",
                Kind::Page => "page",
                Kind::Signed => "signed",
                Kind::ServerAxe | Kind::ServerFlood => "server",
            },
            "axe": kind == Kind::ServerAxe,
            "peers": peers,
        });
        let script = Path::new(file!()).with_file_name("puppet.js");
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut process = Command::new("node")
            .arg(workspace.join(script))
            .arg(settings.to_string())
            // Nothing it might leave behind stays.
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, events) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let event = serde_json::from_str(&line);
                let event = event.unwrap_or_else(|why| panic!("{line:?} is no event: {why}"));
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let mut puppet = Self {
            strings: process.stdin.take().unwrap(),
            _process: process,
            events,
            heard: Vec::new(),
            calls: 0,
            _home: home,
        };
        puppet
            .event("it is ready", |event| event["ready"] == true)
            .await;
        puppet
    }

    /// The same, once its link is up. Server builds open theirs with their first message.
    pub(crate) async fn linked(modules: &Path, kind: Kind, peer: &str) -> Self {
        let mut puppet = Self::start(modules, kind, &[peer]).await;
        if matches!(kind, Kind::Bare | Kind::Page | Kind::Signed) {
            puppet.links_up(1).await;
        }
        puppet
    }

    /// Calls `put` and waits until gun.js calls back.
    pub(crate) async fn put(&mut self, path: &[Step<'_>], value: Value) {
        let call = self.start_put(path, value).await;
        self.acked(call).await;
    }

    /// The same with a value as JSON, which may hold strings that Rust cannot.
    pub(crate) async fn put_json(&mut self, path: &[Step<'_>], value: &str) {
        let command = json!({ "do": "putText", "path": path, "json": value });
        let call = self.command(command).await;
        self.acked(call).await;
    }

    /// Calls `put` and does not wait.
    pub(crate) async fn start_put(&mut self, path: &[Step<'_>], value: Value) -> Call {
        self.command(json!({ "do": "put", "path": path, "value": value }))
            .await
    }

    /// `put` with a stamp of the test's choice.
    pub(crate) async fn put_at(&mut self, path: &[Step<'_>], value: Value, state: f64) -> Call {
        let command = json!({ "do": "put", "path": path, "value": value, "state": state });
        self.command(command).await
    }

    /// Calls `set` and waits until gun.js calls back.
    pub(crate) async fn set(&mut self, path: &[Step<'_>], value: Value) {
        let call = self.start_set(path, value).await;
        self.acked(call).await;
    }

    /// Calls `set` and does not wait.
    pub(crate) async fn start_set(&mut self, path: &[Step<'_>], value: Value) -> Call {
        self.command(json!({ "do": "set", "path": path, "value": value }))
            .await
    }

    /// Makes an account; its key. The user is signed in from then on.
    pub(crate) async fn sign_up(&mut self, name: &str, password: &str) -> String {
        let command = json!({ "do": "signUp", "name": name, "password": password });
        let call = self.command(command).await;
        self.key_of(call).await
    }

    /// Signs in to an account that was made somewhere else; its key.
    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) -> String {
        let command = json!({ "do": "signIn", "name": name, "password": password });
        let call = self.command(command).await;
        self.key_of(call).await
    }

    async fn key_of(&mut self, call: Call) -> String {
        let event = self.event_of(call, "an account", |_| true).await;
        assert!(event["err"].is_null(), "{event}");
        event["pub"].as_str().unwrap().to_owned()
    }

    /// Waits for the callback of a `put`, which must report an error; what it says.
    pub(crate) async fn refused(&mut self, call: Call) -> String {
        let ack = self.event_of(call, "a refusal", |_| true).await;
        let why = ack["err"].as_str();
        why.unwrap_or_else(|| panic!("not refused: {ack}"))
            .to_owned()
    }

    /// Tells it of one more peer.
    pub(crate) async fn add_peer(&mut self, peer: &str) {
        self.command(json!({ "do": "peer", "peer": peer })).await;
    }

    /// Waits for the callback of a `put`, which must not report an error.
    pub(crate) async fn acked(&mut self, call: Call) {
        let ack = self.event_of(call, "an acknowledgement", |_| true).await;
        assert!(ack["err"].is_null(), "{ack}");
    }

    /// What `once` calls back with; `None` is JavaScript's `undefined`.
    pub(crate) async fn once(&mut self, path: &[Step<'_>]) -> Option<Value> {
        let call = self.command(json!({ "do": "once", "path": path })).await;
        let event = self.event_of(call, "once calls back", |_| true).await;
        event.get("data").cloned()
    }

    /// The same as JSON, which may hold strings that Rust cannot.
    pub(crate) async fn once_json(&mut self, path: &[Step<'_>]) -> String {
        let call = self
            .command(json!({ "do": "onceText", "path": path }))
            .await;
        let event = self.event_of(call, "once calls back", |_| true).await;
        event["json"]
            .as_str()
            .expect("there is something")
            .to_owned()
    }

    /// Subscribes; a step that is null stands for `map()`, one that is an object for a lex.
    pub(crate) async fn on(&mut self, path: Value) -> Call {
        self.command(json!({ "do": "on", "path": path })).await
    }

    /// `once` for each of several: the same as [`Self::on`], but each calls back once.
    pub(crate) async fn once_each(&mut self, path: Value) -> Call {
        self.command(json!({ "do": "once", "path": path })).await
    }

    /// Sends a get past the API.
    pub(crate) async fn ask(&mut self, get: Value) -> Call {
        self.command(json!({ "do": "ask", "get": get })).await
    }

    /// A field of its own graph as (value, stamp), once `wanted` holds of it.
    pub(crate) async fn until_held(
        &mut self,
        soul: &str,
        field: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> (Value, f64) {
        let asking = async {
            loop {
                let command = json!({ "do": "held", "soul": soul, "field": field });
                let call = self.command(command).await;
                let held = self.event_of(call, "what is held", |_| true).await;
                if wanted(&held["data"]) {
                    return (held["data"].clone(), held["state"].as_f64().unwrap());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let held = tokio::time::timeout(SOON, asking).await;
        held.unwrap_or_else(|_| panic!("{soul}/{field} does not become as wanted"))
    }

    /// A field as others hold it, as (value, stamp).
    pub(crate) async fn asked(&mut self, soul: &str, field: &str) -> (Value, f64) {
        self.once(&[soul, field]).await;
        self.until_held(soul, field, |value| !value.is_null()).await
    }

    /// The name it greets with.
    pub(crate) async fn pid(&mut self) -> Value {
        let call = self.command(json!({ "do": "pid" })).await;
        self.event_of(call, "its name", |_| true).await["pid"].clone()
    }

    /// All it holds of a soul, without asking anybody: `data` and `states`, by field.
    pub(crate) async fn graph_of(&mut self, soul: &str) -> Value {
        let call = self.command(json!({ "do": "graph", "soul": soul })).await;
        self.event_of(call, "what is held", |_| true).await
    }

    /// Cuts its links. gun.js tries again about two seconds later; until then it is offline.
    pub(crate) async fn drop_links(&mut self) {
        let downs = self.count(|event| event["link"] == "down");
        let call = self.command(json!({ "do": "drop" })).await;
        let dropped = self.event_of(call, "links drop", |_| true).await;
        assert!(dropped["dropped"].as_u64() > Some(0), "it had no link");
        self.times("its link is down", downs + 1, |event| {
            event["link"] == "down"
        })
        .await;
    }

    /// Waits until a link has come up for the `times`-th time.
    pub(crate) async fn links_up(&mut self, times: usize) {
        self.times("its link is up", times, |event| event["link"] == "up")
            .await;
    }

    /// Waits until a link has gone down for the `times`-th time.
    pub(crate) async fn links_down(&mut self, times: usize) {
        self.times("its link is down", times, |event| event["link"] == "down")
            .await;
    }

    /// Whether something written now would go nowhere.
    pub(crate) async fn is_offline(&mut self) -> bool {
        let call = self.command(json!({ "do": "links" })).await;
        self.event_of(call, "a count of links", |_| true).await["up"] == 0
    }

    /// The first event of a call that is as wanted.
    pub(crate) async fn event_of(
        &mut self,
        Call(id): Call,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        self.event(what, |event| event["id"] == id && wanted(event))
            .await
    }

    /// Waits until a call has called back with all of these (key, data), in any order.
    pub(crate) async fn all_of(&mut self, call: Call, wanted: &[(&str, Value)]) {
        for (key, data) in wanted {
            let what = format!("{key:?} is {data}");
            self.event_of(call, &what, |event| {
                event["key"] == *key && event.get("data") == Some(data)
            })
            .await;
        }
    }

    /// Whether a call has called back, as far as was listened.
    pub(crate) fn has_called_back(&mut self, Call(id): Call) -> bool {
        while let Ok(event) = self.events.try_recv() {
            self.heard.push(event);
        }
        self.heard.iter().any(|event| event["id"] == id)
    }

    /// The keys a call has called back with so far.
    pub(crate) fn keys_of(&self, Call(id): Call) -> Vec<&str> {
        let events = self.heard.iter().filter(|event| event["id"] == id);
        events.filter_map(|event| event["key"].as_str()).collect()
    }

    /// What a call has called back with so far under this key.
    pub(crate) fn data_of(&self, Call(id): Call, key: &str) -> Vec<Value> {
        let events = self.heard.iter().filter(|event| event["id"] == id);
        let events = events.filter(|event| event["key"] == key);
        events.map(|event| event["data"].clone()).collect()
    }

    async fn event(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.times(what, 1, wanted).await
    }

    /// The `times`-th event that is as wanted, counting those heard already.
    async fn times(&mut self, what: &str, times: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut left = times;
        let mut looked_at = 0;
        let listening = async {
            loop {
                while let Some(event) = self.heard.get(looked_at) {
                    looked_at += 1;
                    left -= usize::from(wanted(event));
                    if left == 0 {
                        return event.clone();
                    }
                }
                let event = self.events.recv().await;
                self.heard
                    .push(event.unwrap_or_else(|| panic!("gun.js ended before {what}")));
            }
        };
        match tokio::time::timeout(SOON, listening).await {
            Ok(event) => event,
            Err(_) => panic!("not within {SOON:?}: {what}; heard {}", self.last_heard()),
        }
    }

    fn count(&self, wanted: impl Fn(&Value) -> bool) -> usize {
        self.heard.iter().filter(|event| wanted(event)).count()
    }

    /// The end of what was heard, each event cut short.
    fn last_heard(&self) -> String {
        let from = self.heard.len().saturating_sub(20);
        let events = self.heard[from..].iter().map(|event| {
            let text = event.to_string();
            text.chars().take(200).collect::<String>()
        });
        events.collect::<Vec<_>>().join("\n")
    }

    async fn command(&mut self, mut command: Value) -> Call {
        self.calls += 1;
        command["id"] = self.calls.into();
        let line = format!("{command}\n");
        self.strings.write_all(line.as_bytes()).await.unwrap();
        Call(self.calls)
    }
}
