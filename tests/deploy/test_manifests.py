"""The Kubernetes manifests, as kustomize renders them: valid to the letter, and fitting together."""

import base64
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

from tests.deploy.guarded import ROLES, served_as
from tests.support.stack import command, free_port
from wispy.broker.embedded import find_binary
from wispy.cli.commands import FRONTEND, WORKER
from wispy.config.load import load
from wispy.config.schema import Config
from wispy.config.units import parse_size
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
        arguments = " ".join(container["args"])
        opened = {"http": config["port"]}
        for port, option in (("metrics", r"--set=metrics_port"), ("health", r"--health-port")):
            given = re.search(rf"{option}=(\d+)", arguments)
            opened |= {port: int(given[1])} if given else {}
        assert opened.items() >= {port["name"]: port["containerPort"] for port in container["ports"]}.items(), name


def test_probes_ask_where_nobody_can_hold_the_connections(manifests: list[dict[str, Any]]) -> None:
    """On the port for everybody whoever has them all gets a pod ended that lives. Nodes, which ask, are let in."""
    for name in OURS:
        deployment = of_kind(manifests, "Deployment")[name]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        probes = {key: probe["httpGet"] for key, probe in container.items() if key.endswith("Probe")}
        assert {key: probe["path"] for key, probe in probes.items()} == {
            "readinessProbe": "/readyz",
            "livenessProbe": "/healthz",
            "startupProbe": "/healthz",
        }
        for each in of_kind(manifests, "NetworkPolicy").values():
            if is_selected(each["spec"]["podSelector"], pod_labels(deployment)):
                for rule in each["spec"].get("ingress", []):
                    reached = {port["port"] for port in rule["ports"]}
                    assert "from" in rule or not reached & {probe["port"] for probe in probes.values()}, name


def test_the_users_of_the_demo_are_those_of_its_server(manifests: list[dict[str, Any]], tmp_path: Path) -> None:
    """And of what is made from it; the other overlays have Redis, users and Secrets outside."""
    secrets = of_kind(manifests, "Secret")
    if "wispy-valkey" not in of_kind(manifests, "Deployment"):
        assert secrets == {}, "no secret stands in a file"
        return
    valkey = of_kind(manifests, "Deployment")["wispy-valkey"]["spec"]["template"]["spec"]
    (mounted,) = (each["secret"]["secretName"] for each in valkey["volumes"] if each["name"] == "users")
    (tmp_path / "users.acl").write_text(secret_of(secrets[mounted], "users.acl"))
    places = {"/etc/valkey/users.acl": str(tmp_path / "users.acl"), "/tmp": str(tmp_path)}
    given: list[str] = valkey["containers"][0]["args"]
    arguments = [places.get(each, each) for each in given]
    logins: dict[str, tuple[str, str]] = {}
    for role, name in zip(ROLES, OURS, strict=True):
        (container,) = of_kind(manifests, "Deployment")[name]["spec"]["template"]["spec"]["containers"]
        asked = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each}
        user, password = (
            secret_of(secrets[each["name"]], each["key"])
            for each in (asked["WISPY_REDIS__USER"], asked["WISPY_REDIS__PASSWORD"])
        )
        logins[role] = user, password
    port = free_port()
    server = subprocess.Popen([find_binary(), "--port", str(port), *arguments])
    try:
        with served_as(port, tmp_path, logins):
            pass
    finally:
        server.kill()
        server.wait()


def secret_of(secret: dict[str, Any], key: str) -> str:
    return base64.b64decode(secret["data"][key]).decode()


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


def test_pods_have_accounts_without_a_token(manifests: list[dict[str, Any]]) -> None:
    accounts = of_kind(manifests, "ServiceAccount")
    assert all(each["automountServiceAccountToken"] is False for each in accounts.values())
    for name in OURS:
        assert of_kind(manifests, "Deployment")[name]["spec"]["template"]["spec"]["serviceAccountName"] in accounts
    bound = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
    assert not bound & {each["kind"] for each in manifests}, "nobody has rights in the cluster"


def test_what_is_secret_comes_from_secrets(manifests: list[dict[str, Any]]) -> None:
    frontend, worker = (of_kind(manifests, "Deployment")[name]["spec"]["template"]["spec"] for name in OURS)
    needed, optional = (asked_of(frontend, is_optional=each) for each in (False, True))
    assert needed == {"WISPY_SESSION__SECRET"}, "without it no frontend starts"
    logins = {"WISPY_REDIS__USER", "WISPY_REDIS__PASSWORD"}
    assert logins <= optional
    assert logins | {"WISPY_SESSION__SECRET"} <= asked_of(worker, is_optional=True), "with auth it checks seals"
    assert asked_of(worker, is_optional=False) == set()
    (auth,) = (each["secret"] for each in frontend["volumes"] if each["name"] == "auth")
    assert auth == {"secretName": "wispy-auth", "optional": True}
    config = configuration(manifests)
    assert not {"password", "secret", "user"} & {*config.get("redis", {}), *config.get("session", {})}
    for name in optional | needed:
        load(environ={"WISPY_REDIS__URL": "redis+sentinel://a/b", name: "0123456789" * 4})  # it is a setting


def asked_of(pod: dict[str, Any], *, is_optional: bool) -> set[str]:
    """The variables of a pod that come from a Secret which may be missing, or may not."""
    asked = [each for each in pod["containers"][0]["env"] if "secretKeyRef" in each.get("valueFrom", {})]
    return {each["name"] for each in asked if each["valueFrom"]["secretKeyRef"].get("optional", False) is is_optional}


def test_frontends_scale_by_cpu_and_are_two_at_least(manifests: list[dict[str, Any]]) -> None:
    scaler = of_kind(manifests, "HorizontalPodAutoscaler")["wispy-frontend"]["spec"]
    by = [each["resource"]["name"] for each in scaler["metrics"] if each["type"] == "Resource"]
    assert by == ["cpu"]
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    deployments = of_kind(manifests, "Deployment")
    assert "replicas" not in deployments["wispy-frontend"]["spec"], "the two would fight"
    assert deployments["wispy-worker-scope"]["spec"]["replicas"] == 2, "an owner and its standby"
    if of_kind(manifests, "PrometheusRule"):
        (pods,) = (each["pods"] for each in scaler["metrics"] if each["type"] == "Pods")
        assert pods["metric"]["name"] == "wispy_frontend_connections"
        assert int(pods["target"]["averageValue"]) < Config().limits.connections


def test_with_sentinels_no_zone_has_two_of_a_kind(manifests: list[dict[str, Any]]) -> None:
    if "sentinel" not in configuration(manifests)["redis"]["url"]:
        return
    assert of_kind(manifests, "HorizontalPodAutoscaler")["wispy-frontend"]["spec"]["minReplicas"] == 3
    for name in OURS:
        pod = of_kind(manifests, "Deployment")[name]["spec"]["template"]["spec"]
        spreads = {each["topologyKey"]: each["whenUnsatisfiable"] for each in pod["topologySpreadConstraints"]}
        assert spreads["topology.kubernetes.io/zone"] == "DoNotSchedule"
        sentinel = {"WISPY_REDIS__SENTINEL__USER", "WISPY_REDIS__SENTINEL__PASSWORD"}
        assert sentinel <= asked_of(pod, is_optional=True)


def test_a_pod_of_each_kind_may_go_at_a_time(manifests: list[dict[str, Any]]) -> None:
    budgets = of_kind(manifests, "PodDisruptionBudget").values()
    for name in OURS:
        labels = pod_labels(of_kind(manifests, "Deployment")[name])
        (budget,) = (each["spec"] for each in budgets if is_selected(each["spec"]["selector"], labels))
        assert budget["maxUnavailable"] == 1


def test_an_ingress_lets_websockets_and_uploads_be(manifests: list[dict[str, Any]]) -> None:
    for ingress in of_kind(manifests, "Ingress").values():
        annotations = ingress["metadata"]["annotations"]
        nginx = "nginx.ingress.kubernetes.io/proxy-"
        for silence in (f"{nginx}read-timeout", f"{nginx}send-timeout"):
            assert int(annotations[silence]) > 2 * Config().websocket.ping_interval
        assert annotations[f"{nginx}request-buffering"] == "off"
        assert parse_size(annotations[f"{nginx}body-size"].replace("g", "GiB")) == Config().upload.max_size
        assert annotations["haproxy.org/timeout-tunnel"] == "1h"
        hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
        assert hosts == {host for tls in ingress["spec"]["tls"] for host in tls["hosts"]}
        assert hosts <= set(configuration(manifests)["allowed_hosts"]), "a frontend answers to no other"
        (backend,) = (path["backend"]["service"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"])
        ports = of_kind(manifests, "Service")[backend["name"]]["spec"]["ports"]
        assert backend["port"]["name"] in {port["name"] for port in ports}


def test_a_pod_is_given_time_to_drain(manifests: list[dict[str, Any]]) -> None:
    deployments = of_kind(manifests, "Deployment")
    frontend, worker = (deployments[name]["spec"]["template"]["spec"] for name in OURS)
    _, before = frontend["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert frontend["terminationGracePeriodSeconds"] > int(before) + core.DRAIN_S + core.CLOSE_S + PATIENCE_S
    hooks = 2 * Config().lease.hook_timeout
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
