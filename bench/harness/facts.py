"""What a figure is worth nothing without: versions, kernel, processor, settings."""

from __future__ import annotations

import os
import platform
import ssl
import subprocess
from pathlib import Path

from harness import paths

PACKAGES = (
    "granian",
    "fastwsgi",
    "bjoern",
    "uwsgi",
    "gunicorn",
    "gunicorn_h1c",
    "waitress",
    "cheroot",
    "flask",
    "web.py",
)
LIST_PACKAGES = """
import sys
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in sys.argv[1:]))
"""


def collect() -> dict[str, str]:
    """Return the facts of this machine and of what is installed."""
    python = str(paths.PEERS / "bin" / "python")
    return {
        "python": _said([python, "--version"]),
        "kirsch": _said([str(paths.KIRSCH), "--version"]) if paths.KIRSCH.exists() else "not there",
        "commit": _said(["git", "-C", str(paths.ROOT), "describe", "--always", "--dirty"]),
        "packages": _said([python, "-c", LIST_PACKAGES, *PACKAGES]),
        "wrk": _said(["wrk", "--version"]).splitlines()[0].removeprefix("wrk ").partition(" Copyright")[0],
        "nginx": _said([paths.tool("nginx"), "-v"]).removeprefix("nginx version: "),
        "clients' TLS": ssl.OPENSSL_VERSION,
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }


def same_interpreter() -> str:
    """Return what is wrong if Kirsch and its peers run different interpreters, else nothing."""
    ask = "import sys; print(sys.version)"
    ours, theirs = (str(folder / "python") for folder in (paths.KIRSCH.parent, paths.PEERS / "bin"))
    if not Path(ours).exists() or _said([ours, "-c", ask]) == _said([theirs, "-c", ask]):
        return ""
    return f"{ours} and {theirs} are different interpreters: make .venvs/bench with the one that runs Kirsch"


def _said(command: list[str]) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=20
    )
    return done.stdout.strip() or "?"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
