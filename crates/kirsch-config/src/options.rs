//! The list of options: every setting of the server, once.
//!
//! Flags, variables, keys, keywords, help and `docs/reference/settings.md` are made of this list.
//! The defaults are not in here: they are those of `Settings::default`.
//! Options are applied in this order.
//! The file is longer than others because it is one table; there is nothing to follow in it.

use std::thread::available_parallelism;
use std::time::Duration;

use kirsch_server::{AccessLog, AccessLogFormat};

use crate::access_log::{format_text, parse_format};
use crate::error::Complaint;
use crate::field::{FieldValue, Reading};
use crate::option::{Field, Group, OptionSpec, Reach, can_be_off};
use crate::value::{KeywordValue, Kind};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Every option, in the order of help and reference.
pub fn options() -> &'static [OptionSpec] {
    OPTIONS
}

/// A field of the settings that one option fills alone.
macro_rules! field {
    ($($path:ident).+) => {
        Field::Of {
            set: |settings, given, reading| {
                settings.$($path).+ = FieldValue::read(given, reading)?;
                Ok(())
            },
            text: |settings, kind| FieldValue::text(&settings.$($path).+, kind),
            can_be_off: can_be_off(|settings| &settings.$($path).+),
        }
    };
}

static OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "app",
        short: None,
        group: Group::Application,
        reach: Reach::Program,
        kind: Kind::App,
        doc: "The application: `module:attribute`, `module:factory()`, `module`, or `file.py` with or without `:attribute`.",
        change: "Set it in a file or variable so that `kirsch serve` alone knows what to serve.",
        default_reason: "There is nothing to guess from; in a module or file alone, `application` is looked for, then `app`.",
        example: "hello:app",
        field: field!(app),
    },
    OptionSpec {
        name: "config",
        short: Some('c'),
        group: Group::Application,
        reach: Reach::Start,
        kind: Kind::Path,
        doc: "The configuration file, in TOML; the table `[tool.kirsch]` of a file named `pyproject.toml`.",
        change: "Name it where it does not lie in the working directory.",
        default_reason: "`kirsch.toml` in the working directory, otherwise a `pyproject.toml` there that has `[tool.kirsch]`, otherwise no file.",
        example: "/etc/kirsch.toml",
        field: field!(config_file),
    },
    OptionSpec {
        name: "chdir",
        short: None,
        group: Group::Application,
        reach: Reach::Program,
        kind: Kind::Folder,
        doc: "The folder to change to before the application is imported.",
        change: "Set it where the application expects to be started in its own folder and the server is started elsewhere.",
        default_reason: "The folder Kirsch is started in is where imports begin, as with `python -m`.",
        example: "/srv/blog",
        field: field!(chdir),
    },
    OptionSpec {
        name: "script-name",
        short: None,
        group: Group::Application,
        reach: Reach::Everywhere,
        kind: Kind::Prefix,
        doc: "The part of the path that leads to the application, given to it as `SCRIPT_NAME`; a path that does not begin with it is answered with 404.",
        change: "Set it behind a proxy that passes paths on as they came and leaves those below `/blog` to the application; only the operator knows which part belongs to the proxy.",
        default_reason: "The application owns the whole path.",
        example: "/blog",
        field: field!(script_name),
    },
    OptionSpec {
        name: "bind",
        short: Some('b'),
        group: Group::Listening,
        reach: Reach::Everywhere,
        kind: Kind::Binds,
        doc: "An address to listen on: `HOST:PORT`, `[IPV6]:PORT`, `PORT`, `unix:PATH`, `@NAME` or `fd://NUMBER`; can be repeated.",
        change: "Set it to be reached from other machines, or by a proxy through a unix socket.",
        default_reason: "Reachable from this machine only, until you say otherwise.",
        example: "0.0.0.0:8000",
        field: field!(config.binds),
    },
    OptionSpec {
        name: "unix-socket-mode",
        short: None,
        group: Group::Listening,
        reach: Reach::Everywhere,
        kind: Kind::Mode,
        doc: "Permission bits of the unix sockets to listen on.",
        change: "Narrow it where the folder of the socket is open to users who must not connect.",
        default_reason: "Who may connect is decided by the folder.",
        example: "0o660",
        field: field!(config.unix_socket_mode),
    },
    OptionSpec {
        name: "backlog",
        short: None,
        group: Group::Listening,
        reach: Reach::Everywhere,
        kind: Kind::Count { min: 1, max: 65535 },
        doc: "Length of the kernel's queue of connections that are not accepted yet.",
        change: "Raise it, with `net.core.somaxconn`, where bursts of new connections are refused.",
        default_reason: "Enough for a burst between two turns of the reactor; the kernel cuts it to `net.core.somaxconn`.",
        example: "4096",
        field: field!(config.backlog),
    },
    OptionSpec {
        name: "threads",
        short: Some('t'),
        group: Group::Serving,
        reach: Reach::Everywhere,
        kind: Kind::Count { min: 1, max: 4096 },
        doc: "Threads that run applications.",
        change: "Raise it for applications that wait long for others; the server cannot know how many the database bears.",
        default_reason: "As cheroot has: enough for applications that wait for a database.",
        example: "20",
        field: field!(config.threads),
    },
    OptionSpec {
        name: "stream-request-body",
        short: None,
        group: Group::Serving,
        reach: Reach::Everywhere,
        kind: Kind::Switch,
        doc: "Whether applications read request bodies while they arrive, instead of after they were buffered.",
        change: "Turn it on for uploads that are worked on as they come; a slow client then holds a thread.",
        default_reason: "A thread never waits for a slow client.",
        example: "true",
        field: field!(config.stream_request_body),
    },
    OptionSpec {
        name: "keepalive-requests",
        short: None,
        group: Group::Serving,
        reach: Reach::Everywhere,
        kind: Kind::Count {
            min: 1,
            max: u32::MAX as u64,
        },
        doc: "Requests served on one connection before it is closed.",
        change: "Set it to spread long-lived connections over several servers again.",
        default_reason: "A connection that works has no reason to be closed.",
        example: "1000",
        field: field!(config.keepalive_requests),
    },
    OptionSpec {
        name: "request-id",
        short: None,
        group: Group::Serving,
        reach: Reach::Everywhere,
        kind: Kind::Switch,
        doc: "Whether responses carry the id of their request as `X-Request-ID`.",
        change: "Turn it off where a proxy before Kirsch numbers the requests.",
        default_reason: "A user can quote it, and the log finds it.",
        example: "false",
        field: field!(config.request_id),
    },
    OptionSpec {
        name: "server-name",
        short: None,
        group: Group::Serving,
        reach: Reach::Everywhere,
        kind: Kind::Text,
        doc: "Value of the `Server` field of responses.",
        change: "Turn it off, or set your own, where the name of the server is nobody's business.",
        default_reason: "Whoever looks for a fault sees who answered.",
        example: "example",
        field: field!(config.server_name),
    },
    OptionSpec {
        name: "spool-dir",
        short: None,
        group: Group::Serving,
        reach: Reach::Everywhere,
        kind: Kind::Folder,
        doc: "Folder of the unlinked files that hold large bodies.",
        change: "Set it where the system's temporary folder is small, or lies in memory.",
        default_reason: "The system's temporary folder.",
        example: "/var/tmp",
        field: field!(config.spool_dir),
    },
    OptionSpec {
        name: "log-level",
        short: None,
        group: Group::Logging,
        reach: Reach::Everywhere,
        kind: Kind::LogLevel,
        doc: "The least important event that the server logs: `error`, `warn`, `info` or `debug`.",
        change: "Set `debug` to see the mistakes of clients, `warn` to hear of trouble only.",
        default_reason: "Start, stop and trouble are logged, the mistakes of clients are not.",
        example: "debug",
        field: field!(log_level),
    },
    OptionSpec {
        name: "access-log-file",
        short: None,
        group: Group::Logging,
        reach: Reach::Everywhere,
        kind: Kind::LogFile,
        doc: "The file the access log is appended to, or `-` for standard output; turns the access log on.",
        change: "Set it where standard output is not collected.",
        default_reason: "Standard output, where containers and systemd collect it.",
        example: "/var/log/kirsch/access.log",
        field: ACCESS_LOG_FILE,
    },
    OptionSpec {
        name: "access-log",
        short: None,
        group: Group::Logging,
        reach: Reach::Everywhere,
        kind: Kind::AccessLogFormat,
        doc: "The form of an access log line: `combined`, `json`, a string with `%` directives, or `off`.",
        change: "Turn it on where no proxy before Kirsch keeps such a log.",
        default_reason: "It costs a write for each request.",
        example: "json",
        field: ACCESS_LOG,
    },
    OptionSpec {
        name: "limit-head",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Size {
            min: KIB,
            max: 16 * MIB,
        },
        doc: "Bytes of a request's head; beyond them the answer is 431.",
        change: "Raise it for clients with large cookies or tokens.",
        default_reason: "Tomcat takes 8 KiB; IIS, h11 and node take 16 KiB.",
        example: "64KiB",
        field: field!(config.limits.head_bytes),
    },
    OptionSpec {
        name: "limit-head-fields",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Count { min: 1, max: 10000 },
        doc: "Fields of a request's head; beyond them the answer is 431.",
        change: "Raise it behind proxies that add many fields.",
        default_reason: "As Apache, gunicorn and hyper have.",
        example: "200",
        field: field!(config.limits.head_fields),
    },
    OptionSpec {
        name: "limit-target",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Size {
            min: 256,
            max: 16 * MIB,
        },
        doc: "Bytes of a request's target, its path and query; beyond them the answer is 414.",
        change: "Raise it for forms that are sent as a long query.",
        default_reason: "gunicorn takes a line of 4 KiB, Apache 8 KiB, hyper 64 KiB.",
        example: "32KiB",
        field: field!(config.limits.target_bytes),
    },
    OptionSpec {
        name: "limit-body",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Size {
            min: 0,
            max: i64::MAX as u64,
        },
        doc: "Bytes of a request's body; beyond them the answer is 413.",
        change: "Lower it where no upload is expected; only the application knows how large one may be.",
        default_reason: "As waitress has.",
        example: "20MiB",
        field: field!(config.limits.body_bytes),
    },
    OptionSpec {
        name: "limit-body-memory",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Size {
            min: 0,
            max: i64::MAX as u64,
        },
        doc: "Bytes of a request's body that are kept in memory; a longer body goes to a file.",
        change: "Raise it where most bodies are a little longer and memory is plentiful.",
        default_reason: "Nearly every form and photograph fits; all together keep to limit-buffer-memory.",
        example: "4MiB",
        field: field!(config.limits.body_memory_bytes),
    },
    OptionSpec {
        name: "limit-response-buffer",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Size {
            min: 0,
            max: i64::MAX as u64,
        },
        doc: "Bytes of a response that may wait for its client before the application has to wait.",
        change: "Raise it where slow clients fetch large responses and hold threads.",
        default_reason: "As waitress has.",
        example: "64MiB",
        field: field!(config.limits.response_buffer_bytes),
    },
    OptionSpec {
        name: "limit-response-memory",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Size {
            min: 0,
            max: i64::MAX as u64,
        },
        doc: "Bytes of a response that wait in memory; a longer response goes to a file.",
        change: "Raise it where most responses are a little longer and memory is plentiful.",
        default_reason: "Nearly every page fits, and a thousand of them still fit into memory.",
        example: "1MiB",
        field: field!(config.limits.response_memory_bytes),
    },
    OptionSpec {
        name: "limit-buffer-memory",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Size {
            min: MIB,
            max: i64::MAX as u64,
        },
        doc: "Bytes of all buffers in memory together; beyond them, bodies go to files at once.",
        change: "Fit it to the memory of the machine or container.",
        default_reason: "A small machine bears it.",
        example: "1GiB",
        field: field!(config.limits.buffer_memory_bytes),
    },
    OptionSpec {
        name: "limit-spool",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Size {
            min: 0,
            max: i64::MAX as u64,
        },
        doc: "Bytes of all files that hold bodies together; beyond them the answer is 503.",
        change: "Fit it to the disk and to the largest uploads expected at once.",
        default_reason: "Four of the largest bodies; never more than half of the free space is used.",
        example: "20GiB",
        field: field!(config.limits.spool_bytes),
    },
    OptionSpec {
        name: "limit-connections",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Count {
            min: 1,
            max: 1000000,
        },
        doc: "Open connections; beyond them, the one that is idle longest makes room.",
        change: "Raise it for many idle clients; each costs a few KiB and a descriptor.",
        default_reason: "The number servers have been measured by since the C10K problem.",
        example: "50000",
        field: field!(config.limits.connections),
    },
    OptionSpec {
        name: "limit-queue",
        short: None,
        group: Group::Limits,
        reach: Reach::Everywhere,
        kind: Kind::Count {
            min: 1,
            max: 1000000,
        },
        doc: "Requests that wait for a thread; beyond them the answer is 503.",
        change: "Lower it to refuse early where a late answer is worth nothing.",
        default_reason: "A burst finds room, a standstill is noticed.",
        example: "100",
        field: field!(config.limits.queue_jobs),
    },
    OptionSpec {
        name: "timeout-head",
        short: None,
        group: Group::Timeouts,
        reach: Reach::Everywhere,
        kind: Kind::Duration {
            min: Duration::from_millis(1),
        },
        doc: "How long a request's head may take, from its first byte to its end; then the answer is 408.",
        change: "Raise it for clients on very slow lines.",
        default_reason: "A head fits into a few packets; who takes longer holds a connection on purpose.",
        example: "30s",
        field: field!(config.timeouts.head),
    },
    OptionSpec {
        name: "timeout-body",
        short: None,
        group: Group::Timeouts,
        reach: Reach::Everywhere,
        kind: Kind::Duration {
            min: Duration::from_millis(1),
        },
        doc: "How long a request's body may bring no byte before it is complete; then the answer is 408.",
        change: "Raise it for clients that pause while they send.",
        default_reason: "A line that was silent for so long is most likely dead.",
        example: "2m",
        field: field!(config.timeouts.body),
    },
    OptionSpec {
        name: "timeout-body-min-rate",
        short: None,
        group: Group::Timeouts,
        reach: Reach::Everywhere,
        kind: Kind::Size {
            min: 0,
            max: i64::MAX as u64,
        },
        doc: "Bytes a second below which a request's body is given up; 0 for no minimum.",
        change: "Lower it for clients on very slow lines, raise it where uploads are abused to hold connections.",
        default_reason: "A modem is faster; a client that sends a byte now and then is not.",
        example: "100",
        field: field!(config.timeouts.body_min_rate),
    },
    OptionSpec {
        name: "timeout-body-grace",
        short: None,
        group: Group::Timeouts,
        reach: Reach::Everywhere,
        kind: Kind::Duration {
            min: Duration::ZERO,
        },
        doc: "How long a body may be slower than `timeout-body-min-rate` at its start.",
        change: "Raise it for clients that begin slowly.",
        default_reason: "Long enough for a line to find its pace.",
        example: "1m",
        field: field!(config.timeouts.body_grace),
    },
    OptionSpec {
        name: "timeout-write",
        short: None,
        group: Group::Timeouts,
        reach: Reach::Everywhere,
        kind: Kind::Duration {
            min: Duration::from_millis(1),
        },
        doc: "How long output may wait for its client without progress; then the connection is closed.",
        change: "Raise it for clients that pause while they read, such as players of media.",
        default_reason: "As nginx has.",
        example: "5m",
        field: field!(config.timeouts.write),
    },
    OptionSpec {
        name: "timeout-keepalive",
        short: None,
        group: Group::Timeouts,
        reach: Reach::Everywhere,
        kind: Kind::Duration {
            min: Duration::from_millis(1),
        },
        doc: "How long a connection may be idle between two requests.",
        change: "Keep it longer than the proxy before Kirsch keeps its idle connections.",
        default_reason: "Longer than load balancers keep theirs (60 s), so that they close first.",
        example: "10s",
        field: field!(config.timeouts.keepalive),
    },
    OptionSpec {
        name: "timeout-queue",
        short: None,
        group: Group::Timeouts,
        reach: Reach::Everywhere,
        kind: Kind::Duration {
            min: Duration::from_millis(1),
        },
        doc: "How long a request may wait for a thread; then the answer is 503.",
        change: "Lower it where a late answer is worth nothing.",
        default_reason: "Longer than most people wait.",
        example: "5s",
        field: field!(config.timeouts.queue),
    },
    OptionSpec {
        name: "timeout-request",
        short: None,
        group: Group::Timeouts,
        reach: Reach::Everywhere,
        kind: Kind::Duration {
            min: Duration::from_millis(1),
        },
        doc: "How long an application may take for a response's head; then the answer is 504.",
        change: "Set it where a proxy before Kirsch gives up too; only the operator knows the slowest request that is right.",
        default_reason: "Some applications are slow for a reason.",
        example: "60s",
        field: field!(config.timeouts.request),
    },
    OptionSpec {
        name: "timeout-drain",
        short: None,
        group: Group::Timeouts,
        reach: Reach::Everywhere,
        kind: Kind::Duration {
            min: Duration::ZERO,
        },
        doc: "How long what has begun may go on after a stop was asked for.",
        change: "Keep it below the time after which the process is killed.",
        default_reason: "Below the 30 s after which Kubernetes kills.",
        example: "2m",
        field: field!(config.timeouts.drain),
    },
    OptionSpec {
        name: "workers",
        short: Some('w'),
        group: Group::Later,
        reach: Reach::Everywhere,
        kind: Kind::Workers,
        doc: "Processes that serve.",
        change: "Only 1 is accepted.",
        default_reason: "The one process there is.",
        example: "1",
        field: Field::Later {
            passes: one_process,
            what: "worker processes are",
            hint: "write 1 or leave it out, and raise threads",
        },
    },
    OptionSpec {
        name: "reload",
        short: None,
        group: Group::Later,
        reach: Reach::Everywhere,
        kind: Kind::Switch,
        doc: "Whether the server starts anew when a file of the application changes.",
        change: "Only `false` is accepted.",
        default_reason: "Nothing reloads.",
        example: "false",
        field: Field::Later {
            passes: says_no,
            what: "reloading when a file changes is",
            hint: "leave it out and start the server again after a change",
        },
    },
    OptionSpec {
        name: "tls-cert",
        short: None,
        group: Group::Later,
        reach: Reach::Everywhere,
        kind: Kind::Path,
        doc: "The certificate to serve HTTPS with.",
        change: "No value is accepted.",
        default_reason: "HTTP only.",
        example: "",
        field: Field::Later {
            passes: says_no,
            what: "serving HTTPS is",
            hint: "leave it out and put a proxy that speaks HTTPS before the server",
        },
    },
    OptionSpec {
        name: "tls-key",
        short: None,
        group: Group::Later,
        reach: Reach::Everywhere,
        kind: Kind::Path,
        doc: "The private key of the certificate.",
        change: "No value is accepted.",
        default_reason: "HTTP only.",
        example: "",
        field: Field::Later {
            passes: says_no,
            what: "serving HTTPS is",
            hint: "leave it out and put a proxy that speaks HTTPS before the server",
        },
    },
    OptionSpec {
        name: "trust-proxy",
        short: None,
        group: Group::Later,
        reach: Reach::Everywhere,
        kind: Kind::Text,
        doc: "The proxies whose `Forwarded` and `X-Forwarded-*` fields are believed.",
        change: "No value is accepted.",
        default_reason: "Nothing is believed.",
        example: "",
        field: Field::Later {
            passes: says_no,
            what: "believing the fields of proxies is",
            hint: "leave it out and take the fields from the environ in the application",
        },
    },
];

const ACCESS_LOG_FILE: Field = Field::Of {
    // Before `access-log` in the list, which may turn off what this turned on.
    set: |settings, given, reading| {
        let path = match given {
            KeywordValue::Str(text) if text == "-" => None,
            _ => Some(FieldValue::read(given, reading)?),
        };
        settings.config.access_log = Some(AccessLog {
            format: AccessLogFormat::Combined,
            file: path,
        });
        Ok(())
    },
    text: |settings, kind| match &settings.config.access_log {
        Some(AccessLog {
            file: Some(path), ..
        }) => path.text(kind),
        Some(AccessLog { file: None, .. }) | None => "-".to_owned(),
    },
    can_be_off: false,
};

const ACCESS_LOG: Field = Field::Of {
    set: |settings, given, reading| {
        let file = settings.config.access_log.take().and_then(|log| log.file);
        let format = access_log_format(given, reading)?;
        settings.config.access_log = format.map(|format| AccessLog { format, file });
        Ok(())
    },
    text: |settings, _| format_text(settings.config.access_log.as_ref().map(|log| &log.format)),
    can_be_off: true,
};

fn access_log_format(
    given: &KeywordValue,
    reading: &Reading<'_>,
) -> Result<Option<AccessLogFormat>, Complaint> {
    match given {
        KeywordValue::None | KeywordValue::Bool(false) => Ok(None),
        KeywordValue::Bool(true) => Ok(Some(AccessLogFormat::Combined)),
        KeywordValue::Str(text) => parse_format(text),
        KeywordValue::Int(_) | KeywordValue::Float(_) | KeywordValue::List(_) => {
            Err(reading.refuse(given))
        }
    }
}

/// Whether the number of workers asked for is the one process there is.
fn one_process(given: &KeywordValue) -> bool {
    match given {
        KeywordValue::None | KeywordValue::Int(1) => true,
        KeywordValue::Str(text) if text == "auto" => {
            available_parallelism().is_ok_and(|cores| cores.get() == 1)
        }
        KeywordValue::Str(text) => text == "1",
        _ => false,
    }
}

/// Whether something that a later version will have is turned off, which it is.
fn says_no(given: &KeywordValue) -> bool {
    match given {
        KeywordValue::None | KeywordValue::Bool(false) => true,
        KeywordValue::Str(text) => matches!(text.as_str(), "off" | "false" | "no" | "0"),
        _ => false,
    }
}
