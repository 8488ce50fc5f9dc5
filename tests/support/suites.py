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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        done = subprocess.run(
            [sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"pip cannot fetch the suites of {PINS}:\n{done.stdout[-4000:]}"
        for archive in Path(scratch).glob("*.tar.gz"):
            with tarfile.open(archive) as members:
                members.extractall(scratch, filter="data")
        for name, version in pins.items():
            place = CACHE / f"{name.lower()}-{version}"
            if not place.exists():
                os.rename(Path(scratch) / place.name, place)


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
