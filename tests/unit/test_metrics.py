import itertools
import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from wispy.exposition import exposition
from wispy.metrics import BOUNDS_S, COUNTED_AT, MAX_OBJECTS, METRICS, OTHER, Histogram, Snapshot, label_of, reference

PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"


def samples(*snapshots: Snapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a scraper reads: name and labels to value."""
    families = text_string_to_metric_families(exposition(snapshots).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_names_and_labels_are_prometheus_own_kind() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"wispy_[a-z_]+", metric.name), metric
        assert not metric.name.endswith("_total")
        assert metric.meaning.endswith("."), metric
        assert set(metric.labels) <= {"object", "operation", "outcome", "link", "limit", "direction", "reason"}


def test_the_page_is_made_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_reference_names_each_metric_as_it_is_scraped() -> None:
    for metric in METRICS:
        name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        assert reference().count(f"`{name}`") == 1


def test_each_process_has_series_of_its_own() -> None:
    first, second = Snapshot("frontend-0"), Snapshot("frontend-1")
    first.put("wispy_frontend_requests", 3)
    second.put("wispy_frontend_requests", 4)
    second.put("wispy_link_up", True, "commands")
    assert samples(first, second) == {
        key("wispy_frontend_requests_total", process="frontend-0"): 3,
        key("wispy_frontend_requests_total", process="frontend-1"): 4,
        key("wispy_link_up", process="frontend-1", link="commands"): 1,
    }


def test_a_histogram_is_read_as_it_was_filled() -> None:
    histogram = Histogram()
    histogram.observe(0.001)  # a bound is part of its bucket
    for _ in range(3):
        histogram.observe(0.02)
    histogram.observe(1000)
    histogram.observe(-0.5)  # a clock was set
    snapshot = Snapshot("worker")
    snapshot.put_histogram("wispy_object_run_seconds", histogram, "sample")
    read = samples(snapshot)
    assert read[key("wispy_object_run_seconds_count", process="worker", object="sample")] == 6
    assert read[key("wispy_object_run_seconds_sum", process="worker", object="sample")] == pytest.approx(1000.061)
    counts = {
        bound: read[key("wispy_object_run_seconds_bucket", process="worker", object="sample", le=str(bound))]
        for bound in (*BOUNDS_S, "+Inf")
    }
    assert (counts[0.001], counts[0.01], counts[0.025], counts[60.0], counts["+Inf"]) == (2, 2, 5, 5, 6)


DURATIONS = st.lists(st.floats(-1, 100) | st.sampled_from(BOUNDS_S), max_size=3 * COUNTED_AT)


@given(DURATIONS, st.integers(1, COUNTED_AT))
def test_what_is_counted_late_is_counted_as_if_it_had_been_at_once(durations: list[float], at_once: int) -> None:
    histogram = Histogram()
    for at in range(0, len(durations), at_once):
        histogram.uncounted += durations[at : at + at_once]
        if len(histogram.uncounted) >= COUNTED_AT:
            histogram.count()
        assert sum(histogram.read()[0]) == min(at + at_once, len(durations)), "a reader sees what is not counted yet"
    counts, sum_s = histogram.read()
    edges = (-1.0, *BOUNDS_S, float("inf"))
    expected = [sum(low < max(each, 0) <= high for each in durations) for low, high in itertools.pairwise(edges)]
    assert counts == expected
    assert sum_s == pytest.approx(sum(max(each, 0) for each in durations))


def test_observing_keeps_no_more_than_a_handful() -> None:
    histogram = Histogram()
    for _ in range(COUNTED_AT + 1):
        histogram.observe(0.02)
    assert len(histogram.uncounted) == 1
    assert sum(histogram.read()[0]) == COUNTED_AT + 1


def test_histograms_add_up() -> None:
    former, present = Histogram(), Histogram()
    former.observe(0.02)
    former.observe(0.02)
    present.observe(0.02)
    present.observe(7)
    former.add(*present.read())
    former.observe(0.02)
    counts, sum_s = former.read()
    assert (counts[BOUNDS_S.index(0.025)], counts[BOUNDS_S.index(10.0)], sum(counts)) == (4, 1, 5)
    assert sum_s == pytest.approx(7.08)


def test_a_reader_in_another_thread_never_sees_a_count_go_back() -> None:
    """Prometheus would take that for a process that was started again."""
    histogram, ended = Histogram(), threading.Event()

    def observe() -> None:
        for _ in range(400 * COUNTED_AT):
            histogram.observe(0.02)
        ended.set()

    observing = threading.Thread(target=observe)
    observing.start()
    seen = [0]
    while not ended.is_set():
        seen.append(sum(histogram.read()[0]))
    observing.join()
    assert seen == sorted(seen)
    assert sum(histogram.read()[0]) == 400 * COUNTED_AT


def test_objects_past_the_bound_share_a_label() -> None:
    snapshot = Snapshot("worker")
    for place in range(MAX_OBJECTS + 3):
        label = label_of(f"object{place}", place)
        snapshot.put("wispy_object_updates", 1, label)
        snapshot.put("wispy_object_queue_age_seconds", place, label)
        histogram = Histogram()
        histogram.observe(0.1)
        snapshot.put_histogram("wispy_object_run_seconds", histogram, label)
    read = samples(snapshot)
    labels = {dict(labels)["object"] for _, labels in read}
    assert len(labels) == MAX_OBJECTS + 1
    assert read[key("wispy_object_updates_total", process="worker", object=OTHER)] == 3
    assert read[key("wispy_object_queue_age_seconds", process="worker", object=OTHER)] == MAX_OBJECTS + 2
    assert read[key("wispy_object_run_seconds_count", process="worker", object=OTHER)] == 3


def test_a_label_with_any_text_is_quoted() -> None:
    snapshot = Snapshot("worker")
    snapshot.put("wispy_object_updates", 1, 'a"b\n\\')
    assert samples(snapshot) == {key("wispy_object_updates_total", process="worker", object='a"b\n\\'): 1}


def test_a_metric_that_is_not_in_the_table_is_none() -> None:
    with pytest.raises(KeyError):
        Snapshot("worker").put("wispy_nothing", 1)
