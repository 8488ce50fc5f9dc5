"""What goes to the error log: exceptions of applications, and what they write to ``wsgi.errors``.

Its other lines are the engine's own, and look the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterable
from datetime import datetime, timezone

logger = logging.getLogger("kirsch")

#: Longer reports are cut: one exception must not fill the disk.
LONGEST = 64 * 1024


class Errors:
    """``wsgi.errors``: a text stream whose lines reach standard error whole, from however many threads."""

    encoding = "utf-8"

    def __init__(self) -> None:
        #: What was begun of a line, by thread. The gateway looks here when a request has ended.
        self.begun: dict[int, str] = {}

    def write(self, text: str) -> int:
        """Writes text; it appears once its line is complete, or the request has ended."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        thread = threading.get_ident()
        whole, end, rest = (self.begun.pop(thread, "") + text).rpartition("\n")
        if rest:
            self.begun[thread] = rest
        if end:
            to_stderr(whole + end)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each of the strings."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Writes what was begun of a line."""
        rest = self.begun.pop(threading.get_ident(), "")
        if rest:
            to_stderr(rest)

    def end_line(self) -> None:
        """Ends the line that was begun, so that another request's does not go on there."""
        if threading.get_ident() in self.begun:
            self.write("\n")


def to_stderr(text: str) -> None:
    """Writes to standard error; if that is closed or broken, serving matters more."""
    stream = sys.stderr
    if stream is None:
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        stream.flush()
    except (OSError, ValueError):
        pass


def log(level: str, text: str) -> None:
    """Writes a line to the error log, in the form of the engine's.

    Args:
        level: ``ERROR``, ``WARN`` or ``INFO``.
        text: What is said; further lines of it should be indented.
    """
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    to_stderr(f"{now} {level:>5} {text}\n")


def to_stdout(text: str) -> bool:
    """Writes to standard output; answers whether that could be done, and says so if not."""
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        reason = None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    else:
        return True
    if reason is not None:
        to_stderr(f"kirsch: cannot write to standard output: {reason}\n")
    # What could not be written must not be tried again at the end of the process.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return False


def describe(error: BaseException | None, message: str, method: str, target: str, request_id: str) -> str:
    """A report: one line that says what failed in which request, then the traceback, indented.

    Args:
        error: The exception, if it was one.
        message: What failed.
        method: The request's method.
        target: The request's target, as sent.
        request_id: The request's id.
    """
    head = f"{message}: {printable(method)} {printable(target)} [{printable(request_id)}]"
    if error is None:
        return head
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if len(lines) > LONGEST:
        half, left_out = LONGEST // 2, len(lines) - LONGEST
        lines = f"{lines[:half]}\n... {left_out} characters left out ...\n{lines[-half:]}"
    # Indented and escaped, so that no exception text can look like a log line of ours.
    shown = (f"  {printable(line)}" for line in lines.rstrip("\n").split("\n"))
    return "\n".join([head, *shown])


def printable(text: str) -> str:
    """The text with everything escaped that could forge or hide output."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def report_to_stderr(
    error: BaseException | None, message: str, method: str, target: str, request_id: str
) -> None:
    """Reports on standard error; the command line's way."""
    log("ERROR", describe(error, message, method, target, request_id))


def report_to_logging(
    error: BaseException | None, message: str, method: str, target: str, request_id: str
) -> None:
    """Reports to the logger ``kirsch``; an embedding's way."""
    logger.error("%s: %s %s [%s]", message, method, target, request_id, exc_info=error)
