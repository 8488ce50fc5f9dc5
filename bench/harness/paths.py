"""Where things are, and what to say when they are not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
APPS = BENCH / "apps"
RESULTS = BENCH / "results"
LAUNCH = BENCH / "launch"
REPORT_LUA = BENCH / "wrk" / "report.lua"
REQUIREMENTS = BENCH / "requirements.txt"

# Every path can be set: a worktree measures the build of another one.
PEERS = Path(os.environ.get("BENCH_VENV", ROOT / ".venvs" / "bench"))
KIRSCH = Path(os.environ.get("BENCH_KIRSCH", ROOT / ".venv" / "bin" / "kirsch"))
FLOOR = Path(os.environ.get("BENCH_FLOOR", ROOT / "target" / "release" / "examples" / "floor"))
FILES = Path(os.environ.get("BENCH_FILES", ROOT / "target" / "release" / "examples" / "files"))
HANDSHAKES = Path(os.environ.get("BENCH_HANDSHAKES", ROOT / "target" / "release" / "examples" / "handshakes"))


class MissingTool(Exception):
    """Something the benchmark needs is not installed; the message says how to get it."""


def tool(name: str) -> str:
    """Return the path of a program of the system.

    Raises:
        MissingTool: if it is not installed.
    """
    for folder in (None, "/usr/sbin:/usr/local/sbin:/sbin"):
        found = shutil.which(name, path=folder)
        if found:
            return found
    raise MissingTool(
        f"{name} is not installed: run `make deps`, or `apt-get install` what bench/README.md lists"
    )


def file(path: Path, how: str) -> str:
    """Return `path` as text if it exists.

    Raises:
        MissingTool: with `how` to make it, if it does not.
    """
    if path.exists():
        return str(path)
    raise MissingTool(f"{path} does not exist: {how}")


def peer(name: str) -> str:
    """Return the path of a program in the peers' environment."""
    return file(PEERS / "bin" / name, "run `python bench/environment.py`")
