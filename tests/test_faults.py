"""Faults of the application, of clients and of the system: each costs the request it hits, and no other."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import faults
import pytest
from support.client import BrokenResponse, Client, get, request_bytes
from support.inside import descriptors, eventually, processor_ticks, view
from support.server import LOGGED, ServerProcess, command

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "large"
    path.write_bytes(bytes(8 * MIB))
    return path


@pytest.fixture(scope="module")
def server(large_file: Path) -> Iterator[ServerProcess]:
    with ServerProcess("faults:app", environment={"LARGE_FILE": str(large_file)}) as server:
        yield server
        assert view(server.address)["statistics"]["panics"] == 0, server.log


@pytest.fixture
def own(large_file: Path) -> Iterator[ServerProcess]:
    """A server for tests after which a process is not what it was."""
    with ServerProcess("faults:app", environment={"LARGE_FILE": str(large_file)}) as server:
        yield server


def must_fail(server: ServerProcess, target: str) -> None:
    """The request is answered with 500, and the connection is good for the next."""
    with server.client() as client:
        response = client.request(target)
        assert (response.status, b"server's log" in response.body) == (500, True)
        assert client.expect_open("/fine").body == b"ok"


def must_break_off(server: ServerProcess, target: str) -> None:
    """The head was sent: the client must see that the response is not whole."""
    with server.client() as client:
        client.send(request_bytes(target))
        with pytest.raises(BrokenResponse):
            client.response()
    assert get(server.address, "/fine").body == b"ok"


# The application


ERRORS = sorted(faults.RAISED)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("where", ["raises", "raises_after_start", "raises_in_iter", "raises_in_first"])
def test_what_is_raised_before_the_first_block_is_a_500(
    server: ServerProcess, where: str, error: str
) -> None:
    if error == "StopIteration" and where == "raises_in_first":
        assert get(server.address, f"/{where}?{error}").body == b"", "that is how an iteration ends"
        return
    must_fail(server, f"/{where}?{error}")


@pytest.mark.parametrize("error", ERRORS)
def test_what_is_raised_later_breaks_the_response_off(server: ServerProcess, error: str) -> None:
    if error == "StopIteration":
        assert get(server.address, f"/raises_in_later?{error}").body == b"block" * 2
        return
    must_break_off(server, f"/raises_in_later?{error}")


@pytest.mark.parametrize("error", ERRORS)
def test_what_close_raises_hurts_nobody(server: ServerProcess, error: str) -> None:
    with server.client() as client:
        assert client.request(f"/raises_in_close?{error}").body == b"block" * 4
        assert client.expect_open("/fine").body == b"ok"


@pytest.mark.parametrize("where", ["iter", "first", "later", "close"])
def test_close_is_called_once_whatever_raises(server: ServerProcess, where: str) -> None:
    get(server.address, "/closes")
    with contextlib.suppress(BrokenResponse):
        get(server.address, f"/raises_in_{where}?Exception")
    assert eventually(lambda: get(server.address, "/closes").body, "close()") == b"1"


def test_the_log_has_the_whole_traceback_of_what_was_raised(own: ServerProcess) -> None:
    with own.client() as client:
        number = client.request("/raises_in_first?Exception").get("X-Request-ID")
    log = own.wait_for_log(
        rf"{LOGGED} ERROR .*/raises_in_first\?Exception \[{number}\]\n(  .*\n)*?  Exception: boom\n"
    )[0]
    assert "Traceback (most recent call last)" in log
    assert re.search(r'faults\.py", line \d+, in __next__\n', log)


def test_an_exception_cannot_forge_a_line_of_the_log(own: ServerProcess) -> None:
    assert get(own.address, "/raises?Surrogate").status == 500
    own.wait_for_log(r"\n  Exception: \\udcff\\x1b\[2J\n")


@pytest.mark.parametrize("path", ["sys_exit", "recursion", "recursion_in_next", "no_start"])
def test_a_failure_of_a_kind_of_its_own_is_a_500(server: ServerProcess, path: str) -> None:
    must_fail(server, f"/{path}")


@pytest.mark.parametrize("what", sorted(faults.NONSENSE))
def test_what_is_no_response_is_a_500(server: ServerProcess, what: str) -> None:
    must_fail(server, f"/nonsense?{quote(what.replace(' ', '+'), safe='+')}")


@pytest.mark.parametrize("what", sorted(faults.STARTS))
def test_what_is_no_head_is_a_500(server: ServerProcess, what: str) -> None:
    must_fail(server, f"/starts?{what.replace(' ', '+')}")


@pytest.mark.parametrize("path", ["clears_environ", "fills_environ"])
def test_environ_belongs_to_the_application(server: ServerProcess, path: str) -> None:
    with server.client() as client:
        for _ in range(3):
            assert client.request(f"/{path}", "POST", body=b"x" * 100).body == b"ok"


def test_what_is_kept_of_a_request_is_dead(server: ServerProcess) -> None:
    with server.client() as client:
        for _ in range(3):
            assert client.request("/keeps", "POST", body=b"secret").body == b"ok"
        said = client.request("/uses_kept").body.decode().split("\n")
        assert len(said) == 9
        assert "secret" not in "".join(said)
        assert all(said[idx].endswith("Error") for idx in (1, 2, 4, 5, 7, 8)), said
        assert client.expect_open("/fine").body == b"ok"


# Processes


def test_a_forked_child_holds_neither_listener_nor_poll(own: ServerProcess) -> None:
    with own.client() as client:
        body = client.request("/fork").body.decode()
        lost, _, held = body.removeprefix("lost:\n").partition("kept:\n")
        assert lost.count("socket:") == 1, body
        assert lost.count("[eventpoll]") == 1, body
        assert "[eventpoll]" not in held
        assert client.expect_open("/fine").body == b"ok"


@pytest.mark.parametrize("path", ["fork_and_return", "fork_in_next", "fork_and_raise"])
def test_a_forked_child_that_comes_back_ends_there(own: ServerProcess, path: str) -> None:
    with own.client() as client:
        for _ in range(3):
            child = int(client.request(f"/{path}").body.split()[-1])
            assert child > 0, "the child has answered"
            assert client.request(f"/ended?{child}").body == b"0"
        client.finish()
        client.expect_close()
    assert "in the child" not in own.log


def test_a_program_that_the_application_starts_inherits_no_socket(own: ServerProcess) -> None:
    with own.client() as client:
        listing = client.request("/inherits").body.decode()
    opened = re.findall(r"-> (\S+)", listing)
    assert len(opened) == 4, "standard streams, and the folder itself"
    assert not any(what.startswith(("socket:", "anon_inode:")) for what in opened), listing


# sendfile(2) cannot be told MSG_NOSIGNAL: the thread has to block the signal meanwhile.
@pytest.mark.parametrize("path", ["large", "pieces", "file"])
@pytest.mark.parametrize("way", ["reset", "close"])
def test_with_the_default_sigpipe_a_client_that_leaves_kills_nobody(
    own: ServerProcess, path: str, way: str
) -> None:
    assert get(own.address, "/default_sigpipe").body == b"ok"
    for _ in range(10):
        with own.client(receive_buffer=4096) as client:
            client.send(request_bytes(f"/{path}"))
            client.until(b"\r\n\r\n")
            if way == "reset":
                client.reset()
    with own.client() as client:
        assert client.request("/fine").body == b"ok", "the server lives"
    eventually(lambda: view(own.address)["statistics"]["connections"] == 1, "nobody is left")
    assert own.process.poll() is None


@pytest.mark.parametrize("path", ["daemon", "endless"])
def test_a_thread_of_the_application_that_never_ends_does_not_keep_the_process(
    own: ServerProcess, path: str
) -> None:
    assert get(own.address, f"/{path}").body == b"ok"
    own.signal(signal.SIGTERM)
    assert own.wait() == 0


def test_what_the_application_registered_for_the_end_is_run(tmp_path: Path) -> None:
    """Every time: an end in haste would skip it."""
    (tmp_path / "leaving.py").write_text(
        "import atexit\nfrom wsgiref.simple_server import demo_app as app\n"
        "atexit.register(print, 'the application says goodbye')\n"
    )
    for _ in range(10):
        with ServerProcess("leaving:app", folder=tmp_path) as server:
            get(server.address)
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
            assert "the application says goodbye" in server.log


# Clients


def cut_points(length: int, count: int) -> list[int]:
    """Offsets from the first byte to the last, the ends dense."""
    step = max(1, length // count)
    return sorted({*range(1, min(20, length)), *range(1, length, step), length - 1, length})


def test_a_client_that_resets_anywhere_in_its_request_harms_nobody(server: ServerProcess) -> None:
    before = settled(server)
    message = request_bytes("/length", "POST", body=b"x" * 20_000)
    with server.client() as good:
        for offset in cut_points(len(message), 60):
            with server.client() as client:
                client.send(message[:offset])
                client.reset()
            assert good.request("/length", "POST", body=b"12345").body == b"5"
    eventually(lambda: settled(server) == before, "everything as it was before")


@pytest.mark.parametrize("path", ["large", "pieces", "file"])
def test_a_client_that_resets_anywhere_in_the_response_harms_nobody(server: ServerProcess, path: str) -> None:
    before = settled(server)
    with server.client() as good:
        for offset in (0, 1, 17, 100, 200, 300, 5_000, 65_536, 100_000, MIB, 3 * MIB, 4 * MIB):
            with server.client(receive_buffer=16 * 1024) as client:
                client.send(request_bytes(f"/{path}"))
                client.received(offset)
                client.reset()
            assert good.request("/fine").body == b"ok"
    eventually(lambda: settled(server) == before, "everything as it was before")


def settled(server: ServerProcess) -> dict[str, int]:
    """What a client that has left must not leave behind, once nobody but who asks is connected."""
    names = ("queued", "buffer_bytes", "spool_bytes", "panics")

    def alone() -> dict[str, int]:
        seen = view(server.address)
        if seen["statistics"]["connections"] > 1:
            return {}
        return {
            **{name: seen["statistics"][name] for name in names},
            "descriptors": len(seen["descriptors"]),
            "threads": seen["threads"],
        }

    return eventually(alone, "nobody else connected")


# The system

LIMIT = 64
EXHAUSTED_SECONDS = 1.0


def test_without_descriptors_connections_wait_and_are_served_afterwards() -> None:
    with ServerProcess("faults:app") as server:
        pid = server.process.pid
        limit_descriptors(pid, LIMIT)
        # Each inside the application's reach, so that none may be closed to make room for another.
        head = request_bytes("/length", "POST", fields=("Content-Length: 5", "Expect: 100-continue"))
        with contextlib.ExitStack() as stack:
            begun, late = [], []
            for _ in range(LIMIT // 2):
                client = stack.enter_context(server.client())
                client.send(head)
                assert client.one_response().status == 100
                begun.append(client)
            for _ in range(LIMIT):
                client = stack.enter_context(server.client())
                client.send_what_is_taken(head)
                late.append(client)
            server.wait_for_log("cannot accept connections for now")
            assert len(descriptors(pid)) <= LIMIT
            ticks = processor_ticks(pid)
            # The time is what is tested: all there is to do is to look whether descriptors have come back.
            time.sleep(EXHAUSTED_SECONDS)
            allowed = EXHAUSTED_SECONDS * os.sysconf("SC_CLK_TCK") / 10
            assert processor_ticks(pid) - ticks <= allowed, "it runs in circles"
            assert server.log.count("cannot accept connections for now") == 1
            for client in begun:
                client.send(b"12345")
                assert client.response().body == b"5", "what had begun was not hurt"
                client.socket.close()
            answers = [answer_of(client) for client in late]
            assert set(answers) <= {b"5", b""}, "who came later waits, or is refused"
            assert answers.count(b"5") >= LIMIT // 2
        assert get(server.address, "/fine").body == b"ok"


def answer_of(client: Client) -> bytes:
    """The answer of who waited; nothing if the connection was closed to make room."""
    try:
        assert client.one_response().status == 100
        client.send(b"12345")
        return client.response().body
    except (BrokenResponse, ConnectionError):
        return b""
    finally:
        client.socket.close()


def test_without_descriptors_idle_connections_make_room() -> None:
    with ServerProcess("faults:app") as server:
        limit_descriptors(server.process.pid, LIMIT)
        with contextlib.ExitStack() as stack:
            for _ in range(LIMIT * 2):
                client = stack.enter_context(server.client())
                assert client.request("/fine").body == b"ok"
        assert get(server.address, "/fine").body == b"ok"


def test_whoever_makes_room_is_waited_for_no_longer_than_it_takes() -> None:
    with ServerProcess("faults:app") as server:
        limit_descriptors(server.process.pid, LIMIT)
        with contextlib.ExitStack() as stack:
            # A pause for each would make this a minute.
            deadline = time.monotonic() + 20
            for _ in range(LIMIT * 20):
                client = stack.enter_context(server.client())
                assert client.request("/fine").body == b"ok"
                assert time.monotonic() < deadline


def test_a_server_that_may_open_few_files_has_fewer_connections_and_says_so_once() -> None:
    words = ["prlimit", "--nofile=100:100", *command("faults:app", [], 4, "127.0.0.1:0")]
    with ServerProcess("faults:app", words=words) as server:
        message = "the limit of open descriptors allows fewer connections"
        server.wait_for_log(f"{message} connections=50 configured=10000 descriptors=100")
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                client = stack.enter_context(server.client())
                assert client.request("/fine").body == b"ok"
            statistics = view(server.address)["statistics"]
        assert (statistics["connections"], statistics["evicted"]) == (50, 51)
        assert server.log.count(message) == 1
        assert "cannot accept" not in server.log


def limit_descriptors(pid: int, count: int) -> None:
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={count}:{count}"], check=True)


@pytest.fixture
def small_folder(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "spool"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this user may not mount: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def refuses_what_is_too_large(server: ServerProcess, folder: Path) -> None:
    """More than the spool holds is a 503 for its client only."""
    for _ in range(3):
        with server.client() as client:
            client.send_what_is_taken(request_bytes("/length", "POST", body=bytes(4 * MIB)))
            assert client.response().status == 503
        assert get(server.address, "/length", method="POST", body=bytes(300_000)).body == b"300000"
        assert list(folder.iterdir()) == []
    eventually(lambda: view(server.address)["statistics"]["spool_bytes"] == 0, "an empty spool")
    assert shutil.disk_usage(folder).used <= 64 * 1024 or os.stat(folder).st_dev == os.stat("/tmp").st_dev


def test_a_full_spool_folder_costs_only_what_needs_it(small_folder: Path) -> None:
    with ServerProcess("faults:app", "--spool-dir", str(small_folder)) as server:
        refuses_what_is_too_large(server, small_folder)


def test_a_full_spool_costs_only_what_needs_it(tmp_path: Path) -> None:
    with ServerProcess("faults:app", "--spool-dir", str(tmp_path), "--limit-spool", "1MiB") as server:
        refuses_what_is_too_large(server, tmp_path)


def test_a_spool_folder_that_is_gone_costs_only_what_needs_it(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with ServerProcess("faults:app", "--spool-dir", str(folder)) as server:
        folder.rmdir()
        with server.client() as client:
            client.send_what_is_taken(request_bytes("/length", "POST", body=bytes(4 * MIB)))
            assert client.response().status in (500, 503)
        assert get(server.address, "/length", method="POST", body=bytes(1000)).body == b"1000"


def test_a_long_response_to_who_does_not_read_needs_one_spool_file(own: ServerProcess) -> None:
    with own.client() as idle:
        assert idle.request("/fine").body == b"ok"
        before = len(descriptors(own.process.pid))
        with own.client(receive_buffer=4096) as client:
            client.send(request_bytes("/pieces"))
            client.until(b"\r\n\r\n")
            eventually(lambda: view(own.address)["statistics"]["spool_bytes"] > 0, "a spool file")
            eventually(lambda: "running" not in view_from(idle), "the application's end")
            assert len(descriptors(own.process.pid)) <= before + 2
            assert len(client.rest_of_chunks()) == 4 * MIB


def view_from(client: Client) -> list[str]:
    """What the other threads are doing; the one that answers is running."""
    threads = json.loads(client.request("/inside").body)["statistics"]["threads"]
    threads.remove("running")
    return threads
