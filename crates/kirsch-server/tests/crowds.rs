//! Four threads and thousands of clients that hold on to whatever they can: a good client does not
//! notice, and when they have gone, nothing is left of them.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kirsch_server::{Doing, Exchange, Statistics};
use socket2::{Domain, SockAddr, Socket, Type};
use support::{Bodies, Client, PATIENCE, TestServer, echo, get, ok, pattern, post};

/// What must be the same before and after.
#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    descriptors: usize,
    threads: usize,
    buffer_bytes: u64,
    spool_bytes: u64,
}

impl Footprint {
    fn now(statistics: &Statistics) -> Footprint {
        let entries = |folder| fs::read_dir(folder).expect("proc is mounted").count();
        Footprint {
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            buffer_bytes: statistics.buffer_bytes,
            spool_bytes: statistics.spool_bytes,
        }
    }
}

/// A client for which the kernels of both sides keep little.
fn connect(address: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    socket.set_recv_buffer_size(4096).expect("a socket");
    socket
        .connect(&SockAddr::from(address))
        .expect("the server listens");
    Client::new(socket.into())
}

/// As many of `count` as the limit of descriptors allows: two and a spool file for each client.
fn scaled(count: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let allowed = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    // 6,500 clients in all, and room for the rest of the process.
    let scaled = count.min(count * allowed.saturating_sub(500) / (3 * 6500));
    if scaled < count {
        eprintln!(
            "only {scaled} of {count} clients: no more than {allowed} descriptors are allowed"
        );
    }
    scaled
}

fn block_by_block(mut exchange: Exchange) {
    if exchange.request().target() != b"/large" {
        return echo(exchange);
    }
    exchange.begin(ok(), None);
    let block = pattern(32 * 1024);
    for _ in 0..32 {
        if exchange.put(&block).is_err() {
            return;
        }
    }
    exchange.finish();
}

#[test]
fn a_good_client_is_served_among_thousands_that_hold_on_and_nothing_is_left_of_them() {
    let server = TestServer::start(
        |config| {
            config.limits.buffer_memory_bytes = 100_000_000;
            // They come faster than four threads write their responses to the disk.
            config.limits.queue_jobs = 10_000;
            // Nobody must go before the others have come, however long a busy machine takes for these.
            config.timeouts.head = PATIENCE * 3;
            config.timeouts.body = PATIENCE * 3;
            config.timeouts.body_grace = PATIENCE * 3;
            config.timeouts.queue = PATIENCE * 3;
            config.timeouts.write = PATIENCE * 3;
        },
        Bodies::Buffered,
        block_by_block,
    );
    let address = server.address();
    let mut good = server.connect();
    assert_eq!(good.get("/first").text(), "/first");
    let before = Footprint::now(&server.server.statistics());

    let crowd = |count: usize, request: &[u8]| -> Vec<Client> {
        let open = |_| {
            let mut client = connect(address);
            client.send(request);
            client
        };
        (0..scaled(count)).map(open).collect()
    };
    let mut uploads = crowd(2000, &post("/upload", &pattern(40_000))[..30_000]);
    let expecting =
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n";
    let mut expecting = crowd(2000, expecting.as_bytes());
    let unread = crowd(2000, get("/large").as_bytes());
    let heads = crowd(500, b"GET / HTTP/1.1\r\nHost: te");
    let all = (1 + uploads.len() + expecting.len() + unread.len() + heads.len()) as u64;
    let requests = all - heads.len() as u64;
    server.until("all there", |now| {
        let quiet = !now.threads.contains(&Doing::Running);
        now.accepted == all && now.requests == requests && now.queued == 0 && quiet
    });
    // The kernel may keep all of some responses.
    assert!(server.server.statistics().outran > 100);

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // The first byte comes when it was asked for, the others one at a time.
            while !done.load(Ordering::SeqCst) {
                for client in expecting.iter_mut().chain(&mut uploads) {
                    client.try_send("x");
                }
            }
        });
        for idx in 0..500 {
            let path = format!("/good/{idx}");
            assert_eq!(good.get(&path).text(), path);
            if idx % 10 == 0 {
                let body = pattern(1000 * idx);
                let answer = server.connect().send(post("/", &body)).response();
                assert!(answer.body == [b"/", &body[..]].concat(), "{idx}");
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    let statistics = server.server.statistics();
    assert_eq!(
        (statistics.panics, statistics.evicted, statistics.refused),
        (0, 0, 0)
    );

    // Some leave politely, some do not.
    for (idx, client) in uploads
        .into_iter()
        .chain(expecting)
        .chain(unread)
        .chain(heads)
        .enumerate()
    {
        match idx % 2 {
            0 => client.reset(),
            _ => drop(client),
        }
    }
    server.until("all have gone", |now| now.connections == 1);
    server.until("nothing is left", |now| Footprint::now(now) == before);
    assert_eq!(good.get("/last").text(), "/last");
}
