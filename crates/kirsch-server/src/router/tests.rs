//! What the router chooses, and that its index chooses what trying the routes one by one would.

use std::net::SocketAddr;
use std::sync::Arc;

use kirsch_http::{Limits, RequestReader};
use proptest::prelude::*;

use super::*;
use crate::forwarded::{Forwarded, Scheme};
use crate::request::{LocalName, Origin};

fn hosts(texts: &[&str]) -> Vec<HostPattern> {
    texts.iter().map(|it| it.parse().expect("a host")).collect()
}

fn paths(texts: &[&str]) -> Vec<PathPrefix> {
    texts.iter().map(|it| it.parse().expect("a path")).collect()
}

fn on(hosts_of: &[&str], paths_of: &[&str]) -> Condition {
    Condition {
        hosts: hosts(hosts_of),
        paths: paths(paths_of),
        ..Condition::default()
    }
}

fn answer(when: Condition) -> Route {
    Route::new(
        when,
        Action::Answer(FixedAnswer::new(200, None).expect("a status")),
    )
}

fn router(conditions: Vec<Condition>) -> Router {
    let routes = conditions.into_iter().map(answer).collect();
    Router::new(routes, RouterOptions::default()).expect("good routes")
}

fn request_from(peer: Option<SocketAddr>, head: &str) -> Request {
    let mut request = Request::new();
    request.buf = format!("{head}\r\n\r\n").into_bytes();
    request.head = RequestReader::new()
        .next_head(&request.buf, &Limits::default(), &mut request.fields)
        .expect("a good head")
        .expect("a whole head");
    request.origin = Some(Arc::new(Origin {
        peer,
        peer_address: String::new(),
        local: Arc::new(LocalName {
            listener: 0,
            name: "listener.test".to_owned(),
            port: "80".to_owned(),
            scheme: Scheme::Http,
        }),
        tls: None,
    }));
    request
}

fn request(head: &str) -> Request {
    request_from(Some(([10, 0, 0, 1], 4711).into()), head)
}

fn get(host: &str, path: &str) -> Request {
    request(&format!("GET {path} HTTP/1.1\r\nHost: {host}"))
}

fn chosen(router: &Router, request: &Request) -> Chosen {
    router.choose(request).0
}

#[test]
fn a_host_is_matched_in_all_its_forms() {
    for (pattern, host, matches) in [
        ("douban.com", "douban.com", true),
        ("douban.com", "Douban.COM", true),
        ("DOUBAN.com", "douban.com", true),
        ("douban.com", "douban.com.", true),
        ("douban.com.", "douban.com", true),
        ("douban.com", "douban.com:8000", true),
        ("douban.com", "www.douban.com", false),
        ("douban.com", "xdouban.com", false),
        ("*.douban.com", "www.douban.com", true),
        ("*.douban.com", "a.b.douban.com.:80", true),
        ("*.douban.com", "douban.com", false),
        ("*.douban.com", "xdouban.com", false),
        ("*.com", "douban.com", true),
        ("douban.com:8443", "douban.com:8443", true),
        ("douban.com:8443", "douban.com", false),
        ("douban.com:8443", "douban.com:844", false),
        // The port that http means when none is written.
        ("douban.com:80", "douban.com", true),
        ("*.douban.com:81", "www.douban.com:81", true),
        ("*.douban.com:81", "www.douban.com", false),
        ("127.0.0.1", "127.0.0.1:8000", true),
        ("[::1]", "[::1]:8000", true),
        ("[::1]", "[0:0:0:0:0:0:0:1]", true),
        ("[2001:DB8::1]:80", "[2001:db8::1]", true),
        ("[::1]", "[::2]", false),
    ] {
        let router = router(vec![on(&[pattern], &[])]);
        let expected = if matches {
            Chosen::Route(0)
        } else {
            Chosen::UnknownHost
        };
        assert_eq!(
            chosen(&router, &get(host, "/")),
            expected,
            "{pattern} for {host}"
        );
    }
}

#[test]
fn hosts_that_no_request_can_name_are_refused_with_what_to_write() {
    for (text, error) in [
        ("", RouteError::HostLength),
        ("*", RouteError::HostWildcard),
        ("*.", RouteError::HostLength),
        ("a.*.com", RouteError::HostWildcard),
        ("*.*.com", RouteError::HostWildcard),
        ("w*.douban.com", RouteError::HostWildcard),
        ("https://douban.com", RouteError::HostName),
        ("douban.com/x", RouteError::HostName),
        ("douban..com", RouteError::HostName),
        ("bücher.de", RouteError::HostName),
        ("douban.com:http", RouteError::HostPort),
        ("douban.com:70000", RouteError::HostPort),
        ("[::1", RouteError::HostAddress),
        ("::1", RouteError::HostAddress),
        ("::1:8000", RouteError::HostAddress),
        ("[x]", RouteError::HostAddress),
    ] {
        assert_eq!(text.parse::<HostPattern>(), Err(error), "{text}");
    }
    assert!("::1".parse::<HostPattern>().is_err());
    for text in ["douban.com", "*.douban.com:81", "[::1]:80", "127.0.0.1"] {
        let pattern: HostPattern = text.parse().expect("a host");
        assert_eq!(pattern.to_string(), text);
    }
}

#[test]
fn a_path_is_a_prefix_only_where_a_segment_ends() {
    for (prefix, path, mount) in [
        ("/static", "/static", Some("/static")),
        ("/static", "/static/", Some("/static")),
        ("/static/", "/static/a/b", Some("/static")),
        ("/static", "/staticx", None),
        ("/static", "/", None),
        ("/static", "/a/static", None),
        ("/static", "/st%61tic/a", Some("/st%61tic")),
        ("/static", "/static%2Fa", Some("/static")),
        ("/static", "//static", None),
        ("/a b/c", "/a%20b/c/d", Some("/a%20b/c")),
        ("/größe", "/gr%C3%B6%c3%9fe/x", Some("/gr%C3%B6%c3%9fe")),
        ("/", "/anything", Some("")),
        ("/", "*", Some("")),
    ] {
        let method = if path == "*" { "OPTIONS" } else { "GET" };
        let router = router(vec![on(&[], &[prefix])]);
        let request = request(&format!("{method} {path} HTTP/1.1\r\nHost: a"));
        let (chosen, len) = router.choose(&request);
        match mount {
            None => assert_eq!(chosen, Chosen::Nothing, "{prefix} for {path}"),
            Some(mount) => {
                assert_eq!(chosen, Chosen::Route(0), "{prefix} for {path}");
                assert_eq!(undecoded_len(request.path(), len), mount.len(), "{path}");
            }
        }
    }
    assert_eq!("static".parse::<PathPrefix>(), Err(RouteError::PathStart));
}

#[test]
fn the_first_route_that_matches_is_chosen_wherever_it_is_listed() {
    let router = router(vec![
        on(&["*.a.test"], &["/x/y"]),
        on(&[], &["/x"]),
        on(&["w.a.test"], &[]),
        on(&["*.test"], &["/x", "/z"]),
        on(&[], &[]),
    ]);
    for (host, path, route) in [
        ("w.a.test", "/x/y/z", 0),
        ("w.a.test", "/x", 1),
        ("w.a.test", "/z", 2),
        ("v.a.test", "/z", 3),
        ("v.a.test", "/", 4),
        ("b", "/x", 1),
        ("b", "/", 4),
    ] {
        assert_eq!(
            chosen(&router, &get(host, path)),
            Chosen::Route(route),
            "{host}{path}"
        );
    }
    // HTTP/1.0 may leave the host out.
    assert_eq!(
        chosen(&router, &request("GET /z HTTP/1.0")),
        Chosen::Route(4)
    );
}

#[test]
fn a_host_is_known_if_any_route_is_for_it() {
    let only_hosts = router(vec![on(&["a.test:81"], &["/x"]), on(&["*.b.test"], &["/"])]);
    assert_eq!(
        chosen(&only_hosts, &get("a.test:81", "/y")),
        Chosen::Nothing
    );
    for host in ["a.test", "b.test", "c"] {
        assert_eq!(
            chosen(&only_hosts, &get(host, "/x")),
            Chosen::UnknownHost,
            "{host}"
        );
    }
    assert_eq!(
        chosen(&only_hosts, &request("GET / HTTP/1.0")),
        Chosen::UnknownHost
    );
    let any = router(vec![on(&["a.test"], &[]), on(&[], &["/x"])]);
    assert_eq!(chosen(&any, &get("c", "/y")), Chosen::Nothing);
}

#[test]
fn method_header_scheme_and_client_are_matched_together() {
    let mut when = Condition {
        methods: vec!["GET".to_owned(), "PUT".to_owned()],
        headers: vec![("x-beta".to_owned(), "1".to_owned())],
        clients: vec!["10.0.0.0/8".parse().expect("a network")],
        scheme: Some(Scheme::Http),
        ..Condition::default()
    };
    let lan = router(vec![when.clone()]);
    let ask = |method: &str, value: &str, peer: &str| {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nX-Beta: 0\r\nX-BETA: {value}");
        chosen(
            &lan,
            &request_from(Some(peer.parse().expect("an address")), &head),
        )
    };
    let inside = "10.1.2.3:1";
    for method in ["GET", "HEAD", "PUT"] {
        assert_eq!(ask(method, "1", inside), Chosen::Route(0), "{method}");
    }
    assert_eq!(ask("GET", "1", "[::ffff:10.1.2.3]:1"), Chosen::Route(0));
    assert_eq!(ask("POST", "1", inside), Chosen::Nothing);
    assert_eq!(ask("get", "1", inside), Chosen::Nothing);
    assert_eq!(ask("GET", "2", inside), Chosen::Nothing);
    assert_eq!(ask("GET", "1", "11.0.0.1:1"), Chosen::Nothing);
    let head = "GET / HTTP/1.1\r\nHost: a\r\nx-beta: 1";
    assert_eq!(chosen(&lan, &request_from(None, head)), Chosen::Nothing);
    when.scheme = Some(Scheme::Https);
    assert_eq!(chosen(&router(vec![when]), &request(head)), Chosen::Nothing);
}

#[test]
fn a_method_or_header_that_is_no_token_is_refused_with_its_place() {
    let bad = Condition {
        methods: vec!["GET, POST".to_owned()],
        ..Condition::default()
    };
    let routes = vec![answer(Condition::default()), answer(bad)];
    let error = Router::new(routes, RouterOptions::default()).err();
    assert_eq!(
        error,
        Some(RouterError {
            index: 1,
            error: RouteError::Method("GET, POST".to_owned())
        })
    );
}

#[test]
fn a_redirect_leads_where_it_says() {
    for (to, host, target, location) in [
        (
            "https://{host}{path}{query}",
            "A.test:8000",
            "/x/%41?b=c",
            "https://A.test/x/%41?b=c",
        ),
        (
            "https://{host}{path}{query}",
            "[::1]:80",
            "/",
            "https://[::1]/",
        ),
        ("https://{host}{path}", "a.test", "/x?b", "https://a.test/x"),
        ("/new{path}", "a.test", "/x?", "/new/x"),
        // Anything else would lead to another host.
        ("{path}{query}", "a.test", "//evil.test/?a", "/evil.test/?a"),
        ("{path}", "a.test", "/\\evil.test", "/%5Cevil.test"),
        ("https://b{path}", "a.test", "//c", "https://b//c"),
        ("/{path}", "a.test", "/evil.test", "/evil.test"),
        (
            "https://b.test/ä{path}",
            "a.test",
            "/\u{e9}\"",
            "https://b.test/%C3%A4/%C3%A9%22",
        ),
    ] {
        let redirect = Redirect::new(to, 308).expect("a good redirect");
        let found = redirect.location(&get(host, target));
        assert_eq!(String::from_utf8_lossy(&found), location, "{to} {target}");
    }
    let redirect = Redirect::new("https://{host}{path}", 301).expect("a good redirect");
    assert_eq!(
        redirect.location(&request("OPTIONS * HTTP/1.1\r\nHost: a.test")),
        b"https://a.test"
    );
    assert_eq!(
        redirect.location(&request("GET /x HTTP/1.0")),
        b"https://listener.test/x"
    );
}

#[test]
fn a_redirect_leads_back_to_where_a_proxy_took_off_a_prefix() {
    let mut behind = get("a.test", "/x?b");
    behind.forwarded = Some(Box::new(Forwarded {
        prefix: Some(b"/a %?".to_vec()),
        ..Forwarded::default()
    }));
    for (to, location) in [
        (
            "https://{host}{path}{query}",
            &b"https://a.test/a%20%25%3F/x?b"[..],
        ),
        ("{path}", b"/a%20%25%3F/x"),
        ("/{path}", b"/a%20%25%3F/x"),
    ] {
        let redirect = Redirect::new(to, 308).expect("a good redirect");
        assert_eq!(redirect.location(&behind), location);
    }
}

#[test]
fn a_redirect_that_leads_nowhere_is_refused() {
    for (to, status, error) in [
        (
            "https://{hots}/",
            308,
            RouteError::RedirectPlaceholder("hots".to_owned()),
        ),
        (
            "https://{host",
            308,
            RouteError::RedirectPlaceholder("host".to_owned()),
        ),
        ("{host}{path}", 308, RouteError::RedirectTarget),
        ("", 308, RouteError::RedirectTarget),
        ("example.com", 308, RouteError::RedirectTarget),
        ("https://a b", 308, RouteError::RedirectTarget),
        ("/x", 304, RouteError::RedirectStatus(304)),
    ] {
        assert_eq!(Redirect::new(to, status), Err(error), "{to}");
    }
    assert_eq!(
        FixedAnswer::new(101, None),
        Err(RouteError::AnswerStatus(101))
    );
}

#[test]
fn routes_that_earlier_ones_take_everything_from_are_found() {
    let methods = |methods: &[&str]| Condition {
        methods: methods.iter().map(|it| (*it).to_owned()).collect(),
        ..Condition::default()
    };
    let clients = |nets: &[&str]| Condition {
        clients: nets
            .iter()
            .map(|it| it.parse().expect("a network"))
            .collect(),
        ..Condition::default()
    };
    let header = |headers: &[(&str, &str)]| Condition {
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Condition::default()
    };
    let https = Condition {
        scheme: Some(Scheme::Https),
        ..Condition::default()
    };
    for (earlier, later, shadowed) in [
        (on(&[], &[]), on(&["a.b"], &["/x"]), true),
        (on(&["a.b"], &[]), on(&[], &[]), false),
        (on(&["*.b"], &[]), on(&["a.b", "*.c.b"], &[]), true),
        (on(&["*.b"], &[]), on(&["b"], &[]), false),
        (on(&["a.b:80"], &[]), on(&["a.b"], &[]), false),
        (on(&["a.b"], &[]), on(&["a.b:80"], &[]), true),
        (on(&["a.b"], &[]), on(&["a.b", "c.b"], &[]), false),
        (on(&[], &["/x"]), on(&[], &["/x/y"]), true),
        (on(&[], &["/x"]), on(&[], &["/xy"]), false),
        (on(&[], &["/x", "/z"]), on(&[], &["/x/y", "/z"]), true),
        (on(&[], &["/x"]), on(&[], &[]), false),
        (on(&[], &["/"]), on(&[], &[]), true),
        (methods(&["GET"]), methods(&["HEAD"]), true),
        (methods(&["HEAD"]), methods(&["GET"]), false),
        (methods(&["GET"]), methods(&["GET", "PUT"]), false),
        (clients(&["10.0.0.0/8"]), clients(&["10.1.0.0/16"]), true),
        (clients(&["10.1.0.0/16"]), clients(&["10.0.0.0/8"]), false),
        (
            header(&[("a", "1")]),
            header(&[("b", "2"), ("A", "1")]),
            true,
        ),
        (header(&[("a", "1")]), header(&[("a", "2")]), false),
        (https.clone(), https.clone(), true),
        (https.clone(), Condition::default(), false),
        (Condition::default(), https, true),
    ] {
        let routes = [answer(on(&["zzz"], &[])), answer(earlier), answer(later)];
        let expected = shadowed.then_some(Shadowed { index: 2, by: 1 });
        assert_eq!(
            unreachable(&routes),
            Vec::from_iter(expected),
            "{:#?}",
            &routes[1..]
        );
    }
}

/// Whether a request meets a condition, from its definition alone.
fn meets(when: &Condition, request: &Request) -> bool {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let authority = request.authority().map(|it| text(it).to_ascii_lowercase());
    let host_meets = |pattern: &HostPattern| {
        let Some(authority) = &authority else {
            return false;
        };
        let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
        let pattern = pattern.to_string();
        let (name, wanted) = pattern.split_once(':').unwrap_or((&pattern, port));
        let named = match name.strip_prefix('*') {
            Some(domain) => host.trim_end_matches('.').ends_with(domain),
            None => host.trim_end_matches('.') == name,
        };
        named && port == wanted
    };
    let path_meets = |prefix: &PathPrefix| {
        let mut decoded = Vec::new();
        kirsch_http::decode_path(request.path(), &mut decoded);
        let prefix = prefix.as_str();
        text(&decoded) == prefix || text(&decoded).starts_with(&format!("{prefix}/"))
    };
    let method = text(request.method_name());
    let header_meets = |(name, value): &(String, String)| {
        request
            .fields()
            .any(|(_, found, given)| text(found) == *name && text(given) == *value)
    };
    (when.hosts.is_empty() || when.hosts.iter().any(host_meets))
        && (when.paths.is_empty() || when.paths.iter().any(path_meets))
        && (when.methods.is_empty() || when.methods.contains(&method))
        && when.headers.iter().all(header_meets)
}

fn condition() -> impl Strategy<Value = Condition> {
    let host = prop::sample::select(vec![
        "a.test",
        "b.test",
        "w.a.test",
        "*.a.test",
        "*.test",
        "*.w.a.test",
        "a.test:81",
        "*.test:81",
    ]);
    let path = prop::sample::select(vec!["/", "/x", "/x/y", "/x/y/z", "/xy", "/y", "/x//y"]);
    let method = prop::sample::select(vec!["PUT", "POST"]);
    let header = prop::sample::select(vec![("k", "1"), ("k", "2"), ("l", "1")]);
    (
        prop::collection::vec(host, 0..3),
        prop::collection::vec(path, 0..3),
        prop::collection::vec(method, 0..2),
        prop::collection::vec(header, 0..2),
    )
        .prop_map(|(hosts, paths, methods, headers)| Condition {
            methods: methods.into_iter().map(str::to_owned).collect(),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..on(&hosts, &paths)
        })
}

fn any_request() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec![
        "",
        "a.test",
        "A.test.",
        "b.test",
        "w.a.test:81",
        "v.w.a.test",
        "a.test:81",
        "c.test",
        "d",
    ]);
    let path = prop::sample::select(vec![
        "/",
        "/x",
        "/x/",
        "/x/y",
        "/%78/y/z/0",
        "/xy",
        "/x//y",
        "//x",
        "/y%2Fx",
        "/x/y/zz",
    ]);
    let method = prop::sample::select(vec!["PUT", "POST"]);
    let header = prop::sample::select(vec!["k: 1", "k: 2", "l: 1"]);
    (host, path, method, header).prop_map(|(host, path, method, header)| match host {
        "" => format!("{method} {path} HTTP/1.0\r\n{header}"),
        _ => format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{header}"),
    })
}

proptest! {
    #[test]
    fn the_index_finds_what_trying_every_route_in_turn_would(
        conditions in prop::collection::vec(condition(), 0..12),
        heads in prop::collection::vec(any_request(), 1..12),
    ) {
        let router = router(conditions.clone());
        for head in heads {
            let request = request(&head);
            let first = conditions.iter().position(|when| meets(when, &request));
            let known = conditions.iter().any(|when| {
                let anything_else = Condition { hosts: when.hosts.clone(), ..Condition::default() };
                meets(&anything_else, &request)
            });
            let expected = match first {
                Some(idx) => Chosen::Route(idx),
                None if known => Chosen::Nothing,
                None => Chosen::UnknownHost,
            };
            prop_assert_eq!(chosen(&router, &request), expected, "{}", head);
        }
    }

    #[test]
    fn a_route_called_unreachable_answers_nothing(
        conditions in prop::collection::vec(condition(), 0..8),
        heads in prop::collection::vec(any_request(), 1..20),
    ) {
        let routes: Vec<Route> = conditions.iter().cloned().map(answer).collect();
        let found = unreachable(&routes);
        // Trying every earlier one finds the same: the index leaves none out.
        let all = (0..routes.len()).filter_map(|index| {
            let covers = |by: &usize| conditions[*by].covers(&conditions[index]);
            (0..index).find(covers).map(|by| Shadowed { index, by })
        });
        prop_assert_eq!(&found, &Vec::from_iter(all));
        for head in heads {
            if let Chosen::Route(idx) = chosen(&router(conditions.clone()), &request(&head)) {
                prop_assert!(found.iter().all(|it| it.index != idx), "{}", head);
            }
        }
    }
}
