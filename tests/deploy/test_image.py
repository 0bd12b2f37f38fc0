"""The container image: linted, built, and run as it is in production: read-only, without rights, stopped by SIGTERM."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.stack import RestartableRedis, command, free_port
from tests.support.waiting import wait_until_blocking
from wispy.cli import main

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = ["Dockerfile", "examples/live_plot/Dockerfile", "wispy/cli/template/Dockerfile.txt"]
LAB = Path(os.environ.get("WISPY_LAB", ROOT.parent / "shared" / "lab"))
"""Tools that make a base image where no container registry can be reached, and podman for a machine without systemd."""
BASE = "python:3.13-slim"
"""The lab's is no image that has the digest in the Dockerfile."""
BUILD_TIMEOUT_S = 900
"""A new machine installs podman and makes the base image first: two minutes of an idle one."""
START_TIMEOUT_S = 60.0


@pytest.mark.parametrize("name", DOCKERFILES)
def test_nothing_is_to_be_said_against_a_dockerfile(name: str) -> None:
    linted = subprocess.run([command("hadolint"), str(ROOT / name)], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_both_stages_begin_with_one_image_that_is_named_by_digest() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in lines if line.startswith("FROM ")] == ["${PYTHON_IMAGE}"] * 2
    (base,) = (line for line in lines if line.startswith("ARG "))
    assert re.fullmatch(rf"ARG PYTHON_IMAGE={re.escape(BASE)}@sha256:[0-9a-f]{{64}}", base)


class Engine:
    """podman or docker: builds images and runs containers, all in the machine's own network."""

    def __init__(self) -> None:
        self.has_lab = (LAB / "podman-build").exists() and os.geteuid() == 0
        self._program = "podman" if self.has_lab or shutil.which("podman") else "docker"
        self._env = {**os.environ, "CONTAINERS_CONF": str(LAB / "containers.conf")} if self.has_lab else None
        if self.has_lab:
            self._must(str(LAB / "base-image"), BASE)
        elif shutil.which(self._program) is None or self.ask("info").returncode != 0:
            pytest.skip("neither podman nor docker works here: no image can be built")

    def build(self, folder: Path, tag: str, *options: str) -> None:
        if self.has_lab:
            self._must(str(LAB / "podman-build"), str(folder), tag, "--", *options)
        else:
            self._must(self._program, "build", "--tag", tag, *options, str(folder))

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self._program, *arguments], capture_output=True, text=True, check=False, env=self._env)

    def _must(self, *arguments: str) -> None:
        done = subprocess.run(
            arguments,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._env,
            timeout=BUILD_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout[-3000:]


class Container:
    """One that runs, without any right."""

    def __init__(self, engine: Engine, *arguments: str, env: dict[str, str]) -> None:
        self._engine = engine
        given = [part for name, value in env.items() for part in ("--env", f"{name}={value}")]
        hardened = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "host")
        started = engine.ask("run", "--detach", *hardened, *given, *arguments)
        assert started.returncode == 0, started.stderr
        self._id = started.stdout.strip().splitlines()[-1]

    @property
    def log(self) -> str:
        told = self._engine.ask("logs", self._id)
        return told.stdout + told.stderr

    def wait_until_says(self, text: str) -> None:
        wait_until_blocking(lambda: text in self.log, lambda: f"it says {text!r}: {self.log}", START_TIMEOUT_S)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._engine.ask("exec", self._id, *arguments)

    def is_healthy(self) -> bool:
        return self._engine.ask("healthcheck", "run", self._id).returncode == 0

    def stop(self) -> int:
        """SIGTERM, and SIGKILL after 20 s; the exit status, 137 after the latter."""
        self._engine.ask("stop", "--time", "20", self._id)
        return int(self._engine.ask("inspect", "--format", "{{.State.ExitCode}}", self._id).stdout)

    def remove(self) -> None:
        self._engine.ask("rm", "--force", self._id)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def demo(engine: Engine) -> str:
    """The image of the live plot, on that of wispy."""
    engine.build(ROOT, "wispy:test", *(("--build-arg", f"PYTHON_IMAGE={BASE}") if engine.has_lab else ()))
    below = "WISPY_IMAGE=localhost/wispy:test" if engine.has_lab else "WISPY_IMAGE=wispy:test"
    engine.build(ROOT / "examples/live_plot", "wispy-demo:test", "--build-arg", below)
    return "wispy-demo:test"


@pytest.fixture
def redis_url() -> Iterator[str]:
    server = RestartableRedis()
    server.start()
    yield server.url
    server.stop()


@pytest.mark.timeout(2 * BUILD_TIMEOUT_S)  # the first test that runs builds the images
def test_a_frontend_and_a_worker_serve_and_end_by_themselves(engine: Engine, demo: str, redis_url: str) -> None:
    port = free_port()
    shared = {"WISPY_REDIS__URL": redis_url, "WISPY_PORT": str(port), "WISPY_SESSION__SECRET": "0123456789" * 4}
    containers: list[Container] = []
    try:
        worker = Container(engine, demo, "wispy-worker", "--object", "scope=live_plot:Oscilloscope", env=shared)
        containers.append(worker)
        frontend = Container(engine, demo, env=shared)
        containers.append(frontend)
        worker.wait_until_says("scope is served here")
        frontend.wait_until_says("the frontend listens at")
        asked = {"jsonrpc": "2.0", "id": 1, "method": "scope.reset", "params": []}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, follow_redirects=True, timeout=30
        ) as client:
            assert client.get("/").status_code == 200
            assert "result" in client.post("/rpc", json=asked).json()
        if engine.has_lab or shutil.which("podman"):
            assert frontend.is_healthy()
        who = frontend.run("python", "-c", "import os; print(os.getuid(), os.getgid(), open('/proc/1/comm').read())")
        assert who.stdout.split() == ["10001", "10001", "wispy-frontend"]
        assert frontend.run("python", "-c", "open('/opt/wispy/x', 'w')").returncode != 0
        assert frontend.run("sh", "-c", "command -v cc gcc make").returncode != 0
        assert frontend.run("python", "-m", "pip", "--version").returncode != 0
        told = engine.ask("inspect", "--format", "{{json .Config.Labels}}", demo).stdout
        labels = {name.removeprefix("org.opencontainers.image."): value for name, value in json.loads(told).items()}
        assert (labels["title"], labels["licenses"]) == ("wispy", "MIT")
        assert frontend.stop() == 0
        assert worker.stop() == 0
        assert "scope is released" in worker.log
    finally:
        for each in containers:
            each.remove()


@pytest.mark.timeout(2 * BUILD_TIMEOUT_S)
def test_the_image_of_a_new_project_serves_its_page(engine: Engine, tmp_path: Path) -> None:
    """Built as its README says for where the package index has no wispy: with a wheel in its folder."""
    project = tmp_path / "my-lab"
    assert main(["new", str(project)]) == 0
    packed = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(project), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )
    assert packed.returncode == 0, packed.stderr
    (wheel,) = project.glob("wispy-*.whl")
    (project / "requirements.txt").write_text(f"./{wheel.name}\n")
    engine.build(project, "my-lab:test")
    port = free_port()
    container = Container(engine, "my-lab:test", env={"WISPY_PORT": str(port)})
    try:
        container.wait_until_says("wispy serves my_lab at")
        asked = {"jsonrpc": "2.0", "id": 1, "method": "my_lab.step", "params": [5]}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, follow_redirects=True, timeout=30
        ) as client:
            page = client.get("/")
            assert (page.status_code, "my_lab" in page.text) == (200, True)
            assert client.get(str(page.url.join("page.js"))).status_code == 200
            assert client.post("/rpc", json=asked).json()["result"] == 5
        who = container.run("python", "-c", "import os; print(os.getuid(), open('/proc/1/comm').read())")
        assert who.stdout.split() == ["10001", "python"]
        assert container.stop() == 0
    finally:
        container.remove()
