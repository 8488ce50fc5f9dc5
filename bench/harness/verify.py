"""Does a server really serve the application? Asked before it is timed."""

from __future__ import annotations

import http.client
import ssl

from harness import certificate
from harness.scenarios import Probe

TIMEOUT_SECONDS = 10.0


class WrongAnswer(Exception):
    """The server answered something else than the application did."""


def verify(port: int, probe: Probe, *, any_body: bool = False, pair: certificate.Pair | None = None) -> None:
    """Ask twice over one connection; every byte has to be right.

    Args:
        port: where the server listens.
        probe: what to ask, and the right answer.
        any_body: for a yardstick, whose text is its own.
        pair: the certificate that it has to show over TLS, if it is to speak TLS.

    Raises:
        WrongAnswer: if status, body or certificate differ.
    """
    connection = _connection(port, over_tls=pair is not None)
    try:
        connection.connect()
        if pair:
            _verify_certificate(connection, pair)
        for _ in range(2):
            connection.request("POST" if probe.send else "GET", probe.path, body=probe.send or None)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise WrongAnswer(f"status {response.status} for {probe.path}")
            if body != probe.body and not any_body:
                raise WrongAnswer(
                    f"{len(body)} bytes {body[:60]!r} for {probe.path}, expected {probe.body[:60]!r}"
                )
    except (OSError, http.client.HTTPException) as error:
        raise WrongAnswer(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _connection(port: int, *, over_tls: bool) -> http.client.HTTPConnection:
    if over_tls:
        return http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=TIMEOUT_SECONDS, context=certificate.context()
        )
    return http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)


def _verify_certificate(connection: http.client.HTTPConnection, pair: certificate.Pair) -> None:
    assert isinstance(connection.sock, ssl.SSLSocket)
    if connection.sock.getpeercert(binary_form=True) != pair.der:
        raise WrongAnswer("another certificate")
