//! Each command does to a running cluster what it says.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::controller::{Controller, command, until};

/// What `status --json` says of a member.
fn member(controller: &Controller, name: &str) -> Value {
    let members = controller.members();
    let found = members.iter().find(|member| member["member"] == name);
    found.cloned().unwrap()
}

fn done(controller: &Controller, args: &[&str]) -> String {
    let output = controller.ask(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_fault_can_be_made_seen_and_ended() {
    let controller = Controller::start();
    assert_eq!(
        done(&controller, &["kill", "n1", "2"]),
        "node-1 killed\nnode-2 killed\n"
    );
    assert_eq!(member(&controller, "node-1")["life"], "dead");
    assert_eq!(
        member(&controller, "node-2")["last_exit"],
        "signal 9 (SIGKILL)"
    );
    done(&controller, &["wipe", "node-1"]);
    done(&controller, &["start", "node-1", "node-2"]);
    assert_eq!(member(&controller, "node-1")["generation"], 2);
    done(&controller, &["stop", "relay"]);
    assert_eq!(member(&controller, "relay")["life"], "stopped");
    done(&controller, &["restart", "relay", "node-3"]);
    assert_eq!(member(&controller, "relay")["life"], "up");
    assert_eq!(member(&controller, "node-3")["generation"], 2);
    done(&controller, &["suspend", "node-3"]);
    assert_eq!(member(&controller, "node-3")["life"], "suspended");
    done(&controller, &["resume", "node-3"]);
    assert_eq!(member(&controller, "node-3")["life"], "up");
}

#[test]
fn link_faults_compose_and_heal() {
    let controller = Controller::start();
    let degrade = [
        "degrade",
        "node-1",
        "--latency",
        "80ms",
        "--loss",
        "2%",
        "--bandwidth",
        "1mbit",
    ];
    done(&controller, &degrade);
    let said = done(&controller, &["cut", "node-1", "--direction", "up"]);
    assert_eq!(said, "node-1 link cut up, down 80ms 1000 kbit/s 2% lost\n");
    let degraded = json!({
        "cut": false, "latency": 80, "jitter": 0, "bandwidth": 125_000, "loss_permille": 20
    });
    let link = &member(&controller, "node-1")["link"];
    assert_eq!(link["down"], degraded);
    assert_eq!(link["up"]["cut"], true);
    assert_eq!(
        link["up"]["latency"], 80,
        "the cut left the latency as it was"
    );
    done(&controller, &["heal", "node-1"]);
    let link = member(&controller, "node-1")["link"].clone();
    assert_eq!(link["up"]["latency"], 0);

    done(&controller, &["cut", "node-1", "node-2", "--for", "300ms"]);
    until("the lease has run out", || {
        let cut = |name| member(&controller, name)["link"]["up"]["cut"] == true;
        !cut("node-1") && !cut("node-2")
    });
    done(&controller, &["cut", "node-3"]);
    done(&controller, &["suspend", "node-2"]);
    assert_eq!(done(&controller, &["heal"]), "everything healed\n");
    assert_eq!(member(&controller, "node-3")["link"]["up"]["cut"], false);
    assert_eq!(member(&controller, "node-2")["life"], "up");
}

/// A command that goes on, and its output line by line.
struct Following {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn until(&mut self, holds: impl Fn(&str) -> bool) -> String {
        let line = self.lines.find(|line| holds(line.as_ref().unwrap()));
        line.expect("it ended").unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_watched_status_shows_what_changes() {
    let controller = Controller::start();
    let mut watch = command(controller.folder.path());
    watch.args(["status", "--json", "--watch"]);
    let mut watch = Following::start(watch);
    watch.until(|line| line.starts_with('{'));
    done(&controller, &["kill", "node-2"]);
    let line = watch.until(|line| line.contains("\"dead\""));
    let status: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(status["members"][2]["life"], "dead");
}

#[test]
fn logs_are_shown_and_followed() {
    let controller = Controller::start();
    let tail = done(&controller, &["logs", "node-1", "-n", "1"]);
    assert_eq!(tail.lines().count(), 1);
    let mut follow = command(controller.folder.path());
    follow.args(["logs", "node-1", "--follow", "-n", "1"]);
    let mut follow = Following::start(follow);
    follow.until(|line| line == tail.trim_end());
    done(&controller, &["restart", "node-1"]);
    follow.until(|line| line.contains("listening"));
}

#[test]
fn status_is_a_table_for_people() {
    let controller = Controller::start();
    done(&controller, &["kill", "node-2"]);
    let table = done(&controller, &["status"]);
    let pid = controller.process.id().to_string();
    assert!(table.starts_with("local cluster, run by `up`"), "{table}");
    assert!(table.contains(&pid), "{table}");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 6, "{table}");
    assert!(
        rows[4].contains("dead") && rows[4].contains("SIGKILL"),
        "{table}"
    );
}

#[test]
fn only_its_owner_can_reach_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let controller = Controller::start_in(folder, &[]);
    let socket = controller.folder.path().join("control/control.sock");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
}

#[test]
fn what_a_killed_controller_left_behind_is_in_nobodys_way() {
    let mut controller = Controller::start();
    controller.signal(Signal::KILL);
    controller.process.wait().unwrap();
    assert!(
        controller
            .folder
            .path()
            .join("control/control.sock")
            .exists()
    );
    let output = controller.ask(&["status"]);
    assert_eq!(output.status.code(), Some(255));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("no cluster is running"), "{errors}");
    let up = ["up", "--detach", "--base-port", "0", "--relay-port", "0"];
    done(&controller, &up);
    done(&controller, &["status"]);
    done(&controller, &["down"]);
    done(&controller, &up);
    done(&controller, &["down"]);
}

#[test]
fn a_taken_port_is_replaced_and_said() {
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut up = command(folder.path());
    up.args([
        "up",
        "--nodes",
        "1",
        "--relay-port",
        "0",
        "--base-port",
        &port,
    ]);
    let mut up = Following::start(up);
    up.until(|line| line.contains(&format!("port {port} is taken: using")));
    up.until(|line| line.contains("all members answer"));
    let status = command(folder.path()).args(["status", "--json"]).output();
    let status: Value = serde_json::from_slice(&status.unwrap().stdout).unwrap();
    let url = status["members"][1]["url"].as_str().unwrap();
    assert!(!url.ends_with(&port), "{url}");
    // In order, so that nothing is left in the way of the folder's deletion.
    let down = command(folder.path()).arg("down").output().unwrap();
    assert!(down.status.success(), "{down:?}");
}

#[test]
fn data_outlives_a_cluster_that_was_given_a_folder() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    for round in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let controller = Controller::start_in(folder, &["--data-dir", path]);
        let url = member(&controller, "node-1")["url"].clone();
        let url = format!("{}/nodes/kept", url.as_str().unwrap());
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let status = runtime.block_on(async {
            let client = client.unwrap();
            let request = match round {
                0 => client.put(&url).json(&json!({"type": "task"})),
                _ => client.get(&url),
            };
            request.send().await.unwrap().status()
        });
        assert!(status.is_success(), "round {round}: {status}");
        done(&controller, &["down"]);
        assert!(data.path().join("logs/node-1.log").exists());
    }
}
