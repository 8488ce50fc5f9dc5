//! Files that an application names, over sockets.

#[path = "../../kirsch-server/tests/support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kirsch_files::{NamedError, NamedFiles};
use kirsch_server::{ErrorAnswer, ResponseHead, Status};
use support::{Bodies, Response, TestServer, pattern};
use tempfile::TempDir;

/// An application that answers with the given head and names the file that the path ends with.
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
        let named = Arc::new(NamedFiles::new(&[open]).expect("a folder"));
        let top = folder.path().to_owned();
        let server = TestServer::start(
            |_| {},
            Bodies::Buffered,
            move |mut exchange| {
                let path = String::from_utf8_lossy(exchange.request().path()).into_owned();
                let path = match path.strip_prefix("/abs") {
                    Some(path) => PathBuf::from(path),
                    None => PathBuf::from(format!("{}{path}", top.display())),
                };
                let mut head = ResponseHead::new();
                head.status(status.as_bytes()).expect("a status");
                for (name, value) in fields {
                    head.field(name.as_bytes(), value.as_bytes())
                        .expect("a field");
                }
                let status = match named.send(&mut exchange, &head, &path) {
                    Ok(()) => return,
                    Err(NamedError::Outside) => 500,
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
