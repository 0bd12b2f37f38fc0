from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.security.attack import SESSION_SECRET, check_no_leak, message_of
from tests.security.served import SECRET
from tests.support.files import files_below
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Service, Stack
from wispy.broker.embedded import EmbeddedServer

FOLDER = Path(__file__).parent
SHELLS = ("detached", "tornado")


class Files:
    """What is served and uploaded, and around it what must stay as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = folder / "server" / "pages"
        self.uploads = folder / "server" / "uploads"
        for each in (self.pages / "inner", self.uploads / "inner", folder / "outside"):
            each.mkdir(parents=True)
        (folder / "outside" / "secret.txt").write_text(SECRET)
        (self.pages / "index.html").write_text("a page")
        (self.pages / "inner" / ".hidden").write_text(SECRET)
        (self.pages / ".env").write_text(SECRET)
        (self.pages / ".well-known").mkdir()
        (self.pages / "outward.txt").symlink_to(folder / "outside" / "secret.txt")
        (self.pages / "outward").symlink_to(folder / "outside")
        (self.uploads / "outward").symlink_to(folder / "outside")
        (self.uploads / "link.png").symlink_to(folder / "outside" / "x.png")
        self.config: dict[str, Any] = {
            "static.folders": f"{{pages: {self.pages}}}",
            "upload.folders": f"{{uploads: {self.uploads}}}",
            "upload.rules.accepted_filetypes": "[png, html, svg]",
            "upload.rules.file_creation_whitelist": "['*/server/uploads/*']",
        }

    def everything(self) -> set[str]:
        """Every file and link below the common folder."""
        return files_below(self.folder)


class Target:
    """Everything under attack: a worker with `vault` and `watch`, and a frontend with each shell."""

    def __init__(self, stack: Stack, files: Files) -> None:
        self.stack = stack
        self.files = files
        self.worker: Service = stack.worker("vault=served:vault", "watch=served:watch")
        self.frontends: dict[str, Frontend] = {
            shell: stack.frontend(wait=True, **files.config, **{"websocket.shell": shell}) for shell in SHELLS
        }
        self.frontend = self.frontends["detached"]
        # One connection for all: hundreds of rows ask.
        self.http = httpx.Client(base_url=self.frontend.url, trust_env=False, timeout=30)
        self.before = self.look()[1]

    def look(self) -> list[Any]:
        """Ask `watch`, which lives beside the vault: what was touched, and what the vault looks like."""
        return self.post(message_of("watch.look")).json()["result"]

    def post(self, text: str | bytes) -> httpx.Response:
        """Any body by `POST /rpc`."""
        return self.http.post("/rpc", content=text, headers={"Content-Type": "application/json"})

    def memory(self) -> int:
        """Bytes that the processes under attack hold together."""
        return sum(psutil.Process(service.pid).memory_info().rss for service in self.stack.services)

    def check_untouched(self) -> None:
        """Nothing ran, nothing changed, and everybody lives."""
        assert self.look() == [[], self.before]
        assert all(service.is_running for service in self.stack.services)


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Started once for the whole suite: a row takes some milliseconds, a start takes a second.

    On a server of its own: other tests, which may come in between, begin with an empty one.
    """
    server = EmbeddedServer.start()
    stack = Stack(
        server.url,
        folder=FOLDER,
        logs=tmp_path_factory.mktemp("logs"),
        **{
            "session.secret": SESSION_SECRET,
            "websocket_max_message_size": "20MiB",
            "console": "false",
            "metrics": "false",
        },
        allowed_origins="[https://lab.example.org]",
    )
    try:
        target = Target(stack, Files(tmp_path_factory.mktemp("files")))
        yield target
        target.http.close()
    finally:
        stack.close()
        server.stop()


@pytest.fixture
def untouched(target: Target) -> Iterator[Target]:
    """The target; the test must leave it as it was."""
    yield target
    target.check_untouched()


@pytest.fixture
async def client(target: Target) -> AsyncIterator[Client]:
    """A plain JSON-RPC client on a websocket."""
    async with Client(target.frontend.websocket_url) as client:
        yield client


async def by_websocket(client: Client, text: str) -> Any:
    """The answer to a message by websocket."""
    answer = await client.ask_raw(text)
    check_no_leak(answer)
    return answer


def by_post(target: Target, text: str | bytes) -> Any:
    """The answer to a message by POST."""
    response = target.post(text)
    assert response.status_code == 200, response.text
    check_no_leak(response.text)
    return response.json()
