//! A service among routes and behind a proxy that is trusted: what it sees as its path, its mount and its client.

mod support;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, header};
use kirsch_server::{
    Action, Answer, Application, Condition, Network, Route, Router, RouterOptions, Scheme, Serve,
    TrustedPeer,
};
use kirsch_tower::{ClientAddress, Mount, RequestBody, TowerGateway};
use support::TestServer;
use tower::service_fn;

fn under(path: &str, to: Serve) -> Route {
    let when = Condition {
        paths: vec![path.parse().expect("a path")],
        ..Condition::default()
    };
    Route::new(when, Action::Serve(to))
}

/// `/a` and `/b/c` lead to a service that tells what it sees, `/new` does with its path rewritten, and all else to
/// another gateway.
fn server() -> TestServer {
    let service = service_fn(|request: Request<RequestBody>| async move {
        let seen = request.extensions();
        let mount = seen.get::<Mount>().expect("a mount");
        let client = seen.get::<ClientAddress>().expect("a client");
        let ip = client.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let scheme = match seen.get::<Scheme>().expect("a scheme") {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let host = request.headers().get(header::HOST).expect("a host");
        let host = host.to_str().expect("ASCII");
        let text = format!("{} {} {scheme}://{host} {ip}", mount.0, request.uri());
        Ok::<_, Infallible>(Response::new(Body::from(text)))
    });
    let gateway = TowerGateway::new(service).expect("a runtime");
    let service = Application::new(Arc::new(gateway));
    let rewritten = Serve {
        rewrite: Some("/old".parse().expect("a path")),
        ..Serve::new(Arc::clone(&service))
    };
    let other = Application::new(Arc::new(Answer {
        status: "200 OK".to_owned(),
        fields: Vec::new(),
        body: b"another".to_vec(),
    }));
    let routes = vec![
        under("/a", Serve::new(Arc::clone(&service))),
        under("/b/c", Serve::new(Arc::clone(&service))),
        under("/new", rewritten),
        Route::new(Condition::default(), Action::Serve(Serve::new(other))),
    ];
    let router = Router::new(routes, RouterOptions::default()).expect("good routes");
    TestServer::serve(
        |config| {
            let proxy: Network = "127.0.0.1".parse().expect("an address");
            config.trust_proxy = vec![TrustedPeer::Network(proxy)];
        },
        Arc::new(router),
    )
}

#[test]
fn below_a_route_the_path_is_what_follows() {
    let server = server();
    let cases = [
        ("/a/x?y=1", "/a /x?y=1"),
        ("/a", "/a /"),
        ("/a?y", "/a /?y"),
        ("/a/", "/a /"),
        ("/b/c/x/", "/b/c /x/"),
        ("/%61/x%20y", "/%61 /x%20y"),
        ("/a%2Fx", "/a /x"),
        ("/new/x", " /old/x"),
        ("http://test/a/x", "/a http://test/x"),
    ];
    let mut client = server.connect();
    for (target, seen) in cases {
        let answer = client.get(target);
        assert_eq!(
            (answer.status, answer.text()),
            (200, &*format!("{seen} http://test 127.0.0.1")),
            "{target}"
        );
    }
    assert_eq!(client.get("/ab").text(), "another");
}

#[test]
fn what_a_trusted_proxy_says_is_so() {
    let fields = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\n\
                  X-Forwarded-Prefix: /caf%C3%A9/%25\r\n";
    let server = server();
    let answer = server
        .connect()
        .send(format!("GET /a/x HTTP/1.1\r\nHost: test\r\n{fields}\r\n"))
        .response();
    assert_eq!(
        answer.text(),
        "/caf%C3%A9/%25/a /x https://a.test 192.0.2.7"
    );
}
