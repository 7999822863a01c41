//! A page with gun.js in a real browser, and the server it comes from.
//!
//! [`Page`] is the door; `page.html` is the other end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A browser takes a while to start where others are at work.
const SOON: Duration = Duration::from_secs(60);

/// The Chromium to use, or `None` if there is none and nobody insists.
///
/// # Panics
///
/// If there is none and `LOOM_REQUIRE_CHROMIUM=1`.
pub(crate) fn find() -> Option<PathBuf> {
    let named = std::env::var_os("LOOM_CHROMIUM").map(PathBuf::from);
    let usual = ["chromium", "chromium-browser", "google-chrome"].map(PathBuf::from);
    let found = named.into_iter().chain(usual).find(|program| {
        let version = std::process::Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        version.is_ok_and(|status| status.success())
    });
    if found.is_none() {
        let sentence = "there is no Chromium in PATH; apt-get install chromium, or name one with \
                        LOOM_CHROMIUM";
        let is_required = std::env::var_os("LOOM_REQUIRE_CHROMIUM").is_some_and(|it| it == "1");
        assert!(!is_required, "LOOM_REQUIRE_CHROMIUM=1, but {sentence}");
        println!("skipped: {sentence}");
    }
    found
}

/// A page that shows the nodes of a LoomDB.
pub(crate) struct Page {
    // Dropped first: it writes into its home.
    process: Child,
    _home: tempfile::TempDir,
    orders: UnboundedSender<Value>,
    told: UnboundedReceiver<Value>,
    shown: Value,
}

struct Desk {
    script: String,
    orders: Mutex<UnboundedReceiver<Value>>,
    told: UnboundedSender<Value>,
}

impl Page {
    /// Opens it, with the gun.js from `modules`, linked to `relay`.
    pub(crate) async fn open(chromium: &Path, modules: &Path, relay: &str) -> Self {
        let (orders, given) = unbounded_channel();
        let (sender, told) = unbounded_channel();
        let desk = Desk {
            script: std::fs::read_to_string(modules.join("gun/gun.js")).unwrap(),
            orders: Mutex::new(given),
            told: sender,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router(desk)).into_future());
        let home = tempfile::tempdir().unwrap();
        let process = Command::new(chromium)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            // Containers give little shared memory.
            .arg("--disable-dev-shm-usage")
            .arg(format!("--user-data-dir={}", home.path().display()))
            .arg(format!("http://{address}/?relay={relay}"))
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            process,
            _home: home,
            orders,
            told,
            shown: json!({}),
        }
    }

    /// Waits until the texts shown, by id, are as wanted.
    pub(crate) async fn until_shown(&mut self, wanted: impl Fn(&Value) -> bool) {
        while !wanted(&self.shown) {
            self.listen("another page is to be shown").await;
        }
    }

    /// Has the page put a text, and waits until gun.js calls back without an error.
    pub(crate) async fn put(&mut self, id: &str, text: &str) {
        self.orders.send(json!({ "id": id, "text": text })).unwrap();
        loop {
            let event = self.listen("a put is to be acknowledged").await;
            if event["put"] == id {
                assert!(event["err"].is_null(), "{event}");
                return;
            }
        }
    }

    /// Closes it, and waits until the browser is gone.
    pub(crate) async fn close(mut self) {
        self.process.kill().await.unwrap();
    }

    async fn listen(&mut self, what: &str) -> Value {
        let Ok(event) = tokio::time::timeout(SOON, self.told.recv()).await else {
            let over = self.process.try_wait();
            panic!("{what}; it shows {}; ended: {over:?}", self.shown);
        };
        let event = event.expect("the server lives as long as the test");
        if !event["shown"].is_null() {
            self.shown = event["shown"].clone();
        }
        event
    }
}

fn router(desk: Desk) -> Router {
    const PAGE: &str = include_str!("page.html");
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/gun.js", get(script))
        .route("/tell", post(tell))
        .route("/order", get(order))
        .with_state(Arc::new(desk))
}

async fn script(State(desk): State<Arc<Desk>>) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "text/javascript")], desk.script.clone())
}

async fn tell(State(desk): State<Arc<Desk>>, event: String) {
    // The test may have ended.
    let _ = desk.told.send(serde_json::from_str(&event).unwrap());
}

/// Answers when there is something to do.
async fn order(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let order = desk.orders.lock().await.recv().await;
    Json(order.unwrap_or_default())
}
