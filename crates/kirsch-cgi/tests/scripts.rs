//! Real scripts, in sh and in Python, behind a server on a free port.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kirsch_cgi::{Cgi, Limits};
use kirsch_server::{
    Action, Application, Bind, BoundAddress, Condition, Config, Route, Router, RouterOptions,
    Serve, Server,
};

/// Longer than anything may take; whoever waits so long has found a bug.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of scripts with a server in front of it.
struct Site {
    folder: tempfile::TempDir,
    server: Server,
}

impl Site {
    fn new(scripts: &[(&str, &str)]) -> Site {
        Site::with(scripts, |cgi| cgi)
    }

    fn with(scripts: &[(&str, &str)], change: impl FnOnce(Cgi) -> Cgi) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in scripts {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(&file, text).expect("a file");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        let cgi = Cgi::folder(folder.path()).expect("it is there");
        let scripts = Serve::new(Application::new(Arc::new(change(cgi))));
        let below = Condition {
            paths: vec!["/cgi-bin".parse().expect("a prefix")],
            ..Condition::default()
        };
        let route = Route::new(below, Action::Serve(scripts));
        let router = Router::new(vec![route], RouterOptions::default()).expect("it can match");
        let config = Config {
            binds: vec![Bind::Tcp(([127, 0, 0, 1], 0).into())],
            threads: 6,
            ..Config::default()
        };
        let server = Server::bind(config, Arc::new(router)).expect("a free port");
        server.start().expect("threads");
        Site { folder, server }
    }

    fn address(&self) -> SocketAddr {
        match &self.server.addresses()[0] {
            BoundAddress::Tcp(address) => *address,
            other => panic!("not TCP: {other}"),
        }
    }

    fn send(&self, request: &[u8]) -> TcpStream {
        let mut wire = TcpStream::connect(self.address()).expect("it listens");
        wire.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        wire.write_all(request).expect("it reads");
        wire
    }

    /// The whole response, of which the connection's end is the end.
    fn ask(&self, request: &str) -> String {
        let mut wire = self.send(request.as_bytes());
        let mut response = Vec::new();
        wire.read_to_end(&mut response).expect("a response in time");
        String::from_utf8_lossy(&response).into_owned()
    }

    fn get(&self, target: &str) -> String {
        self.ask(&format!(
            "GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
        ))
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.stop_within(Duration::ZERO);
    }
}

/// What is behind the head, without the framing of chunks.
fn body(response: &str) -> String {
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    if !head.contains("Transfer-Encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut out) = (body, String::new());
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a chunk");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return out;
        }
        out.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
}

/// Reads until what was read ends so.
fn read_until(wire: &mut TcpStream, response: &mut Vec<u8>, end: &[u8]) {
    let mut piece = [0; 1024];
    while !response.ends_with(end) {
        let count = wire.read(&mut piece).expect("in time");
        assert!(count > 0, "{}", String::from_utf8_lossy(response));
        response.extend_from_slice(&piece[..count]);
    }
}

/// Looks again and again, as what is looked at cannot be waited for.
fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// Whether a process is there, be it as a zombie.
fn is_there(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

const ENVIRONMENT: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; env | sort; pwd\n";

#[test]
fn a_script_is_told_what_rfc_3875_names() {
    let site = Site::new(&[("in/env", ENVIRONMENT)]);
    let response = site.ask(
        "GET /cgi-bin/in/env/more%20path/x?a=1&b=%20 HTTP/1.1\r\nHost: a.test:81\r\nX-One: 1\r\nX-One: 2\r\n\
         X_Bad: 1\r\nProxy: evil\r\nAuthorization: Basic c2VjcmV0\r\nCookie: a=1\r\nCookie: b=2\r\nConnection: close\r\n\r\n",
    );
    assert!(
        response.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"),
        "{response}"
    );
    let body = body(&response);
    let folder = site.folder.path().canonicalize().expect("it is there");
    let folder = folder.display();
    let port = site.address().port();
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1".to_owned(),
        format!("SERVER_PORT={port}"),
        "SERVER_NAME=a.test".to_owned(),
        "SERVER_PROTOCOL=HTTP/1.1".to_owned(),
        concat!("SERVER_SOFTWARE=kirsch/", env!("CARGO_PKG_VERSION")).to_owned(),
        "REQUEST_METHOD=GET".to_owned(),
        "SCRIPT_NAME=/cgi-bin/in/env".to_owned(),
        "PATH_INFO=/more path/x".to_owned(),
        format!("PATH_TRANSLATED={folder}/more path/x"),
        "QUERY_STRING=a=1&b=%20".to_owned(),
        "REMOTE_ADDR=127.0.0.1".to_owned(),
        "REMOTE_HOST=127.0.0.1".to_owned(),
        "HTTP_HOST=a.test:81".to_owned(),
        "HTTP_X_ONE=1, 2".to_owned(),
        "HTTP_COOKIE=a=1; b=2".to_owned(),
        format!("SCRIPT_FILENAME={folder}/in/env"),
        // Where it runs.
        format!("{folder}/in"),
    ] {
        assert!(
            body.lines().any(|it| it == line),
            "{line} is not in\n{body}"
        );
    }
    for name in [
        "HTTP_X_BAD",
        "HTTP_PROXY",
        "HTTP_AUTHORIZATION",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "HTTP_CONNECTION",
        "CARGO",
    ] {
        assert!(!body.contains(&format!("{name}=")), "{name} is in\n{body}");
    }
}

#[test]
fn what_the_operator_names_is_passed_on() {
    let site = Site::with(&[("env", ENVIRONMENT)], |cgi| {
        cgi.passing(["CARGO_PKG_NAME", "NOBODY_HAS_THIS"])
            .with_authorization()
    });
    let response = site.ask("GET /cgi-bin/env HTTP/1.1\r\nHost: a.test\r\nAuthorization: x y\r\nConnection: close\r\n\r\n");
    assert!(
        response.contains("\nHTTP_AUTHORIZATION=x y\n"),
        "{response}"
    );
    let passed = std::env::var_os("CARGO_PKG_NAME").is_some();
    assert_eq!(
        response.contains("CARGO_PKG_NAME=kirsch-cgi\n"),
        passed,
        "{response}"
    );
    assert!(!response.contains("NOBODY_HAS_THIS"), "{response}");
}

/// Descriptors that this process was given by whoever started it, and would give to any of its children.
fn handed_down() -> Vec<u32> {
    let mut all: Vec<u32> = fs::read_dir("/proc/self/fdinfo")
        .expect("Linux has it")
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let info = read(&entry.path());
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
            let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
            // O_CLOEXEC
            (flags & 0o2_000_000 == 0).then(|| entry.file_name().to_str()?.parse().ok())?
        })
        .chain(0..=2)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_script_has_no_descriptor_of_the_server_and_no_arguments() {
    let script = "#!/usr/bin/env python3\nimport os, sys\nprint('Content-Type: text/plain\\n')\n\
                  open_ones = [fd for fd in range(1024) if os.path.exists(f'/proc/self/fd/{fd}')]\n\
                  print(open_ones, sys.argv[1:], os.getpgid(0) == os.getpid())\n";
    let expected = handed_down();
    let site = Site::new(&[("fds", script)]);
    let idle = site.send(b"");
    let response = site.get("/cgi-bin/fds?-x+/etc/passwd");
    assert_eq!(
        body(&response),
        format!("{expected:?} [] True\n"),
        "{response}"
    );
    drop(idle);
}

#[test]
fn body_and_answer_flow_at_the_same_time() {
    // It writes much before it reads, and reads while it writes.
    let script = "#!/usr/bin/env python3\nimport os, sys\nout = sys.stdout.buffer\n\
                  out.write(b'Content-Type: application/octet-stream\\n\\n' + b'a' * 300000)\nout.flush()\n\
                  left = int(os.environ['CONTENT_LENGTH'])\n\
                  while left:\n    piece = sys.stdin.buffer.read(min(left, 10000))\n    left -= len(piece)\n    out.write(piece)\n    out.flush()\n\
                  assert sys.stdin.buffer.read() == b''\nout.write(os.environ['CONTENT_TYPE'].encode())\n";
    let site = Site::new(&[("echo", script)]);
    let content = "0123456789".repeat(300_000);
    let request = format!(
        "POST /cgi-bin/echo HTTP/1.1\r\nHost: a.test\r\nContent-Type: a/b\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{content}",
        content.len()
    );
    let response = site.ask(&request);
    assert!(
        body(&response) == "a".repeat(300_000) + &content + "a/b",
        "{}",
        response.len()
    );
}

#[test]
fn a_chunked_body_has_a_length() {
    for streaming in [false, true] {
        let script =
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; echo $CONTENT_LENGTH; cat\n";
        let site = Site::with(&[("len", script)], |cgi| match streaming {
            true => cgi.streaming(),
            false => cgi,
        });
        let response = site.ask(
            "POST /cgi-bin/len HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        );
        assert_eq!(body(&response), "5\nabcde", "{response}");
    }
}

/// It gives back what it is given, as it comes.
const ECHO: &str = "#!/usr/bin/env python3\nimport os\n\
                    os.write(1, b'Content-Type: text/plain\\n\\n' + os.environ['CONTENT_LENGTH'].encode() + b' ')\n\
                    while piece := os.read(0, 100000):\n    while piece:\n        piece = piece[os.write(1, piece):]\n";

#[test]
fn a_body_reaches_its_script_while_it_arrives() {
    let site = Site::with(&[("echo", ECHO)], Cgi::streaming);
    let mut wire = site.send(
        b"POST /cgi-bin/echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
    );
    let mut response = Vec::new();
    read_until(&mut wire, &mut response, b"HTTP/1.1 100 Continue\r\n\r\n");
    for part in ["ab", "cd"] {
        wire.write_all(part.as_bytes()).expect("it reads");
        read_until(&mut wire, &mut response, format!("{part}\r\n").as_bytes());
    }
    wire.write_all(b"ef").expect("it reads");
    wire.read_to_end(&mut response).expect("in time");
    let response = String::from_utf8_lossy(&response);
    let (_, response) = response.split_once("\r\n\r\n").expect("it was asked");
    assert_eq!(body(response), "6 abcdef");
}

#[test]
fn a_large_body_streams_through_its_script() {
    let site = Site::with(&[("echo", ECHO)], Cgi::streaming);
    let content = "0123456789".repeat(300_000);
    let wire = site.send(
        format!("POST /cgi-bin/echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len()).as_bytes(),
    );
    let mut response = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| (&wire).write_all(content.as_bytes()).expect("it reads"));
        (&wire).read_to_end(&mut response).expect("in time");
    });
    let response = String::from_utf8_lossy(&response);
    assert!(
        body(&response) == format!("{} {content}", content.len()),
        "{}",
        response.len()
    );
}

#[test]
fn a_client_that_leaves_within_its_body_ends_the_script() {
    let script = format!("{ENDLESS}cat >/dev/null\ntouch whole\nwait\n");
    let site = Site::with(&[("endless", &script)], Cgi::streaming);
    let wire = site
        .send(b"POST /cgi-bin/endless HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nabc");
    until("it runs", || site.file("self").exists());
    let pids = [read(&site.file("self")), read(&site.file("child"))];
    drop(wire);
    for pid in pids {
        until("the process is gone", || !is_running(&pid));
    }
    assert!(!site.file("whole").exists(), "it took a part for the whole");
}

#[test]
fn a_script_may_leave_its_body_unread() {
    let site = Site::new(&[(
        "deaf",
        "#!/bin/sh\nexec <&-\nprintf 'Status: 403 No thanks\\nContent-Type: text/plain\\nContent-Length: 2\\n\\nno'\n",
    )]);
    let content = "x".repeat(500_000);
    let request = format!(
        "POST /cgi-bin/deaf HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{content}GET /cgi-bin/deaf HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
        content.len()
    );
    let response = site.ask(&request);
    // The connection is kept: both are answered.
    assert_eq!(
        response.matches("HTTP/1.1 403 No thanks\r\n").count(),
        2,
        "{response}"
    );
}

#[test]
fn output_arrives_while_the_script_runs() {
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfirst'\nwhile [ ! -e go ]; do sleep 0.01; done\nprintf second\n";
    let site = Site::new(&[("slow", script)]);
    let mut wire =
        site.send(b"GET /cgi-bin/slow HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let mut response = Vec::new();
    read_until(&mut wire, &mut response, b"first\r\n");
    fs::write(site.file("go"), "").expect("a file");
    wire.read_to_end(&mut response).expect("in time");
    assert_eq!(body(&String::from_utf8_lossy(&response)), "firstsecond");
}

#[test]
fn heads_say_what_the_client_gets() {
    let site = Site::new(&[
        (
            "status",
            "#!/bin/sh\nprintf 'Status: 418 Teapot\\r\\nContent-Type: a/b\\r\\nX-Own: 1\\r\\n\\r\\ntea'\n",
        ),
        (
            "client",
            "#!/bin/sh\nprintf 'Location: https://other.test/x\\n\\n'\n",
        ),
        (
            "local",
            "#!/bin/sh\nprintf 'Location: /cgi-bin/target/info?q=%%20r\\n\\n'\n",
        ),
        (
            "target",
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; echo \"$REQUEST_METHOD $PATH_INFO $QUERY_STRING [$CONTENT_LENGTH]\"; cat\n",
        ),
        (
            "circle",
            "#!/bin/sh\necho x >> count\nprintf 'Location: /cgi-bin/circle\\n\\n'\n",
        ),
        (
            "elsewhere",
            "#!/bin/sh\nprintf 'Location: /elsewhere?a=b\\n\\n'\n",
        ),
        ("silent", "#!/bin/sh\nexit 3\n"),
        (
            "nonsense",
            "#!/bin/sh\necho 'Traceback: oops'; echo; echo secret\n",
        ),
        (
            "code",
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nwhole'; echo complaint >&2; exit 3\n",
        ),
        ("noshebang", "echo hello\n"),
        ("nph-own", "#!/bin/sh\nprintf 'HTTP/1.0 200 OK\\n\\n'\n"),
    ]);
    for (target, start, end) in [
        (
            "/cgi-bin/status",
            "HTTP/1.1 418 Teapot\r\nContent-Type: a/b\r\nX-Own: 1\r\n",
            "tea",
        ),
        (
            "/cgi-bin/client",
            "HTTP/1.1 302 Found\r\nLocation: https://other.test/x\r\n",
            "",
        ),
        (
            "/cgi-bin/local",
            "HTTP/1.1 200 OK\r\n",
            "GET /info q=%20r []\n",
        ),
        // Not a script's to answer: the client goes there itself.
        (
            "/cgi-bin/elsewhere",
            "HTTP/1.1 302 Found\r\nLocation: /elsewhere?a=b\r\n",
            "",
        ),
        ("/cgi-bin/code", "HTTP/1.1 200 OK\r\n", "whole"),
    ] {
        let response = site.get(target);
        assert!(response.starts_with(start), "{target}: {response}");
        assert_eq!(body(&response), end, "{target}: {response}");
    }
    for (target, status) in [
        ("/cgi-bin/circle", 502),
        ("/cgi-bin/silent", 502),
        ("/cgi-bin/nonsense", 502),
        ("/cgi-bin/noshebang", 500),
        ("/cgi-bin/nph-own", 403),
        ("/cgi-bin/missing", 404),
        ("/cgi-bin/%2e%2e/x", 404),
        ("/other", 404),
        ("/cgi-binx", 404),
    ] {
        let response = site.get(target);
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{target}: {response}"
        );
        assert!(!response.contains("secret"), "{target}: {response}");
    }
    assert_eq!(read(&site.file("count")).lines().count(), 11);
    // A body goes to the script that was asked, not to the one that it sends on to.
    let response = site.ask("POST /cgi-bin/local HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
    assert_eq!(body(&response), "GET /info q=%20r []\n", "{response}");
    let response =
        site.ask("HEAD /cgi-bin/status HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert!(
        response.starts_with("HTTP/1.1 418 Teapot\r\n") && response.ends_with("\r\n\r\n"),
        "{response}"
    );
}

/// It notes its own process and a child's, then works for longer than anybody waits.
const ENDLESS: &str =
    "#!/bin/sh\nsleep 1000 &\necho $! > child\necho $$ > self.part; mv self.part self\n";

#[test]
fn a_script_that_takes_too_long_is_ended_with_all_it_has_started() {
    let limits = Limits {
        run: Duration::from_millis(300),
        ..Limits::default()
    };
    let silent = format!("{ENDLESS}wait\n");
    let begun = format!("{ENDLESS}printf 'Content-Type: text/plain\\n\\nbegun'\nwait\n");
    let site = Site::with(&[("silent", &silent), ("begun", &begun)], |cgi| {
        cgi.within(limits)
    });
    let response = site.get("/cgi-bin/silent");
    assert!(response.starts_with("HTTP/1.1 504 "), "{response}");
    for name in ["self", "child"] {
        let pid = read(&site.file(name));
        assert!(!pid.is_empty());
        until("the process is gone", || !is_running(&pid));
    }
    assert!(!is_there(&read(&site.file("self"))), "a zombie");
    let response = site.get("/cgi-bin/begun");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(
        !response.ends_with("0\r\n\r\n"),
        "it looks whole: {response}"
    );
}

/// Whether a process is there and no zombie: those of a script's children are another's to wait for.
fn is_running(pid: &str) -> bool {
    let status = read(&Path::new("/proc").join(pid.trim()).join("status"));
    !status.is_empty() && !status.contains("State:\tZ")
}

#[test]
fn a_script_whose_client_has_left_is_ended() {
    let silent = format!("{ENDLESS}wait\n");
    let writing =
        format!("{ENDLESS}printf 'Content-Type: text/plain\\n\\n'\nwhile :; do echo line; done\n");
    // One that is closed in order may still be read from; only a write tells. A reset tells at once.
    for (script, linger) in [(silent, Some(Duration::ZERO)), (writing, None)] {
        let site = Site::new(&[("endless", &script)]);
        let wire = site.send(b"GET /cgi-bin/endless HTTP/1.1\r\nHost: a.test\r\n\r\n");
        until("it runs", || site.file("self").exists());
        let pids = [read(&site.file("self")), read(&site.file("child"))];
        socket2::SockRef::from(&wire)
            .set_linger(linger)
            .expect("it is open");
        drop(wire);
        for pid in pids {
            until("the process is gone", || !is_running(&pid));
        }
    }
}

#[test]
fn a_script_that_ends_by_a_signal_has_not_answered_in_whole() {
    let site = Site::new(&[(
        "killed",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun'\nkill -9 $$\n",
    )]);
    let response = site.get("/cgi-bin/killed");
    assert!(
        !response.ends_with("0\r\n\r\n"),
        "it looks whole: {response}"
    );
}

#[test]
fn what_a_script_leaves_running_holds_nobody_up() {
    // The child has the script's output open.
    let script =
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nwhole'\nsleep 1000 &\necho $! > child\n";
    let site = Site::new(&[("fork", script)]);
    let response = site.get("/cgi-bin/fork");
    assert_eq!(body(&response), "whole", "{response}");
    until("the child is gone", || {
        !is_running(&read(&site.file("child")))
    });
}

#[test]
fn no_more_scripts_run_than_may() {
    let limits = Limits {
        processes: 2,
        ..Limits::default()
    };
    let script = "#!/bin/sh\ntouch \"running-$QUERY_STRING\"\nwhile [ ! -e go ]; do sleep 0.01; done\nprintf 'Content-Type: text/plain\\n\\ndone'\n";
    let site = Site::with(&[("wait", script)], |cgi| cgi.within(limits));
    let mut held: Vec<TcpStream> = (0..2)
        .map(|number| {
            let request = format!(
                "GET /cgi-bin/wait?{number} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
            );
            let wire = site.send(request.as_bytes());
            until("it runs", || {
                site.file(&format!("running-{number}")).exists()
            });
            wire
        })
        .collect();
    assert!(site.get("/cgi-bin/wait?3").starts_with("HTTP/1.1 503 "));
    assert!(!site.file("running-3").exists());
    fs::write(site.file("go"), "").expect("a file");
    for wire in &mut held {
        let mut response = String::new();
        wire.read_to_string(&mut response).expect("in time");
        assert_eq!(body(&response), "done");
    }
    until("there is room again", || {
        site.get("/cgi-bin/wait?4").starts_with("HTTP/1.1 200 ")
    });
}

#[test]
fn a_slow_client_stops_its_script_and_gets_all() {
    let script = "#!/usr/bin/env python3\nimport sys\nout = sys.stdout.buffer\nout.write(b'Content-Type: a/b\\n\\n')\n\
                  for number in range(3000):\n    out.write(b'%09d\\n' % number * 1000)\n";
    let site = Site::new(&[("much", script)]);
    let response = site.get("/cgi-bin/much");
    let body = body(&response);
    assert_eq!(body.len(), 30_000_000);
    assert!(body.ends_with("000002999\n"));
}

#[test]
fn one_script_may_answer_all_paths() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("all");
    fs::write(&file, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; echo \"[$SCRIPT_NAME] [$PATH_INFO]\"\n").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
    let site = Site::with(&[], |_| Cgi::script(&file).expect("a script"));
    assert_eq!(
        body(&site.get("/cgi-bin/any/path?x")),
        "[/cgi-bin] [/any/path]\n"
    );
    assert_eq!(body(&site.get("/cgi-bin")), "[/cgi-bin] []\n");
}

#[test]
fn nothing_of_a_request_reaches_a_shell() {
    let site = Site::new(&[(
        "args",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; echo \"$# $QUERY_STRING\"\n",
    )]);
    let response = site.get("/cgi-bin/args?$(touch%20hacked);`touch%20hacked`");
    assert_eq!(
        body(&response),
        "0 $(touch%20hacked);`touch%20hacked`\n",
        "{response}"
    );
    assert!(!site.file("hacked").exists());
}
