import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from wispy.exposition import exposition
from wispy.metrics import BOUNDS_S, MAX_OBJECTS, METRICS, OTHER, Histogram, Snapshot, label_of, reference


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
        assert set(metric.labels) <= {"object", "operation", "outcome", "link", "limit", "direction"}


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
    histogram.observe(0.02, 3)
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
