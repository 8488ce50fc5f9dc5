"""The environment of programs that stand on cheroot, as `requirements/cheroot.txt` pins it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import kirsch

from support.suites import succeed

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "requirements" / "cheroot.txt"
INSTALL_SECONDS = 600.0


def environment() -> Path:
    """The interpreter of the environment, which is made unless it is there. Kirsch is the one under test."""
    version = "".join(map(str, sys.version_info[:2]))
    folder = ROOT / ".venvs" / f"cheroot-{version}"
    python = folder / "bin" / "python"
    made = folder / ".made"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if not made.exists() or made.read_text() != wanted:
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(PINS)]
        for words in ([sys.executable, "-m", "venv", "--clear", str(folder)], install):
            succeed(words, INSTALL_SECONDS, f"cannot make {folder}")
        made.write_text(wanted)
    place = next(folder.glob("lib/python*/site-packages")) / "kirsch-under-test.pth"
    place.write_text(f"{Path(kirsch.__file__).parents[1]}\n")
    return python
