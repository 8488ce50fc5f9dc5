"""What the benchmarks share: servers, scenarios, load, measurement, reports."""
