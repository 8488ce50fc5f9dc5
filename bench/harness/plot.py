"""One figure for the README, written as SVG by hand: what a request costs, and what waiting requests get."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from harness.measure import BARE
from harness.summary import Summary

ROW = 24
LABEL = 96
BAR = 250
VALUE = 64
GAP = 32
HEAD = 52
PANEL = LABEL + BAR + VALUE

# Readable on a white page and on a dark one.
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #57606a; }
.title { font-weight: 600; }
.note { font-size: 11px; }
rect { fill: #8c959f; }
rect.yardstick { fill: #c8ccd1; }
rect.kirsch { fill: #b3122d; }
.kirsch-text { font-weight: 600; fill: #b3122d; }
@media (prefers-color-scheme: dark) {
  text { fill: #adbac7; }
  .kirsch-text { fill: #ff6b81; }
  rect.yardstick { fill: #545d68; }
}
"""


@dataclass(frozen=True)
class Bar:
    """One server's figure."""

    label: str
    value: float
    text: str


@dataclass(frozen=True)
class Panel:
    """One group of bars."""

    title: str
    note: str
    bars: list[Bar]


def write(path: Path, summaries: list[Summary]) -> bool:
    """Write the figure if there is something to show; tell whether there was."""
    panels = [panel for panel in (_cost(summaries), _waits(summaries)) if panel.bars]
    if not panels:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg(panels))
    return True


def svg(panels: list[Panel]) -> str:
    """Draw the panels side by side."""
    width = len(panels) * PANEL + (len(panels) - 1) * GAP
    height = HEAD + max(len(panel.bars) for panel in panels) * ROW + 8
    drawn = "".join(_draw(panel, at * (PANEL + GAP)) for at, panel in enumerate(panels))
    title = escape("; ".join(panel.title for panel in panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n{drawn}</svg>\n"
    )


def _cost(summaries: list[Summary]) -> Panel:
    mine = [one for one in summaries if one.scenario == "hello-c64" and one.samples]
    bars = [Bar(one.server, one.cpu, f"{one.cpu:.1f} µs") for one in sorted(mine, key=lambda one: one.cpu)]
    return Panel("Processor time per request", "hello world, 64 connections; less is better", bars)


def _waits(summaries: list[Summary]) -> Panel:
    mine = [one for one in summaries if one.scenario == "short-c10" and one.samples]
    bars = [Bar(one.server, one.rps, f"{one.rps:,.0f}") for one in sorted(mine, key=lambda one: -one.rps)]
    return Panel(
        "Requests per second", "three waits of 0.2 ms, 10 threads, 10 connections; more is better", bars
    )


def _draw(panel: Panel, left: int) -> str:
    largest = max(bar.value for bar in panel.bars) or 1.0
    height = ROW - 8
    lines = [
        f'<text class="title" x="{left}" y="16">{escape(panel.title)}</text>',
        f'<text class="note" x="{left}" y="34">{escape(panel.note)}</text>',
    ]
    for at, bar in enumerate(panel.bars):
        top = HEAD + at * ROW
        length = max(bar.value / largest * BAR, 1.0)
        kind = _kind(bar.label)
        text = "kirsch-text" if kind == "kirsch" else "text"
        middle, start = top + 13, left + LABEL
        lines += [
            f'<text class="{text}" x="{start - 8}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{kind}" x="{start}" y="{top + 1}" width="{length:.1f}" height="{height}" rx="2"/>',
            f'<text class="{text}" x="{start + length + 6:.1f}" y="{middle}">{escape(bar.text)}</text>',
        ]
    return "\n".join(lines) + "\n"


def _kind(server: str) -> str:
    if server == "kirsch":
        return "kirsch"
    return "yardstick" if server in ("nginx", "floor", "bare sockets", BARE) else "peer"
