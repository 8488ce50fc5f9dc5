//! A server that has nothing to do sleeps. A file of its own: it looks at its process' threads.

#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use support::{Bodies, PATIENCE, TestServer, echo};

/// In this time a watcher that ticks would have slept and woken 300 times.
const INTERVAL: Duration = Duration::from_millis(300);

#[test]
fn an_idle_server_sleeps() {
    let running = TestServer::start(|config| config.threads = 10, Bodies::Buffered, echo);
    let mut client = running.connect();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 200);
    }
    // The connection stays open, and the watcher takes a while to lie down. A thread that has not begun has
    // no name yet.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = sleeps();
        thread::sleep(INTERVAL);
        let after = sleeps();
        if before == after && before.len() == 11 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "ten threads and the watcher: {before:?} {after:?}"
        );
    }
}

/// How often each of the server's threads has gone to sleep.
fn sleeps() -> BTreeMap<String, u64> {
    let tasks = fs::read_dir("/proc/self/task").expect("a process");
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).ok();
    tasks
        .filter_map(|task| status(task.ok()?))
        .filter_map(|status| {
            let value = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.trim().to_owned())
            };
            let name = value("Name:")?;
            let count = value("voluntary_ctxt_switches:")?.parse().ok()?;
            name.starts_with("kirsch-").then_some((name, count))
        })
        .collect()
}
