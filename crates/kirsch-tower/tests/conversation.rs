//! One request and its response as a task: how they stream, wait, fail and end.

mod support;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use kirsch_tower::{BoxError, RequestBody, Runtime, TowerGateway};
use support::{
    End, PATIENCE, TestServer, endless, get, guards, pattern, post, serve, serve_with, streamed,
};
use tokio::sync::{Barrier, Semaphore};
use tower::{Service, service_fn};

/// So many requests of another client are turns enough for a stream that nothing holds to run away: in each it may
/// move a megabyte.
const TURNS: usize = 100;

fn text(text: &str) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from(text.to_owned())))
}

#[test]
fn two_hundred_requests_wait_at_once_with_two_threads() {
    const CROWD: usize = 200;
    let barrier = Arc::new(Barrier::new(CROWD));
    let server = serve_with(
        |config| config.threads = 2,
        service_fn(move |request: Request<RequestBody>| {
            let barrier = Arc::clone(&barrier);
            async move {
                // Nobody passes before all have come.
                barrier.wait().await;
                text(request.uri().path())
            }
        }),
    );
    let mut clients: Vec<_> = (0..CROWD).map(|_| server.connect()).collect();
    for (idx, client) in clients.iter_mut().enumerate() {
        if idx % 2 == 0 {
            client.send(get(&format!("/{idx}")));
        } else {
            client.send(post(&format!("/{idx}"), b"body"));
        }
    }
    for (idx, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.response().text(), format!("/{idx}"));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = serve(service_fn(|request: Request<RequestBody>| async move {
        let path = request.uri().path().to_owned();
        // The earlier, the later.
        for _ in 0..50 - path[1..].parse::<u32>().expect("a number") {
            tokio::task::yield_now().await;
        }
        let body = axum::body::to_bytes(Body::new(request.into_body()), 100).await;
        text(&format!("{path} {:?}", body.expect("a body")))
    }));
    let mut client = server.connect();
    let mut all = Vec::new();
    for idx in 0..50 {
        all.extend(post(&format!("/{idx}"), b"x"));
    }
    client.send(all);
    for idx in 0..50 {
        assert_eq!(client.response().text(), format!("/{idx} b\"x\""));
    }
}

#[test]
fn a_body_of_known_length_is_announced_and_another_goes_in_chunks() {
    let blocks = || stream::iter(["one ", "", "two ", "three"].map(Bytes::from));
    let server = serve(service_fn(
        move |request: Request<RequestBody>| async move {
            let mut response = Response::new(streamed(blocks()));
            if request.uri().path() == "/announced" {
                let length = http::HeaderValue::from_static("13");
                response.headers_mut().insert("content-length", length);
            }
            Ok::<_, Infallible>(response)
        },
    ));
    let mut client = server.connect();
    let chunked = client.get("/");
    assert_eq!(chunked.field("transfer-encoding"), Some("chunked"));
    assert_eq!(chunked.text(), "one two three");
    let announced = client.get("/announced");
    assert_eq!(announced.field("content-length"), Some("13"));
    assert_eq!(announced.text(), "one two three");
    let old = client.send("GET / HTTP/1.0\r\n\r\n").response();
    assert_eq!((old.text(), old.closes()), ("one two three", true));
}

#[test]
fn a_status_without_content_has_none_and_its_body_is_not_asked_for() {
    let (guards, fate) = guards();
    let server = serve(service_fn(move |request: Request<RequestBody>| {
        let alive = guards.guard();
        async move {
            let status = request.uri().path()[1..].parse::<StatusCode>();
            let body = endless(move || {
                let _alive = &alive;
                Bytes::from_static(b"never")
            });
            let mut response = Response::new(body);
            *response.status_mut() = status.expect("a status");
            Ok::<_, Infallible>(response)
        }
    }));
    let mut client = server.connect();
    for status in [204, 304] {
        assert_eq!(client.get(&format!("/{status}")).status, status);
        fate.await_drop();
    }
    let head = get("/200").replace("GET", "HEAD");
    assert_eq!(client.send(head).response_to_head().status, 200);
    fate.await_drop();
    assert_eq!(client.get("/204").status, 204, "the connection is kept");
}

#[test]
fn the_head_does_not_wait_for_the_body() {
    let gate = Arc::new(Semaphore::new(0));
    let door = Arc::clone(&gate);
    let server = serve(service_fn(move |_: Request<RequestBody>| {
        let door = Arc::clone(&door);
        let blocks = stream::once(async move {
            door.acquire().await.expect("it is open").forget();
            Bytes::from_static(b"late")
        });
        ready(Ok::<_, Infallible>(Response::new(streamed(blocks))))
    }));
    let mut client = server.connect();
    assert!(client.send(get("/")).head().starts_with("HTTP/1.1 200 OK"));
    gate.add_permits(1);
    assert_eq!(client.exactly(14), b"4\r\nlate\r\n0\r\n\r\n");
}

#[test]
fn a_stream_that_outruns_its_client_waits_for_it() {
    const BLOCK: usize = 100_000;
    const BLOCKS: usize = 600;
    /// What the kernel may have on its way: its largest buffers on both sides, and more.
    const ON_THE_WAY: usize = 32 * 1024 * 1024;
    for size in [BLOCK, 1_000] {
        let count = BLOCK * BLOCKS / size;
        let block = pattern(size);
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let server = serve(service_fn(move |request: Request<RequestBody>| {
            if request.uri().path() == "/other" {
                return ready(text("served meanwhile"));
            }
            let counter = Arc::clone(&counter);
            let block = Bytes::from(pattern(size));
            let blocks = stream::iter((0..count).map(move |_| {
                counter.fetch_add(size, Ordering::SeqCst);
                block.clone()
            }));
            ready(Ok::<_, Infallible>(Response::new(streamed(blocks))))
        }));
        let mut client = server.connect();
        client.send(get("/"));
        let mut others = server.connect();
        for _ in 0..TURNS {
            assert_eq!(others.get("/other").text(), "served meanwhile");
        }
        let ahead = made.load(Ordering::SeqCst);
        assert!((1..ON_THE_WAY).contains(&ahead), "{ahead} bytes");
        let mut read = client.head().len();
        let mut received = 0;
        for _ in 0..count {
            let line = format!("{size:x}\r\n");
            assert_eq!(client.exactly(line.len()), line.as_bytes());
            assert!(client.exactly(size) == block);
            assert_eq!(client.exactly(2), b"\r\n");
            read += line.len() + size + 2;
            received += size;
            let ahead = made.load(Ordering::SeqCst) - received;
            assert!(ahead < ON_THE_WAY, "{ahead} bytes behind {read}");
            assert!(server.server.statistics().buffer_bytes <= 300_000);
        }
        assert_eq!(client.exactly(5), b"0\r\n\r\n");
        assert_eq!(made.load(Ordering::SeqCst), size * count);
    }
}

#[test]
fn blocks_are_sent_whole_however_little_memory_there_is() {
    let sizes = || (0..300).map(|idx| if idx % 50 == 7 { 90_000 } else { idx * 40 });
    let whole = || sizes().flat_map(pattern).collect::<Vec<u8>>();
    let length = whole().len();
    for (all, response) in [(1, 262_144), (268_435_456, 0), (268_435_456, 1_000), (0, 0)] {
        let server = serve_with(
            |config| {
                config.limits.buffer_memory_bytes = all;
                config.limits.response_memory_bytes = response;
            },
            service_fn(move |request: Request<RequestBody>| {
                let blocks = stream::iter(sizes().map(|size| Bytes::from(pattern(size))));
                let mut response = Response::new(streamed(blocks));
                let announced = match request.uri().path() {
                    "/chunked" => None,
                    "/announced" => Some(length),
                    _ => Some(length - 100),
                };
                if let Some(announced) = announced {
                    let headers = response.headers_mut();
                    headers.insert("content-length", announced.into());
                }
                ready(Ok::<_, Infallible>(response))
            }),
        );
        let mut client = server.connect();
        // A client that is behind from the start.
        client.send([get("/chunked"), get("/announced"), get("/cut")].concat());
        let mut others = server.connect();
        for _ in 0..TURNS {
            let head = get("/").replace("GET", "HEAD");
            assert_eq!(others.send(head).response_to_head().status, 200);
        }
        assert!(client.response().body == whole(), "{all} {response}");
        assert!(client.response().body == whole(), "{all} {response}");
        assert!(client.response().body == whole()[..length - 100]);
    }
}

#[test]
fn a_target_that_is_no_uri_is_refused() {
    let server = serve(service_fn(|request: Request<RequestBody>| async move {
        text(&request.uri().to_string())
    }));
    let cases: [(&[u8], u16); 9] = [
        (b"/%zz?%zz", 200),
        (b"/{a}|\"^\\", 200),
        ("/\u{e9}".as_bytes(), 200),
        (b"*", 200),
        (b"/a<b", 400),
        (b"/`", 400),
        (b"/a?b>", 400),
        (b"/\xe9", 400),
        (b"/?\xe9", 400),
    ];
    for (target, status) in cases {
        let mut client = server.connect();
        client.send([b"OPTIONS ", target, b" HTTP/1.1\r\nHost: t\r\n\r\n"].concat());
        let response = client.response();
        assert_eq!(response.status, status, "{}", target.escape_ascii());
        if status == 200 {
            assert_eq!(response.body, target);
        }
    }
}

#[test]
fn bodies_go_both_ways_at_once() {
    let server = serve(service_fn(|request: Request<RequestBody>| async move {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    }));
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(client.head().contains("Transfer-Encoding: chunked\r\n"));
    for idx in 0..20 {
        let chunk = format!("7\r\nnews {idx:02}\r\n");
        assert_eq!(client.send(&chunk).exactly(chunk.len()), chunk.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
    // Of a known length, and larger than every buffer on the way.
    let body = pattern(20_000_000);
    let mut client = server.connect();
    let mut writer = client.wire.try_clone().expect("a socket");
    let sent = body.clone();
    let sender = thread::spawn(move || io::Write::write_all(&mut writer, &post("/", &sent)));
    let response = client.response();
    assert_eq!(response.field("content-length"), Some("20000000"));
    assert!(response.body == body);
    sender.join().expect("no panic").expect("all was read");
}

#[test]
fn an_upload_that_outruns_the_service_waits_for_it() {
    let gate = Arc::new(Semaphore::new(0));
    let door = Arc::clone(&gate);
    let server = serve(service_fn(move |request: Request<RequestBody>| {
        let door = Arc::clone(&door);
        async move {
            if request.uri().path() == "/other" {
                return text("served meanwhile");
            }
            door.acquire().await.expect("it is open").forget();
            let body = Body::new(request.into_body());
            let body = axum::body::to_bytes(body, usize::MAX)
                .await
                .expect("a body");
            text(&body.len().to_string())
        }
    }));
    let mut client = server.connect();
    let mut writer = client.wire.try_clone().expect("a socket");
    let sender = thread::spawn(move || {
        io::Write::write_all(&mut writer, &post("/", &vec![b'x'; 40_000_000]))
    });
    server.until("it waits", |now| now.buffer_bytes > 100_000);
    let mut others = server.connect();
    for _ in 0..TURNS {
        assert_eq!(others.get("/other").text(), "served meanwhile");
    }
    assert!(!sender.is_finished());
    assert!(server.server.statistics().buffer_bytes <= 256 * 1024);
    gate.add_permits(1);
    assert_eq!(client.response().text(), "40000000");
    sender.join().expect("no panic").expect("all was read");
}

#[test]
fn a_client_is_asked_for_its_body_when_the_service_wants_it() {
    let server = serve(service_fn(|request: Request<RequestBody>| async move {
        if request.uri().path() == "/unread" {
            return text("no");
        }
        let body = axum::body::to_bytes(Body::new(request.into_body()), 100).await;
        text(&format!("{:?}", body.expect("a body")))
    }));
    let expect = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut client = server.connect();
    for _ in 0..2 {
        assert_eq!(client.send(expect("/")).response().status, 100);
        assert_eq!(client.send("body").response().text(), "b\"body\"");
    }
    let response = client.send(expect("/unread")).response();
    assert_eq!((response.status, response.closes()), (200, true));
    client.assert_closed();
}

#[test]
fn a_panic_costs_its_own_request() {
    let server = serve(service_fn(|request: Request<RequestBody>| {
        let path = request.uri().path().to_owned();
        assert!(path != "/call", "in call");
        async move {
            assert!(path != "/future", "in the future");
            let mut before = path != "/first";
            let body = endless(move || {
                assert!(std::mem::take(&mut before), "in the body");
                Bytes::from_static(b"begun")
            });
            match path.as_str() {
                "/first" | "/body" => Ok(Response::new(body)),
                _ => text("well"),
            }
        }
    }));
    for path in ["/call", "/future", "/first"] {
        let mut client = server.connect();
        let response = client.get(path);
        assert_eq!((response.status, response.closes()), (500, true), "{path}");
        client.assert_closed();
    }
    let mut client = server.connect();
    assert!(!client.send(get("/body")).ends_with_last_chunk());
    assert_eq!(server.connect().get("/").text(), "well");
    server.until("counted", |now| now.panics == 4);
}

#[test]
fn an_error_is_a_500_or_a_response_that_is_visibly_not_whole() {
    let server = serve(service_fn(|request: Request<RequestBody>| async move {
        let broken = || Err(io::Error::other("no cherries left"));
        let begun = Ok(Bytes::from_static(b"begun"));
        match request.uri().path() {
            "/service" => Err(BoxError::from("the service failed")),
            "/first" => Ok(Response::new(Body::from_stream(stream::iter([broken()])))),
            "/short" => Ok(Response::builder()
                .header("content-length", "10")
                .body(streamed(stream::iter([Bytes::from_static(b"short")])))?),
            _ => Ok(Response::new(Body::from_stream(stream::iter([
                begun,
                broken(),
            ])))),
        }
    }));
    for path in ["/service", "/first"] {
        assert_eq!(server.connect().get(path).status, 500, "{path}");
    }
    assert!(!server.connect().send(get("/body")).ends_with_last_chunk());
    let mut client = server.connect();
    let (answer, end) = client.send(get("/short")).rest();
    assert!(answer.ends_with(b"\r\n\r\nshort") && end == End::Clean);
    // Only a reset tells a client that understands no chunks.
    let mut client = server.connect();
    client.send("GET /body HTTP/1.0\r\n\r\n");
    assert_eq!(client.rest_or_reset(), End::Reset);
}

#[test]
fn what_is_the_servers_to_say_is_refused() {
    let server = serve(service_fn(|request: Request<RequestBody>| {
        let (name, value) = request.uri().path()[1..].split_once('/').expect("a field");
        let response = Response::builder()
            .header(name, value)
            .body(Body::from("x"));
        ready(response)
    }));
    let mut client = server.connect();
    for field in [
        "transfer-encoding/chunked",
        "upgrade/h2c",
        "content-length/x",
    ] {
        assert_eq!(
            server.connect().get(&format!("/{field}")).status,
            500,
            "{field}"
        );
    }
    assert_eq!(client.get("/connection/keep-alive").text(), "x");
    let response = client.get("/connection/close");
    assert_eq!((response.status, response.closes()), (200, true));
    client.assert_closed();
}

#[test]
fn a_body_beyond_its_length_is_cut() {
    let server = serve(service_fn(|_: Request<RequestBody>| {
        let response = Response::builder()
            .header("content-length", "4")
            .body(endless(|| Bytes::from_static(b"abc")));
        ready(response)
    }));
    let mut client = server.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "abca");
    }
}

#[test]
fn a_client_that_leaves_ends_what_was_for_it() {
    let (guards, fate) = guards();
    let entered = Arc::new(Semaphore::new(0));
    let enter = Arc::clone(&entered);
    let server = serve(service_fn(move |request: Request<RequestBody>| {
        let (alive, kept) = (guards.guard(), guards.guard());
        let enter = Arc::clone(&enter);
        async move {
            if request.uri().path() == "/thinks" {
                enter.add_permits(1);
                pending::<()>().await;
            }
            drop(alive);
            let blocks = endless(move || {
                let _kept = &kept;
                Bytes::from_static(&[b'x'; 1000])
            });
            Ok::<_, Infallible>(Response::new(blocks))
        }
    }));
    // While the service thinks.
    for request in [get("/thinks").into_bytes(), post("/thinks", b"body")] {
        let mut client = server.connect();
        client.send(request);
        server.until("it thinks", |_| {
            entered.try_acquire().is_ok_and(|permit| {
                permit.forget();
                true
            })
        });
        assert!(fate.is_alive());
        client.reset();
        fate.await_drop();
        fate.await_drop();
    }
    // While it is sent its response.
    let mut client = server.connect();
    client.send(get("/streams")).exactly(100_000);
    fate.await_drop();
    assert!(fate.is_alive());
    drop(client);
    fate.await_drop();
    server.until("closed", |now| now.connections == 0);
}

#[test]
fn a_client_that_takes_nothing_for_too_long_ends_its_stream() {
    let (guards, fate) = guards();
    let server = serve_with(
        |config| config.timeouts.write = Duration::from_millis(100),
        service_fn(move |_: Request<RequestBody>| {
            let alive = guards.guard();
            let blocks = endless(move || {
                let _alive = &alive;
                Bytes::from_static(&[b'x'; 1000])
            });
            ready(Ok::<_, Infallible>(Response::new(blocks)))
        }),
    );
    let mut client = server.connect();
    client.send(get("/"));
    fate.await_drop();
    let (received, end) = client.rest();
    assert!(!received.ends_with(b"\r\n0\r\n\r\n"), "not whole: {end:?}");
}

#[test]
fn a_service_that_answers_too_late_is_dropped() {
    let (guards, fate) = guards();
    let server = serve_with(
        |config| config.timeouts.request = Some(Duration::from_millis(50)),
        service_fn(move |_: Request<RequestBody>| {
            let alive = guards.guard();
            async move {
                pending::<()>().await;
                drop(alive);
                text("never")
            }
        }),
    );
    let response = server.connect().get("/");
    assert_eq!((response.status, response.closes()), (504, true));
    fate.await_drop();
}

/// Must be asked whether it is ready, each clone for itself, and is so only when it is asked again. Not `Sync`.
#[derive(Default)]
struct Strict {
    asked: Cell<u32>,
}

impl Clone for Strict {
    fn clone(&self) -> Strict {
        Strict::default()
    }
}

impl Service<Request<RequestBody>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.asked.set(self.asked.get() + 1);
        if self.asked.get() > 1 {
            return Poll::Ready(Ok(()));
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        ready(text(&self.asked.get().to_string()))
    }
}

#[test]
fn each_request_has_a_clone_that_is_called_when_it_is_ready() {
    let server = serve(Strict::default());
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "2");
    }
}

#[test]
fn what_has_begun_is_finished_when_the_server_stops() {
    let entered = Arc::new(Semaphore::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let (enter, door) = (Arc::clone(&entered), Arc::clone(&gate));
    let server = serve(service_fn(move |request: Request<RequestBody>| {
        let (enter, door) = (Arc::clone(&enter), Arc::clone(&door));
        async move {
            enter.add_permits(1);
            door.acquire().await.expect("it is open").forget();
            Ok::<_, Infallible>(Response::new(request.into_body()))
        }
    }));
    let mut sleeping = server.connect();
    sleeping.send(post("/", b"slept"));
    let mut sending = server.connect();
    sending.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbo");
    server.until("both inside", |_| entered.available_permits() == 2);
    thread::scope(|scope| {
        let stopped = scope.spawn(|| server.server.stop_within(PATIENCE));
        // It does not listen any more: the drain has begun.
        while std::net::TcpStream::connect(server.address()).is_ok() {}
        gate.add_permits(2);
        let response = sleeping.response();
        assert_eq!((response.text(), response.closes()), ("slept", true));
        let response = sending.send("dy").response();
        assert_eq!((response.text(), response.closes()), ("body", true));
        for client in [&mut sleeping, &mut sending] {
            client.assert_closed();
        }
        drop((sleeping, sending));
        assert!(stopped.join().expect("no panic"));
    });
}

#[test]
fn what_takes_too_long_is_dropped_when_the_server_stops() {
    let (guards, fate) = guards();
    let entered = Arc::new(Semaphore::new(0));
    let enter = Arc::clone(&entered);
    let server = serve(service_fn(move |_: Request<RequestBody>| {
        let (alive, enter) = (guards.guard(), Arc::clone(&enter));
        async move {
            enter.add_permits(1);
            pending::<()>().await;
            drop(alive);
            text("never")
        }
    }));
    let mut client = server.connect();
    client.send(get("/"));
    server.until("inside", |_| entered.available_permits() == 1);
    assert!(!server.server.stop_within(Duration::from_millis(50)));
    fate.await_drop();
    client.rest_or_reset();
}

#[test]
fn the_runtime_ends_with_the_last_gateway_on_it() {
    let (guards, fate) = guards();
    let runtime = Runtime::start(Runtime::WORKERS).expect("a runtime");
    let service = service_fn(move |request: Request<RequestBody>| {
        let alive = guards.guard();
        async move {
            if request.uri().path() == "/spawn" {
                tokio::spawn(async move {
                    pending::<()>().await;
                    drop(alive);
                });
            }
            text("x")
        }
    });
    let first = TestServer::serve(
        |_| {},
        Arc::new(TowerGateway::on(&runtime, service.clone())),
    );
    let second = TestServer::serve(|_| {}, Arc::new(TowerGateway::on(&runtime, service)));
    drop(runtime);
    assert_eq!(first.connect().get("/spawn").text(), "x");
    drop(first);
    assert_eq!(second.connect().get("/").text(), "x");
    fate.await_drop();
    assert!(fate.is_alive(), "what was spawned goes on");
    drop(second);
    fate.await_drop();
}

#[test]
fn a_runtime_that_has_ended_answers_with_500() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .build()
        .expect("a runtime");
    let runtime = Runtime::from(tokio.handle().clone());
    let service = service_fn(|_: Request<RequestBody>| ready(text("x")));
    let server = TestServer::serve(|_| {}, Arc::new(TowerGateway::on(&runtime, service)));
    assert_eq!(server.connect().get("/").text(), "x");
    tokio.shutdown_timeout(PATIENCE);
    assert_eq!(server.connect().get("/").status, 500);
}
