"""What `make deps` does on a machine that has nothing: stand-ins for apt and id tell what was asked for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "deps.sh"

BUILD = {"build-essential"}
TEST = BUILD | {
    *("apache2-utils", "chromium", "curl", "git", "haproxy", "nginx-light", "openssl", "strace"),
    *("faketime", "litmus", "slowhttptest", "testssl.sh", "util-linux", "valgrind", "wget", "wrk"),
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
    stand_in(folder, "rustc", "echo 'rustc 1.95.0 (59807616e 2026-04-14)'")
    stand_in(folder, "apt-get", f'echo "$@" >> {tmp_path / "asked"}')
    return folder


def deps(mode: str, path: Path, user: int, **variables: str) -> subprocess.CompletedProcess[str]:
    stand_in(path, "id", f"echo {user}")
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), mode],
        env={"PATH": str(path), **variables},
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


@pytest.mark.parametrize("says", ["echo 'rustc 1.63.0 (4b91a6ea7 2022-08-08)'", "exit 127"])
def test_a_rust_that_is_too_old_is_an_error_that_says_what_to_do(bare: Path, says: str) -> None:
    """As Debian's own is."""
    stand_in(bare, "rustc", says)
    done = deps("run", bare, user=0)
    assert done.returncode == 1
    assert "Kirsch needs Rust 1." in done.stderr
    assert "rustup" in done.stderr


@pytest.mark.parametrize("version", ["1.88.0", "1.100.1", "2.0.0"])
def test_a_rust_that_is_new_enough_is_taken(bare: Path, version: str) -> None:
    stand_in(bare, "rustc", f"echo 'rustc {version} (nobody 2030-01-01)'")
    assert deps("run", bare, user=0).returncode == 0


def test_the_interpreter_that_was_named_is_the_one_that_is_looked_at(bare: Path) -> None:
    stand_in(bare, "python3", "exit 1")
    assert deps("run", bare, user=0, PYTHON="python3.13").returncode == 1
    stand_in(bare, "python3.13", "exit 0")
    assert deps("run", bare, user=0, PYTHON="python3.13").returncode == 0


def test_an_interpreter_that_is_named_and_cannot_be_used_is_an_error_that_names_it(bare: Path) -> None:
    for python in ("python3.9", "python3.99"):
        stand_in(bare, "python3.9", "exit 1")
        done = deps("run", bare, user=0, PYTHON=python)
        assert (done.returncode, f"PYTHON={python}" in done.stderr) == (1, True)
