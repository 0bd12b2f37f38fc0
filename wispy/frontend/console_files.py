"""The console's files (`console/` beside this module): a page like any other, over rpc.js, with a policy of its own.

They lie here and not in wispyjs, which is always served: where the console is off, nothing of it is there.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from wispy.config.schema import Config
from wispy.frontend.handler import Handler
from wispy.frontend.static import StaticFiles
from wispy.resources import wispyjs_folder

FOLDER: Final = Path(__file__).parent / "console"


class ConsoleFiles(StaticFiles):
    """`/console/`."""

    kind = "console"


class ToConsole(Handler):
    """`/console`: its files are found from `/console/`."""

    def get(self) -> None:
        self.redirect(f"{self._core.config.base_path}/console/")

    head = get


def console_routes(config: Config, files: Mapping[str, Any]) -> list[Any]:
    """The console's own files, and rpc.js, which it finds beside them wherever `wispy_static_path` is.

    Args:
        config: of the frontend.
        files: what every `StaticFiles` is given.
    """
    base = f"{config.base_path}/console"
    pattern = re.escape(base)
    return [
        (pattern, ToConsole, {"core": files["core"]}),
        (rf"{pattern}/(rpc\.js)", ConsoleFiles, {**files, "path": str(wispyjs_folder())}),
        (f"{pattern}/(.*)", ConsoleFiles, {**files, "path": str(FOLDER), "default_filename": "index.html"}),
    ]
