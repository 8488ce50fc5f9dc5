"""Faults of the system, one by one: each costs what it hits, and no more.

System calls that fail, clocks that jump, a process that is stopped, memory and threads that are refused.

`INJECTED` is the table: a call, the error it fails with, what a client asks for meanwhile, and what comes of
it. strace makes the calls fail. Whatever comes of it, the next client is served, and nothing runs in circles.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from support.client import BrokenResponse, get, request_bytes
from support.inside import eventually, settled, traced, view
from support.server import ServerProcess, command

MIB = 1024 * 1024
# Of the calls that a fault is injected into: what a few requests need, not what a circle makes of it.
FEW_CALLS = 500
STRACE_SECONDS = 20.0
STRACE = ["strace", "-f", "-qq", "-o"]


# Calls that fail


@dataclass(frozen=True)
class Fault:
    """A call that fails.

    Attributes:
        calls: Its name, or several with commas.
        errors: With each of these in turn.
        asks: What the client does meanwhile, a key of `CONVERSATIONS`.
        outcome: `served`: as if nothing were. `refused`: 503 with Retry-After. `failed`: 500.
            `lost`: the connection ends, and the client can tell that it has no whole response.
        log: A pattern of the line that the operator gets.
        first: Which of the calls fails first, in each thread.
        path: Only calls on this file; `{folder}` stands for the test's own.
    """

    calls: str
    errors: str
    asks: str
    outcome: str
    log: str = ""
    first: int = 1
    path: str = ""


NO_ACCEPT = "cannot accept connections for now"
NO_SPOOL = "cannot buffer a request body|no room to buffer a request body"

# Not EAGAIN from a socket: the kernel that says so tells when it is over, and what strace injects does not.
INJECTED = [
    # The connection is at fault: the next is accepted.
    Fault("accept4", "EINTR ECONNABORTED EPROTO", "get", "served"),
    # The system is: it is tried again a little later.
    Fault("accept4", "EMFILE ENFILE ENOBUFS ENOMEM EPERM EINVAL", "get", "served", NO_ACCEPT),
    Fault("epoll_wait", "EINTR", "get", "served"),
    Fault("epoll_wait", "EINVAL", "get", "served", "cannot poll"),
    Fault("epoll_ctl", "ENOMEM ENOSPC", "get", "lost", NO_ACCEPT),
    Fault("setsockopt", "EINVAL", "get", "served"),
    Fault("recvfrom", "EINTR", "get", "served"),
    Fault("recvfrom", "EINTR", "upload", "served"),
    Fault("recvfrom", "ECONNRESET ENOMEM EIO EINVAL", "get", "lost"),
    Fault("recvfrom", "ECONNRESET EIO", "upload", "lost", first=3),
    Fault("sendto", "EINTR", "get", "served"),
    Fault("sendto", "EPIPE ENOMEM ENOBUFS EIO", "get", "lost"),
    Fault("sendto,sendmsg", "EINTR", "pieces", "served", first=2),
    Fault("sendto,sendmsg", "ENOBUFS", "pieces", "lost", first=2),
    Fault("sendto,sendmsg", "ENOMEM", "pieces of HTTP/1.0", "lost", first=2),
    Fault("sendmsg", "EINTR", "large", "served"),
    Fault("sendmsg", "ENOMEM EIO", "large", "lost"),
    Fault("sendfile", "EINTR", "file", "served"),
    Fault("sendfile", "EIO EINVAL", "file", "lost"),
    Fault("sendfile", "EIO", "file", "lost", first=2),
    Fault("shutdown", "ENOTCONN", "closing", "served"),
    # The spool.
    Fault("openat", "EMFILE ENFILE ENOSPC EIO EROFS", "upload", "refused", NO_SPOOL, path="{folder}"),
    Fault("openat", "EINTR", "upload", "served", path="{folder}"),
    Fault("pwrite64", "EINTR", "upload", "served"),
    Fault("pwrite64", "ENOSPC EIO EDQUOT", "upload", "refused", NO_SPOOL),
    Fault("pwrite64", "ENOSPC", "upload", "refused", NO_SPOOL, first=2),
    Fault("pread64", "EINTR", "upload", "served"),
    Fault("pread64", "EIO", "upload", "failed", "the application failed"),
    # The access log: no request waits for it, or is lost with it.
    Fault("write", "EINTR", "get", "served", path="{folder}/access.log"),
    Fault(
        "write",
        "ENOSPC EIO EAGAIN",
        "get",
        "served",
        "cannot write the access log",
        path="{folder}/access.log",
    ),
]
BODY = bytes(range(256)) * 4 * 1024 * 3


def one_get(server: ServerProcess) -> int:
    with server.client() as client:
        return client.request("/fine").status


def upload(server: ServerProcess) -> int:
    with server.client() as client:
        client.send_what_is_taken(request_bytes("/digest", "POST", body=BODY))
        response = client.response()
        if response.status == 200:
            assert response.body == sha256(BODY).hexdigest().encode()
        if response.status == 503:
            assert (response.get("Retry-After") or "").isdecimal()
        return response.status


def answer_of(target: str, count: int, version: str = "HTTP/1.1") -> Callable[[ServerProcess], int]:
    def ask(server: ServerProcess) -> int:
        with server.client() as client:
            client.send(request_bytes(target).replace(b"HTTP/1.1", version.encode()))
            response = client.response()
            assert response.body == bytes(count)
            return response.status

    return ask


def closing(server: ServerProcess) -> int:
    with server.client() as client:
        return client.request("/fine", fields=("Connection: close",)).status


CONVERSATIONS: dict[str, Callable[[ServerProcess], int]] = {
    "get": one_get,
    "upload": upload,
    "pieces": answer_of("/pieces", 4 * MIB),
    "pieces of HTTP/1.0": answer_of("/pieces", 4 * MIB, "HTTP/1.0"),
    "large": answer_of("/large", 4 * MIB),
    "file": answer_of("/file", 8 * MIB),
    "closing": closing,
}
OUTCOMES = {"served": 200, "refused": 503, "failed": 500, "lost": None}


@contextmanager
def injecting(server: ServerProcess, fault: Fault, error: str, folder: Path) -> Iterator[Path]:
    """Make calls of a server fail meanwhile. The file has a line for each call."""
    record = folder / "calls"
    pid = server.process.pid
    words = [*STRACE, str(record), "-e", f"trace={fault.calls}"]
    words += ["-e", f"inject={fault.calls}:error={error}:when={fault.first}"]
    if fault.path:
        words += ["-P", fault.path.format(folder=folder)]
    strace = subprocess.Popen([*words, "-p", str(pid)], stderr=subprocess.PIPE)
    try:
        eventually(lambda: traced(pid) or strace.poll() is not None, "strace attached", STRACE_SECONDS)
        assert strace.poll() is None, strace.stderr and strace.stderr.read()
        yield record
    finally:
        strace.send_signal(signal.SIGINT)
        strace.communicate(timeout=STRACE_SECONDS)


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Path]]:
    """A server of one thread, so that one knows which call comes first; and its folder."""
    folder = tmp_path_factory.mktemp("shaken")
    (folder / "large").write_bytes(bytes(8 * MIB))
    flags = ("--spool-dir", str(folder), "--access-log-file", f"{folder}/access.log")
    environment = {"LARGE_FILE": str(folder / "large")}
    with ServerProcess("faults:app", *flags, threads=1, environment=environment) as server:
        for ask in CONVERSATIONS.values():
            assert ask(server) == 200
        yield server, folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(fault, error, id=f"{fault.calls}-{fault.first}-{error}-{fault.asks}")
        for fault in INJECTED
        for error in fault.errors.split()
    ],
)
def test_a_call_that_fails_costs_no_more_than_its_request(
    shaken: tuple[ServerProcess, Path], fault: Fault, error: str
) -> None:
    server, folder = shaken
    before = settled(server.address)
    if "access.log" in fault.path:
        # What failed last time is over, and would not be told of again before.
        log = Path(fault.path.format(folder=folder))
        size = log.stat().st_size
        get(server.address, "/fine")
        eventually(lambda: log.stat().st_size > size, "a line of the access log")
    said = len(server.log)
    status: int | None
    with injecting(server, fault, error, folder) as record:
        try:
            status = CONVERSATIONS[fault.asks](server)
        except (BrokenResponse, ConnectionError):
            status = None
        # It may be made behind the answer; if it never is, nothing was tried.
        eventually(lambda: "(INJECTED)" in record.read_text(), "the call that fails")
    calls = record.read_text()
    assert calls.count("\n") < FEW_CALLS, "it runs in circles"
    assert status == OUTCOMES[fault.outcome]
    assert one_get(server) == 200, "the next client"
    assert settled(server.address) == before
    # Trouble with accepting is said once in ten seconds.
    begin = 0 if fault.log == NO_ACCEPT else said
    eventually(lambda: re.search(fault.log, server.log[begin:]), f"a line of the log: {fault.log}")
    assert "Traceback" not in server.log[said:] or fault.outcome == "failed"


# Of the pool; beside them start those of the logs, of the watcher and of the stop.
THREADS = (1, 4)
OTHER_THREADS = 4


@pytest.mark.slow
@pytest.mark.parametrize("threads", THREADS)
def test_threads_that_are_refused_end_the_start_with_a_clear_message(tmp_path: Path, threads: int) -> None:
    """The logs', the watcher, the pool's, and the one for the stop: each in turn."""
    flags = ["--access-log-file", str(tmp_path / "access.log")]
    words = command("faults:app", flags, threads, "127.0.0.1:0")
    for number in range(1, threads + OTHER_THREADS + 1):
        injection = f"inject=clone,clone3:error=EAGAIN:when={number}"
        done = subprocess.run(
            [*STRACE, str(tmp_path / "calls"), "-e", "trace=clone,clone3", "-e", injection, *words],
            cwd=Path(__file__).parent / "apps",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "(INJECTED)" in (tmp_path / "calls").read_text()
        assert done.returncode == 1, (number, done.stderr)
        assert re.fullmatch(r"kirsch: [^\n]*thread[^\n]*\n", done.stderr), (number, done.stderr)


def test_an_access_log_on_a_full_disk_costs_no_request() -> None:
    flags = ("--access-log-file", "/dev/full")
    with ServerProcess("faults:app", *flags) as server:
        with server.client() as client:
            for _ in range(100):
                assert client.request("/fine").body == b"ok"
        server.wait_for_log("cannot write the access log")
        assert get(server.address, "/fine").body == b"ok"
        assert server.log.count("cannot write the access log") == 1


# The clock


FAKETIME = "/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1"
JUMPS = ["+1h", "-1h", "-2h", "+30d", "-3650d", "+0"]


def test_a_clock_that_jumps_ends_nothing_early_and_the_date_follows(tmp_path: Path) -> None:
    """A kept connection, half an upload, half a download and a request in the application live through it."""
    library = FAKETIME.format(os.uname().machine)
    assert Path(library).exists(), "faketime is missing; `make deps` installs it"
    clock = tmp_path / "clock"
    variables = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }

    def set_clock(jump: str) -> None:
        (tmp_path / "next").write_text(f"{jump}\n")
        (tmp_path / "next").replace(clock)

    set_clock("+0")
    message = request_bytes("/digest", "POST", body=BODY)
    with (
        ServerProcess("faults:app", environment=variables, threads=4) as server,
        contextlib.ExitStack() as stack,
    ):
        kept = stack.enter_context(server.client())
        assert kept.request("/fine").body == b"ok"
        inside = stack.enter_context(server.client())
        inside.send(request_bytes("/waits"))
        assert kept.request("/inside_waits").body == b"ok"
        for jump in JUMPS:
            set_clock("+0")
            upload, download, head = (stack.enter_context(server.client()) for _ in range(3))
            upload.send(message[: len(message) // 2])
            download.send(request_bytes("/pieces"))
            download.until(b"\r\n\r\n")
            head.send(request_bytes("/fine")[:-2])
            eventually(lambda: view(server.address)["statistics"]["connections"] >= 6, "all of them")
            set_clock(jump)
            offset = email.utils.parsedate_to_datetime(
                kept.request("/fine").get("Date") or ""
            ) - datetime.datetime.now(datetime.timezone.utc)
            assert abs(offset - wanted(jump)) < datetime.timedelta(minutes=5)
            head.send(b"\r\n")
            assert head.response().body == b"ok"
            upload.send(message[len(message) // 2 :])
            assert upload.response().body == sha256(BODY).hexdigest().encode()
            assert len(download.rest_of_chunks()) == 4 * MIB
            for client in (upload, download, head):
                client.socket.close()
        assert kept.request("/opens").body == b"ok"
        assert inside.response().body == b"ok"
        assert view(server.address)["statistics"]["refused"] == 0


def wanted(jump: str) -> datetime.timedelta:
    units = {"h": datetime.timedelta(hours=1), "d": datetime.timedelta(days=1)}
    return int(jump.rstrip("hd")) * units.get(jump[-1], datetime.timedelta())


# A process that is stopped


def test_a_process_that_is_stopped_and_goes_on_has_lost_nothing() -> None:
    with ServerProcess("faults:app") as server, contextlib.ExitStack() as stack:
        idle, inside, upload, download = (stack.enter_context(server.client()) for _ in range(4))
        assert idle.request("/fine").body == b"ok"
        inside.send(request_bytes("/waits"))
        assert idle.request("/inside_waits").body == b"ok"
        message = request_bytes("/digest", "POST", body=BODY)
        upload.send(message[:100_000])
        download.send(request_bytes("/pieces"))
        download.until(b"\r\n\r\n")
        for _ in range(5):
            with stopped(server):
                late = stack.enter_context(server.client())
                late.send(request_bytes("/fine"))
            assert late.response().body == b"ok"
        with stopped(server):
            upload.socket.setblocking(False)
            sent = 100_000
            with contextlib.suppress(BlockingIOError):
                while sent < len(message):
                    sent += upload.socket.send(message[sent:])
        upload.send(message[sent:])
        assert upload.response().body == sha256(BODY).hexdigest().encode()
        assert len(download.rest_of_chunks()) == 4 * MIB
        assert idle.request("/opens").body == b"ok"
        assert inside.response().body == b"ok"


@contextmanager
def stopped(server: ServerProcess) -> Iterator[None]:
    """Stop a server meanwhile."""
    state = Path(f"/proc/{server.process.pid}/stat")
    server.signal(signal.SIGSTOP)
    try:
        eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "a stopped process")
        yield
    finally:
        server.signal(signal.SIGCONT)


KEPT_SECONDS = 1
# More than the kernel tells of at once.
KEPT_CLIENTS = 600


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True], ids=["idle", "in a head"])
def test_what_arrived_before_the_timeout_is_served_however_late_the_server_looks(half: bool) -> None:
    """It was stopped past the timeout: whoever had sent his request by then has not been slow."""
    timeouts = ("--timeout-keepalive", f"{KEPT_SECONDS}s", "--timeout-head", f"{KEPT_SECONDS}s")
    message = request_bytes("/fine")
    with ServerProcess("faults:app", *timeouts) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(KEPT_CLIENTS)]
        for client in clients:
            client.send(message)
        for client in clients:
            assert client.response().body == b"ok"
            client.send(message[:20] if half else b"")
        if half:
            # The last of them has been read when this is answered.
            get(server.address, "/fine")
        with stopped(server):
            for client in clients:
                client.send(message[20:] if half else message)
            # The time is what is tested.
            time.sleep(KEPT_SECONDS * 1.5)
        assert [client.response().status for client in clients] == [200] * KEPT_CLIENTS


WRITE_SECONDS = 1
# Less than the third of a send buffer that the kernel tells of.
LITTLE_BYTES = 128 * 1024


@pytest.mark.slow
def test_clients_that_take_little_at_a_time_are_not_cut(tmp_path: Path) -> None:
    """The timeout is for those who take nothing, not for those of whom the kernel does not tell yet."""
    (tmp_path / "large").write_bytes(bytes(8 * MIB))
    flags = ("--timeout-write", f"{WRITE_SECONDS}s", "--limit-response-memory", "64KiB")
    environment = {"LARGE_FILE": str(tmp_path / "large")}
    # A file of the application's, a block of its memory, and what was spooled.
    bodies = {"/file": bytes(8 * MIB), "/large": bytes(4 * MIB), "/pieces": bytes(4 * MIB)}
    with (
        ServerProcess("faults:app", *flags, environment=environment) as server,
        contextlib.ExitStack() as stack,
    ):
        clients = [stack.enter_context(server.client()) for _ in bodies]
        for client, target in zip(clients, bodies, strict=True):
            client.send(request_bytes(target).replace(b"HTTP/1.1", b"HTTP/1.0"))
        eventually(lambda: view(server.address)["statistics"]["outran"] == len(bodies), "full send buffers")
        with stopped(server):
            taken = [client.received(LITTLE_BYTES) for client in clients]
            # The time is what is tested.
            time.sleep(WRITE_SECONDS * 1.5)
        with ThreadPoolExecutor() as threads:
            rests = threads.map(lambda client: client.rest(), clients)
        for first, rest, body in zip(taken, rests, bodies.values(), strict=True):
            assert (first + rest).partition(b"\r\n\r\n")[2] == body


# Memory


def test_an_application_that_finds_no_memory_costs_its_request_only() -> None:
    limit = 2048 * MIB
    words = ["prlimit", f"--as={limit}:{limit}", *command("faults:app", [], 4, "127.0.0.1:0")]
    with ServerProcess("faults:app", words=words, environment={"MALLOC_ARENA_MAX": "2"}) as server:
        for _ in range(3):
            with server.client() as client:
                assert client.request(f"/greedy?{limit}").status == 500
                assert client.request("/digest", "POST", body=BODY).body == sha256(BODY).hexdigest().encode()
                assert len(client.request(f"/greedy?{16 * MIB}").body) == 16 * MIB
        assert server.log.count("MemoryError") >= 3
        assert view(server.address)["statistics"]["panics"] == 0


# An application that hangs


def test_an_application_that_deadlocks_costs_its_own_threads() -> None:
    flags = ("--timeout-queue", "300ms", "--timeout-drain", "300ms")
    with ServerProcess("faults:app", *flags, threads=3) as server, contextlib.ExitStack() as stack:
        stuck = [stack.enter_context(server.client()) for _ in range(3)]
        stuck[0].send(request_bytes("/deadlock?one"))
        stuck[1].send(request_bytes("/deadlock?other"))
        eventually(
            lambda: view(server.address)["statistics"]["threads"].count("running") == 3, "the deadlock"
        )
        with server.client() as good:
            for number in range(100):
                assert good.request("/length", "POST", body=bytes(number)).body == b"%d" % number
            stuck[2].send(request_bytes("/waits"))
            assert good.request("/fine").status == 503, "none is free any more"
            for _ in range(5):
                with server.client() as fresh:
                    response = fresh.request("/fine")
                    assert (response.status, response.get("Retry-After")) == (503, "5")
        server.signal(signal.SIGTERM)
        assert server.wait() == 1


# The end of the interpreter

PROGRAM = """
import kirsch, socket, sys, threading, time

inside = threading.Semaphore(0)

def app(environ, start_response):
    kind = environ["PATH_INFO"][1:]
    start_response("200 OK", [("Content-Type", "text/plain")])
    inside.release()
    if kind == "sleeps":
        while True:
            time.sleep(0.001)
    if kind == "computes":
        while True:
            sum(range(100))
    if kind == "reads":
        return [environ["wsgi.input"].read()]
    if kind == "sends":
        return (bytes(65536) for _ in iter(int, 1))
    if kind == "returns":
        return [b"ok"]

def ask(kind):
    client = socket.create_connection(server.addresses[0])
    client.sendall(b"POST /%b HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 9\\r\\n\\r\\n" % kind.encode())
    if kind == "returns":
        client.sendall(b"123456789" + b"GET /returns HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n" * 2000)
    elif kind != "reads":
        client.sendall(b"123456789")
    return client

server = kirsch.Server(app, bind="127.0.0.1:0", threads=4, stream_request_body=True).start()
clients = [ask(kind) for kind in sys.argv[2].split(",")]
for _ in clients:
    inside.acquire()
if sys.argv[1] == "raises":
    raise RuntimeError("the program fails")
if sys.argv[1] == "exits":
    sys.exit(3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "kinds", "code"),
    [
        *(("returns", kinds, 0) for kinds in ("returns", "sends,sends", "reads,reads")),
        ("raises", "returns,sends,reads", 1),
        ("exits", "returns,sends,reads", 3),
        # These never come back, so the process ends without them.
        ("exits", "computes,sleeps,sends,reads", 1),
    ],
)
def test_an_interpreter_that_ends_during_requests_does_not_crash(end: str, kinds: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), end, kinds],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "panicked" not in done.stderr
    assert "Fatal Python error" not in done.stderr
    assert ("still in the application" in done.stderr) == ("sleeps" in kinds)


# Processes


def test_a_program_inherits_neither_logs_nor_spool_files(tmp_path: Path) -> None:
    """Even one that is started with everything open, from a request whose body is in a file."""
    flags = ("--access-log-file", str(tmp_path / "log"), "--spool-dir", str(tmp_path))
    with (
        ServerProcess("faults:app", *flags) as server,
        server.client(receive_buffer=4096) as slow,
        server.client() as client,
    ):
        # Its response waits in a spool file, and it reads nothing.
        slow.send(request_bytes("/pieces"))
        slow.until(b"\r\n\r\n")
        eventually(lambda: view(server.address)["statistics"]["spool_bytes"] > 0, "a spool file")
        listing = client.request("/inherits", "POST", body=BODY).body.decode()
    opened = re.findall(r"-> (\S+)", listing)
    assert len(opened) == 4, "standard streams, and the folder itself"
    assert str(tmp_path) not in listing
