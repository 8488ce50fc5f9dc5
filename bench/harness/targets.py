"""What Kirsch promises of its speed, as ratios against the others in the same run.

Ratios and not figures: a machine changes the figures, hardly the ratios.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.measure import BARE
from harness.scenarios import SCENARIOS
from harness.servers import SERVERS
from harness.summary import Summary, find

# Resident for each connection.
IDLE_KIB = {"idle": 4.0, "tls-idle": 24.0}
TLS = ("tls-full", "tls-resumed", "tls-large")


@dataclass(frozen=True)
class Verdict:
    """A target and what came of it."""

    text: str
    # None: something it needs was not measured.
    value: float | None
    limit: float
    at_most: bool

    @property
    def met(self) -> bool | None:
        """Whether the target is met."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    @property
    def line(self) -> str:
        """The target as one line of the report."""
        word = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        value = "-" if self.value is None else f"{self.value:.2f}"
        return f"{self.text}: {value} (target {'≤' if self.at_most else '≥'} {self.limit:.2f}) {word}"


def verdicts(summaries: list[Summary]) -> list[Verdict]:
    """Judge every target; those of scenarios that did not run at all are left out."""
    ran = {summary.scenario for summary in summaries}
    return [
        *(_hello(summaries) if "hello-c64" in ran else []),
        *_waits(summaries, ran),
        *_beside(summaries, ran),
        *(_classes(summaries) if "cheroot-c10" in ran else []),
        *(_best_peer(summaries, name) for name in ("flask", "webpy") if name in ran),
        *(_routes(summaries) if "routes" in ran else []),
        *(_file(summaries, name) for name, scenario in SCENARIOS.items() if scenario.files and name in ran),
        *(_idle(summaries, name, most) for name, most in IDLE_KIB.items() if name in ran),
        *(one for name in TLS if name in ran for one in _tls(summaries, name)),
    ]


def _hello(summaries: list[Summary]) -> list[Verdict]:
    def cpu(server: str) -> float | None:
        found = find(summaries, "hello-c64", server)
        return found.cpu if found else None

    # Granian with one blocking thread is the better Granian here, so that is the one to beat.
    granians = [value for value in (cpu("granian"), cpu("granian-1")) if value]
    best = min(granians) if granians else None
    text = "hello c=64, CPU per request, "
    return [
        Verdict(text + "floor / nginx", _ratio(cpu("floor"), cpu("nginx")), 1.0, at_most=True),
        Verdict(text + "kirsch / floor", _ratio(cpu("kirsch"), cpu("floor")), 1.15, at_most=True),
        Verdict(text + "kirsch / fastwsgi", _ratio(cpu("kirsch"), cpu("fastwsgi")), 0.90, at_most=True),
        Verdict(text + "kirsch / granian's best", _ratio(cpu("kirsch"), best), 0.50, at_most=True),
    ]


def _waits(summaries: list[Summary], ran: set[str]) -> list[Verdict]:
    result = []
    for name, scenario in SCENARIOS.items():
        if name not in ran or not scenario.bare:
            continue
        kirsch = _rps(summaries, name, "kirsch")
        if scenario.load.connections == scenario.threads:
            value = _ratio(kirsch, _rps(summaries, name, BARE))
            result.append(Verdict(f"{name}, requests/s, kirsch / {BARE}", value, 0.97, at_most=False))
            # The same with a client, which is what a server can reach; see launch/sockets.py.
            value = _ratio(kirsch, _rps(summaries, name, "bare sockets"))
            result.append(Verdict(f"{name}, requests/s, kirsch / bare sockets", value, 0.97, at_most=False))
        value = _ratio(kirsch, _rps(summaries, name, "granian"))
        result.append(Verdict(f"{name}, requests/s, kirsch / granian", value, 0.95, at_most=False))
    return result


def _beside(summaries: list[Summary], ran: set[str]) -> list[Verdict]:
    if not {"quick-alone", "quick-beside-sleep"} <= ran:
        return []
    alone, beside = (find(summaries, name, "kirsch") for name in ("quick-alone", "quick-beside-sleep"))
    value = _ratio(beside.p99 if beside else None, alone.p99 if alone else None)
    return [Verdict("quick clients' p99, beside sleeping ones / alone", value, 3.0, at_most=True)]


def _classes(summaries: list[Summary]) -> list[Verdict]:
    value = _ratio(_rps(summaries, "cheroot-c10", "kirsch-cheroot"), _rps(summaries, "cheroot-c10", "kirsch"))
    return [Verdict("cheroot's classes, requests/s, kirsch-cheroot / kirsch", value, 0.90, at_most=False)]


def _best_peer(summaries: list[Summary], name: str) -> Verdict:
    peers = [server for server in SERVERS.values() if server.name != "kirsch" and not server.yardstick]
    speeds = [speed for server in peers if (speed := _rps(summaries, name, server.name))]
    value = _ratio(_rps(summaries, name, "kirsch"), max(speeds, default=None))
    return Verdict(f"{name}, requests/s, kirsch / best peer", value, 0.97, at_most=False)


def _routes(summaries: list[Summary]) -> list[Verdict]:
    one = _rps(summaries, "routes", "one route")
    return [
        Verdict(
            f"routes, requests/s, {many} / one route",
            _ratio(_rps(summaries, "routes", many), one),
            0.90,
            at_most=False,
        )
        for many in ("10,000 hosts", "1,000 paths")
    ]


def _file(summaries: list[Summary], name: str) -> Verdict:
    def cpu(server: str) -> float | None:
        found = find(summaries, name, server)
        return found.cpu if found else None

    # The better nginx is the one to beat.
    nginx = [value for value in (cpu("nginx-files"), cpu("nginx-cached")) if value]
    value = _ratio(min(nginx, default=None), cpu("files"))
    return Verdict(f"{name}, requests per CPU second, files / nginx", value, 0.8, at_most=False)


def _idle(summaries: list[Summary], name: str, most: float) -> Verdict:
    kirsch = find(summaries, name, "kirsch")
    value = kirsch.rss_each if kirsch else None
    return Verdict(f"{name}, KiB resident for each connection", value, most, at_most=True)


def _tls(summaries: list[Summary], name: str) -> list[Verdict]:
    def cpu(server: str) -> float | None:
        found = find(summaries, name, server)
        return found.cpu if found else None

    what = "responses" if name == "tls-large" else "handshakes"
    return [
        Verdict(
            f"{name}, {what} per CPU second, kirsch / {other}",
            _ratio(cpu(other), cpu("kirsch")),
            least,
            at_most=False,
        )
        for other, least in (("granian", 1.0), ("nginx", 0.9))
    ]


def _rps(summaries: list[Summary], scenario: str, server: str) -> float | None:
    found = find(summaries, scenario, server)
    return found.rps if found else None


def _ratio(of: float | None, to: float | None) -> float | None:
    return of / to if of is not None and to else None
