"""The console's files (`console/` beside this module): a page like any other, over rpc.js, with a policy of its own.

They lie here and not in wispyjs, which is always served: where the console is off, nothing of it is there.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tornado.web import RedirectHandler

from wispy.config.schema import Config
from wispy.frontend.static import StaticFiles
from wispy.resources import wispyjs_folder

FOLDER: Final = Path(__file__).parent / "console"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


class ConsoleFiles(StaticFiles):
    """`/console/`: a page that nobody may frame, whose only scripts are the server's own files, and where text cannot
    become markup even by a mistake of its code (trusted types).
    """

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Frame-Options", "DENY")


def console_routes(config: Config, files: Mapping[str, Any]) -> list[Any]:
    """The console's own files, and rpc.js, which it finds beside them wherever `wispy_static_path` is.

    Args:
        config: of the frontend.
        files: what every `StaticFiles` is given.
    """
    base = f"{config.base_path}/console"
    pattern = re.escape(base)
    return [
        (pattern, RedirectHandler, {"url": f"{base}/", "permanent": False}),
        (rf"{pattern}/(rpc\.js)", ConsoleFiles, {**files, "path": str(wispyjs_folder())}),
        (f"{pattern}/(.*)", ConsoleFiles, {**files, "path": str(FOLDER), "default_filename": "index.html"}),
    ]
