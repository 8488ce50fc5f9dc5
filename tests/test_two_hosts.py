"""`examples/two-hosts`, asked with curl and wget as its guide shows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.server import ServerProcess, kirsch

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "two-hosts"
SECONDS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    words = [*kirsch(), "--config", str(EXAMPLE / "kirsch.toml"), "--bind", "127.0.0.1:0"]
    environment = {"BLOG_DATA": str(elsewhere / "blog")}
    with ServerProcess("", words=words, folder=elsewhere, environment=environment) as running:
        yield running


def run(*words: str) -> bytes:
    """What a command writes; it must end well."""
    return subprocess.run(words, stdout=subprocess.PIPE, timeout=SECONDS, check=True).stdout


def curl(server: ServerProcess, host: str, target: str, *words: str) -> tuple[int, bytes]:
    """The status and the body that curl gets of a host."""
    port = server.address[1]
    resolve = f"{host}:{port}:{server.address[0]}"
    url = f"http://{host}:{port}{target}"
    output = run("curl", "-sS", "--resolve", resolve, "-w", "\n%{http_code}", *words, url)
    body, _, status = output.rpartition(b"\n")
    return int(status), body


def test_curl_finds_the_blog_and_its_stylesheet(server: ServerProcess) -> None:
    status, page = curl(server, "blog.localhost", "/")
    assert (status, b"<html" in page.lower()) == (200, True)
    assert curl(server, "blog.localhost", "/static/style.css") == (
        200,
        (EXAMPLE.parent / "blog" / "static" / "style.css").read_bytes(),
    )


def test_curl_uses_the_api_below_its_path(server: ServerProcess) -> None:
    field = ("-H", "Content-Type: application/json", "-d", '{"text": "cherries are ripe"}')
    status, body = curl(server, "www.localhost", "/api/notes", *field)
    note = json.loads(body)
    assert (status, note["text"]) == (201, "cherries are ripe")
    assert note["url"].startswith("/api/notes/")
    assert json.loads(curl(server, "www.localhost", note["url"])[1]) == note
    assert note in json.loads(curl(server, "www.localhost", "/api/notes")[1])


def test_wget_fetches_the_page_and_all_it_needs(server: ServerProcess, tmp_path: Path) -> None:
    words = ["wget", "-q", "--header=Host: www.localhost", "-r", "-l1", "-nd", "-P", str(tmp_path)]
    run(*words, f"{server.url}/index.html")
    for name in ("index.html", "style.css", "notes.js"):
        assert (tmp_path / name).read_bytes() == (EXAMPLE / "public" / name).read_bytes(), name


def test_wget_continues_a_file(server: ServerProcess, tmp_path: Path) -> None:
    whole = (EXAMPLE / "public" / "notes.js").read_bytes()
    part = tmp_path / "notes.js"
    part.write_bytes(whole[:100])
    words = ["wget", "-q", "-c", "--header=Host: www.localhost", "-P", str(tmp_path)]
    run(*words, f"{server.url}/notes.js")
    assert part.read_bytes() == whole


@pytest.mark.parametrize(
    ("host", "target", "words", "status"),
    [
        ("localhost", "/a?b=c", (), 302),
        ("mail.localhost", "/", (), 421),
        ("www.localhost", "/api/notes", ("-X", "DELETE"), 405),
        ("www.localhost", "/api/notes", ("-H", "Content-Type: application/json", "-d", "{}"), 400),
        ("www.localhost", "/gone", (), 404),
        ("www.localhost", "/../kirsch.toml", ("--path-as-is",), 404),
        ("blog.localhost", "/api/notes", (), 404),
    ],
)
def test_what_the_guide_says_is_so(
    server: ServerProcess, host: str, target: str, words: tuple[str, ...], status: int
) -> None:
    assert curl(server, host, target, *words)[0] == status


def test_check_finds_nothing_wrong_with_the_example(tmp_path: Path) -> None:
    output = run(*kirsch(), "check", "--config", str(EXAMPLE / "kirsch.toml"), "--bind", "127.0.0.1:0")
    assert output.endswith(b"by 10 threads\n")
