"""The report: tables for the terminal and for Markdown, and everything as JSON."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from pathlib import Path

from harness.measure import Sample
from harness.scenarios import SCENARIOS, Scenario
from harness.summary import Summary
from harness.targets import Verdict

SPEED = (
    "server",
    "requests/s",
    "± spread",
    "p50 ms",
    "p99 ms",
    "CPU µs/request",
    "in kernel",
    "± spread",
    "RSS MiB",
    "PSS MiB",
    "others",
    "samples",
)
IDLE = ("server", "kept", "RSS KiB each", "PSS KiB each", "RSS MiB", "CPU µs per idle second", "samples")


def markdown(summaries: list[Summary], verdicts: list[Verdict], facts: dict[str, str]) -> str:
    """Return the whole report; it reads well on a terminal too."""
    parts = ["# Benchmark\n", *(f"- {name}: {value}" for name, value in facts.items())]
    for scenario in SCENARIOS.values():
        mine = [summary for summary in summaries if summary.scenario == scenario.name]
        if mine:
            parts.append(f"\n## {scenario.title} (`{scenario.name}`)\n\n{table(scenario, mine)}")
    if verdicts:
        parts.append("\n## Targets\n\n" + "\n".join(f"- {verdict.line}" for verdict in verdicts))
    reasons = [f"- {one.scenario}, {one.server}: {reason}" for one in summaries for reason in one.discarded]
    if reasons:
        parts.append(
            "\n## Discarded samples\n\n" + "\n".join(" ".join(reason.split())[:300] for reason in reasons)
        )
    return "\n".join(parts) + "\n"


def table(scenario: Scenario, summaries: list[Summary]) -> str:
    """Return one scenario's table, in Markdown with aligned columns."""
    head, row = (IDLE, _idle_row) if scenario.idle else (SPEED, _speed_row)
    if scenario.load.handshakes:
        head = tuple(name.replace("request", "handshake") for name in head)
    rows = [head, *(row(one) if one.samples else _empty_row(one, len(head)) for one in summaries)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(head))]
    lines = [_line(line, widths) for line in rows]
    rule = "|" + "|".join("-" * (width + 1) + (":" if at else "-") for at, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def write(
    folder: Path,
    when: datetime,
    text: str,
    *,
    samples: list[Sample],
    verdicts: list[Verdict],
    facts: dict[str, str],
) -> Path:
    """Write DATE.md and DATE.json; return the former."""
    folder.mkdir(parents=True, exist_ok=True)
    name = when.strftime("%Y-%m-%dT%H%M")
    everything = {
        "facts": facts,
        "targets": [
            {"text": one.text, "value": one.value, "limit": one.limit, "met": one.met} for one in verdicts
        ],
        "samples": [dataclasses.asdict(sample) for sample in samples],
    }
    (folder / f"{name}.json").write_text(json.dumps(everything, indent=1) + "\n")
    (folder / f"{name}.md").write_text(text)
    return folder / f"{name}.md"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [
        cell.rjust(width) if at else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def _speed_row(one: Summary) -> tuple[str, ...]:
    return (
        one.server,
        f"{one.rps:,.0f}",
        _spread(one, one.rps_spread),
        f"{one.p50 / 1000:.2f}",
        f"{one.p99 / 1000:.2f}",
        f"{one.cpu:.2f}",
        f"{one.system:.1f}",
        _spread(one, one.cpu_spread),
        f"{one.rss / 1024:.1f}",
        f"{one.pss / 1024:.1f}",
        f"{one.others:.0%}",
        _samples(one),
    )


def _samples(one: Summary) -> str:
    """How many count, and why the others do not."""
    slow = "all slow" if one.slow and one.slow == one.samples else f"{one.slow} slow" if one.slow else ""
    wrong = f"{len(one.discarded)} discarded" if one.discarded else ""
    return ", ".join(part for part in (str(one.samples), slow, wrong) if part)


def _spread(one: Summary, value: float) -> str:
    return f"{value:.1%}" if one.samples > 1 else "-"


def _idle_row(one: Summary) -> tuple[str, ...]:
    return (
        one.server,
        f"{one.connections:.0f}",
        f"{one.rss_each:.2f}",
        f"{one.pss_each:.2f}",
        f"{one.rss / 1024:.1f}",
        f"{one.cpu:.0f}",
        _samples(one),
    )


def _empty_row(one: Summary, columns: int) -> tuple[str, ...]:
    return (one.server, *["-"] * (columns - 2), _samples(one))
