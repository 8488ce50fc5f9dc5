"""Values as other servers read them: numbers, switches, sizes, and what is worked out of several settings."""

from __future__ import annotations

import math
import re
from typing import Any

from kirsch._migrate._table import Group, Stays, UnfitError

_MOST_THREADS = 4096
_NO = ("", "0", "false", "no", "off")
_YES = ("1", "true", "yes", "on")

#: What a thread pool in place of processes means for an application.
ONE_PROCESS = (
    "Kirsch serves with one process. As many requests run at once as before, but in threads that share "
    "one interpreter: what computes in Python uses one core, so start several instances behind a proxy if "
    "that is not enough."
)
THREAD_SAFE = (
    "The application was called by one thread of each process, and is now called by several at once: it "
    "must bear that. If it does not, write threads = 1 and start several instances."
)


def number(value: Any) -> int:
    """A whole number that is not negative.

    Raises:
        UnfitError: If it is none.
    """
    try:
        found = int(value.strip(), 0) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        # uWSGI reads digits as far as there are any: "010" is ten, and a comment may stand behind.
        digits = re.match(r"\s*([0-9]+)\s*(?:[;#]|$)", value) if isinstance(value, str) else None
        if digits is None:
            raise UnfitError("this is no whole number") from None
        found = int(digits[1])
    if found < 0:
        raise UnfitError("a negative number means nothing here")
    return found


def switch(value: Any) -> bool:
    """Whether something is turned on.

    Raises:
        UnfitError: If the value says neither yes nor no.
    """
    if isinstance(value, bool) or value is None:
        return bool(value)
    text = str(value).strip().lower()
    if text in _YES or text in _NO:
        return text in _YES
    raise UnfitError("this is neither true nor false")


def is_off(value: Any) -> bool:
    """Whether a value says that something is not there: nothing, no, an empty list."""
    return not value or (isinstance(value, str) and value.strip().lower() in _NO)


def seconds(value: Any) -> str:
    """A duration that is not 0, as Kirsch writes it."""
    found = number(value)
    if found == 0:
        raise UnfitError("0 means none there; Kirsch has no timeout of 0")
    return f"{found}s"


def octal(value: Any) -> int:
    """Permission bits.

    Raises:
        UnfitError: If they are none.
    """
    if isinstance(value, int):
        return value
    text = str(value).strip()
    if not re.fullmatch(r"(0o?)?[0-7]{1,4}", text):
        raise UnfitError("these are no permission bits in octal")
    return int(text.removeprefix("0o"), 8)


def size(bytes_: int) -> int | str:
    """A size, in KiB or MiB where that is a round number."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if bytes_ and bytes_ % factor == 0:
            return f"{bytes_ // factor}{unit}"
    return bytes_


def round_up(bytes_: int) -> int | str:
    """A size that is at least so large, in whole KiB."""
    return size(math.ceil(bytes_ / 1024) * 1024)


def text(value: Any) -> str:
    """A text.

    Raises:
        UnfitError: If it is none.
    """
    if not isinstance(value, str):
        raise UnfitError(f"a text belongs here, not {type(value).__name__}")
    return value.strip()


def texts(value: Any) -> list[str]:
    """A list of texts, or one with commas.

    Raises:
        UnfitError: If it is neither.
    """
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, (list, tuple)):
        return [text(part) for part in value]
    raise UnfitError(f"a list of texts belongs here, not {type(value).__name__}")


def threads(processes: int, each: int) -> tuple[int, str]:
    """How many threads serve as many requests at once as processes with threads did, and what that means."""
    found = max(1, min(processes * each, _MOST_THREADS))
    notes = []
    if processes > 1:
        notes.append(f"{processes} processes with {each} {'thread' if each == 1 else 'threads'} each. ")
        notes.append(ONE_PROCESS)
    if each == 1 and found > 1:
        notes.append(f" {THREAD_SAFE}")
    if found == 1:
        notes.append("One request at once; raise it if the application bears several threads. Kirsch has 10.")
    return found, "".join(notes)


OFF = Stays(Group.NEEDLESS, "it is off, as in Kirsch")
NOTHING = Stays(Group.NEEDLESS, "nothing is set")
