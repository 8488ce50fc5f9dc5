"""Others' test suites: fetched by pip, unpacked into `.cache/suites`, judged by a list of what may differ.

Versions and hashes stand in `requirements/suites.txt`; what differs from each suite, and why, in a JSON file
of `tests/suites`. A list is exact: what it names must differ, everything else must not.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.server import clean_environment

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "suites"
PINS = ROOT / "requirements" / "suites.txt"
LISTS = ROOT / "tests" / "suites"
FETCH_SECONDS = 300.0


def source(name: str) -> Path:
    """The folder of a source distribution, as pip has verified it; fetched unless it is there."""
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", PINS.read_text("utf-8"), re.MULTILINE))
    folder = CACHE / f"{name.lower()}-{pins[name]}"
    if not folder.exists():
        fetch(pins)
    return folder


def fetch(pins: Mapping[str, str]) -> None:
    """Fetch and unpack every suite.

    They are unpacked beside their place and moved there whole: what is in its place is complete.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        # What builds a package comes as a wheel; only the suites themselves must be source.
        words = ["-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        words += ["--no-binary", ",".join(pins), "--require-hashes", "-r", str(PINS), "-d", scratch]
        succeed([sys.executable, *words], FETCH_SECONDS, f"pip cannot fetch the suites of {PINS}")
        for archive in Path(scratch).glob("*.tar.gz"):
            with tarfile.open(archive) as members:
                members.extractall(scratch, filter="data")
        for name, version in pins.items():
            place = CACHE / f"{name.lower()}-{version}"
            if not place.exists():
                os.rename(Path(scratch) / place.name, place)


def succeed(words: Sequence[str], seconds: float, otherwise: str) -> None:
    """Run a command to its end; if it fails, say so with the end of what it wrote."""
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{otherwise}:\n{done.stdout[-4000:]}"


def run_suite(
    words: Sequence[str], folder: Path, outcomes: Path, seconds: float, environment: Mapping[str, str]
) -> dict[str, str]:
    """Run a suite's own command, which leaves what became of each test in a file.

    Args:
        words: The command.
        folder: Where it runs.
        outcomes: The file; the suite's plugin of ours finds it in ``SUITE_OUTCOMES``.
        seconds: How long it may take.
        environment: What it finds in its environment besides.
    """
    done = subprocess.run(
        words,
        cwd=folder,
        env={**clean_environment(), **environment, "SUITE_OUTCOMES": str(outcomes)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert outcomes.exists(), done.stdout[-4000:]
    found: dict[str, str] = json.loads(outcomes.read_text("utf-8"))
    return found


def differences(name: str) -> dict[str, Any]:
    """What may differ from a suite: the file of that name in `tests/suites`."""
    found: dict[str, Any] = json.loads((LISTS / f"{name}.json").read_text("utf-8"))
    return found


def complaints(failed: Mapping[str, str], listed: Mapping[str, Any], ran: set[str]) -> list[str]:
    """What is wrong with a list, or with the server.

    Args:
        failed: What differed, and how.
        listed: What may differ.
        ran: Everything that was tried.
    """
    wrong = [f"{name} fails: {why}" for name, why in failed.items() if name not in listed]
    wrong += [f"{name} is listed and passes" for name in listed if name in ran and name not in failed]
    return wrong + [f"{name} is listed and was not tried" for name in listed if name not in ran]
