"""The text in which Prometheus reads the metrics of some processes.

Apart from `wispy.metrics`, since prometheus-client is large: a process imports it when it is scraped first.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from wispy.metrics import BOUNDS_S, BY_NAME, METRICS, PROCESS, Histogram, Snapshot, Value

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def exposition(snapshots: Iterable[Snapshot]) -> bytes:
    """The text that Prometheus reads, of all these processes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(snapshots))
    return generate_latest(registry)


class _Given(Collector):
    """Collects what was reported."""

    def __init__(self, snapshots: Iterable[Snapshot]) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        self._distributions: dict[str, dict[tuple[str, ...], Histogram]] = {}
        for snapshot in snapshots:
            for each in snapshot.values:
                self._take(snapshot.process, each)
            for each in snapshot.distributions:
                series = self._distributions.setdefault(each.name, {})
                histogram = series.setdefault((snapshot.process, *each.labels), Histogram())
                histogram.add(each.counts, each.sum_s)

    def _take(self, process: str, value: Value) -> None:
        series = self._values.setdefault(value.name, {})
        labels = (process, *value.labels)
        former = series.get(labels, 0.0)
        is_most = BY_NAME[value.name].is_most
        series[labels] = max(former, value.value) if is_most else former + value.value

    def collect(self) -> Iterator[Family]:
        """What prometheus-client asks for."""
        for metric in METRICS:
            labels = (PROCESS, *metric.labels)
            if metric.kind == "histogram":
                family = HistogramMetricFamily(metric.name, metric.meaning, labels=labels)
                for values, histogram in self._distributions.get(metric.name, {}).items():
                    counts, sum_s = histogram.read()
                    family.add_metric(values, _cumulative(counts), sum_s)
                if family.samples:
                    yield family
                continue
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = make(metric.name, metric.meaning, labels=labels)
            for values, value in self._values.get(metric.name, {}).items():
                family.add_metric(values, value)
            if family.samples:
                yield family


def _cumulative(counts: Iterable[int]) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*BOUNDS_S, "+Inf"), counts, strict=True):
        total += count
        buckets.append((str(bound), total))
    return buckets
