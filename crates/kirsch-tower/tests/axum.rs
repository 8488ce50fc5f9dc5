//! An application of axum behind the server: what its extractors find and what its responses become.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{DefaultBodyLimit, Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{any, get as on_get, post as on_post};
use axum::{Json, Router};
use bytes::Bytes;
use kirsch_server::LocalName;
use kirsch_tower::{PeerAddress, RequestId, TowerGateway};
use serde::{Deserialize, Serialize};
use support::{TestServer, get, pattern, post, serve};

#[derive(Deserialize, Serialize)]
struct Cherry {
    name: String,
    stones: u32,
}

#[derive(Deserialize)]
struct Page {
    from: u32,
    order: String,
}

fn application() -> Router {
    let visits = Arc::new(AtomicU64::new(0));
    Router::new()
        .route("/", on_get(|| async { "hello" }))
        .route(
            "/cherries/{id}/{name}",
            on_get(
                |Path((id, name)): Path<(u32, String)>, Query(page): Query<Page>| async move {
                    format!("{id} {name} {} {}", page.from, page.order)
                },
            ),
        )
        .route(
            "/cherries",
            on_post(|Json(cherry): Json<Cherry>| async move {
                let stones = cherry.stones + 1;
                (StatusCode::CREATED, Json(Cherry { stones, ..cherry }))
            }),
        )
        .route(
            "/visits",
            on_get(|State(visits): State<Arc<AtomicU64>>| async move {
                visits.fetch_add(1, Ordering::SeqCst).to_string()
            }),
        )
        .route("/fields", on_get(fields))
        .route(
            "/target",
            any(|request: Request| async move {
                format!(
                    "{} {} {:?}",
                    request.method(),
                    request.uri(),
                    request.version()
                )
            }),
        )
        .route("/from", on_get(from))
        .route(
            "/upload",
            on_post(|body: Bytes| async move { body }).layer(DefaultBodyLimit::disable()),
        )
        .with_state(visits)
}

async fn fields(headers: HeaderMap) -> impl IntoResponse {
    let mut echoed = HeaderMap::new();
    for (name, value) in &headers {
        if name.as_str().starts_with("x-") {
            echoed.append(name, value.clone());
        }
    }
    echoed.append("set-cookie", "a=1".parse().expect("a value"));
    echoed.append("set-cookie", "b=2".parse().expect("a value"));
    echoed
}

async fn from(
    Extension(PeerAddress(peer)): Extension<PeerAddress>,
    Extension(RequestId(id)): Extension<RequestId>,
    Extension(local): Extension<Arc<LocalName>>,
) -> String {
    let peer = peer.map(|address| address.to_string()).unwrap_or_default();
    format!("{peer} {id} {}:{}", local.name, local.port)
}

/// The same server with streamed and with buffered bodies.
fn both() -> [TestServer; 2] {
    let buffered = TowerGateway::new(application())
        .expect("a runtime")
        .buffer_bodies();
    [
        serve(application()),
        TestServer::serve(|_| {}, Arc::new(buffered)),
    ]
}

#[test]
fn a_response_has_its_length_and_its_type() {
    let server = serve(application());
    let response = server.connect().get("/");
    assert_eq!((response.status, response.text()), (200, "hello"));
    assert_eq!(response.field("content-length"), Some("5"));
    assert_eq!(
        response.field("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(response.field("date").is_some() && response.field("x-request-id").is_some());
}

#[test]
fn extractors_find_path_query_and_state() {
    let server = serve(application());
    let mut client = server.connect();
    let response = client.get("/cherries/7/may%20duke?order=size&from=20");
    assert_eq!(response.text(), "7 may duke 20 size");
    assert_eq!(client.get("/cherries/seven/x?order=a&from=1").status, 400);
    assert_eq!(client.get("/cherries/7/x?from=1").status, 400);
    for visits in ["0", "1", "2"] {
        assert_eq!(client.get("/visits").text(), visits);
    }
}

#[test]
fn json_goes_both_ways() {
    for server in both() {
        let mut client = server.connect();
        let body = br#"{"name": "Morello", "stones": 1}"#;
        let request = |content_type: &str| {
            let len = body.len();
            let head = format!(
                "POST /cherries HTTP/1.1\r\nHost: t\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\n\r\n"
            );
            [head.as_bytes(), body].concat()
        };
        let response = client.send(request("application/json")).response();
        assert_eq!(response.status, 201);
        assert_eq!(response.field("content-type"), Some("application/json"));
        assert_eq!(response.text(), r#"{"name":"Morello","stones":2}"#);
        assert_eq!(client.send(request("text/plain")).response().status, 415);
    }
}

#[test]
fn what_the_router_does_not_know_is_its_own_404_and_405() {
    let server = serve(application());
    let mut client = server.connect();
    let missing = client.get("/nowhere");
    assert_eq!((missing.status, missing.text()), (404, ""));
    assert_eq!(missing.field("content-length"), Some("0"));
    let refused = client.send(post("/fields", b"x")).response();
    assert_eq!(refused.status, 405);
    assert_eq!(refused.field("allow"), Some("GET,HEAD"));
    assert_eq!(client.get("/").text(), "hello", "the connection is kept");
}

#[test]
fn fields_arrive_and_leave_in_order_with_all_their_values() {
    let server = serve(application());
    let mut client = server.connect();
    client.send("GET /fields HTTP/1.1\r\nHost: t\r\nX-One: a\r\nX-Two: é\r\nx-one:  b \r\n\r\n");
    let head = client.head();
    let lines: Vec<&str> = head
        .lines()
        .filter(|line| {
            line.starts_with("x-one") || line.starts_with("x-two") || line.starts_with("set-")
        })
        .collect();
    assert_eq!(
        lines,
        [
            "x-one: a",
            "x-one: b",
            "x-two: é",
            "set-cookie: a=1",
            "set-cookie: b=2"
        ]
    );
}

#[test]
fn the_target_is_the_one_that_was_sent() {
    let server = serve(application());
    let mut client = server.connect();
    for (line, answer) in [
        (
            "GET /target?a=%20b&c HTTP/1.1",
            "GET /target?a=%20b&c HTTP/1.1",
        ),
        ("PURGE /target HTTP/1.1", "PURGE /target HTTP/1.1"),
        (
            "GET http://example.org/target?q HTTP/1.1",
            "GET http://example.org/target?q HTTP/1.1",
        ),
    ] {
        client.send(format!("{line}\r\nHost: example.org\r\n\r\n"));
        assert_eq!(client.response().text(), answer);
    }
    client.send("GET /target HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "GET /target HTTP/1.0");
}

#[test]
fn extensions_say_where_a_request_comes_from() {
    let server = serve(application());
    let mut client = server.connect();
    let peer = client.wire.local_addr().expect("a socket");
    client.send("GET /from HTTP/1.1\r\nHost: t\r\nX-Request-ID: abc-1\r\n\r\n");
    let response = client.response();
    let port = server.address().port();
    assert_eq!(response.text(), format!("{peer} abc-1 127.0.0.1:{port}"));
    assert_eq!(response.field("x-request-id"), Some("abc-1"));
}

#[test]
fn the_answer_to_head_is_that_to_get_without_its_body() {
    let server = serve(application());
    let mut client = server.connect();
    let response = client
        .send(get("/").replace("GET", "HEAD"))
        .response_to_head();
    assert_eq!(response.status, 200);
    assert_eq!(response.field("content-length"), Some("5"));
    assert_eq!(client.get("/").text(), "hello", "nothing was behind it");
}

#[test]
fn a_large_upload_arrives_whole() {
    // Beyond what memory has room for: buffered, it goes through a file.
    let body = pattern(9_000_000);
    for server in both() {
        let mut client = server.connect();
        client.send(post("/upload", &body));
        assert!(client.response().body == body);
        let mut chunked =
            b"POST /upload HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in body.chunks(700_001) {
            chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunked.extend_from_slice(piece);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        client.send(chunked);
        assert!(client.response().body == body);
    }
}

#[test]
fn a_body_that_breaks_off_is_an_error_of_its_extractor() {
    let server = serve(application());
    let mut client = server.connect();
    client.send("POST /upload HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nno size\r\n");
    let response = client.response();
    assert_eq!((response.status, response.closes()), (400, true));
    client.assert_closed();
}

#[test]
fn several_reactors_serve_one_application() {
    let gateway = TowerGateway::new(application()).expect("a runtime");
    let change = |config: &mut kirsch_server::Config| {
        config.reactors = 2;
        config.threads = 2;
    };
    let server = TestServer::serve(change, Arc::new(gateway));
    for _ in 0..4 {
        let mut client = server.connect();
        assert_eq!(client.get("/").text(), "hello");
        assert_eq!(
            client.send(post("/upload", b"abc")).response().text(),
            "abc"
        );
    }
}
