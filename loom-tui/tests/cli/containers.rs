//! The same commands on containers; skipped where no Docker engine answers.

use std::path::Path;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::controller::{alive, command, until};

/// A cluster of containers of its own in the background, and the engine's own command line.
struct Cluster {
    name: String,
    folder: TempDir,
    controller: i32,
}

impl Cluster {
    /// `None` without an engine.
    fn start() -> Option<Self> {
        let docker = Command::new("docker").args(["version"]).output();
        let answers = docker.is_ok_and(|said| said.status.success());
        if !answers && std::env::var_os("LOOM_REQUIRE_DOCKER").is_none() {
            println!("skipped: `docker version` fails");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let name = format!("loom-cli-{:08x}", rand::random::<u32>());
        let mut cluster = Self {
            name,
            folder,
            controller: 0,
        };
        cluster.up();
        Some(cluster)
    }

    fn up(&mut self) {
        let args = ["up", "--detach", "--backend", "docker", "--nodes", "2"];
        let ports = [
            "--base-port",
            "0",
            "--relay-port",
            "0",
            "--name",
            &self.name,
        ];
        let up = on_engine(self.folder.path())
            .args(args)
            .args(ports)
            .output();
        let up = up.unwrap();
        assert!(up.status.success(), "{up:?}");
        let status: Value = serde_json::from_str(&self.done(&["status", "--json"])).unwrap();
        let pid = status["controller"]["holder"]["pid"].as_i64().unwrap();
        self.controller = i32::try_from(pid).unwrap();
    }

    fn ask(&self, args: &[&str]) -> Output {
        on_engine(self.folder.path()).args(args).output().unwrap()
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.ask(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends the controller as nobody should.
    fn sigkill(&self) {
        kill_process(Pid::from_raw(self.controller).unwrap(), Signal::KILL).unwrap();
        until("the controller is gone", || !alive(self.controller));
    }

    /// Whether a member is on the network of the cluster, by the engine's word.
    fn on_network(&self, member: &str) -> bool {
        let network = format!("{}-network", self.name);
        let container = format!("{}-{member}", self.name);
        docker(&["network", "inspect", &network]).contains(&format!("\"{container}\""))
    }

    fn state(&self, member: &str) -> String {
        let container = format!("{}-{member}", self.name);
        docker(&["inspect", "-f", "{{.State.Status}}", &container])
    }

    fn left(&self) -> Vec<String> {
        let label = format!("label=loom.cluster={}", self.name);
        let lists = [
            &["ps", "-a", "--format", "{{.Names}}"][..],
            &["network", "ls", "--format", "{{.Name}}"],
            &["volume", "ls", "--format", "{{.Name}}"],
        ];
        let lists = lists.map(|list| docker(&[list, &["--filter", &label]].concat()));
        let names = lists.iter().flat_map(|text| text.lines());
        names.map(str::to_owned).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Only matters for a test that failed.
        let _ = Pid::from_raw(self.controller).map(|pid| kill_process(pid, Signal::KILL));
        let _ = self.ask(&["down", "--volumes", "--name", &self.name]);
    }
}

fn on_engine(folder: &Path) -> Command {
    let mut command = command(folder);
    match std::env::var_os("DOCKER_HOST") {
        Some(host) => command.env("DOCKER_HOST", host),
        None => command.env_remove("DOCKER_HOST"),
    };
    command
}

fn docker(args: &[&str]) -> String {
    let said = Command::new("docker").args(args).output().unwrap();
    assert!(said.status.success(), "docker {args:?}: {said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[test]
fn faults_of_a_controller_that_was_killed_are_undone_by_heal() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    cluster.done(&["cut", "node-1"]);
    cluster.done(&["suspend", "node-2"]);
    assert!(!cluster.on_network("node-1"));
    assert_eq!(cluster.state("node-2"), "paused");
    cluster.sigkill();
    assert!(!cluster.on_network("node-1"), "containers outlive it");

    let healed = cluster.done(&["heal", "--name", &cluster.name]);
    assert!(healed.contains(&cluster.name), "{healed}");
    assert!(cluster.on_network("node-1"));
    assert_eq!(cluster.state("node-2"), "running");

    cluster.done(&["down", "--name", &cluster.name]);
    let left = cluster.left();
    let volumes = ["node-1", "node-2", "relay"];
    assert_eq!(
        left,
        volumes.map(|member| format!("{}-{member}-data", cluster.name))
    );
    cluster.done(&["down", "--volumes", "--name", &cluster.name]);
    assert_eq!(cluster.left(), [""; 0]);
}

#[test]
fn the_next_start_undoes_what_a_killed_controller_left_and_keeps_the_data() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    cluster.done(&["cut", "node-1"]);
    cluster.sigkill();
    cluster.up();
    assert!(cluster.on_network("node-1"));
    let another = on_engine(cluster.folder.path())
        .env("LOOM_CONTROL", cluster.folder.path().join("other.sock"))
        .args(["up", "--backend", "docker", "--name", &cluster.name])
        .output()
        .unwrap();
    let why = String::from_utf8(another.stderr).unwrap();
    assert!(why.contains("another loom-tui runs it"), "{why}");

    cluster.done(&["down", "--volumes"]);
    until("nothing is left", || cluster.left().is_empty());
    until("its controller is gone", || !alive(cluster.controller));
}
