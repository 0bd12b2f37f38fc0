"""The Autobahn test suite's own environment: it needs CPython 2.7, and is kept in the user's cache folder."""

import os
import shutil
import subprocess
from pathlib import Path

_BOOTSTRAP = "virtualenv<20.22"
"""The last versions of virtualenv that make an environment for Python 2.7."""

_SUITE = "autobahntestsuite==25.10.1"


def wstest() -> Path:
    """Return the path of the suite's command; the first time, install it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wispy" / "conformance"
    command = cache / "venv" / "bin" / "wstest"
    done = cache / "installed"
    if done.exists() and command.exists():
        return command
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    python = _python27()
    environ = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": str(cache / "bootstrap")}
    _run([python, "-m", "pip", "install", "--quiet", "--target", str(cache / "bootstrap"), _BOOTSTRAP], environ)
    _run([python, "-m", "virtualenv", "--quiet", str(cache / "venv")], environ)
    del environ["PYTHONPATH"]
    _run([str(cache / "venv" / "bin" / "pip"), "install", "--quiet", _SUITE], environ)
    done.touch()
    return command


def _python27() -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for python in sorted((pyenv / "versions").glob("2.7*/bin/python2.7"), reverse=True):
        return str(python)
    # A shim of pyenv is found here too; it only works where that version is switched on.
    found = shutil.which("python2.7")
    if found is None:
        raise SystemExit("conformance: the Autobahn suite needs CPython 2.7: `pyenv install 2.7.18`")
    return found


def _run(command: list[str], environ: dict[str, str]) -> None:
    done = subprocess.run(command, env=environ, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"conformance: {' '.join(command)} failed\n{done.stdout}{done.stderr}")
