"""`wispy new NAME`: the beginning of a project, that runs at once.

Rules:
- Nothing is overwritten: the folder is new, or empty.
- The project's module has a name that hides no module of Python's, wispy's or an installed package's: a script's folder
  comes first on its path.
- The files are those in `template/`, where `PROJECT_MODULE`, `PROJECT_CLASS` and `PROJECT_VERSION` stand for the
  project's own; each has `.txt` at the end of its name, so that no tool takes it for one of wispy's.
"""

import argparse
import keyword
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from wispy.cli.outcome import CommandError
from wispy.client.blocking import BlockingRpc
from wispy.config.checks import LONGEST_OBJECT_NAME
from wispy.version import __version__

TAKEN: Final = frozenset({"wispy", "wispyjs", "rpc", "static", "test", *dir(BlockingRpc)})
"""Names that mean something else here, or in the Python client."""


def new(arguments: argparse.Namespace) -> None:
    """`wispy new NAME`."""
    folder = Path(arguments.name)
    module = module_name(folder.name)
    create(folder, module)
    sys.stdout.write(f"wrote the project {folder}. Next:\n\n  cd {folder}\n  python {module}.py\n")


def module_name(name: str) -> str:
    """The module of a project: `my-lab` is `my_lab`.

    Raises:
        CommandError: it cannot have that name.
    """
    module = name.replace("-", "_")
    if not (module.isidentifier() and module.isascii() and module == module.lower()) or module.startswith("_"):
        raise CommandError(f"{name!r} cannot be a project's name: use small letters, digits, - and _, as in my-lab")
    if len(module) > LONGEST_OBJECT_NAME:
        raise CommandError(f"the project's name has more than {LONGEST_OBJECT_NAME} characters")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module in TAKEN or _is_installed(module):
        raise CommandError(f"{name!r} cannot be a project's name: in Python, {module} is something else already")
    return module


def _is_installed(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and spec.origin is not None  # a mere folder, such as one in the working directory, has none


def create(folder: Path, module: str) -> None:
    """Write the project.

    Raises:
        CommandError: the folder cannot be written, or is not empty.
    """
    words = {
        "PROJECT_MODULE": module,
        "PROJECT_CLASS": "".join(part.title() for part in module.split("_")),
        "PROJECT_VERSION": __version__,
    }
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CommandError(f"{folder} is there already: nothing was written; give another name")
        folder.mkdir(parents=True, exist_ok=True)
        _copy(files("wispy.cli").joinpath("template"), folder, words)
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}") from error


def _copy(source: Traversable, target: Path, words: dict[str, str]) -> None:
    for each in source.iterdir():
        place = target / _filled(each.name.removesuffix(".txt"), words)
        if each.is_dir():
            place.mkdir()
            _copy(each, place, words)
        else:
            place.write_text(_filled(each.read_text(encoding="utf-8"), words), encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text
