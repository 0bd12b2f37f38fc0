"""The alert rules, and what the documentation offers to ask: Prometheus takes them, and they say what they mean."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from wispy.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "k8s/overlays/prometheus/alerts.yaml"
QUERIES = ROOT / "docs/how-to/monitor.md"
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["spec"]["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}

SUFFIXES = {"gauge": {""}, "counter": {"_total"}, "histogram": {"_bucket", "_count", "_sum"}}
LABELS = {f"{metric.name}{suffix}": metric.labels for metric in METRICS for suffix in SUFFIXES[metric.kind]}
OF_TARGETS = {"namespace", "pod", "instance", "process", "le"}
"""Labels that Prometheus or wispy puts on everything, and on buckets."""

STEP = "15s"
STEPS = 240
"""An hour."""


class Case(NamedTuple):
    """What makes an alert fire, and what does not: series to values, as promtool has them."""

    firing: dict[str, str]
    quiet: dict[str, str]
    labels: dict[str, str]
    """Of the alert, beside its own and the namespace."""


def of_object(name: str, pod: str = "a", **labels: str) -> str:
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return f'{name}{{namespace="lab",pod="{pod}",process="worker",object="scope"{more}}}'


def of_frontend(name: str, process: str = "frontend-0", **labels: str) -> str:
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return f'{name}{{namespace="lab",pod="a",process="{process}"{more}}}'


def always(value: float) -> str:
    return f"{value}x{STEPS}"


def rising(by: float) -> str:
    return f"0+{by}x{STEPS}"


ONCE = f"0x{STEPS - 12} 1x12"
"""A counter that has gone up by one, three minutes ago."""

OBJECT, POD = {"object": "scope"}, {"pod": "a"}
OWNED, WORKERS = "wispy_object_owned", "wispy_object_workers"
LAG = "wispy_frontend_delivery_lag_seconds_bucket"
CASES = {
    "WispyObjectWithoutOwner": Case(
        {of_object(OWNED): always(0), of_object(OWNED, "b"): always(0)},
        {of_object(OWNED): always(1), of_object(OWNED, "b"): always(0)},
        OBJECT,
    ),
    "WispyObjectWithTwoOwners": Case(
        {of_object(OWNED): always(1), of_object(OWNED, "b"): always(1), of_object(WORKERS): always(0)},
        {  # one that is shared, and one with an owner and a standby
            of_object(OWNED): always(1),
            of_object(OWNED, "b"): always(1),
            of_object(WORKERS): always(2),
            of_object(OWNED).replace("scope", "other"): always(1),
            of_object(OWNED, "b").replace("scope", "other"): always(0),
        },
        OBJECT,
    ),
    "WispyObjectWithoutStandby": Case(
        {of_object(OWNED): always(1)}, {of_object(OWNED): always(1), of_object(OWNED, "b"): always(0)}, OBJECT
    ),
    "WispyQueueOld": Case(
        {of_object("wispy_object_queue_age_seconds"): always(1.5)},
        {of_object("wispy_object_queue_age_seconds"): always(0.5)},
        OBJECT,
    ),
    "WispyCallsFail": Case(
        {
            of_object("wispy_object_requests_total", operation="call", outcome="ok"): rising(8),
            of_object("wispy_object_requests_total", operation="call", outcome="failed"): rising(2),
        },
        {
            of_object("wispy_object_requests_total", operation="call", outcome="ok"): rising(98),
            of_object("wispy_object_requests_total", operation="call", outcome="failed"): rising(2),
        },
        OBJECT,
    ),
    "WispyLeaseLost": Case(
        {of_object("wispy_object_lease_losses_total"): ONCE},
        {of_object("wispy_object_lease_losses_total"): always(1)},
        OBJECT,
    ),
    "WispyRedisAway": Case(
        {of_frontend("wispy_link_up", link="commands"): always(0)},
        {of_frontend("wispy_link_up", link="commands"): always(1)},
        POD,
    ),
    "WispyUpdatesLost": Case(
        {of_object("wispy_object_updates_dropped_total"): ONCE},
        {of_object("wispy_object_updates_dropped_total"): always(1)},
        OBJECT,
    ),
    "WispyConnectionsRefused": Case(
        {of_frontend("wispy_frontend_limit_hits_total", limit="connections"): ONCE},
        {of_frontend("wispy_frontend_limit_hits_total", limit="channels"): ONCE},
        {},
    ),
    "WispyNotReady": Case(
        {of_frontend("wispy_ready"): always(1), of_frontend("wispy_ready", "frontend-1"): always(0)},
        {of_frontend("wispy_ready"): always(1)},
        POD,
    ),
    "WispyUpdatesLate": Case(
        {
            of_frontend(LAG, le="1.0"): rising(98),
            of_frontend(LAG, le="5.0"): rising(100),
            of_frontend(LAG, le="+Inf"): rising(100),
        },
        {
            of_frontend(LAG, le="1.0"): rising(100),
            of_frontend(LAG, le="5.0"): rising(100),
            of_frontend(LAG, le="+Inf"): rising(100),
        },
        {},
    ),
    "WispyEventsMissed": Case(
        {of_frontend("wispy_frontend_gaps_told_total"): ONCE},
        {of_frontend("wispy_frontend_gaps_told_total"): always(1)},
        {},
    ),
    "WispyProcessBusy": Case(
        {of_frontend("wispy_process_cpu_seconds_total"): rising(14.5)},
        {of_frontend("wispy_process_cpu_seconds_total"): rising(10)},
        {**POD, "process": "frontend-0"},
    ),
    "WispyRestarts": Case(
        {of_frontend("wispy_start_time_seconds"): f"0x{STEPS - 40} 1x10 2x10 3x20"},
        {of_frontend("wispy_start_time_seconds"): f"0x{STEPS - 40} 1x40"},
        {**POD, "process": "frontend-0"},
    ),
}


def offered(language: str) -> str:
    """What the documentation has in blocks of this language."""
    text = QUERIES.read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks, language
    return "".join(blocks)


def queries() -> list[str]:
    """The documentation's, one a line."""
    return [line for line in offered("promql").splitlines() if line and not line.startswith("#")]


@pytest.fixture
def promtool() -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is missing (make programs)")
    return program


def run(promtool: str, *arguments: str, folder: Path) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def selector(labels: dict[str, str]) -> str:
    return "ALERTS{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def firing(name: str, case: Case, *, is_firing: bool) -> dict[str, Any]:
    """A test of promtool's: after an hour of these series the alert fires, or does not."""
    rule = ALERTS[name]
    labels = {"alertname": name, "alertstate": "firing", "namespace": "lab", **rule["labels"], **case.labels}
    series = case.firing if is_firing else case.quiet
    return {
        "interval": STEP,
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertname="{name}",alertstate="firing"}}',
                "eval_time": "1h",
                "exp_samples": [{"labels": selector(labels), "value": 1}] if is_firing else [],
            }
        ],
    }


def test_each_alert_has_a_case() -> None:
    assert CASES.keys() == ALERTS.keys()


@pytest.mark.parametrize("is_firing", [True, False], ids=["fires", "is quiet"])
@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires_when_it_should(promtool: str, tmp_path: Path, name: str, is_firing: bool) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": GROUPS}))
    tests = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": STEP,
        "tests": [firing(name, CASES[name], is_firing=is_firing)],
    }
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    run(promtool, "test", "rules", "tests.yaml", folder=tmp_path)


def test_prometheus_takes_the_rules_the_queries_and_the_configuration(promtool: str, tmp_path: Path) -> None:
    recorded = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    groups = [*GROUPS, {"name": "queries", "rules": recorded}]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    run(promtool, "check", "rules", "rules.yaml", folder=tmp_path)
    (tmp_path / "prometheus.yaml").write_text(offered("yaml"))
    run(promtool, "check", "config", "prometheus.yaml", folder=tmp_path)


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in ALERTS.values()), *queries()])
def test_names_and_labels_are_those_of_the_table(expression: str) -> None:
    names = set(re.findall(r"\bwispy_\w+", expression))
    assert names
    assert names <= LABELS.keys()
    known = OF_TARGETS.union(*(LABELS[name] for name in names))
    grouped = {
        label.strip()
        for labels in re.findall(r"\b(?:by|without|on) \(([^)]*)\)", expression)
        for label in labels.split(",")
    }
    matched = {
        label for labels in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)\s*[=!]", labels)
    }
    assert grouped | matched <= known
