"""gunicorn's settings: what becomes of each, and reading `gunicorn.conf.py`.

The file is Python and is run, as gunicorn does. The table has every setting of gunicorn 23 to 27.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import traceback
import types
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kirsch._migrate import _access_log
from kirsch._migrate._document import Document
from kirsch._migrate._table import (
    Answer,
    Becomes,
    FileError,
    Group,
    Row,
    Stays,
    Table,
    UnfitError,
    becomes,
    elsewhere,
    missing,
    needless,
)
from kirsch._migrate._values import (
    NOTHING,
    OFF,
    is_off,
    number,
    octal,
    round_up,
    seconds,
    text,
    texts,
    threads,
)

_HEAD_BYTES = 32 * 1024
_TARGET_BYTES = 16 * 1024
#: What gunicorn and Kirsch alike allow for one field before anybody changes it.
_FIELD_BYTES = 8190
_GREEN = ("gevent", "eventlet", "tornado")
_ASKS_NOBODY = (
    "This serves TLS to clients without certificates, for which cert_reqs asked: see there before it "
    "serves anybody."
)
_SPEAKS_OF_CLIENT = (
    "gunicorn read the scheme alone; Kirsch believes the client's address, host and port, too, so "
    "REMOTE_ADDR becomes the client's: have the proxy write X-Forwarded-For itself, since it would pass on "
    "what a client has written there."
)


# --- Conversions: the value, and all others


def _worker_kind(others: Mapping[str, Any]) -> str:
    """The kind of worker: sync, gthread, one of the green ones, or its own name."""
    worker = others.get("worker_class", "sync")
    name = worker if isinstance(worker, str) else getattr(worker, "__name__", str(worker))
    for kind in (*_GREEN, "gthread"):
        if kind in name.lower():
            return kind
    if name.lower().endswith("sync") or name.endswith("SyncWorker"):
        return "gthread" if number(others.get("threads") or 1) > 1 else "sync"
    return name


def _app(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"app": text(value)})


def _bind(value: Any, others: Mapping[str, Any]) -> Answer:
    addresses = []
    for address in texts(value):
        if address.startswith("unix:"):
            addresses.append("unix:" + address.removeprefix("unix:").removeprefix("//"))
            continue
        if address.startswith("fd://"):
            addresses.append(address)
            continue
        address = address.removeprefix("tcp://")
        bracket = address.rfind("]")
        # gunicorn takes 8000 for the port that is not there; Kirsch would take a number for a port.
        addresses.append(address if ":" in address[bracket + 1 :] else f"{address}:8000")
    found: dict[str, Any] = {"bind": addresses}
    note = ""
    if any(address.startswith("unix:") for address in addresses):
        found |= {"trust_proxy": ["unix"], "proxy_fields": "x-forwarded"}
        note = f"gunicorn believes whoever connects to a unix socket. {_SPEAKS_OF_CLIENT}"
    return Becomes(found, note)


def _workers(value: Any, others: Mapping[str, Any]) -> Answer:
    processes = number(value)
    if others.get("threads") is not None:
        return Stays(Group.MISSING, "Kirsch serves with one process; its threads are counted in above")
    kind = _worker_kind(others)
    if kind in _GREEN:
        return Stays(Group.MISSING, f"Kirsch serves with one process; see worker_class for {kind}")
    found, note = threads(processes, 1)
    return Becomes({"threads": found}, note)


def _threads(value: Any, others: Mapping[str, Any]) -> Answer:
    kind = _worker_kind(others)
    if kind in _GREEN:
        return Stays(Group.NEEDLESS, f"workers of {kind} do not heed it")
    found, note = threads(number(others.get("workers") or 1), number(value))
    return Becomes({"threads": found}, note)


def _worker_class(value: Any, others: Mapping[str, Any]) -> Answer:
    kind = _worker_kind(others)
    if kind in ("sync", "gthread"):
        return Stays(Group.NEEDLESS, "Kirsch has threads that take turns; clients hold none of them")
    if kind in _GREEN:
        why = (
            f"Kirsch runs applications in threads, and refuses those that {kind} has patched. Take the "
            "patching out, and raise threads (10 unless set) to the requests that wait for others at once"
        )
        return Stays(Group.MISSING, why)
    return Stays(
        Group.MISSING, "Kirsch has one kind of worker, threads, and serves WSGI; ASGI it does not speak"
    )


def _worker_connections(value: Any, others: Mapping[str, Any]) -> Answer:
    if _worker_kind(others) == "sync":
        return Stays(Group.NEEDLESS, "sync workers do not heed it; Kirsch bears 10,000 connections")
    connections = number(value) * max(1, number(others.get("workers") or 1))
    return Becomes(
        {"limits.connections": connections}, "Connections that are idle count, and make room first."
    )


def _timeout(value: Any, others: Mapping[str, Any]) -> Answer:
    if number(value) == 0:
        return OFF
    if _worker_kind(others) != "sync":
        why = (
            "with threads it never bounded a request, only a process that hangs as a whole; what bounds "
            "requests is "
            f'request = "{number(value)}s" below [timeouts]'
        )
        return Stays(Group.UNFIT, why)
    note = (
        "The client hears 504, and the thread goes on until the application returns: nothing kills it, as "
        "gunicorn killed the worker."
    )
    return Becomes({"timeouts.request": seconds(value)}, note)


def _keepalive(value: Any, others: Mapping[str, Any]) -> Answer:
    if number(value) == 0:
        return Becomes({"keepalive_requests": 1}, "Every connection is closed behind its answer.")
    if _worker_kind(others) == "sync":
        why = "sync workers kept no connection; Kirsch keeps them for 75 s, which is longer than proxies do"
        return Stays(Group.NEEDLESS, why)
    note = "Keep it above the time that the proxy in front keeps its idle connections. Kirsch has 75 s."
    return Becomes({"timeouts.keepalive": seconds(value)}, note)


def _limit_line(value: Any, others: Mapping[str, Any]) -> Answer:
    line = number(value)
    if line == 0:
        return Stays(
            Group.MISSING, "0 is no limit; Kirsch has one always: target below [limits], 16 KiB unless set"
        )
    return Becomes({"limits.target": line}, "Bytes of the path and query alone.")


def _limit_fields(value: Any, others: Mapping[str, Any]) -> Answer:
    if number(value) == 0:
        return Stays(Group.MISSING, "0 is no limit; Kirsch has one always: head_fields below [limits]")
    return Becomes({"limits.head_fields": number(value)})


def _limit_field(value: Any, others: Mapping[str, Any]) -> Answer:
    field = number(value)
    if field == 0:
        return Stays(Group.MISSING, "0 is no limit; Kirsch bounds the head as a whole: head below [limits]")
    if field <= _FIELD_BYTES:
        return Stays(
            Group.NEEDLESS, "Kirsch bounds all fields together: head below [limits], 32 KiB unless set"
        )
    note = "Kirsch bounds the head as a whole: one field of this size, and 24 KiB for the rest."
    return Becomes({"limits.head": round_up(field + _HEAD_BYTES - 8192)}, note)


def _umask(value: Any, others: Mapping[str, Any]) -> Answer:
    mask = value if isinstance(value, int) else octal(value)
    if mask == 0:
        return Stays(Group.NEEDLESS, "it takes nothing away; sockets have mode 0666")
    if any(address.startswith("unix:") for address in texts(others.get("bind", ""))):
        note = "Of the socket. For the files that the application makes, the service manager has UMask=."
        return Becomes({"unix_socket_mode": 0o666 & ~mask}, note)
    return Stays(Group.ELSEWHERE, f"the service manager sets it: UMask={mask:04o} of systemd")


def _pythonpath(value: Any, others: Mapping[str, Any]) -> Answer:
    # gunicorn puts each in front of those before it.
    folders = [str(Path(folder).absolute()) for folder in reversed(texts(value))]
    return Stays(
        Group.ELSEWHERE,
        f"set the variable PYTHONPATH={':'.join(folders)} where Kirsch is started; for one of several "
        "applications, path in its table [apps.NAME] does it",
    )


def _raw_env(value: Any, others: Mapping[str, Any]) -> Answer:
    return Stays(
        Group.ELSEWHERE, "the environment is the service manager's: Environment= or EnvironmentFile="
    )


def _trust(value: Any, others: Mapping[str, Any]) -> Answer:
    peers = texts(value)
    addresses = texts(others.get("bind") or "")
    if "*" in peers and addresses and all(address.startswith("unix:") for address in addresses):
        return Stays(Group.NEEDLESS, "who connects to a unix socket is believed already")
    if any(peer == "*" or peer.endswith("/0") for peer in peers):
        why = (
            "this believes everybody. Name the addresses or networks that your proxies have, and nothing "
            "else, "
            'since they can name any client: trust_proxy = ["10.0.0.0/8"], proxy_fields = "x-forwarded"'
        )
        return Stays(Group.UNFIT, why)
    return Becomes({"trust_proxy": peers, "proxy_fields": "x-forwarded"}, _SPEAKS_OF_CLIENT)


def _scheme_headers(value: Any, others: Mapping[str, Any]) -> Answer:
    if not isinstance(value, dict):
        raise UnfitError("a dictionary belongs here")
    if "X-FORWARDED-PROTO" in {str(name).upper() for name in value}:
        return Stays(Group.NEEDLESS, "X-Forwarded-Proto is what Kirsch reads from the proxies of trust_proxy")
    return Stays(Group.ELSEWHERE, "have the proxy write X-Forwarded-Proto, which Kirsch reads")


def _access_log_file(value: Any, others: Mapping[str, Any]) -> Answer:
    path = text(value)
    if not path:
        return OFF
    # Else its row says it, with what differs.
    format_ = {} if others.get("access_log_format") else {"access_log": "combined"}
    return Becomes({"access_log_file": path, **format_})


def _access_log_format(value: Any, others: Mapping[str, Any]) -> Answer:
    format_, notes = _access_log.from_gunicorn(text(value))
    if not others.get("accesslog"):
        why = (
            "gunicorn writes an access log where accesslog is set; for one of Kirsch's: access_log = "
            f"'{format_}'"
        )
        return Stays(Group.UNFIT, why)
    return Becomes({"access_log": format_}, "; ".join(notes))


def _log_level(value: Any, others: Mapping[str, Any]) -> Answer:
    levels = {"debug": "debug", "info": "info", "warning": "warn", "error": "error", "critical": "error"}
    level = text(value).lower()
    if level not in levels:
        raise UnfitError("gunicorn has no such level")
    return Becomes({"log_level": levels[level]})


def _error_log(value: Any, others: Mapping[str, Any]) -> Answer:
    if text(value) in ("-", "/dev/stderr"):
        return Stays(Group.NEEDLESS, "standard error is where Kirsch logs")
    return Stays(
        Group.ELSEWHERE,
        "Kirsch logs to standard error: have the service manager write it there, "
        f"StandardError=append:{value}",
    )


def _cert(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"tls.cert": [text(value)]}, "Every address of TCP speaks TLS then; unix sockets do not.")


def _key(value: Any, others: Mapping[str, Any]) -> Answer:
    if not others.get("certfile"):
        return Stays(
            Group.UNFIT, "gunicorn serves HTTPS where certfile is set, too: cert and key below [tls]"
        )
    return Becomes({"tls.key": [text(value)]})


def _ca(value: Any, others: Mapping[str, Any]) -> Answer:
    if is_off(others.get("cert_reqs")) or not others.get("certfile"):
        return Stays(Group.NEEDLESS, "no client is asked for a certificate")
    return Becomes({"tls.client_ca": text(value)})


def _cert_reqs(value: Any, others: Mapping[str, Any]) -> Answer:
    asked = number(value)
    if asked not in (1, 2):
        return OFF if asked == 0 else Stays(Group.UNFIT, "it is 0, 1 or 2")
    if not others.get("certfile"):
        return Stays(Group.UNFIT, "gunicorn serves HTTPS where certfile is set, too")
    if not others.get("ca_certs"):
        why = "Kirsch needs the authority that signs them: client_certs and client_ca below [tls]"
        return Stays(Group.UNFIT, why)
    return Becomes({"tls.client_certs": "optional" if asked == 1 else "required"})


def _ciphers(value: Any, others: Mapping[str, Any]) -> Answer:
    why = (
        "Kirsch has the suites of rustls, AES-GCM and ChaCha20-Poly1305 with forward secrecy; where a "
        "rule names some of them: ciphers below [tls], each by its own name"
    )
    return Stays(Group.NEEDLESS, why)


def _spool(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"spool_dir": text(value)})


def _path(key: str) -> Any:
    return lambda value, others: Becomes({key: text(value)})


def _drain(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"timeouts.drain": f"{number(value)}s"})


def _backlog(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"backlog": number(value)})


_RECYCLE = "nothing replaces a process that grows; where one does, have the service manager restart it"
_RELOAD = "restart it: a service manager, or what watches files"
_STRICT = "Kirsch reads requests strictly and has no switch for it"
_HTTP2 = "Kirsch speaks HTTP/1.0 and HTTP/1.1; a proxy in front may speak HTTP/2"
_SYSLOG = "standard error and standard output go to the journal, or to logger"
_NO_PROCESSES = (
    "there are no worker processes; code at the top of the application's module runs once, at its start"
)

ROWS: tuple[Row, ...] = (
    becomes("wsgi_app", "app", _app, "without arguments for a factory"),
    becomes("bind", "bind", _bind, "`HOST` alone is `HOST:8000`"),
    becomes("chdir", "chdir", _path("chdir")),
    becomes("backlog", "backlog", _backlog),
    becomes("umask", "unix-socket-mode", _umask, "for the sockets; for files `UMask=` of systemd"),
    becomes(
        "workers", "threads", _workers, "one process, with as many threads; further instances behind a proxy"
    ),
    becomes("threads", "threads", _threads, "times `workers`"),
    missing(
        "worker_class",
        "threads; `sync` and `gthread` need nothing, `gevent` and `eventlet` have patched what Kirsch "
        "refuses, ASGI is not spoken",
        _worker_class,
    ),
    becomes("worker_connections", "limit-connections", _worker_connections, "times `workers`"),
    becomes(
        "timeout",
        "timeout-request",
        _timeout,
        "for `sync` workers; the client hears 504, the thread goes on",
    ),
    becomes("graceful_timeout", "timeout-drain", _drain),
    becomes(
        "keepalive",
        "timeout-keepalive keepalive-requests",
        _keepalive,
        "`sync` workers did not heed it; `0` is `keepalive-requests` 1",
    ),
    becomes("limit_request_line", "limit-target", _limit_line, "the path and query alone"),
    becomes("limit_request_fields", "limit-head-fields", _limit_fields),
    becomes("limit_request_field_size", "limit-head", _limit_field, "the head as a whole"),
    becomes(
        "forwarded_allow_ips",
        "trust-proxy proxy-fields",
        _trust,
        "nobody by default; not `*`; the client's address is believed, too",
    ),
    needless("secure_scheme_headers", "`X-Forwarded-Proto` is read from trusted proxies", _scheme_headers),
    becomes("accesslog", "access-log-file access-log", _access_log_file),
    becomes("access_log_format", "access-log", _access_log_format, "in Apache's directives"),
    becomes("loglevel", "log-level", _log_level, "`warning` is `warn`, `critical` is `error`"),
    becomes("tmp_upload_dir", "spool-dir", _spool),
    becomes("certfile", "tls-cert", _cert),
    becomes("keyfile", "tls-key", _key),
    becomes("cert_reqs", "tls-client-certs", _cert_reqs, "1 is `optional`, 2 is `required`"),
    becomes("ca_certs", "tls-client-ca", _ca),
    needless("ciphers", "the suites of rustls; `tls-ciphers` picks some of them", _ciphers),
    needless("ssl_version do_handshake_on_connect suppress_ragged_eofs", "TLS 1.2 and 1.3, by rustls"),
    missing("ssl_context", "TLS is rustls's, which has no context of Python's"),
    needless("preload_app", "the application is loaded once, before anything is served"),
    needless("sendfile", "files are sent by the kernel where that is possible"),
    needless("reuse_port", "one process has the socket"),
    needless("worker_tmp_dir", "no process watches another"),
    needless("http_parser", "there is one"),
    needless(
        "check_config print_config", "`kirsch check` finds what is wrong, and `kirsch migrate` has printed it"
    ),
    needless(
        "capture_output enable_stdio_inheritance",
        "what the application prints goes where Kirsch's output goes",
    ),
    needless("config", "`kirsch.toml` in the working directory, or `--config`"),
    elsewhere("raw_env", "`Environment=` of systemd, or the container", _raw_env),
    elsewhere(
        "pythonpath",
        "the variable `PYTHONPATH`; for one of several applications `path` in `[apps.NAME]`",
        _pythonpath,
    ),
    elsewhere(
        "user group initgroups", "`User=` and `Group=` of systemd; for a port below 1024 its socket, `fd://3`"
    ),
    elsewhere("daemon pidfile", "a service manager keeps it running"),
    elsewhere("proc_name default_proc_name", "the name of the service"),
    elsewhere("errorlog", "standard error, which the service manager keeps; `-` is that already", _error_log),
    elsewhere("syslog syslog_addr syslog_prefix syslog_facility disable_redirect_access_to_syslog", _SYSLOG),
    missing(
        "logger_class logconfig logconfig_dict logconfig_json",
        "Kirsch's own lines have one form; configure logging in the application",
    ),
    missing("max_requests max_requests_jitter", _RECYCLE),
    missing("reload reload_engine reload_extra_files", _RELOAD),
    missing("spew", "Python's `-X importtime`, `trace` or a debugger"),
    missing("paste raw_paste_global_conf", "write a module that calls `paste.deploy.loadapp`, and name it"),
    missing("proxy_protocol proxy_allow_ips", "have the proxy write `X-Forwarded-For`"),
    missing("protocol uwsgi_allow_ips", "HTTP: `proxy_pass` in place of `uwsgi_pass` in nginx"),
    missing(
        "header_map forwarder_headers",
        "fields with an underscore in their name never reach the application; `X-Forwarded-Prefix` of a "
        "trusted proxy becomes `SCRIPT_NAME`",
    ),
    missing(
        "permit_obsolete_folding strip_header_spaces permit_unconventional_http_method "
        "permit_unconventional_http_version casefold_http_method",
        _STRICT,
    ),
    missing(
        "http_protocols http2_cleartext http2_max_concurrent_streams http2_initial_window_size "
        "http2_max_frame_size http2_max_header_list_size",
        _HTTP2,
    ),
    missing(
        "asgi_loop asgi_lifespan asgi_disconnect_grace_period websocket_max_message_size root_path",
        "Kirsch serves WSGI; ASGI and WebSocket it does not speak",
    ),
    missing(
        "statsd_host statsd_prefix dogstatsd_tags enable_backlog_metric",
        "`Server.statistics()` in a program; the access log",
    ),
    missing("control_socket control_socket_mode control_socket_disable", "signals: SIGTERM, SIGUSR1, SIGHUP"),
    missing(
        "dirty_apps dirty_workers dirty_timeout dirty_threads dirty_graceful_timeout on_dirty_starting "
        "dirty_post_fork dirty_worker_init dirty_worker_exit",
        "long jobs belong to a queue with workers of its own",
    ),
    missing(
        "on_starting when_ready on_reload pre_exec", "what has to be done before goes before the command"
    ),
    missing("pre_fork post_fork post_worker_init child_exit worker_exit nworkers_changed", _NO_PROCESSES),
    missing("worker_int worker_abort on_exit", "handlers of SIGTERM in the application are called; `atexit`"),
    missing("pre_request post_request", "WSGI middleware; times stand in the access log"),
)

TABLE = Table(
    "gunicorn",
    ROWS,
    (
        (
            ("forwarded_allow_ips",),
            "gunicorn believes X-Forwarded-Proto of 127.0.0.1 and ::1 unless told otherwise, and Kirsch "
            "nobody. With a "
            'proxy on this machine: trust_proxy = ["127.0.0.1", "::1"], proxy_fields = "x-forwarded".',
        ),
        (
            ("timeout",),
            "gunicorn ends a sync worker after 30 s, and Kirsch bounds no request: request below [timeouts].",
        ),
        (
            ("workers", "threads"),
            "gunicorn serves one request at once unless told otherwise, and Kirsch 10: the application "
            "must bear several threads, or write threads = 1. WEB_CONCURRENCY, which is workers to "
            "gunicorn, may be 1 at most.",
        ),
        (
            ("wsgi_app",),
            'The file does not name the application: write app = "module:attribute" here, or name it behind '
            "kirsch, as it stands behind gunicorn.",
        ),
    ),
)


# --- The file


def answer(name: str, value: Any, others: Mapping[str, Any]) -> Answer:
    """What becomes of one setting.

    Args:
        name: A setting of gunicorn's.
        value: What the file gives it.
        others: All that the file sets.
    """
    row = TABLE.row(name)
    assert row is not None, name
    if value is None:
        return NOTHING
    if row.group in (Group.MISSING, Group.ELSEWHERE) and is_off(value):
        return OFF
    if row.convert is None:
        return Stays(row.group, row.says)
    try:
        return row.convert(value, others)
    except UnfitError as error:
        return Stays(Group.UNFIT, str(error))


def migrate(path: Path) -> Document:
    """Runs a configuration file of gunicorn's, and translates what it sets.

    Raises:
        FileError: If it cannot be run.
    """
    found = _run(path)
    known = set(TABLE.names)
    settings = {name: value for name, value in found.items() if name in known}
    document = Document(
        f"Made by kirsch migrate from {path.name}, which is gunicorn's; it was run, so that what it works "
        "out is what came out here and now. Relative paths begin at the folder of this file; gunicorn's "
        "began where it was started. What is not set here has Kirsch's default. kirsch check tries it."
    )
    for names, differs in TABLE.defaults:
        if not any(settings.get(name) is not None for name in names):
            document.differs(differs)
    if settings.get("cert_reqs") and settings.get("certfile") and not settings.get("ca_certs"):
        document.differs(_ASKS_NOBODY)
    for name in _in_order(settings):
        document.add(_shown(name, settings[name]), answer(name, settings[name], settings))
    for name, value in found.items():
        if name not in known and _is_of_file(name, value):
            near = get_close_matches(name, sorted(known), 1, 0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            document.add(
                _shown(name, value),
                Stays(Group.UNKNOWN, f"gunicorn has no such setting, and passes it over{hint}"),
            )
    return document


def _in_order(settings: Mapping[str, Any]) -> list[str]:
    """The settings in the order of the table, which is that of the printed file."""
    return [name for row in ROWS for name in row.names if name in settings]


def _shown(name: str, value: Any) -> str:
    if inspect.isroutine(value):
        return f"def {name}(...)"
    if isinstance(value, type):
        return f"{name} = {value.__module__}.{value.__qualname__}"
    return f"{name} = {value!r}"


def _is_of_file(name: str, value: Any) -> bool:
    """Whether a name is the file's own, and not something that it imports or helps itself with."""
    if name.startswith("_") or isinstance(value, types.ModuleType):
        return False
    if inspect.isroutine(value) or isinstance(value, type):
        return getattr(value, "__module__", None) == _MODULE
    return True


#: What gunicorn calls the module.
_MODULE = "__config__"


def _run(path: Path) -> dict[str, Any]:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None
    module = types.ModuleType(_MODULE)
    module.__file__ = str(path.absolute())
    sys.modules[_MODULE] = module
    # As gunicorn does, imports begin at the working directory.
    sys.path.insert(0, os.getcwd())
    try:
        code = compile(source, str(path), "exec")
        # What is printed for the file is on standard output; what the file prints must not get among it.
        with contextlib.redirect_stdout(sys.stderr):
            exec(code, module.__dict__)
    except SyntaxError as error:
        where = f"{error.filename}:{error.lineno}"
        line = f"\n    {error.text.strip()}" if error.text else ""
        raise FileError(f"{where}: is not Python: {error.msg}{line}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise FileError(_failed(path, error)) from None
    return dict(module.__dict__)


def _failed(path: Path, error: BaseException) -> str:
    """Where the file failed, and the last lines of its traceback."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    inside = [frame for frame in frames if frame.filename == str(path)]
    line = inside[-1].lineno if inside else "?"
    said = "".join(traceback.format_exception_only(type(error), error)).strip()
    shown = "".join(traceback.format_list(frames[-3:])).rstrip("\n")
    hint = ""
    if isinstance(error, ModuleNotFoundError) and str(error.name).split(".")[0] == "gunicorn":
        hint = "\n  install gunicorn beside Kirsch for as long as you migrate"
    return f"{path}:{line}: {said}\n{shown}{hint}"
