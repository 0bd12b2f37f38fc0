"""The overlay `prometheus` on the node: a Prometheus scrapes what its monitors name, and takes its rules.

The node has no operator. What it would make of its kinds is made here, as kustomize renders them: of each endpoint of a
monitor the addresses that the monitor's selector finds on the node.
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from tests.kubernetes.lab import LAB, ROOT, kubectl, lab, rolled
from tests.support.waiting import wait_until_blocking

ADDRESS = "127.0.0.1:9190"
"""In the node's network."""

SCRAPED_S = 60.0

SECRETS = {
    "wispy-session": {"secret": "of-this-run-of-this-run-of-this-run-of-this-run"},
    "wispy-redis-frontend": {"user": "frontend", "password": "demo-only"},
    "wispy-redis-worker": {"user": "worker", "password": "demo-only"},
}
"""As docs/how-to/kubernetes.md has its reader make them; the passwords are the demo's, whose server goes on."""


def listed(*arguments: str) -> list[dict[str, Any]]:
    return json.loads(kubectl("get", *arguments, "-o", "json"))["items"]


def rendered(kind: str) -> list[dict[str, Any]]:
    """What the overlay has of one of the operator's kinds."""
    text = lab("k8s-node", "kubectl", "kustomize", str(ROOT / "k8s/overlays/prometheus"))
    return [each for each in yaml.safe_load_all(text) if each["kind"] == kind]


def selector_of(monitor: dict[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in monitor["spec"]["selector"]["matchLabels"].items())


def behind_services(monitor: dict[str, Any], port: str) -> list[str]:
    """The addresses of a port of the services that a ServiceMonitor selects."""
    names = [service["metadata"]["name"] for service in listed("services", "-l", selector_of(monitor))]
    endpoints = [each for each in listed("endpoints") if each["metadata"]["name"] in names]
    return [
        f"{address['ip']}:{each['port']}"
        for endpoint in endpoints
        for subset in endpoint.get("subsets", [])
        for each in subset["ports"]
        if each["name"] == port
        for address in subset.get("addresses", [])
    ]


def of_pods(monitor: dict[str, Any], port: str) -> list[str]:
    """The same of the pods that a PodMonitor selects, of those that stay."""
    return [
        f"{pod['status']['podIP']}:{each['containerPort']}"
        for pod in listed("pods", "-l", selector_of(monitor))
        if "deletionTimestamp" not in pod["metadata"]
        for container in pod["spec"]["containers"]
        for each in container.get("ports", [])
        if each["name"] == port
    ]


def jobs() -> dict[str, list[str]]:
    """Monitor to the addresses that it has scraped; each serves `/metrics`."""
    found: dict[str, list[str]] = {}
    for monitor in rendered("ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            found[monitor["metadata"]["name"]] = behind_services(monitor, endpoint["port"])
    for monitor in rendered("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            found[monitor["metadata"]["name"]] = of_pods(monitor, endpoint["port"])
    return found


@contextlib.contextmanager
def prometheus(folder: Path) -> Iterator[None]:
    """Scrapes the jobs each second, in the node's network."""
    rules = [each["spec"] for each in rendered("PrometheusRule")]
    for number, each in enumerate(rules):
        (folder / f"rules{number}.json").write_text(json.dumps(each))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{folder}/rules*.json"],
        "scrape_configs": [
            {
                "job_name": name,
                "static_configs": [{"targets": targets, "labels": {"namespace": "default"}}],
            }
            for name, targets in jobs().items()
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [
                *(str(LAB / "k8s-node"), "enter", "prometheus", f"--config.file={folder}/prometheus.yml"),
                *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address={ADDRESS}"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        running.terminate()
        running.wait()


def asked(path: str) -> Any:
    """The data of Prometheus' answer; an empty dict while there is none."""
    told = lab("k8s-node", "enter", "curl", "-s", "--max-time", "5", f"http://{ADDRESS}/api/v1/{path}", check=False)
    return json.loads(told).get("data", {}) if told else {}


def value_of(expression: str) -> float | None:
    result = asked(f"query?query={quote(expression)}").get("result", [])
    return float(result[0]["value"][1]) if result else None


def is_scraped() -> bool:
    """Each frontend and each worker is, and one of the workers owns the object."""
    targets = asked("targets").get("activeTargets", [])
    healthy = [each["labels"]["job"] for each in targets if each["health"] == "up"]
    return (
        len(healthy) == len(targets) == 4
        and set(healthy) == {"wispy-frontend", "wispy-worker"}
        and value_of('sum(wispy_object_owned{object="scope"})') == 1
        and value_of("sum(wispy_ready)") == len(targets)
    )


def rules() -> list[dict[str, Any]]:
    return [rule for group in asked("rules").get("groups", []) for rule in group["rules"]]


def monitored() -> str:
    """Apply the overlay in place of the demo; what Prometheus says. Fails where not all is well."""
    for name, values in SECRETS.items():
        literals = [f"--from-literal={key}={value}" for key, value in values.items()]
        kubectl("create", "secret", "generic", name, *literals)
    lab("k8s-node", "apply", str(ROOT / "tests/kubernetes/prometheus"))
    rolled()
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder)):
        wait_until_blocking(is_scraped, lambda: f"all is scraped: {asked('targets')}", SCRAPED_S)
        wait_until_blocking(
            lambda: rules() and all(rule["health"] == "ok" for rule in rules()), lambda: f"{rules()}", SCRAPED_S
        )
        firing = [rule["name"] for rule in rules() if rule["state"] == "firing"]
        assert not firing, f"nothing is wrong, and it says {firing}"
        names = asked("label/__name__/values")
        told = len([name for name in names if name.startswith("wispy_")])
        return f"Prometheus: 4 of 4 targets up, {told} of wispy's series, {len(rules())} rules evaluated, none firing"
