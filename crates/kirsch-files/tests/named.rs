//! Files that an application names, over sockets.

#[path = "../../kirsch-server/tests/support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kirsch_files::{FilesOptions, Name, NamedError, NamedFiles};
use kirsch_server::{Condition, ErrorAnswer, ResponseHead, Status};
use support::{Bodies, Response, TestServer, pattern};
use tempfile::TempDir;

/// An application that answers with the given head and names the file that the path ends with, or, for a path that
/// begins with `/accel`, the place behind that.
struct Naming {
    folder: TempDir,
    server: TestServer,
}

impl Naming {
    fn new(status: &'static str, fields: &'static [(&'static str, &'static str)]) -> Naming {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["open", "closed"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
            fs::write(folder.path().join(name).join("a.txt"), name).expect("a file");
        }
        let open = folder.path().join("open");
        fs::write(open.join("large.bin"), pattern(100_000)).expect("a file");
        fs::write(open.join(".hidden"), "hidden").expect("a file");
        symlink("../closed/a.txt", open.join("link")).expect("a link");
        let named = NamedFiles::new(std::slice::from_ref(&open)).expect("a folder");
        let route = |paths: &[&str], hosts: &[&str], folder: &Path| {
            let when = Condition {
                paths: paths.iter().map(|it| it.parse().expect("a path")).collect(),
                hosts: hosts.iter().map(|it| it.parse().expect("a host")).collect(),
                ..Condition::default()
            };
            let options = FilesOptions::new(folder);
            (
                when,
                NamedFiles::internal_folder(options).expect("a folder"),
            )
        };
        let named = Arc::new(named.with_internal(vec![
            route(&["/kept", "/kept too"], &[], &open),
            route(&["/other"], &["other.test"], &folder.path().join("closed")),
        ]));
        let top = folder.path().to_owned();
        let server = TestServer::start(
            |_| {},
            Bodies::Buffered,
            move |mut exchange| {
                let path = String::from_utf8_lossy(exchange.request().target()).into_owned();
                let name = if let Some(place) = path.strip_prefix("/accel") {
                    named.named_by(b"x-accel-redirect", place.as_bytes())
                } else {
                    let file = match path.strip_prefix("/abs") {
                        Some(path) => PathBuf::from(path),
                        None => PathBuf::from(format!("{}{path}", top.display())),
                    };
                    Some(Name::File(file))
                };
                let name = name.expect("both fields are known");
                let mut head = ResponseHead::new();
                head.status(status.as_bytes()).expect("a status");
                for (name, value) in fields {
                    head.field(name.as_bytes(), value.as_bytes())
                        .expect("a field");
                }
                let status = match named.send(&mut exchange, &head, &name) {
                    Ok(()) => return,
                    Err(NamedError::Outside) => 500,
                    Err(NamedError::Nowhere) => 502,
                    Err(NamedError::Missing) => 404,
                    Err(NamedError::System(err)) => panic!("{err}"),
                };
                exchange.answer(&ErrorAnswer::new(Status(status), "not sent"));
            },
        );
        Naming { folder, server }
    }

    fn ask(&self, path: &str, fields: &[&str]) -> Response {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
        self.server.connect().send(request).response()
    }

    fn get(&self, path: &str) -> Response {
        self.ask(path, &[])
    }
}

#[test]
fn the_fields_of_the_application_stay_and_what_is_missing_is_added() {
    let named = Naming::new(
        "200 Fine",
        &[
            ("Content-Disposition", "attachment; filename=x.txt"),
            ("Content-Length", "0"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
        ],
    );
    let response = named.get("/open/a.txt");
    assert_eq!((response.status, response.text()), (200, "open"));
    assert!(response.head.starts_with("HTTP/1.1 200 Fine\r\n"));
    assert_eq!(response.head.matches("Set-Cookie: ").count(), 2);
    assert_eq!(response.head.matches("Content-Length: 4\r\n").count(), 1);
    assert_eq!(
        response.field("Content-Disposition"),
        Some("attachment; filename=x.txt")
    );
    assert_eq!(response.field("Content-Type"), Some("text/plain"));
    assert!(response.field("Last-Modified").is_some());
    let tag = response.field("ETag").expect("a tag").to_owned();
    let response = named.ask("/open/a.txt", &[&format!("If-None-Match: {tag}")]);
    assert_eq!(
        (response.status, response.field("Content-Disposition")),
        (304, None)
    );
    assert_eq!(response.head.matches("Set-Cookie: ").count(), 2);
    let response = named.ask("/open/large.bin", &["Range: bytes=70000-70009"]);
    assert_eq!(response.status, 206);
    assert_eq!(
        response.field("Content-Range"),
        Some("bytes 70000-70009/100000")
    );
    assert!(response.body == pattern(100_000)[70_000..70_010]);
    assert_eq!(named.ask("/open/a.txt", &["Range: bytes=9-"]).status, 416);
    assert!(named.get("/open/large.bin").body == pattern(100_000));
}

#[test]
fn the_validators_of_the_application_count_before_ours() {
    let named = Naming::new(
        "200 OK",
        &[
            ("ETag", "\"mine\""),
            ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Content-Type", "x/y"),
        ],
    );
    let response = named.get("/open/a.txt");
    assert_eq!(response.head.matches("ETag: ").count(), 1);
    assert_eq!(response.head.matches("Last-Modified: ").count(), 1);
    assert_eq!(response.field("Content-Type"), Some("x/y"));
    for (field, status) in [
        ("If-None-Match: \"mine\"", 304),
        ("If-None-Match: \"other\"", 200),
        ("If-Match: \"other\"", 412),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 304),
    ] {
        assert_eq!(named.ask("/open/a.txt", &[field]).status, status, "{field}");
    }
    let part = named.ask("/open/a.txt", &["Range: bytes=1-2", "If-Range: \"mine\""]);
    assert_eq!(
        (part.status, part.text(), part.field("Content-Type")),
        (206, "pe", Some("x/y"))
    );
}

#[test]
fn with_another_status_the_file_is_sent_whole() {
    let named = Naming::new("404 Not Found", &[("Connection", "close")]);
    let response = named.ask("/open/a.txt", &["Range: bytes=0-0", "If-None-Match: *"]);
    assert_eq!((response.status, response.text()), (404, "open"));
    assert!(response.closes());
}

#[test]
fn only_files_in_the_folders_may_be_named() {
    let named = Naming::new("200 OK", &[]);
    let top = named.folder.path().display();
    for (path, status) in [
        ("/open/.hidden".to_owned(), 200),
        ("/open//./a.txt".to_owned(), 200),
        (format!("/abs{top}/open/a.txt"), 200),
        ("/open/missing".to_owned(), 404),
        ("/open/link".to_owned(), 404),
        ("/open".to_owned(), 404),
        ("/open/".to_owned(), 404),
        ("/closed/a.txt".to_owned(), 500),
        ("/opened/a.txt".to_owned(), 500),
        ("/open/../closed/a.txt".to_owned(), 500),
        ("/open/../open/a.txt".to_owned(), 500),
        ("/abs/etc/passwd".to_owned(), 500),
        ("/absopen/a.txt".to_owned(), 500),
        ("/abs".to_owned(), 500),
    ] {
        assert_eq!(named.get(&path).status, status, "{path}");
    }
    assert!(NamedFiles::new(&[Path::new("/none/such").to_owned()]).is_err());
}

#[test]
fn a_place_is_a_path_of_an_internal_route_for_the_host_of_the_request() {
    let named = Naming::new("200 OK", &[]);
    fs::write(named.folder.path().join("open/a b%.txt"), "odd").expect("a file");
    fs::write(named.folder.path().join("open/index.html"), "index").expect("a file");
    for (place, status, text) in [
        ("/kept/a.txt", 200, "open"),
        ("/kept%20too/a.txt", 200, "open"),
        ("/k%65pt/a.txt", 200, "open"),
        ("/kept/a%20b%25.txt", 200, "odd"),
        ("/kept/a.txt?of=no+meaning", 200, "open"),
        ("/kept/missing", 404, ""),
        ("/kept", 404, ""),
        ("/kept/", 404, ""),
        ("/kept/link", 404, ""),
        ("/kept/.hidden", 404, ""),
        ("/kept%2Fa.txt", 404, ""),
        ("/kept//a.txt", 404, ""),
        ("/kept/../closed/a.txt", 502, ""),
        ("/kept/%2e%2e/closed/a.txt", 502, ""),
        ("/keptx/a.txt", 502, ""),
        ("/other/a.txt", 502, ""),
        ("kept/a.txt", 502, ""),
        ("@kept", 502, ""),
        ("", 502, ""),
    ] {
        let response = named.get(&format!("/accel{place}"));
        assert_eq!(response.status, status, "{place}");
        if status == 200 {
            assert_eq!(response.text(), text, "{place}");
        }
    }
    let request = "GET /accel/other/a.txt HTTP/1.1\r\nHost: OTHER.test:80\r\n\r\n";
    assert_eq!(
        named.server.connect().send(request).response().text(),
        "closed"
    );
}

#[test]
fn of_a_place_those_fields_stay_that_nginx_keeps() {
    let named = Naming::new(
        "404 Not Found",
        &[
            ("Content-Type", "text/x-special"),
            ("Content-Disposition", "attachment"),
            ("Content-Length", "0"),
            ("Content-Encoding", "gzip"),
            ("ETag", "\"of-an-empty-body\""),
            ("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("Cache-Control", "private"),
            ("Expires", "0"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("Vary", "Cookie"),
            ("Accept-Ranges", "none"),
        ],
    );
    let response = named.get("/accel/kept/large.bin");
    assert_eq!((response.status, response.body.len()), (200, 100_000));
    let fields = response
        .head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'));
    let mut names: Vec<_> = fields.map(|(name, _)| name.to_lowercase()).collect();
    names.retain(|name| {
        !["date", "server", "last-modified", "x-request-id"].contains(&name.as_str())
    });
    names.sort();
    assert_eq!(
        names,
        [
            "accept-ranges",
            "cache-control",
            "content-disposition",
            "content-length",
            "content-type",
            "etag",
            "expires",
            "set-cookie",
            "set-cookie",
        ]
    );
    let tag = response.field("ETag").expect("a tag").to_owned();
    assert_ne!(tag, "\"of-an-empty-body\"");
    assert_eq!(response.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(response.field("Content-Type"), Some("text/x-special"));
    // Ranges and conditions count, whatever status the application has given.
    let part = named.ask("/accel/kept/large.bin", &["Range: bytes=5-7"]);
    assert_eq!((part.status, part.body.len()), (206, 3));
    let same = named.ask("/accel/kept/large.bin", &[&format!("If-None-Match: {tag}")]);
    assert_eq!((same.status, same.field("Set-Cookie")), (304, Some("a=1")));
}

#[test]
fn what_a_post_has_done_is_not_undone_by_a_condition() {
    let named = Naming::new("200 OK", &[]);
    for path in ["/open/a.txt", "/accel/kept/a.txt"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\nIf-None-Match: *\r\nRange: bytes=0-0\r\n\r\n"
        );
        let response = named.server.connect().send(request).response();
        assert_eq!((response.status, response.text()), (200, "open"), "{path}");
    }
}

#[test]
fn a_field_means_something_only_where_something_may_be_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let both: [&[u8]; 2] = [b"X-Sendfile", b"X-Accel-Redirect"];
    let known = |named: &NamedFiles| both.map(|field| named.named_by(field, b"/a").is_some());
    assert_eq!(known(&NamedFiles::default()), [false, false]);
    let files = NamedFiles::new(&[folder.path().to_owned()]).expect("a folder");
    assert_eq!(known(&files), [true, false]);
    let route = NamedFiles::internal_folder(FilesOptions::new(folder.path())).expect("a folder");
    let places = NamedFiles::default().with_internal(vec![(Condition::default(), route)]);
    assert_eq!(known(&places), [false, true]);
    let place = places.named_by(b"X-ACCEL-redirect", b" /a ");
    assert_eq!(place, Some(Name::Place(b"/a".to_vec())));
    assert_eq!(places.named_by(b"X-Accel-Limit-Rate", b"1"), None);
}
