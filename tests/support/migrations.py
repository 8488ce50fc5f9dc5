"""Configurations of gunicorn's and uWSGI's as people write them, and what Kirsch must make of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kirsch._migrate._table import Group

APPLICATION = """
def app(environ, start_response):
    body = "|".join(environ[name] for name in ("SCRIPT_NAME", "PATH_INFO", "wsgi.url_scheme")).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

application = app

def create_app():
    return app
"""


@dataclass(frozen=True)
class Case:
    """A configuration, and what Kirsch must read in what becomes of it.

    Attributes:
        text: The other server's file.
        settings: What Kirsch's file sets, as `kirsch check` shows settings.
        brief: What is served, as the server's first line has it.
        comments: How the settings begin that become comments, by heading.
        routes: Whether the application stands among routes.
    """

    text: str
    settings: Mapping[str, str]
    brief: str = "hello:app"
    comments: Mapping[Group, Iterable[str]] = field(default_factory=dict)
    routes: bool = False


GUNICORN = {
    "behind nginx on a unix socket": Case(
        """
        import multiprocessing

        wsgi_app = "hello:app"
        bind = "unix:app.sock"
        workers = 3
        umask = 0o007
        timeout = 60
        graceful_timeout = 20
        accesslog = "-"
        errorlog = "-"
        loglevel = "info"
        user = "www-data"
        group = "www-data"
        pidfile = "/run/gunicorn.pid"
        """,
        {
            "app": "hello:app",
            "bind": "unix:{here}/app.sock",
            "unix-socket-mode": "0o660",
            "threads": "3",
            "timeout-request": "60s",
            "timeout-drain": "20s",
            "trust-proxy": "unix",
            "proxy-fields": "x-forwarded",
            "access-log": "combined",
            "access-log-file": "-",
            "log-level": "info",
        },
        comments={Group.NEEDLESS: ["errorlog"], Group.ELSEWHERE: ["user", "group", "pidfile"]},
    ),
    "a container with threads": Case(
        """
        import os

        wsgi_app = "hello:create_app()"
        bind = f"0.0.0.0:{os.environ.get('NO_SUCH_PORT', '0')}"
        worker_class = "gthread"
        workers = int(os.environ.get("NO_SUCH_CONCURRENCY", "2"))
        threads = "4"
        worker_tmp_dir = "/dev/shm"
        max_requests = 1000
        max_requests_jitter = 100
        keepalive = 65
        timeout = 120
        forwarded_allow_ips = "*"
        preload_app = True
        """,
        {"app": "hello:create_app()", "bind": "0.0.0.0:0", "threads": "8", "timeout-keepalive": "65s"},
        "hello:create_app()",
        {
            Group.NEEDLESS: ["worker_class", "worker_tmp_dir", "preload_app"],
            Group.MISSING: ["workers", "max_requests", "max_requests_jitter"],
            Group.UNFIT: ["timeout", "forwarded_allow_ips"],
        },
    ),
    "several addresses and proxies": Case(
        """
        wsgi_app = "hello:app"
        bind = ["127.0.0.1:0", "unix://two.sock"]
        backlog = "4096"
        threads = 16
        worker_connections = 2000
        limit_request_line = 8190
        limit_request_fields = 200
        limit_request_field_size = 16380
        forwarded_allow_ips = ["10.0.0.0/8", "::1"]
        secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
        proxy_protocol = False
        reload = True
        raw_env = ["DATABASE=a", "SECRET=b"]
        """,
        {
            "app": "hello:app",
            "bind": "127.0.0.1:0, unix:{here}/two.sock",
            "backlog": "4096",
            "threads": "16",
            "limit-connections": "2000",
            "limit-target": "8190",
            "limit-head-fields": "200",
            "limit-head": "40KiB",
            "trust-proxy": "unix, 10.0.0.0/8, ::1",
            "proxy-fields": "x-forwarded",
        },
        comments={
            Group.NEEDLESS: ["secure_scheme_headers", "proxy_protocol"],
            Group.ELSEWHERE: ["raw_env"],
            Group.MISSING: ["reload"],
        },
    ),
    "logs and hooks": Case(
        """
        import logging
        from collections import OrderedDict

        wsgi_app = "hello"
        accesslog = "access.log"
        access_log_format = '%(h)s %(l)s "%(r)s" %(s)s %(M)s %({x-forwarded-for}i)s %(L)s %(p)s'
        errorlog = "/var/log/error.log"
        loglevel = "critical"
        logconfig_dict = OrderedDict(version=1)
        statsd_host = "localhost:8125"
        spool = 3
        max_request = 5

        def post_fork(server, worker):
            server.log.info("spawned %s", worker.pid)

        def _quiet():
            pass

        def when_redy(server):
            pass

        when_ready = lambda server: None
        """,
        {
            "app": "hello",
            "access-log": '%h %l "%r" %>s %{ms}T %{x-forwarded-for}i - -',
            "access-log-file": "{here}/access.log",
            "log-level": "error",
        },
        "hello",
        {
            Group.ELSEWHERE: ["errorlog"],
            Group.MISSING: ["logconfig_dict", "statsd_host", "def post_fork", "def when_ready"],
            Group.UNKNOWN: ["spool", "max_request", "def when_redy"],
        },
    ),
    "gevent": Case(
        """
        bind = "127.0.0.1"
        worker_class = "gunicorn.workers.ggevent.GeventWorker"
        workers = 2
        threads = 4
        worker_connections = 500
        timeout = 0
        keepalive = 0
        chdir = "."
        wsgi_app = "hello:app"
        """,
        {
            "app": "hello:app",
            "bind": "127.0.0.1:8000",
            "chdir": "{here}/.",
            "limit-connections": "1000",
            "keepalive-requests": "1",
        },
        comments={Group.MISSING: ["worker_class", "workers"], Group.NEEDLESS: ["threads", "timeout"]},
    ),
    "everything at its default": Case(
        """
        bind = "127.0.0.1:0"
        backlog = 2048
        workers = 1
        worker_class = "sync"
        worker_connections = 1000
        timeout = 30
        keepalive = 2
        spew = False
        daemon = False
        pidfile = None
        umask = 0
        user = None
        group = None
        tmp_upload_dir = None
        errorlog = "-"
        loglevel = "info"
        accesslog = None
        access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
        proc_name = None
        sendfile = None
        wsgi_app = "hello:app"
        """,
        {
            "app": "hello:app",
            "bind": "127.0.0.1:0",
            "backlog": "2048",
            "threads": "1",
            "timeout-request": "30s",
            "log-level": "info",
        },
        comments={
            Group.NEEDLESS: [
                "worker_class",
                "worker_connections",
                "keepalive",
                "spew",
                "daemon",
                "pidfile",
                "umask",
                "user",
                "group",
                "tmp_upload_dir",
                "errorlog",
                "accesslog",
                "proc_name",
                "sendfile",
            ],
            Group.UNFIT: ["access_log_format"],
        },
    ),
    "what gunicorn would refuse": Case(
        """
        wsgi_app = "hello:create_app('production')"
        bind = 8000
        workers = "many"
        backlog = 100000
        loglevel = "loud"
        keyfile = "key.pem"
        ca_certs = "ca.pem"
        umask = "rw"
        """,
        {},
        comments={
            Group.NEEDLESS: ["ca_certs"],
            Group.UNFIT: ["wsgi_app", "bind", "workers", "backlog", "loglevel", "keyfile", "umask"],
        },
    ),
}

UWSGI = {
    "of a tutorial": Case(
        """
        [uwsgi]
        module = hello:app

        master = true
        processes = 5

        socket = %n.sock
        chmod-socket = 660
        vacuum = true

        die-on-term = true
        """,
        {
            "app": "hello:app",
            "bind": "unix:{here}/uwsgi.sock",
            "unix-socket-mode": "0o660",
            "threads": "5",
            "trust-proxy": "unix",
            "proxy-fields": "x-forwarded",
        },
        comments={Group.NEEDLESS: ["master", "vacuum", "die-on-term"]},
    ),
    "Django behind nginx": Case(
        """
        # mysite_uwsgi.ini file
        [uwsgi]
        # the base directory (full path)
        base            = %d
        chdir           = %(base)
        module          = hello
        callable        = application
        home            = /srv/venv
        env = DJANGO_SETTINGS_MODULE=mysite.settings
        master          = 1
        processes       = 4
        threads         = 2
        http-socket     = 127.0.0.1:0
        harakiri        = 20      ; seconds
        max-requests    = 5000
        buffer-size     = 65535
        post-buffering  = 4096
        listen          = 1024
        limit-post      = 20971520
        enable-threads
        thunder-lock
        single-interpreter
        lazy-apps = true
        need-app
        disable-logging = true
        add-header = Connection: close
        log-5xx = true
        reload-on-rss = 512
        worker-reload-mercy = 30
        py-autoreload = 0
        uid = www-data
        gid = www-data
        pidfile = /tmp/%n.pid
        plugins = python3,http
        """,
        {
            "app": "hello:application",
            "chdir": "{here}/",
            "bind": "127.0.0.1:0",
            "threads": "8",
            "timeout-request": "20s",
            "timeout-drain": "30s",
            "limit-head": "65535",
            "limit-body": "20MiB",
            "backlog": "1024",
            "keepalive-requests": "1",
        },
        "hello:application",
        {
            Group.NEEDLESS: [
                "base",
                "callable",
                "master",
                "post-buffering",
                "enable-threads",
                "thunder-lock",
                "single-interpreter",
                "lazy-apps",
                "need-app",
                "disable-logging",
                "py-autoreload",
                "plugins",
            ],
            Group.ELSEWHERE: ["home", "env", "uid", "gid", "pidfile"],
            Group.MISSING: ["processes", "max-requests", "log-5xx", "reload-on-rss"],
        },
    ),
    "several applications and folders": Case(
        """
        [uwsgi]
        http = 127.0.0.1:0
        http-keepalive = 30
        http-timeout = 90
        manage-script-name = true
        mount = /api=hello.py
        mount = /v2/api=hello:create_app()
        mount = /=hello:app
        callable = app
        static-map = /static=%dpublic
        static-map2 = /media=%dfiles
        static-map = /favicon.ico=%dpublic/favicon.ico
        static-map = /=%dpublic
        static-map = /static=%dfiles
        static-index = home.html
        forkbomb-delay = 5
        static-expires-type = text/css=3600
        check-static = %dpublic
        offload-threads = 2
        route = ^/old redirect:/new
        add-header = X-Served-By: kirsch
        del-header = X-Powered-By
        """,
        {"bind": "127.0.0.1:0", "timeout-keepalive": "30s", "timeout-body": "90s", "timeout-write": "90s"},
        "/static={here}/public, /media={here}/files/media, /v2/api=v2-api, /api=api, main",
        {
            Group.NEEDLESS: ["manage-script-name", "callable", "static-index", "offload-threads"],
            Group.MISSING: ["forkbomb-delay", "static-expires-type", "check-static", "route"],
            Group.UNFIT: ["static-map", "static-map", "static-map"],
        },
        routes=True,
    ),
    "names, variables and blocks": Case(
        """
        [uwsgi]
        project = hello
        set-placeholder = port = 0
        owner = $(NO_SUCH_VARIABLE)
        wsgi-file = %(project).py
        callable = app
        http-socket = 127.0.0.1:%(port)
        logto = /var/log/$(USER_OF_TEST).log
        virtualenv = $(NO_SUCH_VARIABLE)/venv
        log-format = %(addr) - %(user) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(rsize) %(wid)
        req-logger = file:requests.log
        if-env = HOME
        threads = 9
        endif =
        harakri = 20
        ini = :more
        ini = other.ini:part

        [more]
        cheaper = 2
        cheaper-initial = 1
        spooler = /var/spool/x

        [unread]
        http = :80
        """,
        {
            "app": "hello.py:app",
            "bind": "127.0.0.1:0",
            "access-log": '%h - %u [%t] "%m %U%q %H" %>s %B -',
            "access-log-file": "{here}/requests.log",
            "threads": "1",
        },
        "hello.py:app",
        {
            Group.NEEDLESS: ["project", "set-placeholder", "callable", "ini = :more", "ini = other.ini:part"],
            Group.ELSEWHERE: ["logto"],
            Group.MISSING: [
                "uwsgi.ini:20: cheaper",
                "uwsgi.ini:21: cheaper-initial",
                "uwsgi.ini:22: spooler",
            ],
            Group.UNFIT: ["virtualenv", "if-env", "threads = 9", "endif"],
            Group.UNKNOWN: ["owner", "harakri", "[unread]"],
        },
    ),
    "HTTPS": Case(
        """
        [uwsgi]
        wsgi-file = hello.py
        http = 127.0.0.1:0
        http-socket = web.sock
        https = 127.0.0.2:0,{folder}/server.pem,{folder}/server.key,HIGH,!{folder}/ca.pem
        http-to-https = 127.0.0.3:0
        ssl-verbose = true
        """,
        {
            "app": "hello.py",
            "bind": "http://127.0.0.1:0, unix:{here}/web.sock, https://127.0.0.2:0, http://127.0.0.3:0",
            "tls-cert": "{here}/server.pem",
            "tls-key": "{here}/server.key",
            "tls-client-certs": "required",
            "tls-client-ca": "{here}/ca.pem",
            "tls-redirect": "true",
            "trust-proxy": "unix",
            "proxy-fields": "x-forwarded",
        },
        "hello.py",
        {Group.MISSING: ["ssl-verbose"]},
    ),
    "what uWSGI would refuse": Case(
        """
        [uwsgi]
        module = hello:app
        wsgi-file = app.wsgi
        processes = many
        harakiri = 0
        listen = 100000
        chmod-socket = rw
        mount = /x
        mount = /=other:app
        https = 127.0.0.1:0
        http-to-https = 127.0.0.1:0
        fastcgi-socket = :9000
        """,
        {"app": "hello:app", "bind": "127.0.0.1:0"},
        comments={
            Group.NEEDLESS: ["harakiri"],
            Group.MISSING: ["fastcgi-socket"],
            Group.UNFIT: [
                "wsgi-file",
                "processes",
                "listen",
                "chmod-socket",
                "mount = /x",
                "mount = /=other:app",
                "https =",
                "tls.redirect",
            ],
        },
    ),
}

#: Files that those above name.
OTHERS = {"other.ini": "[part]\nworkers = 1\n"}
