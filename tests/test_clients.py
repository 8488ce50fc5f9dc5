"""The clients that people have: curl, wget, ab, requests, httpx and a browser.

All are installed by `make deps`. One that is missing is a failure, and says so.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import requests
from support.client import get
from support.server import ServerProcess

SECONDS = 60


@pytest.fixture(scope="module")
def server(blob: Path) -> Iterator[ServerProcess]:
    with ServerProcess("flask_app:app", environment={"APP_FILE": str(blob)}) as server:
        yield server


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The blog of the examples."""
    examples = Path(__file__).resolve().parents[1] / "examples" / "blog"
    data = tmp_path_factory.mktemp("blog")
    with ServerProcess("blog:app", folder=examples, environment={"BLOG_DATA": str(data)}) as server:
        yield server


def run(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run an installed program."""
    program = shutil.which(words[0])
    assert program is not None, f"{words[0]} is not installed; run `make deps`"
    done = subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def curl(*words: str | Path) -> str:
    return run("curl", "--silent", "--show-error", "--noproxy", "*", *words).stdout


@pytest.mark.parametrize("number", ["7", "9" * 18, "9" * 23, "0" * 40])
def test_the_blog_answers_404_for_a_post_that_it_cannot_have(blog: ServerProcess, number: str) -> None:
    assert get(blog.address, f"/post/{number}").status == 404


def test_curl_gets_and_reuses_its_connection(server: ServerProcess) -> None:
    urls = [f"{server.url}/", f"{server.url}/json", f"{server.url}/"]
    out = curl("--write-out", " %{http_code}/%{num_connects}\n", *urls)
    assert out.splitlines()[0] == "Hello from Flask 200/1"
    assert out.splitlines()[-1] == "Hello from Flask 200/0"


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_curl_uploads_with_and_without_100_continue(
    server: ServerProcess, version: str, tmp_path: Path
) -> None:
    content = b"curl " * 1_000_000
    (tmp_path / "file").write_bytes(content)
    form = f"file=@{tmp_path / 'file'}"
    for expect in ("Expect: 100-continue", "Expect:"):
        out = curl(version, "--header", expect, "--form", form, f"{server.url}/upload")
        assert hashlib.sha256(content).hexdigest() in out


def test_curl_sends_a_chunked_form(server: ServerProcess) -> None:
    out = curl("--header", "Transfer-Encoding: chunked", "--data", "name=Kirsch", f"{server.url}/form")
    assert out.strip() == '{"name":"Kirsch"}'


def test_curl_head_has_no_body(server: ServerProcess) -> None:
    assert curl("--head", f"{server.url}/").startswith("HTTP/1.1 200 OK")


def test_curl_continues_a_download(server: ServerProcess, blob: Path, tmp_path: Path) -> None:
    """The application answers ranges; the server leaves them to it."""
    half = tmp_path / "half"
    half.write_bytes(blob.read_bytes()[:100_000])
    curl("--continue-at", "-", "--output", half, f"{server.url}/static/blob")
    assert half.read_bytes() == blob.read_bytes()


def test_wget_fetches_a_file(server: ServerProcess, blob: Path, tmp_path: Path) -> None:
    run(
        "wget", "--quiet", "--no-proxy", f"--output-document={tmp_path / 'file'}", f"{server.url}/static/blob"
    )
    assert (tmp_path / "file").read_bytes() == blob.read_bytes()


@pytest.mark.parametrize("keep_alive", [[], ["-k"]], ids=["new connections", "keep-alive"])
def test_ab_loses_nothing(server: ServerProcess, keep_alive: list[str]) -> None:
    out = run("ab", "-q", "-n", "2000", "-c", "20", *keep_alive, f"{server.url}/").stdout
    assert "Complete requests:      2000" in out
    assert "Failed requests:        0" in out
    assert not keep_alive or "Keep-Alive requests:    2000" in out


def test_requests_from_many_threads(server: ServerProcess) -> None:
    with requests.Session() as session, ThreadPoolExecutor(8) as pool:
        session.trust_env = False
        answers = pool.map(lambda _: session.get(f"{server.url}/stream", timeout=20).text, range(200))
        assert {answer.count("block") for answer in answers} == {20}


def test_httpx_streams_both_ways(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=20) as client:
        with client.stream("GET", "/stream") as answer:
            assert "".join(answer.iter_text()).splitlines() == [f"block {number}" for number in range(20)]
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.post("/form", content=iter([b"a=", b"1&", b"b=2"]), headers=kind).json() == {
            "a": "1",
            "b": "2",
        }


def test_the_blog_from_sign_in_to_a_post_with_a_picture(blog: ServerProcess) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + b"pixels" * 50_000
    with requests.Session() as session:
        session.trust_env = False
        assert "Who are you?" in session.get(f"{blog.url}/write", timeout=20).text
        session.post(f"{blog.url}/sign-in", data={"name": "Ann"}, timeout=20)
        fields, files = {"title": "<First>", "body": "one\r\n\r\ntwo"}, {"picture": ("p.png", picture)}
        post = session.post(f"{blog.url}/write", data=fields, files=files, timeout=20)
        assert "&lt;First&gt;" in post.text
        assert "<p>one</p>" in post.text
        address = f"{blog.url}/picture/{hashlib.sha256(picture).hexdigest()}"
        assert requests.get(address, timeout=20).content == picture
        refused = session.post(f"{blog.url}/write", data={"title": "", "body": "x"}, timeout=20)
        assert "write something here" in refused.text
        session.post(f"{blog.url}/sign-out", timeout=20)
        assert "Sign in" in session.get(blog.url, timeout=20).text


def test_a_browser_shows_the_blog(blog: ServerProcess, tmp_path: Path) -> None:
    out = run(
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
        f"{blog.url}/",
    ).stdout
    assert "<title>Cherry blossom</title>" in out
    assert "served by Kirsch" in out
