//! What the thread pool promises to clients, seen from outside.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use kirsch_server::{Config, Exchange};

use support::{Bodies, Client, PATIENCE, TestServer, get, ok};

/// A server whose gateway gets whole requests.
fn serve(
    change: impl FnOnce(&mut Config),
    handle: impl Fn(Exchange) + Send + Sync + 'static,
) -> TestServer {
    TestServer::start(change, Bodies::Buffered, handle)
}

fn threads(count: usize) -> impl FnOnce(&mut Config) {
    move |config| config.threads = count
}

/// A gateway whose `/wait` says that it is inside, and then waits for a word.
struct Gate {
    running: TestServer,
    inside: Receiver<()>,
    word: Sender<()>,
}

fn gate(change: impl FnOnce(&mut Config)) -> Gate {
    let (came, inside) = channel();
    let (word, go) = channel();
    let (came, go) = (Mutex::new(came), Mutex::new(go));
    let running = serve(change, move |exchange: Exchange| {
        if exchange.request().path() == b"/wait" {
            came.lock()
                .expect("no panic")
                .send(())
                .expect("the test runs");
            // Without a word the test is over.
            let _ = go.lock().expect("no panic").recv();
        }
        exchange.respond(ok(), b"hello");
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
        client.send(get("/wait"));
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
    let running = serve(threads(10), |exchange| exchange.respond(ok(), b"hello"));
    let mut clients: Vec<Client> = (0..8).map(|_| running.connect()).collect();
    for _ in 0..ROUNDS {
        clients.iter_mut().for_each(|client| {
            client.send(get("/"));
        });
        for client in &mut clients {
            assert_eq!(client.response().text(), "hello");
        }
    }
    let pool = running.server.statistics().pool;
    assert_eq!(pool.jobs, 8 * ROUNDS as u64);
    assert!(pool.hand_overs < pool.jobs / 100, "{pool:?}");
}

/// Takes as long as an ordinary page.
fn compute() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(60) {
        std::hint::spin_loop();
    }
}

#[test]
fn responses_of_a_crowd_are_sent_together_and_every_one_of_them() {
    let running = serve(threads(1), |exchange| {
        compute();
        exchange.respond(ok(), b"hello");
    });
    let mut clients: Vec<Client> = (0..32).map(|_| running.connect()).collect();
    for _ in 0..100 {
        for client in &mut clients {
            // Two at once: the second is there when the first is sent.
            client.send([get("/"), get("/")].concat());
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), "hello");
            assert_eq!(client.response().text(), "hello");
        }
        if running.server.statistics().corked > 100 {
            return;
        }
    }
    panic!("{:?}", running.server.statistics());
}

#[test]
fn a_response_does_not_wait_for_what_runs_behind_it() {
    let (word, go) = channel::<()>();
    let go = Mutex::new(go);
    // The second for requests that come after the one that blocks.
    let running = serve(threads(2), move |mut exchange| {
        compute();
        let last = exchange.request().path() == b"/last";
        exchange.begin(ok(), Some(5));
        exchange.put(b"hello").expect("the client is there");
        if last {
            // Its own response is whole, those before it may wait with it, and now nothing goes on here.
            let _ = go.lock().expect("no panic").recv();
        }
        exchange.finish();
    });
    for round in 0..20 {
        let mut clients: Vec<Client> = (0..16).map(|_| running.connect()).collect();
        for (idx, client) in clients.iter_mut().enumerate() {
            client.send(get(if idx == 15 { "/last" } else { "/" }));
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), "hello", "round {round}");
        }
        word.send(()).expect("the gateway listens");
    }
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
    let running = serve(threads(10), move |exchange| {
        (0..waits).for_each(|_| {
            barrier.wait();
        });
        exchange.respond(ok(), b"together");
    });
    let mut clients: Vec<Client> = (0..10).map(|_| running.connect()).collect();
    // At first unforeseen, then forecast.
    for _ in 0..3 {
        clients.iter_mut().for_each(|client| {
            client.send(get("/"));
        });
        for client in &mut clients {
            assert_eq!(client.response().text(), "together");
        }
    }
}

#[test]
fn a_blocked_thread_delays_no_other_connection() {
    let gate = gate(threads(2));
    let mut blocked = gate.block_a_thread();
    let mut other = gate.running.connect();
    for _ in 0..50 {
        assert_eq!(other.get("/").status, 200);
        assert_eq!(gate.running.connect().get("/").status, 200);
    }
    gate.release();
    assert_eq!(blocked.response().status, 200);
}

#[test]
fn a_server_whose_only_thread_is_blocked_accepts_times_out_and_refuses() {
    let gate = gate(|config| {
        config.threads = 1;
        config.limits.queue_jobs = 1;
        config.timeouts.head = Duration::from_millis(100);
    });
    let mut blocked = gate.block_a_thread();
    let mut unfinished = gate.running.connect();
    unfinished.send("GET / HTTP/1.1\r\nHost:");
    assert_eq!(unfinished.response().status, 408);
    let mut queued = gate.running.connect();
    queued.send(get("/"));
    gate.running
        .until("a request queues", |now| now.queued == 1);
    assert_eq!(gate.running.connect().get("/").status, 503);
    gate.release();
    assert_eq!(blocked.response().status, 200);
    assert_eq!(queued.response().status, 200);
    // The thread has the reactor back.
    assert_eq!(gate.running.connect().get("/").status, 200);
}

#[test]
fn a_request_that_waits_too_long_for_a_thread_is_refused_though_nothing_else_happens() {
    let gate = gate(|config| {
        config.threads = 1;
        config.timeouts.queue = Duration::from_millis(100);
        // No other deadline ends the driver's sleep.
        config.timeouts.head = Duration::from_secs(600);
    });
    let mut blocked = gate.block_a_thread();
    assert_eq!(gate.running.connect().get("/").status, 503);
    gate.release();
    assert_eq!(blocked.response().status, 200);
}

#[test]
fn quick_requests_are_served_while_others_compute() {
    let enough = Arc::new(AtomicBool::new(false));
    let computing = Arc::clone(&enough);
    let running = serve(threads(4), move |exchange: Exchange| {
        if exchange.request().path() == b"/compute" {
            while !computing.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
        exchange.respond(ok(), b"hello");
    });
    let mut slow: Vec<Client> = (0..2).map(|_| running.connect()).collect();
    slow.iter_mut().for_each(|client| {
        client.send(get("/compute"));
    });
    let mut quick = running.connect();
    for _ in 0..100 {
        assert_eq!(quick.get("/").status, 200);
    }
    enough.store(true, Ordering::Relaxed);
    for client in &mut slow {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_gateway_that_panics_costs_its_request_and_no_thread() {
    let running = serve(threads(1), |exchange: Exchange| {
        assert_ne!(exchange.request().path(), b"/panic", "as asked");
        exchange.respond(ok(), b"hello");
    });
    let mut client = running.connect();
    for _ in 0..5 {
        assert_eq!(client.get("/panic").status, 500);
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(running.server.statistics().panics, 5);
}
