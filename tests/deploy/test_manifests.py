"""The Kubernetes manifests, as kustomize renders them: valid to the letter, and fitting together."""

import functools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from tests.support.stack import command
from wispy.cli.commands import FRONTEND, WORKER
from wispy.config.schema import LeaseConfig
from wispy.frontend import core
from wispy.metrics import BY_NAME
from wispy.parts import DRAIN_S, PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
RENDERED = [
    "k8s/base",
    *sorted(f"k8s/overlays/{each.name}" for each in (ROOT / "k8s" / "overlays").iterdir()),
    "tests/kubernetes/overlay",
]
VERSIONS = ["1.32.0", "1.37.0"]
"""The oldest and the newest whose schemas there are."""
SCHEMAS = "kubernetes-json-schema/v{}-local-strict"
PROMETHEUS = "monitoring.coreos.com/v1"
"""Kinds of the Prometheus operator: there is no schema of theirs."""

SUFFIXES = {"gauge": {""}, "counter": {"_total"}, "histogram": {"_bucket", "_count", "_sum"}}
SERIES = {f"{metric.name}{suffix}" for metric in BY_NAME.values() for suffix in SUFFIXES[metric.kind]}
COMMANDS = {each.name: each for each in (FRONTEND, WORKER)}
OURS = ("wispy-frontend", "wispy-worker-scope")


@pytest.fixture(scope="module", params=RENDERED)
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is missing: it renders the manifests")
    rendered = subprocess.run(
        [kubectl, "kustomize", str(ROOT / request.param)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert rendered.returncode == 0, rendered.stderr
    assert not rendered.stderr, "kustomize warns"
    return list(yaml.safe_load_all(rendered.stdout))


@functools.cache
def definitions(version: str) -> Resource[Any]:
    return Resource.from_contents(schema_contents(f"{SCHEMAS.format(version)}/_definitions.json", version))


@functools.cache
def validator(api_version: str, kind: str, version: str) -> jsonschema.Draft202012Validator:
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)  # as kubernetes-validate names its files
    schema = schema_contents(f"{SCHEMAS.format(version)}/{kind.lower()}-{group}.json", version)
    registry = definitions(version) @ (Resource.from_contents(schema) @ Registry[Any]())
    return jsonschema.Draft202012Validator(schema, registry=registry)


def problems(manifest: dict[str, Any], version: str) -> list[str]:
    """All that is wrong with it by the schema that knows no other keys; kubernetes-validate tells the first only."""
    found = validator(manifest["apiVersion"], manifest["kind"], version).iter_errors(manifest)
    return [f"{manifest['kind']} {error.json_path}: {error.message}" for error in found]


def of_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def is_selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    expressions = selector.get("matchExpressions", [])
    return (
        selector.get("matchLabels", {}).items() <= labels.items()
        and all(each["operator"] == "In" for each in expressions)
        and all(labels.get(each["key"]) in each["values"] for each in expressions)
    )


def pod_labels(deployment: dict[str, Any]) -> dict[str, str]:
    return deployment["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_manifest_is_valid(manifests: list[dict[str, Any]], version: str) -> None:
    known = [each for each in manifests if each["apiVersion"] != PROMETHEUS]
    assert [problem for each in known for problem in problems(each, version)] == []


def test_a_wrong_key_and_a_wrong_type_are_both_found() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"selektor": {}, "ports": 3}}
    assert len(problems(wrong, VERSIONS[0])) == 2


def configuration(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    (only,) = (each for each in of_kind(manifests, "ConfigMap").values() if "wispy.yaml" in each["data"])
    return yaml.safe_load(only["data"]["wispy.yaml"])


def test_the_configuration_is_one(manifests: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "wispy.yaml"
    file.write_text(yaml.safe_dump(configuration(manifests)))
    told = subprocess.run(
        [command("wispy"), "config", "--config", str(file)], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr


def test_the_commands_take_their_arguments(manifests: list[dict[str, Any]]) -> None:
    for name in OURS:
        (container,) = of_kind(manifests, "Deployment")[name]["spec"]["template"]["spec"]["containers"]
        command_name, *arguments = container["args"]
        COMMANDS[command_name].parser().parse_args(arguments)  # ends the test where it does not know one


def test_the_ports_of_pods_are_those_that_wispy_opens(manifests: list[dict[str, Any]]) -> None:
    """Else no probe reaches it, and no scraper."""
    config = configuration(manifests)
    for name in OURS:
        (container,) = of_kind(manifests, "Deployment")[name]["spec"]["template"]["spec"]["containers"]
        health = re.search(r"--health-port=(\d+)", " ".join(container["args"]))
        opened = {
            "http": config["port"],
            "metrics": config.get("metrics_port"),
            "health": int(health[1]) if health else None,
        }
        for port in container["ports"]:
            assert opened[port["name"]] == port["containerPort"], name


def test_selectors_select(manifests: list[dict[str, Any]]) -> None:
    pods = {name: pod_labels(each) for name, each in of_kind(manifests, "Deployment").items()}
    for name, deployment in of_kind(manifests, "Deployment").items():
        assert is_selected(deployment["spec"]["selector"], pods[name])
        others = [other for other in pods if other != name and is_selected(deployment["spec"]["selector"], pods[other])]
        assert not others, f"{name} takes the pods of {others}"
        for spread in deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert is_selected(spread["labelSelector"], pods[name])
    for service in of_kind(manifests, "Service").values():
        assert [is_selected({"matchLabels": service["spec"]["selector"]}, labels) for labels in pods.values()].count(
            True
        ) == 1
    for budget in of_kind(manifests, "PodDisruptionBudget").values():
        assert any(is_selected(budget["spec"]["selector"], labels) for labels in pods.values())
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler").values():
        assert scaler["spec"]["scaleTargetRef"]["name"] in pods


def test_first_frontends_are_reached_from_outside(manifests: list[dict[str, Any]]) -> None:
    policies = of_kind(manifests, "NetworkPolicy").values()
    pods = {name: pod_labels(each) for name, each in of_kind(manifests, "Deployment").items()}
    for name, labels in pods.items():
        ingress = [
            each["spec"]
            for each in policies
            if "Ingress" in each["spec"]["policyTypes"] and is_selected(each["spec"]["podSelector"], labels)
        ]
        assert ingress, f"everybody reaches {name}"
        is_open = any("from" not in rule for spec in ingress for rule in spec.get("ingress", []))
        assert is_open == (name == "wispy-frontend")
    if "wispy-valkey" in pods:
        (rule,) = of_kind(manifests, "NetworkPolicy")["wispy-valkey"]["spec"]["ingress"]
        (peer,) = rule["from"]
        reaching = {name for name, labels in pods.items() if is_selected(peer["podSelector"], labels)}
        assert reaching == set(OURS)


def test_pods_are_of_the_restricted_profile(manifests: list[dict[str, Any]]) -> None:
    for deployment in of_kind(manifests, "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            mounted = {each["name"] for each in container["volumeMounts"]}
            assert mounted == {each["name"] for each in pod["volumes"]}
            ports = {each["name"] for each in container.get("ports", [])}
            probes = [probe for key, probe in container.items() if key.endswith("Probe")]
            assert {(probe.get("httpGet") or probe["tcpSocket"])["port"] for probe in probes} <= ports


def test_a_pod_is_given_time_to_drain(manifests: list[dict[str, Any]]) -> None:
    deployments = of_kind(manifests, "Deployment")
    frontend, worker = (deployments[name]["spec"]["template"]["spec"] for name in OURS)
    _, before = frontend["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert frontend["terminationGracePeriodSeconds"] > int(before) + core.DRAIN_S + core.CLOSE_S + PATIENCE_S
    hooks = 2 * LeaseConfig().hook_timeout
    assert worker["terminationGracePeriodSeconds"] > DRAIN_S + hooks + PATIENCE_S


def test_alerts_and_scaling_use_metrics_that_exist(manifests: list[dict[str, Any]]) -> None:
    rules = [each["spec"]["groups"] for each in of_kind(manifests, "PrometheusRule").values()]
    asked = [rule["expr"] for groups in rules for group in groups for rule in group["rules"]]
    scaled = of_kind(manifests, "HorizontalPodAutoscaler")["wispy-frontend"]["spec"]["metrics"]
    asked += [each["pods"]["metric"]["name"] for each in scaled if each["type"] == "Pods"]
    assert {name for expression in asked for name in re.findall(r"\bwispy_\w+", expression)} <= SERIES


def test_monitors_find_ports_that_there_are(manifests: list[dict[str, Any]]) -> None:
    ports = {"PodMonitor": set[str](), "ServiceMonitor": set[str]()}
    for deployment in of_kind(manifests, "Deployment").values():
        containers = deployment["spec"]["template"]["spec"]["containers"]
        ports["PodMonitor"] |= {port["name"] for each in containers for port in each.get("ports", [])}
    for service in of_kind(manifests, "Service").values():
        ports["ServiceMonitor"] |= {port["name"] for port in service["spec"]["ports"]}
    for kind, endpoints in (("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")):
        for monitor in of_kind(manifests, kind).values():
            assert {each["port"] for each in monitor["spec"][endpoints]} <= ports[kind]
    services = of_kind(manifests, "Service").values()
    for monitor in of_kind(manifests, "ServiceMonitor").values():
        labels = [each["metadata"].get("labels", {}) for each in services]
        assert [is_selected(monitor["spec"]["selector"], each) for each in labels].count(True) == 1
    if of_kind(manifests, "ServiceMonitor"):
        scraped = {"wispy-frontend": "metrics", "wispy-worker-scope": "health"}
        for name, port in scraped.items():
            assert is_let_in(manifests, name, port), f"Prometheus reaches {name}"


def is_let_in(manifests: list[dict[str, Any]], name: str, port: str) -> bool:
    """Whether pods of the namespace that Prometheus runs in reach this port."""
    labels = pod_labels(of_kind(manifests, "Deployment")[name])
    rules = (
        rule
        for policy in of_kind(manifests, "NetworkPolicy").values()
        if is_selected(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("ingress", [])
    )
    there = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    return any(
        there in rule.get("from", []) and {"port": port, "protocol": "TCP"} in rule.get("ports", []) for rule in rules
    )
