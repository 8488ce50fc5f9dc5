"""One sample: start a server, verify it, warm it up, load it, weigh it, end it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from harness import certificate, handshakes, idle, load, pace, paths, process, verify
from harness.scenarios import Scenario
from harness.servers import Server, Setting, environ

BARE = "bare threads"
WARMUP_SECONDS = 1


@dataclass(frozen=True)
class Cores:
    """Who runs where. None: wherever the system likes."""

    server: int | None
    client: int | None

    @staticmethod
    def choose() -> Cores:
        """Give the server the last core and everyone else, us included, the first."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return Cores(None, None)
        os.sched_setaffinity(0, {cores[0]})
        return Cores(cores[-1], cores[0])


@dataclass
class Sample:
    """What one run gave. Times in microseconds, memory in KiB."""

    scenario: str
    server: str
    round: int
    rps: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    cpu: float = 0.0
    system: float = 0.0
    rss: float = 0.0
    pss: float = 0.0
    # Cores that neither the server nor the load used, but others on this machine.
    others: float = 0.0
    # What a fixed piece of work took on the server's core meanwhile.
    pace: float = 0.0
    connections: int = 0
    # The same in the idle scenario: KiB for each connection.
    rss_each: float = 0.0
    pss_each: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    # Why the sample does not count; empty if it does.
    discarded: str = ""


def sample(scenario: Scenario, server: Server, number: int, seconds: int, cores: Cores) -> Sample:
    """Measure `server` once; whatever goes wrong is in the sample, and the run goes on.

    Raises:
        MissingTool: if the server or wrk is not installed.
    """
    result = Sample(scenario.name, server.name, number)
    pair = certificate.pair() if scenario.load.tls else None
    ask = Setting(scenario.app, process.free_port(), scenario.threads, scenario.connections, pair)
    command = server.command(ask)
    try:
        with process.running(command, ask.port, cpu=cores.server, environ=environ()) as pid:
            any_body = server.yardstick and not server.files and not server.tls
            verify.verify(ask.port, scenario.probe, any_body=any_body, pair=pair)
            if scenario.idle:
                _hold(result, pid, ask.port, scenario)
            else:
                _load(result, pid, ask.port, scenario, seconds, cores)
    except (process.ServerFailed, verify.WrongAnswer, load.LoadFailed, OSError) as error:
        result.discarded = f"{type(error).__name__}: {error}"
    return result


def bare(scenario: Scenario, number: int, seconds: int, cores: Cores) -> Sample:
    """Measure the application's own speed, in as many threads as can be busy at once."""
    threads = min(scenario.threads, scenario.load.connections)
    pin = [] if cores.server is None else ["taskset", "-c", str(cores.server)]
    script = str(paths.BENCH / "harness" / "bare.py")
    command = [*pin, paths.peer("python"), script, scenario.app, str(threads), str(seconds)]
    with pace.watched(cores.server) as watched:
        done = subprocess.run(
            command,
            env={**os.environ, **environ()},
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            check=True,
        )
    said = json.loads(done.stdout)
    result = Sample(scenario.name, BARE, number)
    result.rps = said["requests"] / said["seconds"]
    result.cpu = said["cpu"] / said["requests"] * 1e6
    result.p50, result.p99 = said["p50"], said["p99"]
    result.pace = watched.micros
    return result


def _load(result: Sample, pid: int, port: int, scenario: Scenario, seconds: int, cores: Cores) -> None:
    company = None
    if scenario.company:
        # It starts before the warm-up and outlasts the measurement.
        company = load.start(scenario.company, port, WARMUP_SECONDS + seconds + 2, cpu=cores.client)
    try:
        _ready(scenario.load, port, WARMUP_SECONDS, cores)()
        run = _ready(scenario.load, port, seconds, cores)
        cpu, system = process.cpu_seconds(pid), process.system_seconds(pid)
        everyone, ours = process.machine_seconds(), process.own_seconds()
        with pace.watched(cores.server) as watched:
            outcome = run()
        cpu, system = process.cpu_seconds(pid) - cpu, process.system_seconds(pid) - system
        everyone, ours = process.machine_seconds() - everyone, process.own_seconds() - ours
        weight = process.memory(pid)
        errors = dict(outcome.errors)
        if company:
            others = load.finish(company, WARMUP_SECONDS + seconds + 2)
            company = None
            errors |= {f"company's {kind}": count for kind, count in others.errors.items()}
    finally:
        if company:
            company.kill()
            company.communicate()
    result.rps, result.p50, result.p99 = outcome.rps, outcome.p50, outcome.p99
    result.cpu = cpu / max(outcome.requests, 1) * 1e6
    result.system = system / max(outcome.requests, 1) * 1e6
    result.others = max(everyone - ours - cpu, 0.0) / outcome.seconds
    result.pace = watched.micros
    result.rss, result.pss = weight.rss, weight.pss
    result.errors = errors
    if errors or not outcome.requests:
        said = ", ".join(f"{count} {kind}" for kind, count in errors.items())
        result.discarded = f"{outcome.requests} answers, errors: {said or 'none'}"


def _ready(wanted: load.Load, port: int, seconds: int, cores: Cores) -> Callable[[], load.Outcome]:
    """Prepare the load; return what runs it."""
    if not wanted.handshakes:
        return partial(load.run, wanted, port, seconds, cpu=cores.client)
    client = handshakes.start(wanted.handshakes, port, wanted.connections, seconds, cpu=cores.client)
    return partial(handshakes.finish, client, seconds)


def _hold(result: Sample, pid: int, port: int, scenario: Scenario) -> None:
    wanted = scenario.idle
    held = idle.measure(pid, port, wanted, certificate.context() if scenario.load.tls else None)
    result.rss, result.pss = held.after.rss, held.after.pss
    result.rss_each, result.pss_each = held.rss_per_connection, held.pss_per_connection
    result.connections = held.connections
    result.cpu = held.cpu_share * 1e6
    if held.connections < wanted:
        result.discarded = f"kept {held.connections} of {wanted} connections"
