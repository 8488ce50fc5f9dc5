"""The soak in short: mixed load with faults, every byte compared. `make soak MINUTES=…` takes longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak.run import CONVERSATIONS, page, soak

SECONDS = 8
# Of each kind of conversation, however slow the machine.
LEAST = 1


@pytest.mark.slow
def test_no_answer_is_wrong_crossed_or_lost_and_nothing_grows(tmp_path: Path) -> None:
    report = soak(SECONDS, tmp_path)
    print(page(report, SECONDS))
    assert report.complaints() == []
    assert sum(report.tally.conversations.values()) >= LEAST * len(CONVERSATIONS)
    assert report.tally.answers >= len(CONVERSATIONS)
