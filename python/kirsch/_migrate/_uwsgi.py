"""uWSGI's options: what becomes of each, and of the lines of an ini file.

The table names the options that configurations of Python applications have; what it does not name is known by
its beginning, or by `_uwsgi_names.py`. Read next: `_uwsgi_ini.py`, which reads the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kirsch._migrate import _access_log
from kirsch._migrate._document import Document
from kirsch._migrate._table import (
    AddsRoutes,
    Answer,
    Becomes,
    ChangesFields,
    Convert,
    Group,
    Row,
    Stays,
    Table,
    UnfitError,
    becomes,
    elsewhere,
    family,
    missing,
    needless,
)
from kirsch._migrate._uwsgi_ini import PLACEHOLDERS, Line, read
from kirsch._migrate._uwsgi_names import NAMES
from kirsch._migrate._values import OFF, number, octal, seconds, size, switch, threads

#: Up to these sizes Kirsch's own defaults take at least as much.
_HEAD_BYTES = 32 * 1024
_BODY_MEMORY_BYTES = 1024 * 1024
_UWSGI_HTTP = (
    "It spoke uwsgi, and speaks HTTP now: in nginx write proxy_pass in place of uwsgi_pass, and "
    "proxy_set_header in place of uwsgi_param."
)
_BELIEVES_UNIX = (
    "Kirsch believes whoever connects to a unix socket: have the proxy write X-Forwarded-For and "
    "X-Forwarded-Proto itself, since it would pass on what a client has written there."
)
_PYTHON_PLUGIN = re.compile(
    r"python[0-9.]*|https?|corerouter|logfile|logsocket|syslog|rsyslog|cheaper_\w+|\d+|router_static|pypy"
)


# --- Conversions: the value, and the last value of every option


def _on(value: Any) -> bool:
    """A switch: an option without a value is on."""
    return value == "" or switch(value)


def _first(others: Mapping[str, Any], *names: str) -> Any:
    """The value of an option that has several names."""
    return next((others[name] for name in names if name in others), None)


def _address(text: str) -> str:
    """An address as Kirsch writes it."""
    if text.startswith(("@", "fd://", "unix:")):
        return text
    if text.startswith("="):
        raise UnfitError("a shared socket has no equivalent; write the address itself")
    if ":" not in text:
        return f"unix:{text}"
    return text.removesuffix(":0") + ":0" if text.endswith(":0") else text


def _bind(addresses: list[str], note: str = "") -> Becomes:
    """Addresses; whoever connects to a unix socket is believed, since nobody but a proxy does."""
    found: dict[str, Any] = {"bind": addresses}
    if any(address.startswith(("unix:", "@")) for address in addresses):
        found |= {"trust_proxy": ["unix"], "proxy_fields": "x-forwarded"}
        note = f"{note} {_BELIEVES_UNIX}".lstrip()
    return Becomes(found, note)


def _http(value: Any, others: Mapping[str, Any]) -> Answer:
    return _bind([_address(value.split(",")[0].strip())])


def _socket(value: Any, others: Mapping[str, Any]) -> Answer:
    protocol = _first(others, "protocol", "socket-protocol") or "uwsgi"
    address = [_address(part.strip()) for part in value.split(",")]
    if protocol == "http":
        return _bind(address)
    if protocol != "uwsgi":
        return Stays(Group.MISSING, f"Kirsch speaks HTTP, not {protocol}; have the proxy speak it, too")
    return _bind(address, _UWSGI_HTTP)


def _https(value: Any, others: Mapping[str, Any]) -> Answer:
    parts = [part.strip() for part in value.split(",")]
    if any("=" in part for part in parts):
        named = dict(part.split("=", 1) for part in parts if "=" in part)
        names = ("addr", "cert", "key", "ciphers", "clientca")
        parts = [named.get(name, "") for name in names]
    if len(parts) < 3 or not all(parts[:3]):
        raise UnfitError("it has an address, a certificate and a key, with commas between them")
    found: dict[str, Any] = {
        "bind": [f"https://{_address(parts[0])}"],
        "tls.cert": [parts[1]],
        "tls.key": [parts[2]],
    }
    notes = []
    if len(parts) > 3 and parts[3]:
        notes.append(f"Of ciphers ({parts[3]}) Kirsch has those of rustls.")
    if len(parts) > 4 and parts[4]:
        found |= {
            "tls.client_certs": "required" if parts[4].startswith("!") else "optional",
            "tls.client_ca": parts[4].removeprefix("!"),
        }
    return Becomes(found, " ".join(notes))


def _to_https(value: Any, others: Mapping[str, Any]) -> Answer:
    if _first(others, "https", "https2", "https-socket") is None:
        return Stays(Group.UNFIT, "nothing serves HTTPS; redirect below [tls] does it where something does")
    return Becomes({"bind": [_address(value)], "tls.redirect": True})


def _spec(source: str, others: Mapping[str, Any]) -> str:
    """An application as Kirsch writes it: with the callable, if one is named."""
    name = source.rpartition("/")[2]
    named = others.get("callable")
    return source if ":" in name or not named else f"{source}:{named}"


def _module(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"app": _spec(value, others)})


def _wsgi_file(value: Any, others: Mapping[str, Any]) -> Answer:
    if not value.partition(":")[0].endswith(".py"):
        return Stays(Group.UNFIT, f'give the file a name that ends in .py: app = "{Path(value).stem}.py"')
    return Becomes({"app": _spec(value, others)})


def _callable(value: Any, others: Mapping[str, Any]) -> Answer:
    if _first(others, "module", "wsgi", "wsgi-file", "file", "mount") is None:
        return Stays(Group.UNFIT, f'nothing says which module it is in: app = "module:{value}"')
    return Stays(Group.NEEDLESS, "it stands behind the colon of the application")


def _mount(value: Any, others: Mapping[str, Any]) -> Answer:
    where, equals, source = (part.strip() for part in value.partition("="))
    if not equals or not source:
        raise UnfitError("it is written /PATH=APPLICATION")
    spec = _spec(source, others)
    host, _, path = where.partition("/")
    path = f"/{path}".rstrip("/")
    if not host and not path:
        return Becomes({"app": spec})
    route: dict[str, Any] = {"wsgi": spec}
    if path:
        route["path"] = path
    if host:
        route["host"] = host
    return AddsRoutes((route,))


def _static_map(value: Any, others: Mapping[str, Any]) -> Answer:
    return _static(value, others, append=False)


def _static_map2(value: Any, others: Mapping[str, Any]) -> Answer:
    return _static(value, others, append=True)


def _static(value: Any, others: Mapping[str, Any], *, append: bool) -> Answer:
    where, equals, folder = (part.strip() for part in value.partition("="))
    if not equals or not where.startswith("/") or not folder:
        raise UnfitError("it is written /PATH=FOLDER")
    path = where.rstrip("/")
    if not path:
        return Stays(Group.UNFIT, _FALLS_THROUGH)
    if "static-skip-ext" in others:
        why = "Kirsch would serve the files that static-skip-ext leaves out: lay them elsewhere, and write "
        return Stays(Group.UNFIT, f'{why}[[routes]], path = "{path}", files = "{folder}"')
    if Path(folder).is_file() or Path(folder).name == Path(path).name != "" != Path(path).suffix:
        return Stays(
            Group.UNFIT,
            f"it is one file; Kirsch has folders: lay it into one, and write [[routes]], path = "
            f'"{Path(path).parent}", files = "{Path(folder).parent}" for what is in there',
        )
    route: dict[str, Any] = {"path": path, "files": folder.rstrip("/") + path if append else folder}
    if others.get("static-index"):
        route["index"] = [others["static-index"]]
    return AddsRoutes((route,), "What is not in the folder is a 404 here; uWSGI asked the application then.")


def _processes(value: Any, others: Mapping[str, Any]) -> Answer:
    if "threads" in others:
        return Stays(Group.MISSING, "Kirsch serves with one process; its threads are counted in above")
    if _first(others, "gevent", "async") is not None:
        return Stays(Group.MISSING, "Kirsch serves with one process")
    found, note = threads(number(value), 1)
    return Becomes({"threads": found}, note)


def _threads(value: Any, others: Mapping[str, Any]) -> Answer:
    found, note = threads(number(_first(others, "processes", "workers") or 1), max(1, number(value)))
    return Becomes({"threads": found}, note)


def _harakiri(value: Any, others: Mapping[str, Any]) -> Answer:
    if number(value) == 0:
        return OFF
    note = (
        "The client hears 504, and the thread goes on until the application returns: nothing kills it, as "
        "harakiri did."
    )
    return Becomes({"timeouts.request": seconds(value)}, note)


def _timeouts(*keys: str) -> Convert:
    def convert(value: Any, others: Mapping[str, Any]) -> Answer:
        return Becomes({f"timeouts.{key}": seconds(value) for key in keys})

    return convert


def _drain(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"timeouts.drain": f"{number(value)}s"})


def _http_keepalive(value: Any, others: Mapping[str, Any]) -> Answer:
    if value == "" or value.lower() in ("true", "1") or not value.isdecimal():
        return Stays(Group.NEEDLESS, "connections are kept for 75 s")
    return Becomes({"timeouts.keepalive": seconds(value)})


def _socket_timeout(value: Any, others: Mapping[str, Any]) -> Answer:
    if _first(others, "http", "https", "http-timeout") is not None:
        return Stays(
            Group.NEEDLESS, "no router stands before the workers, so that nothing is waited for between them"
        )
    return Becomes({"timeouts.body": seconds(value)})


def _buffer_size(value: Any, others: Mapping[str, Any]) -> Answer:
    if number(value) <= _HEAD_BYTES:
        return Stays(Group.NEEDLESS, "Kirsch takes heads up to 32 KiB: head below [limits]")
    return Becomes({"limits.head": size(number(value))})


def _post_buffering(value: Any, others: Mapping[str, Any]) -> Answer:
    if number(value) <= _BODY_MEMORY_BYTES:
        return Stays(
            Group.NEEDLESS, "bodies are read before the application runs; up to 1 MiB stays in memory"
        )
    return Becomes({"limits.body_memory": size(number(value))})


def _limit_post(value: Any, others: Mapping[str, Any]) -> Answer:
    if number(value) == 0:
        return Stays(
            Group.MISSING, "0 is no limit; Kirsch has one always: body below [limits], 1 GiB unless set"
        )
    return Becomes({"limits.body": size(number(value))})


def _listen(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"backlog": number(value)})


def _chdir(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"chdir": value})


def _chmod(value: Any, others: Mapping[str, Any]) -> Answer:
    return Becomes({"unix_socket_mode": octal(value) if value not in ("", "true") else 0o666})


def _log_format(value: Any, others: Mapping[str, Any]) -> Answer:
    form, notes = _access_log.from_uwsgi(value)
    return Becomes({"access_log": form}, "; ".join(notes))


def _disable_logging(value: Any, others: Mapping[str, Any]) -> Answer:
    if _on(value):
        return Stays(Group.NEEDLESS, "there is no access log unless access_log is set")
    if _first(others, "log-format", "logformat", "req-logger", "logger-req") is not None:
        return Stays(Group.NEEDLESS, "another line says how requests are logged")
    return Becomes({"access_log": "combined"})


def _req_logger(value: Any, others: Mapping[str, Any]) -> Answer:
    kind, _, path = value.partition(":")
    if kind == "stdio":
        path = "-"
    elif kind != "file" or not path:
        return Stays(
            Group.MISSING, "Kirsch writes its access log to a file or to standard output: access_log_file"
        )
    form = {} if _first(others, "log-format", "logformat") else {"access_log": "combined"}
    return Becomes({"access_log_file": path, **form})


def _log_to(value: Any, others: Mapping[str, Any]) -> Answer:
    path = value.removeprefix("file:")
    there = f", StandardError=append:{path}" if path.startswith("/") else ""
    why = f"Kirsch logs to standard error: have the service manager write it where it belongs{there}"
    return Stays(Group.ELSEWHERE, why)


def _home(value: Any, others: Mapping[str, Any]) -> Answer:
    return Stays(Group.ELSEWHERE, f"install Kirsch into it, and start {value.rstrip('/')}/bin/kirsch")


def _plugin(value: Any, others: Mapping[str, Any]) -> Answer:
    names = [Path(name).name.removesuffix("_plugin.so") for name in re.split(r"[,\s]+", value) if name]
    strange = [name for name in names if not _PYTHON_PLUGIN.fullmatch(name)]
    if strange:
        return Stays(Group.MISSING, f"Kirsch has no plugins; {', '.join(strange)} is none of what it does")
    return Stays(Group.NEEDLESS, "it is in Kirsch")


def _pythonpath(value: Any, others: Mapping[str, Any]) -> Answer:
    return Stays(
        Group.ELSEWHERE,
        f"add it to the variable PYTHONPATH where Kirsch is started: {value}; for one of several "
        "applications, path in its table [apps.NAME] does it",
    )


def _protocol(value: Any, others: Mapping[str, Any]) -> Answer:
    if value == "http":
        return Stays(Group.NEEDLESS, "HTTP is what Kirsch speaks")
    return Stays(Group.MISSING, "Kirsch speaks HTTP; have the proxy speak it, too")


def _add_header(value: Any, others: Mapping[str, Any]) -> Answer:
    name, colon, field = (part.strip() for part in value.partition(":"))
    if not colon:
        raise UnfitError("it is written NAME: VALUE")
    if (name.lower(), field.lower()) == ("connection", "close"):
        return Becomes({"keepalive_requests": 1}, "Every connection is closed behind its answer.")
    return ChangesFields(
        {name.lower(): field}, note="It takes the place of the application's field of that name."
    )


def _remove_header(value: Any, others: Mapping[str, Any]) -> Answer:
    return ChangesFields({}, (value.lower(),))


_FALLS_THROUGH = (
    "uWSGI looks for a file first and asks the application if there is none; a route of Kirsch's is for "
    "files or for an application: write [[routes]] with path and files for each folder of files"
)
_RELOAD = "restart it: a service manager, or what watches files; new certificates are read by themselves"
_RECYCLE = "nothing replaces a process that grows; where one does, have the service manager restart it"
_STATS = "`Server.statistics()` in a program; the access log"
_JOBS = "jobs belong to a queue with workers of its own, or to the service manager's timers"

ROWS: tuple[Row, ...] = (
    becomes("module wsgi", "app", _module, "`module:attribute`"),
    becomes("wsgi-file file", "app", _wsgi_file, "`file.py:attribute`; the name must end in `.py`"),
    needless("callable", "it stands behind the colon of `app`", _callable),
    becomes("mount", "routes.path routes.app apps.wsgi", _mount),
    needless("manage-script-name", "a route's `path` becomes `SCRIPT_NAME`"),
    becomes(
        "http http-socket http11-socket httprouter",
        "bind trust-proxy proxy-fields",
        _http,
        "uWSGI believes `X-Forwarded-Proto` of everybody, Kirsch that of unix sockets and of `trust-proxy`",
    ),
    becomes(
        "socket uwsgi-socket",
        "bind trust-proxy proxy-fields",
        _socket,
        "HTTP: nginx then has `proxy_pass` in place of `uwsgi_pass`, and names the client in fields",
    ),
    becomes("https https2 https-socket", "bind tls-cert tls-key tls-client-certs tls-client-ca", _https),
    becomes("http-to-https", "bind tls-redirect", _to_https),
    missing("protocol socket-protocol", "HTTP is what Kirsch speaks", _protocol),
    missing("sni sni-dir", "`tls-cert` and `tls-key` are lists: a pair for each name"),
    missing(
        "fastcgi-socket fastcgi-nph-socket scgi-socket scgi-nph-socket raw-socket puwsgi-socket "
        "suwsgi-socket ssl-socket",
        "Kirsch speaks HTTP; have the proxy speak it, too",
    ),
    becomes("chmod-socket chmod", "unix-socket-mode", _chmod),
    becomes("listen", "backlog", _listen),
    becomes(
        "processes workers", "threads", _processes, "one process, with as many threads; further instances"
    ),
    becomes("threads", "threads", _threads, "times `processes`"),
    needless("enable-threads", "the application may start threads"),
    needless(
        "master thunder-lock lazy lazy-apps single-interpreter need-app no-orphans die-on-term strict "
        "no-default-app close-on-exec close-on-exec2 reuse-port map-socket master-as-root",
        "one process; it ends at SIGTERM in the orderly way, and does not start without its application",
    ),
    needless("vacuum", "the files of unix sockets are removed"),
    missing(
        "cheap idle die-on-idle",
        "one process; a socket of systemd's starts it when somebody comes",
        pattern="cheaper",
    ),
    missing(
        "gevent async ugreen loop",
        "threads; programs that are patched for gevent are refused",
        pattern="gevent-",
    ),
    becomes("chdir", "chdir", _chdir),
    elsewhere("pythonpath python-path pp", "the variable `PYTHONPATH`; `path` in `[apps.NAME]`", _pythonpath),
    elsewhere("virtualenv home venv pyhome", "install Kirsch into it, and start its `bin/kirsch`", _home),
    elsewhere("env unenv envdir early-envdir", "`Environment=` or `EnvironmentFile=` of systemd"),
    elsewhere(
        "uid gid add-gid immediate-uid immediate-gid no-initgroups chroot chown-socket umask",
        "`User=`, `Group=` and `UMask=` of systemd, and a folder of the socket that its users may enter",
    ),
    elsewhere(
        "daemonize daemonize2 pidfile pidfile2 safe-pidfile safe-pidfile2 procname procname-master "
        "auto-procname procname-prefix procname-prefix-spaced procname-append",
        "a service manager keeps it running",
    ),
    elsewhere("max-fd limit-as limit-nproc prio", "`LimitNOFILE=` and its like of systemd"),
    elsewhere("cpu-affinity", "`CPUAffinity=` of systemd"),
    elsewhere("optimize", "the variable `PYTHONOPTIMIZE`"),
    needless(
        "plugin plugins need-plugin need-plugins plugin-dir plugins-dir autoload", "it is in Kirsch", _plugin
    ),
    becomes("harakiri", "timeout-request", _harakiri, "the client hears 504, the thread goes on"),
    family("harakiri-", "what is stuck is not told of; `timeout-request` answers the client"),
    becomes("http-timeout", "timeout-body timeout-write", _timeouts("body", "write")),
    becomes("socket-timeout", "timeout-body", _socket_timeout),
    becomes("http-headers-timeout", "timeout-head", _timeouts("head")),
    becomes("chunked-input-timeout", "timeout-body", _timeouts("body")),
    becomes(
        "so-send-timeout socket-send-timeout so-write-timeout socket-write-timeout",
        "timeout-write",
        _timeouts("write"),
    ),
    becomes("reload-mercy worker-reload-mercy", "timeout-drain", _drain),
    becomes("http-keepalive", "timeout-keepalive", _http_keepalive, "connections are kept in any case"),
    needless(
        "http-auto-chunked http-chunked-input http-manage-expect http-raw-body http-processes "
        "http-workers http-events http-connect-timeout http-buffer-size http-server-name-as-http-host "
        "wsgi-manage-chunked-input tcp-nodelay so-keepalive no-defer-accept chunked-input-limit",
        "no router stands before the application, and HTTP/1.1 is spoken whole",
    ),
    missing("http-auto-gzip", '`compress = ["gzip"]` compresses by type and size'),
    missing("http-websockets", "WebSocket is not spoken", pattern="websocket"),
    missing("http-enable-proxy-protocol enable-proxy-protocol", "have the proxy write `X-Forwarded-For`"),
    becomes("buffer-size", "limit-head", _buffer_size, "where it is more than 32 KiB"),
    becomes("limit-post", "limit-body", _limit_post),
    becomes("post-buffering", "limit-body-memory", _post_buffering, "where it is more than 1 MiB"),
    needless("post-buffering-bufsize max-vars", "buffers grow as they have to, up to the limits"),
    missing("upload-progress", "the application can count with `stream-request-body`"),
    becomes(
        "static-map",
        "routes.path routes.files",
        _static_map,
        "what is not in the folder is a 404, not the application's",
    ),
    becomes(
        "static-map2", "routes.path routes.files", _static_map2, "the same, with the path behind the folder"
    ),
    needless("static-index", "`index` of the routes that `static-map` becomes; `index.html` unless set"),
    missing("check-static check-static-docroot static-check", _FALLS_THROUGH),
    needless(
        "static-gzip-all static-gzip-dir static-gzip-prefix static-gzip-ext static-gzip-suffix "
        "honour-range static-cache-paths static-cache-paths-name offload-threads offload-thread",
        "siblings that are compressed, ranges, and files without a thread of the application's are there",
    ),
    missing("static-safe", "`follow_symlinks = true` in a route lets links lead out of its folder"),
    missing("static-skip-ext", "write routes for the folders that are public"),
    missing("mimefile mime-file", "types go by the common extensions"),
    missing("file-serve-mode fileserve-mode", "`x-sendfile`, or a route with `internal = true`"),
    family("static-expires expires-", "`cache_control` in a route, by patterns of names"),
    family("route response-route final-", "`[[routes]]`: by host, path, method, field, scheme and client"),
    becomes("disable-logging", "access-log", _disable_logging, "off unless it is set"),
    becomes("log-format logformat", "access-log", _log_format, "in Apache's directives"),
    becomes("req-logger logger-req", "access-log-file access-log", _req_logger, "`file:` and `stdio:`"),
    elsewhere(
        "logto logto2 logger log-syslog log-socket",
        "standard error, which the service manager keeps",
        _log_to,
    ),
    needless("log-x-forwarded-for", "the access log has the client that the proxies of `trust-proxy` name"),
    needless(
        "log-master log-reopen log-date logdate log-zero log-micros log-truncate threaded-logger "
        "log-master-bufsize logformat-strftime log-format-strftime log-prefix ignore-sigpipe "
        "ignore-write-errors disable-write-exception log-maxsize log-backupname touch-logreopen "
        "touch-logrotate memory-report",
        "lines have their time, are written by a thread, and SIGUSR1 opens the file again",
    ),
    family("log-", "the access log has every request; filter it by status and time"),
    missing(
        "max-requests max-requests-delta max-worker-lifetime max-worker-lifetime-delta "
        "min-worker-lifetime reload-on-as reload-on-rss evil-reload-on-as evil-reload-on-rss "
        "reload-on-exception",
        _RECYCLE,
    ),
    missing(
        "py-autoreload py-auto-reload python-autoreload python-auto-reload touch-reload "
        "touch-chain-reload touch-workers-reload fs-reload exit-on-reload",
        _RELOAD,
    ),
    missing("master-fifo", "signals: SIGTERM, SIGUSR1, SIGHUP"),
    missing("py-tracebacker", "`py-spy`, or `faulthandler` in the application"),
    missing("stats stats-server", _STATS, pattern="stats- metric carbon snmp rrdtool enable-metrics"),
    missing("attach-daemon attach-daemon2 smart-attach-daemon", "a service of its own for each"),
    family("spooler mule farm cron unique-cron timer rbtimer signal", _JOBS),
    family("cache queue sharedarea rpc lock", "what the module uwsgi offers to Python is not there"),
    family("emperor vassal legion zerg subscribe", "a service of its own for each application"),
    family("fastrouter rawrouter sslrouter http- https-", "a proxy"),
    family("hook- exec- call- touch-", "what has to be done before goes before the command"),
    missing("import pyimport py-import python-import shared-import", "import it in the application"),
    missing(
        "pyargv eval paste ini-paste ini-paste-logged pecan web3 pump",
        "write a module that has the application",
    ),
    becomes(
        "add-header",
        "routes.set_headers keepalive-requests",
        _add_header,
        "in place of the application's of that name; `Connection: close` is `keepalive-requests` 1",
    ),
    becomes("rem-header del-header", "routes.remove_headers", _remove_header),
    missing("vhost vhost-host", "`[[routes]]` with `host`"),
    family("error-page-", "errors are answered in one line of text"),
    needless("ini include inherit config", "the lines of that file stand where it is named"),
    missing("xml xmlconfig yaml yml", "write the lines of that file into this one"),
    missing("worker-mount", "`mount`"),
    missing(
        "shared-socket undeferred-shared-socket abstract-socket",
        "`bind`; a name in place of a path is `@NAME`",
    ),
    missing("chdir2 force-cwd", "`chdir`, before the application is loaded"),
    missing("https-export-cert", "`SSL_CLIENT_CERT` and its like are in `environ`"),
    missing(
        "thread-stacksize thread-stack-size threads-stacksize threads-stack-size",
        "threads have the stack that Python gives them",
    ),
    needless(
        "wsgi-env-behaviour wsgi-env-behavior wsgi-accept-buffer wsgi-accept-buffers "
        "wsgi-disable-file-wrapper wsgi-strict start_response-nodelay reload-os-env no-threads-wait "
        "skip-atexit write-errors-tolerance max-apps write-errors-exception-only py-call-osafterfork "
        "py-call-uwsgi-fork-hooks no-site print iprint show-config",
        "PEP 3333 is kept whole; one process that forks no other",
    ),
)

TABLE = Table(
    "uWSGI",
    ROWS,
    (
        (
            ("disable-logging", "log-format", "logformat", "req-logger", "logger-req"),
            'uWSGI logs every request, and Kirsch does where access_log is set: access_log = "combined".',
        ),
        (
            ("processes", "workers", "threads"),
            "uWSGI serves one request at once unless told otherwise, and Kirsch 10: the application must "
            "bear several threads, or write threads = 1.",
        ),
        (
            ("module", "wsgi", "wsgi-file", "file", "mount"),
            'The file does not name the application: write app = "module:attribute" here, or name it behind '
            "kirsch.",
        ),
    ),
)


#: Seen of uWSGI 2.0.31.
_BELIEVES = (
    "uWSGI believes X-Forwarded-Proto of everybody, and Kirsch nobody. Behind a proxy, with its address: "
    'trust_proxy = ["127.0.0.1"], proxy_fields = "x-forwarded"; then REMOTE_ADDR is that of the client.'
)

_RULES = (
    "Rules of route, response-route and final-route are not carried over, and some of them may let nobody "
    "in: see the end of this file before it serves anybody."
)
_OPEN_SOCKETS = (
    "uWSGI lets nobody but its own user connect to a unix socket unless chmod-socket says so, and Kirsch all "
    "who may enter the folder of the socket: unix_socket_mode = 0o600."
)


# --- The file


def answer(name: str, value: str, others: Mapping[str, Any]) -> Answer:
    """What becomes of one option of uWSGI's.

    Args:
        name: Its name.
        value: Its value; empty where it has none.
        others: The last value of every option of the file.
    """
    row = TABLE.row(name)
    if row is None:
        return Stays(Group.MISSING, "Kirsch has nothing of the kind")
    try:
        if row.group in (Group.MISSING, Group.ELSEWHERE) and _is_no(value):
            return OFF
        if row.convert is None:
            return Stays(row.group, row.says)
        return row.convert(value, others)
    except UnfitError as error:
        return Stays(Group.UNFIT, str(error))


def migrate(path: Path, section: str) -> Document:
    """Translates a section of an ini file of uWSGI's.

    Raises:
        FileError: If it cannot be read, or has no such section.
    """
    content = read(path, section)
    others = {line.key: line.value for line in content.lines if line.block is None and not line.begins}
    document = Document(
        f"Made by kirsch migrate from {path.name}, which is uWSGI's; variables of the environment are what "
        "they were here and now. Relative paths begin at the folder of this file; uWSGI's began where it "
        "was started, or at chdir. What is not set here has Kirsch's default. kirsch check tries it."
    )
    for names, differs in TABLE.defaults:
        if not any(name in others for name in names):
            document.differs(differs)
    for line in content.lines:
        document.add(line.shown, _answer_line(line, others, content.placeholders))
    if any(not bind.startswith(("unix:", "@")) for bind in document.value("bind") or []):
        document.differs(_BELIEVES)
    if not document.value("unix_socket_mode") and any(
        bind.startswith("unix:") for bind in document.value("bind") or []
    ):
        document.differs(_OPEN_SOCKETS)
    if any(name.startswith(("route", "response-route", "final-")) for name in others):
        document.differs(_RULES)
    for name in content.others:
        document.add(
            f"[{name}]", Stays(Group.UNKNOWN, f"not read; kirsch migrate {path.name}:{name} reads it")
        )
    _say_scheme(document)
    return document


def _is_no(value: str) -> bool:
    # An option without a value is on.
    return value.strip().lower() in ("0", "false", "no", "off")


def _answer_line(line: Line, others: Mapping[str, Any], placeholders: frozenset[str]) -> Answer:
    if line.begins:
        return Stays(
            Group.UNFIT, "decide what holds where Kirsch runs; the lines of the block stand here, too"
        )
    if line.block is not None:
        return Stays(Group.UNFIT, f"it counts within {line.block}")
    if line.included:
        return Stays(Group.NEEDLESS, "its lines stand here")
    name, _, value = (part.strip() for part in line.value.partition("="))
    if line.key == "set" and TABLE.row(name) is not None:
        return answer(name, value, others)
    if line.key in PLACEHOLDERS:
        return Stays(Group.NEEDLESS, "a placeholder; where it is used, its value stands")
    if TABLE.row(line.key) is None and line.key not in NAMES:
        if line.key in placeholders:
            return Stays(Group.NEEDLESS, "a placeholder; where it is used, its value stands")
        near = get_close_matches(line.key, sorted(NAMES), 1, 0.8)
        hint = f"; did you mean {near[0]}?" if near else ""
        why = f"uWSGI itself has no such option, and takes it for a placeholder, which nothing uses{hint}"
        return Stays(Group.UNKNOWN, why)
    if line.trouble:
        return Stays(Group.UNFIT, line.trouble)
    return answer(line.key, line.value, others)


def _say_scheme(document: Document) -> None:
    """Says at each address of TCP what is spoken there, and names each certificate once."""
    certs, keys = document.value("tls.cert"), document.value("tls.key")
    if not certs:
        return
    pairs = list(dict.fromkeys(zip(certs, keys, strict=True)))
    document.replace("tls.cert", [cert for cert, _ in pairs])
    document.replace("tls.key", [key for _, key in pairs])
    said = ("https://", "unix:", "@", "fd://")
    binds = [bind if bind.startswith(said) else f"http://{bind}" for bind in document.value("bind")]
    document.replace("bind", binds)
