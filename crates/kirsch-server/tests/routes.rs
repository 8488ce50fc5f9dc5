//! Routes as clients see them. What is chosen in which case is tried in `src/router/tests.rs`.

mod support;

use std::sync::Arc;

use kirsch_server::{
    AccessLog, AccessLogFormat, Action, Application, Condition, Config, Exchange, FieldEdits,
    FixedAnswer, Gateway, Network, Redirect, Route, Router, RouterOptions, Scheme, Serve,
    TrustedPeer, UnknownHost,
};

use support::{Bodies, Client, TestServer, gateway, get, ok, read_all};

/// Answers with its name, where it is mounted, the path below, and the body.
fn application(name: &'static str, bodies: Bodies) -> Arc<Application> {
    Application::new(gateway(bodies, move |exchange| tell(name, exchange)))
}

fn tell(name: &str, mut exchange: Exchange) {
    let mut body = exchange.request_mut().take_body();
    let kind = if format!("{body:?}") == "Stream" {
        "stream "
    } else {
        ""
    };
    let content = read_all(&mut body).unwrap_or_else(|err| err.to_string().into_bytes());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let request = exchange.request();
    let answer = format!(
        "{name} {} {} {kind}{}",
        text(request.mount()),
        text(request.path_below_mount()),
        text(&content)
    );
    let mut head = ok();
    head.field(b"X-Made-By", name.as_bytes()).expect("a field");
    exchange.respond(head, answer.as_bytes());
}

fn to(application: &Arc<Application>) -> Action {
    Action::Serve(Serve::new(Arc::clone(application)))
}

fn under(path: &str) -> Condition {
    Condition {
        paths: vec![path.parse().expect("a path")],
        ..Condition::default()
    }
}

fn for_host(host: &str) -> Condition {
    Condition {
        hosts: vec![host.parse().expect("a host")],
        ..Condition::default()
    }
}

fn answer(status: u16) -> Action {
    Action::Answer(FixedAnswer::new(status, None).expect("a status"))
}

fn redirect(to: &str, status: u16) -> Action {
    Action::Redirect(Redirect::new(to, status).expect("a good redirect"))
}

fn serve_with(
    change: impl FnOnce(&mut Config),
    options: RouterOptions,
    routes: Vec<Route>,
) -> TestServer {
    let router = Router::new(routes, options).expect("good routes");
    TestServer::serve(change, Arc::new(router))
}

fn serve(routes: Vec<Route>) -> TestServer {
    serve_with(|_| (), RouterOptions::default(), routes)
}

fn ask(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[test]
fn a_request_goes_to_the_application_of_its_host_and_path_mounted_there() {
    let (blog, api) = (
        application("blog", Bodies::Buffered),
        application("api", Bodies::Buffered),
    );
    let server = serve(vec![
        Route::new(for_host("douban.com"), to(&blog)),
        Route::new(for_host("*.douban.com"), to(&blog)),
        Route::new(under("/api/v1"), to(&api)),
        Route::new(for_host("[::1]:8000"), to(&api)),
    ]);
    let mut client = server.connect();
    for (host, path, expected) in [
        ("Douban.com.", "/api/v1/x", "blog  /api/v1/x "),
        ("a.b.douban.com:80", "/", "blog  / "),
        ("other", "/api/v1", "api /api/v1  "),
        ("other", "/api/v1/a%20b?c", "api /api/v1 /a%20b "),
        ("other", "/%61pi/v1%2Fx", "api /%61pi/v1 %2Fx "),
        ("[0::1]:8000", "/y", "api  /y "),
    ] {
        let response = client.send(ask(host, path)).response();
        assert_eq!(
            (response.status, response.text()),
            (200, expected),
            "{host} {path}"
        );
    }
    for (host, path) in [("other", "/api/v1x"), ("other", "/"), ("[::1]", "/y")] {
        let response = client.send(ask(host, path)).response();
        assert_eq!(response.status, 404, "{host} {path}");
        assert!(!response.closes(), "{host} {path}");
    }
    // The host of an absolute target counts, whatever the field says.
    let absolute = "GET http://douban.com/x HTTP/1.1\r\nHost: douban.com\r\n\r\n";
    assert_eq!(client.send(absolute).response().text(), "blog  /x ");
    // HTTP/1.0 may say no host.
    let old = "GET /api/v1/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(client.send(old).response().text(), "api /api/v1 /old ");
}

#[test]
fn requests_in_one_segment_go_to_different_routes_and_are_answered_in_order() {
    let server = serve(vec![
        Route::new(under("/a"), to(&application("a", Bodies::Buffered))),
        Route::new(under("/b"), to(&application("b", Bodies::Streamed))),
        Route::new(under("/gone"), answer(410)),
        Route::new(under("/old"), redirect("/new{path}{query}", 308)),
    ]);
    let mut client = server.connect();
    let post = |path: &str, body: &str| {
        let len = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {len}\r\n\r\n{body}")
    };
    let mut requests = String::new();
    let mut expected = Vec::new();
    for round in 0..10 {
        requests += &post("/a/1", &format!("one{round}"));
        expected.push((200, format!("a /a /1 one{round}")));
        requests += &get("/gone");
        expected.push((410, "410 Gone\n".to_owned()));
        requests += &post("/b", &format!("two{round}"));
        expected.push((200, format!("b /b  stream two{round}")));
        requests += &get("/old/x?y");
        expected.push((308, String::new()));
        requests += &get("/nowhere");
        expected.push((404, "404 Not Found: no route leads here\n".to_owned()));
    }
    client.send(requests);
    for (status, text) in expected {
        let response = client.response();
        assert_eq!((response.status, response.text()), (status, text.as_str()));
    }
}

#[test]
fn a_redirect_keeps_path_and_query() {
    let server = serve(vec![Route::new(
        Condition::default(),
        redirect("https://{host}{path}{query}", 301),
    )]);
    let mut client = server.connect();
    for (request, location) in [
        (ask("a.test:8000", "/x/%41?b=c"), "https://a.test/x/%41?b=c"),
        (ask("a.test", "/x"), "https://a.test/x"),
        (
            "GET http://b.test HTTP/1.1\r\nHost: b.test\r\n\r\n".to_owned(),
            "https://b.test/",
        ),
    ] {
        let response = client.send(request).response();
        assert_eq!(
            (response.status, response.field("location"), response.text()),
            (301, Some(location), "")
        );
        assert!(
            response
                .head
                .starts_with("HTTP/1.1 301 Moved Permanently\r\n")
        );
    }
}

#[test]
fn head_gets_the_head_of_every_kind_of_answer() {
    let server = serve(vec![
        Route::new(under("/a"), to(&application("a", Bodies::Buffered))),
        Route::new(under("/gone"), answer(410)),
        Route::new(under("/old"), redirect("/new", 302)),
        Route::new(
            Condition {
                methods: vec!["GET".to_owned()],
                ..under("/get")
            },
            answer(204),
        ),
    ]);
    let mut client = server.connect();
    for (path, status) in [
        ("/a", 200),
        ("/gone", 410),
        ("/old", 302),
        ("/get", 204),
        ("/x", 404),
    ] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_eq!(client.response_to_head().status, status, "{path}");
    }
}

#[test]
fn an_unknown_host_is_told_so_as_configured() {
    let routes = || {
        vec![Route::new(
            for_host("a.test"),
            to(&application("a", Bodies::Buffered)),
        )]
    };
    for (unknown_host, status) in [
        (UnknownHost::Misdirected, 421),
        (UnknownHost::NotFound, 404),
    ] {
        let options = RouterOptions {
            unknown_host,
            ..RouterOptions::default()
        };
        let server = serve_with(|_| (), options, routes());
        let mut client = server.connect();
        assert_eq!(client.send(ask("b.test", "/")).response().status, status);
        assert_eq!(
            client
                .send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                .response()
                .status,
            status
        );
        assert_eq!(client.send(ask("a.test", "/")).response().status, 200);
        // What is no host at all is another's to refuse.
        assert_eq!(client.send(ask("a b", "/")).response().status, 400);
    }
}

#[test]
fn everything_can_be_mounted_below_a_prefix() {
    let options = RouterOptions {
        base: "/shop".parse().expect("a path"),
        ..RouterOptions::default()
    };
    let app = application("app", Bodies::Buffered);
    let rewritten = Serve {
        rewrite: Some("/new".parse().expect("a path")),
        ..Serve::new(Arc::clone(&app))
    };
    let server = serve_with(
        |_| (),
        options,
        vec![
            Route::new(under("/api"), to(&app)),
            Route::new(under("/old"), Action::Serve(rewritten)),
            Route::new(Condition::default(), to(&app)),
        ],
    );
    let mut client = server.connect();
    assert_eq!(client.get("/shop/api/x").text(), "app /shop/api /x ");
    assert_eq!(client.get("/shop/old/x").text(), "app /shop /new/x ");
    assert_eq!(client.get("/shop").text(), "app /shop  ");
    assert_eq!(client.get("/shopping").status, 404);
    assert_eq!(client.get("/api/x").status, 404);
    client.send("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.response().text(), "app  * ");
}

#[test]
fn a_rewrite_takes_the_place_of_the_prefix() {
    let app = application("app", Bodies::Buffered);
    let rewrite = |to: &str| {
        Action::Serve(Serve {
            rewrite: Some(to.parse().expect("a path")),
            ..Serve::new(Arc::clone(&app))
        })
    };
    let server = serve(vec![
        Route::new(under("/strip"), rewrite("/")),
        Route::new(under("/old"), rewrite("/new name/100%?")),
    ]);
    let mut client = server.connect();
    for (path, expected) in [
        ("/strip", "app  / "),
        ("/strip/a%2Fb?c", "app  /a%2Fb "),
        ("/strip//a", "app  //a "),
        ("/old/x", "app  /new%20name/100%25%3F/x "),
    ] {
        assert_eq!(client.get(path).text(), expected, "{path}");
    }
}

#[test]
fn the_log_has_what_was_asked_for_and_what_the_server_answered_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("log");
    let rewritten = Serve {
        rewrite: Some("/new".parse().expect("a path")),
        ..Serve::new(application("a", Bodies::Buffered))
    };
    let server = serve_with(
        |config| {
            config.access_log = Some(AccessLog {
                format: AccessLogFormat::Custom("%U %s %X".to_owned()),
                file: Some(file.clone()),
            });
        },
        RouterOptions::default(),
        vec![
            Route::new(under("/old"), Action::Serve(rewritten)),
            Route::new(under("/gone"), answer(410)),
        ],
    );
    let mut client = server.connect();
    for path in ["/old/x", "/gone", "/nowhere"] {
        client.get(path);
    }
    drop(client);
    server.server.stop();
    drop(server);
    let log = std::fs::read_to_string(file).expect("a log");
    assert_eq!(log, "/old/x 200 +\n/gone 410 +\n/nowhere 404 +\n");
}

#[test]
fn fields_are_set_and_removed_in_every_response_of_a_route() {
    let mut fields = FieldEdits::new();
    fields.set(b"X-Frame-Options", b"DENY").expect("a field");
    fields.set(b"X-Made-By", b"us").expect("a field");
    fields.remove(b"server").expect("a field");
    let with_fields = |when, then| Route {
        fields: fields.clone(),
        ..Route::new(when, then)
    };
    let limited = Serve {
        limit_body: Some(3),
        ..Serve::new(application("a", Bodies::Buffered))
    };
    let fails = Application::new(gateway(Bodies::Buffered, |exchange| {
        assert!(exchange.request().is_head(), "this is what is tried");
    }));
    let server = serve(vec![
        with_fields(under("/app"), Action::Serve(limited)),
        with_fields(under("/fails"), to(&fails)),
        with_fields(under("/gone"), answer(410)),
        with_fields(under("/old"), redirect("/new", 302)),
        Route::new(under("/plain"), to(&application("b", Bodies::Buffered))),
    ]);
    let too_long = "POST /app HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n".to_owned();
    for (request, status) in [
        (get("/app"), 200),
        (get("/fails"), 500),
        (get("/gone"), 410),
        (get("/old"), 302),
        (too_long, 413),
    ] {
        let response = server.connect().send(request).response();
        assert_eq!(response.status, status);
        assert_eq!(response.field("x-frame-options"), Some("DENY"), "{status}");
        assert_eq!(response.field("server"), None, "{status}");
        let makers = response.head.to_ascii_lowercase();
        assert_eq!(makers.matches("x-made-by: us\r\n").count(), 1, "{status}");
        assert_eq!(makers.matches("x-made-by").count(), 1, "{status}");
    }
    let response = server.connect().get("/plain");
    assert_eq!(response.field("x-made-by"), Some("b"));
    assert_eq!(response.field("server"), Some("kirsch"));
}

/// Its first word is the answer's, with no "100 Continue" before it.
fn refused_at_once(mut client: Client, request: &str, status: u16) {
    let response = client.send(request).response();
    assert_eq!(
        (response.status, response.closes()),
        (status, true),
        "{request}"
    );
    client.assert_closed();
}

#[test]
fn a_route_has_a_body_limit_of_its_own_smaller_or_larger() {
    let limited = |most, bodies| {
        Action::Serve(Serve {
            limit_body: Some(most),
            ..Serve::new(application("a", bodies))
        })
    };
    let server = serve_with(
        |config| config.limits.body_bytes = 10,
        RouterOptions::default(),
        vec![
            Route::new(under("/small"), limited(3, Bodies::Buffered)),
            Route::new(under("/streamed"), limited(3, Bodies::Streamed)),
            Route::new(under("/large"), limited(20, Bodies::Buffered)),
            Route::new(
                Condition::default(),
                to(&application("a", Bodies::Buffered)),
            ),
        ],
    );
    for (path, most, kind) in [
        ("/small", 3, ""),
        ("/streamed", 3, "stream "),
        ("/large", 20, ""),
        ("/", 10, ""),
    ] {
        let (mount, below) = if path == "/" { ("", "/") } else { (path, "") };
        let body = "x".repeat(most);
        let expected = format!("a {mount} {below} {kind}{body}");
        let mut client = server.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {most}\r\n\r\n{body}"
        ));
        assert_eq!(client.response().text(), expected);
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{most:x}\r\n{body}\r\n0\r\n\r\n"
        ));
        assert_eq!(client.response().text(), expected);
        let more = most + 1;
        for extra in ["", "Expect: 100-continue\r\n"] {
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: t\r\n{extra}Content-Length: {more}\r\n\r\n");
            refused_at_once(server.connect(), &head, 413);
        }
    }
    let chunks =
        "POST /small HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxx\r\n2\r\n";
    refused_at_once(server.connect(), chunks, 413);
}

#[test]
fn a_body_that_nobody_wants_is_not_asked_for() {
    let server = serve_with(
        |config| config.limits.body_bytes = 10,
        RouterOptions::default(),
        vec![
            Route::new(under("/gone"), answer(410)),
            Route::new(under("/old"), redirect("/new", 308)),
            Route::new(for_host("a.test"), answer(200)),
            Route::new(under("/app"), to(&application("a", Bodies::Buffered))),
        ],
    );
    for (path, status) in [("/gone", 410), ("/old", 308), ("/nowhere", 404)] {
        for length in ["Content-Length: 5000000", "Transfer-Encoding: chunked"] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n{length}\r\n\r\n"
            );
            refused_at_once(server.connect(), &head, status);
        }
    }
    // A little that has come already is read and dropped.
    let mut client = server.connect();
    for _ in 0..3 {
        client.send("POST /gone HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello");
        let response = client.response();
        assert_eq!((response.status, response.closes()), (410, false));
    }
    // Where it is wanted, the client is asked.
    client
        .send("POST /app HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("hello");
    assert_eq!(client.response().text(), "a /app  hello");
}

#[test]
fn a_route_decides_whether_bodies_are_streamed() {
    let app = |bodies, stream_body| {
        Action::Serve(Serve {
            stream_body,
            ..Serve::new(application("a", bodies))
        })
    };
    let server = serve(vec![
        Route::new(under("/1"), app(Bodies::Buffered, Some(true))),
        Route::new(under("/2"), app(Bodies::Streamed, Some(false))),
        Route::new(under("/3"), app(Bodies::Streamed, None)),
    ]);
    for (path, kind) in [("/1", "stream "), ("/2", ""), ("/3", "stream ")] {
        let response = server
            .connect()
            .send(support::post(path, b"xyz"))
            .response();
        assert_eq!(response.text(), format!("a {path}  {kind}xyz"));
    }
}

#[test]
fn routes_are_for_methods_fields_and_clients() {
    let from = |networks: &[&str]| Condition {
        clients: networks
            .iter()
            .map(|it| it.parse::<Network>().expect("a network"))
            .collect(),
        ..Condition::default()
    };
    let server = serve(vec![
        Route::new(from(&["10.0.0.0/8", "2001:db8::/32"]), answer(402)),
        Route::new(
            Condition {
                methods: vec!["PUT".to_owned()],
                headers: vec![("X-Beta".to_owned(), "1".to_owned())],
                ..Condition::default()
            },
            answer(201),
        ),
        Route::new(from(&["127.0.0.0/8"]), answer(202)),
    ]);
    let mut client = server.connect();
    let mut ask = |method: &str, field: &str| {
        let head = format!("{method} / HTTP/1.1\r\nHost: t\r\n{field}\r\n");
        client.send(head).response().status
    };
    assert_eq!(ask("PUT", "x-beta: 1\r\n"), 201);
    assert_eq!(ask("PUT", "x-beta: 10\r\n"), 202);
    assert_eq!(ask("PUT", ""), 202);
    assert_eq!(ask("GET", "x-beta: 1\r\n"), 202);
}

#[test]
fn routes_see_what_a_trusted_proxy_says() {
    let secure = Condition {
        scheme: Some(Scheme::Https),
        hosts: vec!["a.test:443".parse().expect("a host")],
        ..Condition::default()
    };
    let far = Condition {
        clients: vec!["192.0.2.0/24".parse().expect("a network")],
        ..Condition::default()
    };
    let routes = || {
        vec![
            Route::new(secure.clone(), answer(201)),
            Route::new(far.clone(), redirect("https://{host}{path}", 308)),
            Route::new(Condition::default(), answer(200)),
        ]
    };
    let fields = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: a.test\r\n";
    let head = |proto: &str| {
        format!("GET /x HTTP/1.1\r\nHost: b\r\n{fields}X-Forwarded-Proto: {proto}\r\n\r\n")
    };
    let trusting = serve_with(
        |config| {
            let network = "127.0.0.1/32".parse().expect("a network");
            config.trust_proxy = vec![TrustedPeer::Network(network)];
        },
        RouterOptions::default(),
        routes(),
    );
    let mut client = trusting.connect();
    assert_eq!(client.send(head("https")).response().status, 201);
    let redirected = client.send(head("http")).response();
    assert_eq!(redirected.field("location"), Some("https://a.test/x"));
    assert_eq!(client.get("/").status, 200);
    let wary = serve(routes());
    assert_eq!(wary.connect().send(head("https")).response().status, 200);
}

#[test]
fn a_router_within_a_router_answers_nothing_wrongly() {
    let inner = vec![
        Route::new(under("/a"), answer(200)),
        Route::new(under("/b"), answer(201)),
    ];
    let inner = Router::new(inner, RouterOptions::default()).expect("good routes");
    let server = serve(vec![
        Route::new(under("/x"), answer(202)),
        Route::new(Condition::default(), to(&Application::new(Arc::new(inner)))),
    ]);
    assert_eq!(server.connect().get("/x").status, 202);
    assert_eq!(server.connect().get("/b").status, 500);
}

#[test]
fn a_router_that_nobody_asked_for_its_terms_still_routes() {
    let inner = vec![
        Route::new(under("/a"), to(&application("a", Bodies::Buffered))),
        Route::new(under("/b"), answer(201)),
    ];
    let inner = Router::new(inner, RouterOptions::default()).expect("good routes");
    let around = gateway(Bodies::Buffered, move |exchange| inner.handle(exchange));
    let server = TestServer::serve(|_| (), around);
    let mut client = server.connect();
    assert_eq!(client.get("/a/x").text(), "a /a /x ");
    assert_eq!(client.get("/b").status, 201);
    assert_eq!(client.get("/c").status, 404);
}

#[test]
fn several_reactors_route_alike() {
    let server = serve_with(
        |config| config.reactors = 2,
        RouterOptions::default(),
        vec![
            Route::new(under("/a"), to(&application("a", Bodies::Buffered))),
            Route::new(under("/b"), to(&application("b", Bodies::Buffered))),
        ],
    );
    for _ in 0..4 {
        let mut client = server.connect();
        assert_eq!(client.get("/a").text(), "a /a  ");
        assert_eq!(client.get("/b/x").text(), "b /b /x ");
    }
}
