"""Files that wispy ships beside its code, and where the code itself is."""

import os
from importlib.util import find_spec
from pathlib import Path

from wispy.errors import StartError


def wispyjs_folder() -> Path:
    """The folder of the JavaScript files, in a wheel as in a checkout.

    Raises:
        StartError: it was not installed.
    """
    spec = find_spec("wispyjs")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not places:
        raise StartError("the package 'wispyjs', which holds wispy's JavaScript, is not installed; reinstall wispy")
    return Path(places[0])


def module_path() -> str:
    """PYTHONPATH of a child process, so that it finds this very wispy, however this process did."""
    ours = str(Path(__file__).parents[1])
    return os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))
