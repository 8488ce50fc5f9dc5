#!/usr/bin/env python3
"""Kirsch and its peers, in alternation, on one machine; see README.md.

What it does, in order: choose servers and scenarios, check the tools, then for each scenario, for each
round, for each server: start, verify, warm up, measure, end. Read next: harness/measure.py.
"""

from __future__ import annotations

import argparse
import signal
import sys
from datetime import datetime
from functools import partial

from harness import facts, idle, measure, paths, plot, report, summary, targets
from harness.scenarios import SCENARIOS, Scenario
from harness.servers import SERVERS, Server

# Start, verification and end of a server, by experience.
OVERHEAD_SECONDS = 1.0
# How often a sample is taken again whose core was slow.
REPEATS = 2
# More threads than this nobody gives to a server of quick requests.
DIRECT_THREADS = 64


def main() -> int:
    """Run what was asked for; return 1 if a target was missed."""
    options = parse(sys.argv[1:])
    # `timeout` and CI end us with it: leave through the blocks that end the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    idle.raise_limit()
    try:
        known = facts.collect()
        if wrong := facts.same_interpreter():
            raise paths.MissingTool(wrong)
        cores = measure.Cores.choose()
        known["settings"] = (
            f"{options.rounds} rounds of {options.seconds} s, "
            f"server on core {cores.server}, wrk on core {cores.client}"
        )
        samples = run(options, cores)
    except paths.MissingTool as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return tell(samples, known)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description="Measure Kirsch and its peers in alternation.")
    parser.add_argument("--rounds", type=int, help="rounds of each scenario (5)")
    parser.add_argument("--seconds", type=int, help="seconds of each measurement (2)")
    parser.add_argument(
        "--only", nargs="+", metavar="SCENARIO", help="scenarios, or beginnings of their names"
    )
    parser.add_argument("--servers", nargs="+", choices=SERVERS, metavar="SERVER", help="; ".join(SERVERS))
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s: does everything work?")
    parser.add_argument("--list", action="store_true", help="list the scenarios and end")
    options = parser.parse_args(arguments)
    if options.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:22} {scenario.title}")
        sys.exit(0)
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.scenarios = [
        one for one in SCENARIOS.values() if not options.only or is_meant(one.name, options.only)
    ]
    if not options.scenarios:
        parser.error(f"no scenario is called {' or '.join(options.only)}: try --list")
    return options


def is_meant(name: str, words: list[str]) -> bool:
    """Tell whether one of the words is the scenario's name, or the beginning of several names."""
    return any(name == word or (word not in SCENARIOS and name.startswith(word)) for word in words)


def takes_part(server: Server, scenario: Scenario) -> bool:
    """Tell whether the scenario means anything to the server."""
    if server.routed or scenario.routed:
        return server.routed and scenario.routed
    if scenario.classes or server.name == "kirsch-cheroot":
        return scenario.classes and server.classes
    if server.files != scenario.files:
        return False
    if scenario.load.tls and not server.tls:
        return False
    if server.yardstick:
        return scenario.yardsticks
    if server.name == "bare sockets" and not scenario.bare:
        return False
    if server.thread_each:
        # Where threads are counted it gets no more than the others.
        return scenario.connections <= (scenario.threads if scenario.waits else DIRECT_THREADS)
    if server.variant_of:
        return not scenario.waits
    return server.threaded or not scenario.waits


def run(options: argparse.Namespace, cores: measure.Cores) -> list[measure.Sample]:
    """Measure everything, scenario by scenario."""
    chosen = [SERVERS[name] for name in options.servers or SERVERS]
    plan = [
        (scenario, [one for one in chosen if takes_part(one, scenario)]) for scenario in options.scenarios
    ]
    count = sum(len(servers) + scenario.bare for scenario, servers in plan) * options.rounds
    each = options.seconds + measure.WARMUP_SECONDS + OVERHEAD_SECONDS
    print(
        f"{count} measurements, about {count * each / 60:.0f} minutes, more if the core is slow",
        file=sys.stderr,
    )
    samples: list[measure.Sample] = []
    # Measured again because the core was slow: at most as often as there are measurements, so that it ends.
    again = count
    for scenario, servers in plan:
        mine: list[measure.Sample] = []
        takers = [partial(measure.sample, scenario, server) for server in servers]
        if scenario.bare:
            takers.append(partial(measure.bare, scenario))
        for number in range(options.rounds):
            # Each round begins with another one, so that none is always after the same one.
            turn = number % max(len(takers), 1)
            for take in takers[turn:] + takers[:turn]:
                for _ in range(1 + REPEATS):
                    mine.append(take(number, options.seconds, cores))
                    alike = summary.comparable(mine, scenario.name, mine[-1].server)
                    if again == 0 or not summary.is_slow(mine[-1], summary.best_pace(alike)):
                        break
                    again -= 1
        order = [*SERVERS, measure.BARE]
        mine.sort(key=lambda sample: (order.index(sample.server), sample.round))
        print(f"\n{scenario.title} ({scenario.name})")
        print(report.table(scenario, summary.summarise(mine)), flush=True)
        samples += mine
    return samples


def tell(samples: list[measure.Sample], known: dict[str, str]) -> int:
    """Write the results and print the targets."""
    summaries = summary.summarise(samples)
    verdicts = targets.verdicts(summaries)
    text = report.markdown(summaries, verdicts, known)
    when = datetime.now()
    written = report.write(paths.RESULTS, when, text, samples=samples, verdicts=verdicts, facts=known)
    figure = written.with_suffix(".svg")
    drawn = plot.write(figure, summaries)
    for one in summaries:
        for reason in one.discarded:
            print(f"discarded: {one.scenario}, {one.server}: {' '.join(reason.split())[:300]}")
    print("\nTargets")
    for verdict in verdicts:
        print(f"  {verdict.line}")
    print(f"\nwritten: {written}, .json{', .svg' if drawn else ''}")
    return 1 if any(verdict.met is False for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
