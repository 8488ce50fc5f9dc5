"""Every conformance case once over TLS, with the same verdict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from support.certificates import Authority
from support.client import Secure
from support.conformance import Case, play, verdict
from test_conformance import ALL, ALONE, kind_of_server, named, started

# A target with https, and TLS itself, are wrong on plain ports only.
ABOUT_PLAIN_PORTS = {"RL-08", "SM-25", "UP-08"}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Secure]]:
    """Where servers of each kind speak TLS."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    context = authority.context()
    with ExitStack() as stack:
        servers = started(stack, 8, *authority.pair("localhost").flags)
        yield {kind: server.secure(context) for kind, server in servers.items()}


@pytest.mark.parametrize("case", named(set(ALL) - ALONE - ABOUT_PLAIN_PORTS))
def test_a_case_over_tls(secure: dict[str, Secure], case: Case) -> None:
    if "wsgi.url_scheme" in case.expect.get("app_env", {}):
        told = {**case.expect["app_env"], "wsgi.url_scheme": "https"}
        case = replace(case, expect={**case.expect, "app_env": told})
    assert verdict(case, play(case, secure[kind_of_server(case)])) == [], case.description
