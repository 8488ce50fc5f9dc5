"""What `make deps` does on a machine that has nothing: stand-ins for apt and id tell what was asked for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "deps.sh"

BUILD = {"build-essential"}
TEST = BUILD | {
    *("apache2-utils", "chromium", "curl", "git", "haproxy", "nginx-light", "strace", "util-linux"),
    *("faketime", "slowhttptest", "valgrind", "wget", "wrk"),
}


def stand_in(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder for PATH with what every Debian has, and Rust and Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sort").symlink_to(shutil.which("sort") or "/usr/bin/sort")
    for name in ("python3", "cargo"):
        stand_in(folder, name, "exit 0")
    stand_in(folder, "apt-get", f'echo "$@" >> {tmp_path / "asked"}')
    return folder


def deps(mode: str, path: Path, user: int) -> subprocess.CompletedProcess[str]:
    stand_in(path, "id", f"echo {user}")
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), mode],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize(("mode", "packages"), [("run", BUILD), ("test", TEST)])
def test_root_installs_what_is_missing(bare: Path, tmp_path: Path, mode: str, packages: set[str]) -> None:
    done = deps(mode, bare, user=0)
    assert (done.returncode, done.stderr) == (0, "")
    update, install = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert update == "update -qq"
    assert {word for word in install.split()[1:] if not word.startswith("-")} == packages


def test_the_benchmark_finds_its_peers_needs(bare: Path, tmp_path: Path) -> None:
    assert deps("bench", bare, user=0).returncode == 0
    assert {"nginx-light", "wrk"} <= set((tmp_path / "asked").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("mode", ["run", "test", "bench"])
def test_others_are_told_the_line_to_type(bare: Path, tmp_path: Path, mode: str) -> None:
    done = deps(mode, bare, user=1000)
    assert done.returncode == 1
    assert "sudo apt-get install " in done.stderr
    assert "build-essential" in done.stderr
    assert not (tmp_path / "asked").exists()


def test_what_is_there_is_not_asked_for(bare: Path, tmp_path: Path) -> None:
    for name in ("cc", "make"):
        stand_in(bare, name, "exit 0")
    done = deps("run", bare, user=1000)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_rust_is_an_error_that_says_so(bare: Path) -> None:
    (bare / "cargo").unlink()
    done = deps("run", bare, user=0)
    assert done.returncode == 1
    assert "cargo is missing" in done.stderr
