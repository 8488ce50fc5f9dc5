"""Many samples become one figure each: medians, and how far a server is from itself."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from harness.measure import Sample
from harness.pace import SLOW
from harness.scenarios import SCENARIOS


@dataclass(frozen=True)
class Summary:
    """The medians of one server in one scenario, over the samples that count.

    Those are the ones without errors during which the core was not slow, compared with its best.
    """

    scenario: str
    server: str
    samples: int
    # Samples without errors whose core was slow.
    slow: int
    discarded: tuple[str, ...]
    rps: float
    p50: float
    p99: float
    cpu: float
    others: float
    system: float
    rss: float
    pss: float
    connections: float
    rss_each: float
    pss_each: float
    # Largest minus smallest over the median, of requests per second: below it, no difference is one.
    rps_spread: float
    cpu_spread: float


def summarise(samples: list[Sample]) -> list[Summary]:
    """Return one summary for each scenario and server, in the order of the samples."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.scenario, sample.server), []).append(sample)
    return [_summary(*key, group, best_pace(comparable(samples, *key))) for key, group in groups.items()]


def comparable(samples: list[Sample], scenario: str, server: str) -> list[Sample]:
    """Return the samples whose pace can be compared with the server's own.

    A core that mostly sleeps is slower when it wakes, and how much it sleeps depends on the server.
    """
    alike = SCENARIOS[scenario].saturates
    return [one for one in samples if one.scenario == scenario and (alike or one.server == server)]


def best_pace(samples: list[Sample]) -> float:
    """Return the pace of the fastest sample, in microseconds; 0 if none has one."""
    return min((sample.pace for sample in samples if sample.pace), default=0.0)


def is_slow(sample: Sample, best: float) -> bool:
    """Tell whether the core was slow while the sample was taken."""
    return sample.pace > SLOW * best


def find(summaries: list[Summary], scenario: str, server: str) -> Summary | None:
    """Return the summary of a server in a scenario, if it has samples that count."""
    for summary in summaries:
        if (summary.scenario, summary.server) == (scenario, server) and summary.samples:
            return summary
    return None


def _summary(scenario: str, server: str, group: list[Sample], best: float) -> Summary:
    right = [sample for sample in group if not sample.discarded]
    good = [sample for sample in right if not is_slow(sample, best)] or right

    def middle(name: str) -> float:
        return float(median(getattr(sample, name) for sample in good)) if good else 0.0

    def spread(name: str) -> float:
        values = [getattr(sample, name) for sample in good]
        return (max(values) - min(values)) / middle(name) if len(values) > 1 and middle(name) else 0.0

    return Summary(
        scenario=scenario,
        server=server,
        samples=len(good),
        slow=sum(is_slow(sample, best) for sample in right),
        discarded=tuple(sample.discarded for sample in group if sample.discarded),
        rps=middle("rps"),
        p50=middle("p50"),
        p99=middle("p99"),
        cpu=middle("cpu"),
        others=middle("others"),
        system=middle("system"),
        rss=middle("rss"),
        pss=middle("pss"),
        connections=middle("connections"),
        rss_each=middle("rss_each"),
        pss_each=middle("pss_each"),
        rps_spread=spread("rps"),
        cpu_spread=spread("cpu"),
    )
