//! A folder behind a server, over sockets: every kind of answer, byte by byte.

#[path = "../../kirsch-server/tests/support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kirsch_files::{CacheRule, Dotfiles, Files, FilesOptions, Symlinks};
use kirsch_server::{Bind, Config, Doing, Lane, Server};
use support::{Client, Response, TestServer, pattern};
use tempfile::TempDir;

/// A folder with a server in front of it.
struct Served {
    folder: TempDir,
    files: Arc<Files>,
    server: TestServer,
}

impl Served {
    /// What is not looked at anew for each request would make tests wait.
    fn new(change: impl FnOnce(&mut FilesOptions)) -> Served {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("root")).expect("a folder");
        let mut options = FilesOptions::new(folder.path().join("root"));
        options.check_interval = Duration::ZERO;
        change(&mut options);
        let files = Arc::new(Files::new(options).expect("a folder that can be served"));
        let config = Config {
            binds: vec![Bind::Tcp(([127, 0, 0, 1], 0).into())],
            threads: 4,
            request_id: false,
            ..Config::default()
        };
        let server = Server::bind(config, files.clone()).expect("a free port");
        server.start().expect("threads");
        Served {
            folder,
            files,
            server: TestServer { server },
        }
    }

    fn plain() -> Served {
        Served::new(|_| {})
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("root").join(name)
    }

    /// Writes a file that is old enough for its times to be trusted.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        fs::write(&path, content).expect("a file");
        set_modified(&path, 784_111_777);
    }

    fn client(&self) -> Client {
        self.server.connect()
    }

    fn get(&self, path: &str) -> Response {
        self.ask(path, &[])
    }

    fn ask(&self, path: &str, fields: &[&str]) -> Response {
        self.client().send(request("GET", path, fields)).response()
    }

    fn head(&self, path: &str, fields: &[&str]) -> Response {
        self.client()
            .send(request("HEAD", path, fields))
            .response_to_head()
    }
}

fn set_modified(path: &Path, seconds: u64) {
    let file = fs::File::options().append(true).open(path).expect("a file");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_modified(time).expect("a time");
}

fn request(method: &str, path: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
}

fn field<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .field(name)
        .unwrap_or_else(|| panic!("no {name} in {response:?}"))
}

/// Around the border between memory and `sendfile`.
const SMALL: usize = 16 * 1024;

#[test]
fn a_file_is_sent_whole_with_everything_that_is_known_of_it() {
    let served = Served::plain();
    served.write("a.html", "<p>hello");
    let response = served.get("/a.html");
    assert_eq!((response.status, response.text()), (200, "<p>hello"));
    assert_eq!(field(&response, "Content-Type"), "text/html; charset=utf-8");
    assert_eq!(field(&response, "Content-Length"), "8");
    assert_eq!(
        field(&response, "Last-Modified"),
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
    assert_eq!(field(&response, "Accept-Ranges"), "bytes");
    assert!(field(&response, "ETag").starts_with('"'));
    for absent in [
        "Vary",
        "Cache-Control",
        "Content-Encoding",
        "Transfer-Encoding",
    ] {
        assert_eq!(response.field(absent), None);
    }
    // The query means nothing to a file.
    assert_eq!(served.get("/a.html?v=2").text(), "<p>hello");
}

#[test]
fn lengths_around_every_border_arrive_byte_by_byte() {
    let served = Served::plain();
    let mut client = served.client();
    for len in [
        0,
        1,
        16 * 1024,
        16 * 1024 + 1,
        SMALL - 1,
        SMALL,
        SMALL + 1,
        5_000_000,
    ] {
        served.write("file", pattern(len));
        // The second time it comes from the cache.
        for _ in 0..2 {
            let response = client.get("/file");
            assert_eq!((response.status, response.body.len()), (200, len));
            assert!(response.body == pattern(len), "{len} bytes differ");
        }
    }
}

#[test]
fn head_says_what_get_says_and_sends_nothing() {
    let served = Served::plain();
    for len in [0, 10, SMALL + 1] {
        served.write("file", pattern(len));
        let (head, get) = (served.head("/file", &[]), served.get("/file"));
        let without_date = |response: &Response| {
            let lines = response
                .head
                .lines()
                .filter(|line| !line.starts_with("Date"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_date(&head), without_date(&get));
        // Ranges are for GET alone.
        let head = served.head("/file", &["Range: bytes=0-0"]);
        assert_eq!(
            (head.status, field(&head, "Content-Length")),
            (200, &*len.to_string())
        );
    }
    // Nothing follows on the connection but the next answer.
    let mut client = served.client();
    client.send(request("HEAD", "/file", &[]));
    assert_eq!(client.response_to_head().status, 200);
    assert_eq!(client.get("/file").body.len(), SMALL + 1);
}

#[test]
fn other_methods_are_refused_without_reading_their_body() {
    let served = Served::plain();
    served.write("file", "x");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let response = served
            .client()
            .send(request(method, "/file", &["Content-Length: 0"]))
            .response();
        assert_eq!(
            (response.status, field(&response, "Allow")),
            (405, "GET, HEAD")
        );
    }
    // Nobody waits for a body that is never wanted, and no 100 asks for it.
    let fields = ["Content-Length: 5", "Expect: 100-continue"];
    let response = served
        .client()
        .send(request("PUT", "/file", &fields))
        .response();
    assert_eq!(response.status, 405);
}

#[test]
fn what_is_not_there_and_what_must_not_be_seen_look_alike() {
    let served = Served::plain();
    served.write("a.txt", "a");
    served.write(".env", "secret");
    served.write(".git/config", "secret");
    served.write(".well-known/acme", "token");
    served.write("sub/.well-known/acme", "secret");
    served.write("%41", "percent");
    fs::write(served.folder.path().join("secret"), "secret").expect("a file");
    fs::create_dir(served.path("empty")).expect("a folder");
    let missing = served.get("/missing");
    assert_eq!(missing.status, 404);
    for path in [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git/",
        "/sub/.well-known/acme",
        "/../secret",
        "/%2e%2e/secret",
        "/empty/../a.txt",
        "/empty/%2e%2e/a.txt",
        "/..%2fsecret",
        "/empty%2f..%2fa.txt",
        "/./a.txt",
        "//a.txt",
        "/a.txt/",
        "/a.txt/b",
        "/empty/",
        "/sub%5c..%5c..%5csecret",
    ] {
        let response = served.get(path);
        assert_eq!(
            (response.status, response.text()),
            (404, missing.text()),
            "{path}"
        );
    }
    assert_eq!(served.get("/.well-known/acme").text(), "token");
    assert_eq!(served.get("/%61.txt").text(), "a");
    assert_eq!(served.get("/%2541").text(), "percent");
    let shown = Served::new(|options| options.dotfiles = Dotfiles::Served);
    shown.write(".env", "open");
    assert_eq!(shown.get("/.env").text(), "open");
    assert_eq!(shown.get("/../secret").status, 404);
}

#[test]
fn links_may_not_leave_the_root_unless_they_may() {
    for (symlinks, outside) in [(Symlinks::WithinRoot, 404), (Symlinks::Followed, 200)] {
        let served = Served::new(|options| options.symlinks = symlinks);
        served.write("inside.txt", "inside");
        fs::write(served.folder.path().join("secret"), "outside").expect("a file");
        for (target, link) in [
            ("inside.txt", "in"),
            ("../secret", "out"),
            ("..", "up"),
            ("/etc", "etc"),
        ] {
            symlink(target, served.path(link)).expect("a link");
        }
        assert_eq!(served.get("/in").text(), "inside");
        for path in ["/out", "/up/secret", "/etc/passwd"] {
            assert_eq!(served.get(path).status, outside, "{symlinks:?} {path}");
        }
    }
}

#[test]
fn only_regular_files_are_served() {
    let served = Served::plain();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        served.path("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a FIFO");
    let _socket = std::os::unix::net::UnixListener::bind(served.path("socket")).expect("a socket");
    assert_eq!(served.get("/fifo").status, 404);
    assert_eq!(served.get("/socket").status, 404);
}

#[test]
fn folders_have_an_index_and_a_slash() {
    let served =
        Served::new(|options| options.index = vec!["index.html".into(), "index.txt".into()]);
    served.write("index.html", "top");
    served.write("sub folder/index.txt", "second");
    assert_eq!(served.get("/").text(), "top");
    assert_eq!(served.get("/sub%20folder/").text(), "second");
    for (asked, location) in [
        ("/sub%20folder", "./sub%20folder/"),
        ("/sub%20folder?a=1&b", "./sub%20folder/?a=1&b"),
    ] {
        let response = served.get(asked);
        assert_eq!(
            (response.status, field(&response, "Location")),
            (301, location)
        );
    }
    // The first that is there counts, also after it was made.
    served.write("sub folder/index.html", "first");
    assert_eq!(served.get("/sub%20folder/").text(), "first");
    fs::remove_file(served.path("sub folder/index.html")).expect("a file");
    assert_eq!(served.get("/sub%20folder/").text(), "second");
}

#[test]
fn a_redirect_never_leads_to_another_host() {
    let served = Served::plain();
    for name in ["\\\\evil.test", "javascript:x", "evil.test"] {
        fs::create_dir(served.path(name)).expect("a folder");
    }
    for (asked, location) in [
        ("/%5C%5Cevil.test", "./%5C%5Cevil.test/"),
        ("/javascript:x", "./javascript:x/"),
    ] {
        let response = served.get(asked);
        assert_eq!(
            (response.status, field(&response, "Location")),
            (301, location)
        );
    }
    assert_eq!(served.get("//evil.test").status, 404);
}

#[test]
fn a_mount_is_stripped_at_the_end_of_a_segment() {
    let served = Served::new(|options| options.mount = "/static".into());
    served.write("a.txt", "a");
    served.write("index.html", "top");
    assert_eq!(served.get("/static/a.txt").text(), "a");
    assert_eq!(served.get("/static/").text(), "top");
    assert_eq!(field(&served.get("/static"), "Location"), "./static/");
    for path in ["/a.txt", "/statica.txt", "/static%2fa.txt", "/"] {
        assert_eq!(served.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_folder_is_listed_where_that_is_wanted() {
    let served = Served::new(|options| options.listing = true);
    served.write("sub/<b>.txt", "x");
    served.write("sub/.hidden", "x");
    let page = served.get("/sub/");
    assert_eq!(field(&page, "Content-Type"), "text/html; charset=utf-8");
    assert!(field(&page, "Content-Security-Policy").contains("default-src 'none'"));
    assert!(
        page.text()
            .contains("<a href=\"./%3Cb%3E.txt\">&lt;b&gt;.txt</a>")
    );
    assert!(!page.text().contains("hidden"));
    served.write("sub/index.html", "index");
    assert_eq!(served.get("/sub/").text(), "index");
    assert_eq!(served.get("/sub").status, 301);
    assert_eq!(served.get("/none/").status, 404);
}

#[test]
fn paths_without_a_type_fall_back_to_the_application_in_the_browser() {
    let served = Served::new(|options| options.fallback = Some("app/index.html".into()));
    served.write("app/index.html", "<app>");
    served.write("real", "real");
    for path in ["/", "/user/7", "/user/7/", "/app"] {
        let response = served.get(path);
        let expected = if path == "/app" { 301 } else { 200 };
        assert_eq!(response.status, expected, "{path}");
    }
    assert_eq!(served.get("/user/7").text(), "<app>");
    assert_eq!(served.get("/real").text(), "real");
    for path in ["/missing.js", "/user/v1.2", "/.git", "/a%2fb", "/../x"] {
        assert_eq!(served.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_change_is_seen_whatever_its_time_says() {
    let served = Served::plain();
    let mut tags = Vec::new();
    for len in [10, SMALL + 10] {
        for letter in ["a", "b"] {
            // The same length and the same time, in place.
            served.write("file", letter.repeat(len));
            let response = served.get("/file");
            assert_eq!(response.text(), letter.repeat(len));
            let tag = field(&response, "ETag").to_owned();
            assert!(!tags.contains(&tag));
            tags.push(tag);
        }
    }
    fs::remove_file(served.path("file")).expect("a file");
    assert_eq!(served.get("/file").status, 404);
}

#[test]
fn a_small_file_has_the_same_tag_wherever_it_lies() {
    let (one, other) = (Served::plain(), Served::plain());
    one.write("file", "content");
    other.write("copy", "content");
    set_modified(&other.path("copy"), 1_000_000_000);
    let tags = (one.get("/file"), other.get("/copy"));
    assert_eq!(field(&tags.0, "ETag"), field(&tags.1, "ETag"));
}

#[test]
fn what_was_looked_at_counts_for_a_while() {
    let served = Served::new(|options| options.check_interval = Duration::from_secs(3600));
    served.write("file", "old");
    assert_eq!(served.get("/file").text(), "old");
    served.write("file", "new");
    assert_eq!(served.get("/file").text(), "old");
    served.write("other", "new");
    assert_eq!(served.get("/other").text(), "new");
}

#[test]
fn only_what_lies_in_memory_runs_where_nothing_may_wait() {
    let served = Served::new(|options| options.check_interval = Duration::from_secs(3600));
    served.write("small", "small");
    served.write("large", pattern(SMALL + 1));
    for (path, later) in [
        ("/small", Lane::Inline),
        ("/large", Lane::Thread),
        ("/none", Lane::Thread),
    ] {
        assert_eq!(served.files.lane_for(path.as_bytes()), Lane::Thread);
        served.get(path);
        assert_eq!(served.files.lane_for(path.as_bytes()), later, "{path}");
    }
    // What has to be looked at again may wait for the disk.
    let careful = Served::plain();
    careful.write("small", "small");
    careful.get("/small");
    assert_eq!(careful.files.lane_for(b"/small"), Lane::Thread);
}

#[test]
fn conditions_are_answered_in_the_order_of_the_rfc() {
    let served = Served::new(|options| {
        options.cache_rules = vec![CacheRule::new("*.txt", "max-age=60").expect("a rule")];
    });
    for len in [10, SMALL + 10] {
        served.write("a.txt", pattern(len));
        let tag = field(&served.get("/a.txt"), "ETag").to_owned();
        let if_match = format!("If-Match: {tag}");
        let if_none_match = format!("If-None-Match: \"x\", {tag}");
        let since = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT";
        let until = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT";
        // The tag of a large file that was written a moment ago is weak, and so matches nothing here.
        let matched = if len < SMALL { 200 } else { 412 };
        let if_match = if len < SMALL {
            if_match
        } else {
            if_match.replace(": \"", ": W/\"")
        };
        for (fields, expected) in [
            (vec![&*if_match], matched),
            (vec!["If-Match: \"x\""], 412),
            (vec![until], 412),
            (vec!["If-Match: *", until], 200),
            (vec![&*if_none_match], 304),
            (vec![since], 304),
            (vec!["If-None-Match: \"x\"", since], 200),
            (vec!["If-Match: \"x\"", &*if_none_match], 412),
            (vec!["If-Modified-Since: nonsense"], 200),
        ] {
            let response = served.ask("/a.txt", &fields);
            assert_eq!(response.status, expected, "{fields:?}");
            assert_eq!(
                served.head("/a.txt", &fields).status,
                expected,
                "HEAD {fields:?}"
            );
        }
        let response = served.ask("/a.txt", &[until]);
        assert!(
            response
                .head
                .starts_with("HTTP/1.1 412 Precondition Failed\r\n")
        );
        let response = served.ask("/a.txt", &[&*if_none_match]);
        assert_eq!(
            field(&response, "ETag").replace("W/", ""),
            tag.replace("W/", "")
        );
        assert_eq!(field(&response, "Cache-Control"), "max-age=60");
        assert_eq!(
            (
                response.field("Content-Type"),
                response.field("Content-Length")
            ),
            (None, None)
        );
    }
}

#[test]
fn ranges_are_sent_as_asked_for() {
    let served = Served::plain();
    for len in [1000, SMALL + 1000] {
        served.write("a.bin", pattern(len));
        let whole = pattern(len);
        for (asked, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=10-19", 10..20),
            ("bytes=500-", 500..len),
            ("bytes=-7", len - 7..len),
            ("bytes=5-999999999999999999999", 5..len),
            ("bytes=0-9,10-19", 0..20),
        ] {
            let response = served.ask("/a.bin", &[&format!("Range: {asked}")]);
            assert_eq!(response.status, 206);
            let content_range = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            assert_eq!(field(&response, "Content-Range"), content_range);
            assert_eq!(field(&response, "Content-Type"), "application/octet-stream");
            assert!(response.body == whole[range], "{asked}");
        }
        let response = served.ask("/a.bin", &[&format!("Range: bytes={len}-")]);
        assert_eq!(
            (response.status, field(&response, "Content-Range")),
            (416, &*format!("bytes */{len}"))
        );
        for ignored in [
            "lines=1-2",
            "bytes=2-1",
            "bytes=x",
            &format!("bytes={}", "0-0,".repeat(65)),
        ] {
            let response = served.ask("/a.bin", &[&format!("Range: {ignored}")]);
            assert_eq!(
                (response.status, response.body.len()),
                (200, len),
                "{ignored}"
            );
        }
        let twice = served.ask("/a.bin", &["Range: bytes=0-0", "Range: bytes=1-1"]);
        assert_eq!(twice.status, 200);
    }
}

#[test]
fn several_ranges_come_in_parts() {
    let served = Served::plain();
    for len in [1000, SMALL + 20_000] {
        served.write("a.txt", pattern(len));
        let whole = pattern(len);
        let tail = len - 300;
        let response = served.ask("/a.txt", &[&format!("Range: bytes={tail}-, 0-9, 200-249")]);
        assert_eq!(response.status, 206);
        let content_type = field(&response, "Content-Type");
        let boundary = content_type
            .strip_prefix("multipart/byteranges; boundary=")
            .expect("parts");
        let mut expected = Vec::new();
        for range in [tail..len, 0..10, 200..250] {
            let text = format!(
                "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {}-{}/{len}\r\n\r\n",
                range.start,
                range.end - 1
            );
            expected.extend_from_slice(text.as_bytes());
            expected.extend_from_slice(&whole[range]);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert!(response.body == expected);
        assert_eq!(response.field("Content-Range"), None);
    }
}

#[test]
fn a_range_counts_if_the_client_has_the_same_file() {
    let served = Served::plain();
    served.write("small", pattern(1000));
    let tag = field(&served.get("/small"), "ETag").to_owned();
    for (field, status) in [
        (format!("If-Range: {tag}"), 206),
        (format!("If-Range: W/{tag}"), 200),
        ("If-Range: \"x\"".to_owned(), 200),
        ("If-Range: Sun, 06 Nov 1994 08:49:36 GMT".to_owned(), 200),
    ] {
        let response = served.ask("/small", &["Range: bytes=0-9", &field]);
        assert_eq!(response.status, status, "{field}");
    }
}

#[test]
fn a_sibling_is_sent_to_who_takes_it() {
    let served = Served::plain();
    served.write("app.js", "plain");
    served.write("app.js.br", "brotli");
    served.write("app.js.gz", "gzip");
    served.write("alone.js", "alone");
    let mut tags = Vec::new();
    for (accepts, body, coding) in [
        ("", "plain", None),
        ("gzip, deflate, br", "brotli", Some("br")),
        ("gzip, zstd", "gzip", Some("gzip")),
        ("gzip, br;q=0.5", "gzip", Some("gzip")),
        ("br;q=0, identity", "plain", None),
    ] {
        let response = served.ask("/app.js", &[&format!("Accept-Encoding: {accepts}")]);
        assert_eq!(
            (response.text(), response.field("Content-Encoding")),
            (body, coding),
            "{accepts}"
        );
        assert_eq!(
            field(&response, "Content-Type"),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(field(&response, "Vary"), "Accept-Encoding");
        tags.push(field(&response, "ETag").to_owned());
    }
    assert_eq!(tags[0], tags[4]);
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
    // The tag belongs to the coding, and so do ranges.
    let fields = [
        "Accept-Encoding: br",
        &format!("If-None-Match: {}", tags[0]),
    ];
    assert_eq!(served.ask("/app.js", &fields).status, 200);
    let fields = ["Accept-Encoding: br", "Range: bytes=0-1"];
    let part = served.ask("/app.js", &fields);
    assert_eq!(
        (part.text(), field(&part, "Content-Encoding")),
        ("br", "br")
    );
    // Both lines of the field count.
    let fields = ["Accept-Encoding: deflate", "Accept-Encoding: gzip"];
    assert_eq!(served.ask("/app.js", &fields).text(), "gzip");
    let response = served.ask("/alone.js", &["Accept-Encoding: br"]);
    assert_eq!((response.text(), response.field("Vary")), ("alone", None));
    // One that comes later is found, one that is out of date is not served.
    served.write("alone.js.br", "sibling");
    let response = served.ask("/alone.js", &["Accept-Encoding: br"]);
    assert_eq!(response.text(), "sibling");
    set_modified(&served.path("alone.js"), 784_111_778);
    let response = served.ask("/alone.js", &["Accept-Encoding: br"]);
    assert_eq!(response.text(), "alone");
}

#[test]
fn caching_is_said_by_rule_and_by_name() {
    let served = Served::new(|options| {
        options.cache_rules = vec![CacheRule::new("/html/**", "no-cache").expect("a rule")];
    });
    for name in ["html/deep/a.html", "app.3f2a9c1b.js", "app.js"] {
        served.write(name, "x");
    }
    let said = |path: &str| served.get(path).field("Cache-Control").map(str::to_owned);
    assert_eq!(said("/html/deep/a.html").as_deref(), Some("no-cache"));
    let immutable = "public, max-age=31536000, immutable";
    assert_eq!(said("/app.3f2a9c1b.js").as_deref(), Some(immutable));
    assert_eq!(said("/app.js"), None);
}

#[test]
fn a_slow_client_gets_a_large_file_and_holds_up_nobody() {
    let served = Served::plain();
    let content = pattern(40_000_000);
    served.write("large", &content);
    served.write("small", "small");
    let mut slow = served.client();
    slow.send(request("GET", "/large", &[]));
    let others = 8;
    let waiting: Vec<Client> = (0..others)
        .map(|_| {
            let mut client = served.client();
            client.send(request("GET", "/large", &[]));
            client
        })
        .collect();
    // More of them than threads, none of which reads.
    let mut quick = served.client();
    for _ in 0..50 {
        assert_eq!(quick.get("/small").text(), "small");
    }
    drop(waiting);
    assert!(slow.response().body == content);
}

#[test]
fn slow_clients_of_many_ranges_hold_no_thread() {
    let served = Served::plain();
    let content = pattern(80_000_000);
    served.write("large", &content);
    served.write("small", "small");
    let ranges: Vec<_> = (0..40)
        .map(|at| format!("{}-{}", at * 2_000_000, at * 2_000_000 + 1_500_000))
        .collect();
    let field = format!("Range: bytes={}", ranges.join(","));
    // More of them than threads, each with more to take than any buffer holds.
    let mut slow: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = served.client();
            client.send(request("GET", "/large", &[&field]));
            client.exactly(1);
            client
        })
        .collect();
    served.server.until("no thread waits", |statistics| {
        statistics.threads.iter().all(|&doing| doing != Doing::Held)
            && statistics
                .threads
                .iter()
                .filter(|&&doing| doing == Doing::Running)
                .count()
                == 0
    });
    assert_eq!(served.get("/small").text(), "small");
    let (rest, _) = {
        let mut client = slow.remove(0);
        client
            .wire
            .shutdown(std::net::Shutdown::Write)
            .expect("an open socket");
        drop(slow);
        client.rest()
    };
    let found = memchr::memmem::find_iter(&rest, b"Content-Range: bytes ").count();
    assert_eq!(found, 40);
    assert!(rest.ends_with(b"--\r\n"));
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    let served = Served::plain();
    served.write("large", pattern(20_000_000));
    for _ in 0..4 {
        let mut client = served.client();
        client.send(request("GET", "/large", &[]));
        client.exactly(1000);
        client.reset();
    }
    served
        .server
        .until("all are gone", |statistics| statistics.connections == 0);
    assert_eq!(served.get("/large").body.len(), 20_000_000);
}

#[test]
fn pipelined_requests_for_files_are_answered_in_order() {
    let served = Served::plain();
    served.write("small", "small");
    served.write("large", pattern(SMALL * 3));
    let mut client = served.client();
    let both = [request("GET", "/small", &[]), request("GET", "/large", &[])].concat();
    client.send(both.repeat(20));
    for _ in 0..20 {
        assert_eq!(client.response().text(), "small");
        assert!(client.response().body == pattern(SMALL * 3));
    }
}

#[test]
fn a_folder_that_cannot_be_served_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |change: &dyn Fn(&mut FilesOptions)| {
        let mut options = FilesOptions::new(folder.path());
        change(&mut options);
        Files::new(options).expect_err("refused").to_string()
    };
    let none = folder.path().join("none");
    assert_eq!(
        refused(&|options| options.root.clone_from(&none)),
        format!(
            "cannot serve the folder {}: No such file or directory (os error 2)",
            none.display()
        )
    );
    assert!(refused(&|options| options.index = vec!["a/b".into()]).contains("\"a/b\""));
    assert!(refused(&|options| options.fallback = Some("../x".into())).contains("\"../x\""));
    assert!(refused(&|options| options.mount = "static/".into()).contains("\"static/\""));
    assert!(refused(&|options| options.charset = Some("a b".into())).contains("\"a b\""));
}
