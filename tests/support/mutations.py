"""Requests bent at random, for the differential tests; each mutant can be had again by its number.

A mutant is made of a request or payload by one to three operators. `TAIL` behind it shows where it ends.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# What parsers disagree on: line ends, NUL, colons, blanks of all kinds, and what looks like a size.
PIECES = (
    *(b"\r\n", b"\r", b"\n", b"\0", b":", b"\t", b" ", b",", b";", b'"', b"\\", b"=", b"\x0b", b"\x0c"),
    *(b"\x85", b"\xa0", b"\xff", b"\x7f", b"+", b"-", b"_", b"0", b"0x", b"\r\n\r\n", b"\r\n ", b"\n\n"),
)
# Names and values that decide where a request ends, so that duplicates of them are common.
LINES = (
    *(b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 40", b"Content-Length: 05"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked"),
    *(b"Connection: close", b"Connection: keep-alive", b"Connection: Content-Length", b"Connection: upgrade"),
    *(b"Host: b.test", b"Expect: 100-continue", b"Upgrade: h2c", b"Trailer: X", b"TE: trailers", b"X: y"),
)
VERSIONS = (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.1 ", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.10", b"")
LENGTH = re.compile(rb"(?<=ength: )[0-9]+")
SIZE = re.compile(rb"(?<=\r\n)[0-9a-fA-F]+(?=\r\n)")

TAIL = b"GET /tail HTTP/1.1\r\nHost: a.test\r\n\r\n"


@dataclass(frozen=True)
class Mutant:
    """A bent request: its number, which makes it again, the operators, and its bytes."""

    number: int
    operators: tuple[str, ...]
    data: bytes


def mutants(seeds: Sequence[bytes], seed: int) -> Iterator[Mutant]:
    """Mutants without end, the same for the same arguments."""
    number = 0
    while True:
        yield mutant(seeds, seed, number)
        number += 1


def mutant(seeds: Sequence[bytes], seed: int, number: int) -> Mutant:
    """One mutant."""
    chance = random.Random(f"{seed} {number}")
    data = chance.choice(seeds)
    operators = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        operator = chance.choice(OPERATORS)
        data = operator(chance, data)
        operators.append(operator.__name__)
    return Mutant(number, tuple(operators), data)


def delete_a_byte(chance: random.Random, data: bytes) -> bytes:
    """Leave a byte out."""
    at = place(chance, data)
    return data[:at] + data[at + 1 :]


def insert_a_byte(chance: random.Random, data: bytes) -> bytes:
    """Put any byte anywhere."""
    at = place(chance, data)
    return data[:at] + chance.randbytes(1) + data[at:]


def replace_a_byte(chance: random.Random, data: bytes) -> bytes:
    """Put any byte in place of another."""
    at = place(chance, data)
    return data[:at] + chance.randbytes(1) + data[at + 1 :]


def insert_a_piece(chance: random.Random, data: bytes) -> bytes:
    """Put what parsers disagree on anywhere."""
    at = place(chance, data)
    return data[:at] + chance.choice(PIECES) + data[at:]


def bend_a_line_end(chance: random.Random, data: bytes) -> bytes:
    """Put something else in place of a CRLF."""
    ends = [match.start() for match in re.finditer(rb"\r\n", data)]
    if not ends:
        return data
    at = chance.choice(ends)
    return data[:at] + chance.choice(PIECES) + data[at + 2 :]


def insert_beside_a_colon(chance: random.Random, data: bytes) -> bytes:
    """Put a piece before or behind the colon of a field."""
    colons = [match.start() for match in re.finditer(rb":", data)]
    if not colons:
        return data
    at = chance.choice(colons) + chance.randrange(3)
    return data[:at] + chance.choice(PIECES) + data[at:]


def drop_a_line(chance: random.Random, data: bytes) -> bytes:
    """Leave a line out."""
    lines = data.split(b"\r\n")
    del lines[chance.randrange(len(lines))]
    return b"\r\n".join(lines)


def duplicate_a_line(chance: random.Random, data: bytes) -> bytes:
    """Put a line somewhere else too."""
    lines = data.split(b"\r\n")
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    return b"\r\n".join(lines)


def insert_a_line(chance: random.Random, data: bytes) -> bytes:
    """Put a field that decides something into the head."""
    lines = data.split(b"\r\n")
    end = lines.index(b"") if b"" in lines else len(lines)
    lines.insert(chance.randrange(1, end + 1) if end else 0, chance.choice(LINES))
    return b"\r\n".join(lines)


def change_the_version(chance: random.Random, data: bytes) -> bytes:
    """Put another version into the request line."""
    return data.replace(b"HTTP/1.1", chance.choice(VERSIONS), 1)


def shift_the_boundary(chance: random.Random, data: bytes) -> bytes:
    """Change a length or a chunk's size by a little, so that the request ends elsewhere."""
    numbers = [(match, 10) for match in LENGTH.finditer(data)] + [
        (match, 16) for match in SIZE.finditer(data)
    ]
    if not numbers:
        return data
    match, base = chance.choice(numbers)
    value = max(0, int(match[0], base) + chance.choice((-40, -2, -1, 1, 2, 40)))
    text = b"%d" % value if base == 10 else b"%x" % value
    return data[: match.start()] + text + data[match.end() :]


def chunk_again(chance: random.Random, data: bytes) -> bytes:
    """Cut a body into chunks at random places, instead of its length."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found or not body:
        return data
    lines = [
        line for line in head.split(b"\r\n") if not line.lower().startswith((b"content-l", b"transfer-e"))
    ]
    coded = b""
    while body:
        cut = chance.randint(1, len(body))
        coded += b"%x\r\n%b\r\n" % (cut, body[:cut])
        body = body[cut:]
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", coded + b"0\r\n\r\n"])


def swap_two_lines(chance: random.Random, data: bytes) -> bytes:
    """Put two lines in each other's places."""
    lines = data.split(b"\r\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def change_case(chance: random.Random, data: bytes) -> bytes:
    """Turn a letter's case."""
    at = place(chance, data)
    return data[:at] + data[at : at + 1].swapcase() + data[at + 1 :]


def place(chance: random.Random, data: bytes) -> int:
    """Any offset; half of the time in the head, where most is decided."""
    head = data.find(b"\r\n\r\n") + 4
    return chance.randrange(max(1, head if head > 4 and chance.random() < 0.5 else len(data)))


OPERATORS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(delete_a_byte, insert_a_byte, replace_a_byte, insert_a_piece, bend_a_line_end, insert_beside_a_colon),
    *(drop_a_line, duplicate_a_line, insert_a_line, change_the_version, shift_the_boundary, chunk_again),
    *(swap_two_lines, change_case),
)
