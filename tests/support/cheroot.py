"""The environments of programs that stand on cheroot, as `requirements/cheroot.txt` pins them."""

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
    return _made("cheroot", ())


def without_cheroot() -> Path:
    """The interpreter of another one, which lacks nothing but cheroot itself."""
    return _made("without-cheroot", ("cheroot",))


def _made(name: str, missing: tuple[str, ...]) -> Path:
    version = "".join(map(str, sys.version_info[:2]))
    folder = ROOT / ".venvs" / f"{name}-{version}"
    python = folder / "bin" / "python"
    made = folder / ".made"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if not made.exists() or made.read_text() != wanted:
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(PINS)]
        steps = [[sys.executable, "-m", "venv", "--clear", str(folder)], install]
        steps += [[str(python), "-m", "pip", "uninstall", "-q", "-y", package] for package in missing]
        for words in steps:
            succeed(words, INSTALL_SECONDS, f"cannot make {folder}")
        made.write_text(wanted)
    place = next(folder.glob("lib/python*/site-packages")) / "kirsch-under-test.pth"
    place.write_text(f"{Path(kirsch.__file__).parents[1]}\n")
    return python
