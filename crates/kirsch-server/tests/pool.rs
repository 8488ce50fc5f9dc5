//! What the thread pool promises to clients, seen from outside.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use kirsch_server::{Config, Exchange, Limits, Timeouts};

use support::{Client, PATIENCE, Running, answer, serve, until};

fn config(threads: usize) -> Config {
    Config {
        threads,
        ..Config::default()
    }
}

/// A gateway whose `/wait` says that it is inside, and then waits for a word.
struct Gate {
    running: Running,
    inside: Receiver<()>,
    word: Sender<()>,
}

fn gate(config: Config) -> Gate {
    let (came, inside) = channel();
    let (word, go) = channel();
    let (came, go) = (Mutex::new(came), Mutex::new(go));
    let running = serve(config, move |exchange: Exchange| {
        if exchange.request().path() == b"/wait" {
            came.lock()
                .expect("no panic")
                .send(())
                .expect("the test runs");
            // Without a word the test is over.
            let _ = go.lock().expect("no panic").recv();
        }
        answer(exchange, "hello");
    });
    Gate {
        running,
        inside,
        word,
    }
}

impl Gate {
    /// A client whose request blocks a thread now.
    fn block_a_thread(&self) -> Client {
        let mut client = self.running.connect();
        client.ask("/wait");
        self.inside.recv_timeout(PATIENCE).expect("it is run");
        client
    }

    fn release(&self) {
        self.word.send(()).expect("the gateway listens");
    }
}

#[test]
fn quick_requests_are_run_by_who_drives() {
    const ROUNDS: usize = 1250;
    let running = serve(config(10), |exchange| answer(exchange, "hello"));
    let mut clients: Vec<Client> = (0..8).map(|_| running.connect()).collect();
    for _ in 0..ROUNDS {
        clients.iter_mut().for_each(|client| client.ask("/"));
        for client in &mut clients {
            assert_eq!(client.answer(), (200, "hello".to_owned()));
        }
    }
    let pool = running.server.statistics().pool;
    assert_eq!(pool.jobs, 8 * ROUNDS as u64);
    assert!(pool.hand_overs < pool.jobs / 100, "{pool:?}");
}

#[test]
fn ten_requests_that_wait_for_each_other_overlap() {
    all_at_once(1);
}

#[test]
fn ten_requests_that_wait_for_each_other_three_times_overlap() {
    all_at_once(3);
}

fn all_at_once(waits: usize) {
    let barrier = Barrier::new(10);
    let running = serve(config(10), move |exchange| {
        (0..waits).for_each(|_| {
            barrier.wait();
        });
        answer(exchange, "together");
    });
    let mut clients: Vec<Client> = (0..10).map(|_| running.connect()).collect();
    // At first unforeseen, then forecast.
    for _ in 0..3 {
        clients.iter_mut().for_each(|client| client.ask("/"));
        for client in &mut clients {
            assert_eq!(client.answer(), (200, "together".to_owned()));
        }
    }
}

#[test]
fn a_blocked_thread_delays_no_other_connection() {
    let gate = gate(config(2));
    let mut blocked = gate.block_a_thread();
    let mut other = gate.running.connect();
    for _ in 0..50 {
        assert_eq!(other.get("/").0, 200);
        assert_eq!(gate.running.connect().get("/").0, 200);
    }
    gate.release();
    assert_eq!(blocked.answer().0, 200);
}

#[test]
fn a_server_whose_only_thread_is_blocked_accepts_times_out_and_refuses() {
    let gate = gate(Config {
        limits: Limits {
            queue_jobs: 1,
            ..Limits::default()
        },
        timeouts: Timeouts {
            head: Duration::from_millis(100),
            ..Timeouts::default()
        },
        ..config(1)
    });
    let mut blocked = gate.block_a_thread();
    let mut unfinished = gate.running.connect();
    unfinished.send("GET / HTTP/1.1\r\nHost:");
    assert_eq!(unfinished.answer().0, 408);
    let mut queued = gate.running.connect();
    queued.ask("/");
    until("a request queues", || {
        gate.running.server.statistics().queued == 1
    });
    assert_eq!(gate.running.connect().get("/").0, 503);
    gate.release();
    assert_eq!(blocked.answer().0, 200);
    assert_eq!(queued.answer().0, 200);
    // The thread has the reactor back.
    assert_eq!(gate.running.connect().get("/").0, 200);
}

#[test]
fn a_request_that_waits_too_long_for_a_thread_is_refused_though_nothing_else_happens() {
    let gate = gate(Config {
        timeouts: Timeouts {
            queue: Duration::from_millis(100),
            // No other deadline ends the driver's sleep.
            head: Duration::from_secs(600),
            ..Timeouts::default()
        },
        ..config(1)
    });
    let mut blocked = gate.block_a_thread();
    assert_eq!(gate.running.connect().get("/").0, 503);
    gate.release();
    assert_eq!(blocked.answer().0, 200);
}

#[test]
fn quick_requests_are_served_while_others_compute() {
    let enough = Arc::new(AtomicBool::new(false));
    let computing = Arc::clone(&enough);
    let running = serve(config(4), move |exchange: Exchange| {
        if exchange.request().path() == b"/compute" {
            while !computing.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
        answer(exchange, "hello");
    });
    let mut slow: Vec<Client> = (0..2).map(|_| running.connect()).collect();
    slow.iter_mut().for_each(|client| client.ask("/compute"));
    let mut quick = running.connect();
    for _ in 0..100 {
        assert_eq!(quick.get("/").0, 200);
    }
    enough.store(true, Ordering::Relaxed);
    for client in &mut slow {
        assert_eq!(client.answer().0, 200);
    }
}

#[test]
fn a_gateway_that_panics_costs_its_request_and_no_thread() {
    let running = serve(config(1), |exchange: Exchange| {
        assert_ne!(exchange.request().path(), b"/panic", "as asked");
        answer(exchange, "hello");
    });
    let mut client = running.connect();
    for _ in 0..5 {
        assert_eq!(client.get("/panic").0, 500);
        assert_eq!(client.get("/").0, 200);
    }
    assert_eq!(running.server.statistics().panics, 5);
}
