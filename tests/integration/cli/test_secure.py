"""docs/how-to/secure.md, and docs/reference/access.md behind it: their files are written and their commands typed, as
by a newcomer who begins with the quickstart, and they show what the pages say."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.stack import Service, command, free_port
from wispy.config.load import load

ROOT = Path(__file__).parents[3]
PAGE = "\n".join((ROOT / "docs" / name).read_text() for name in ("how-to/secure.md", "reference/access.md"))
BLOCK = re.compile(r"(?P<before>[^\n]*)\n\n```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)
FILE = re.compile(r"`([\w.]+\.(?:py|yaml))`[^`]*:$")
ADDRESS = "http://127.0.0.1:5000"


@dataclass
class Newcomer:
    """A person at a terminal, in a copy of the quickstart's folder."""

    folder: Path
    port: int = field(default_factory=free_port)
    server: Service | None = None
    typed: list[str] = field(default_factory=list[str])

    @property
    def environment(self) -> dict[str, str]:
        """The page's own, and the port, which it leaves at 5000."""
        places = [str(Path(sys.executable).parent), os.environ["PATH"]]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WISPY_")}
        own = {"WISPY_PORT": str(self.port), "WISPY_URL": self.url, "WISPY_LAUNCH": "never"}
        return {**kept, "PATH": os.pathsep.join(places), **own}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def type(self, line: str, shown: str) -> None:
        """Type a command; it shows this, where `...` stands for anything."""
        self.typed.append(line)
        expected = re.escape(shown.replace(ADDRESS, self.url)).replace(re.escape("..."), ".*")
        if line == "python quickstart.py":
            log = self.folder / "server.log"
            self.server = Service([sys.executable, "quickstart.py"], folder=self.folder, log=log, env=self.environment)
            self.server.wait_until_says(expected)
            return
        # What a command exports is there for the next one.
        script = f"touch exported; . ./exported; {line}\nexport -p > exported"
        run = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert re.fullmatch(expected, run.stdout, re.DOTALL), f"$ {line}\n{run.stdout}\nand not\n{shown}"


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    shutil.copytree(ROOT / "examples/quickstart", tmp_path, dirs_exist_ok=True)
    newcomer = Newcomer(tmp_path)
    yield newcomer
    if newcomer.server is not None:
        newcomer.server.kill()


@pytest.mark.timeout(240)  # some twenty commands, each of which starts Python
def test_all_that_the_pages_say_is_so(newcomer: Newcomer) -> None:
    blocks = list(BLOCK.finditer(PAGE))
    assert len(blocks) == PAGE.count("```") / 2
    for block in blocks:
        text, named = block["text"], FILE.search(block["before"])
        match block["language"]:
            case "console":
                for typed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                    newcomer.type(*typed)
            case "python" | "yaml" if named is not None:
                newcomer.write(named[1], text)
            case "python":
                exec(compile(text, "documentation", "exec"), {})
            case "yaml":
                newcomer.write("part.yaml", text)
                load(newcomer.folder / "part.yaml", environ={})
            case "html" | "js":  # tests/browser/test_secure.py tries them
                pass
            case language:
                pytest.fail(f"nothing runs what is written in {language}")
    assert len(newcomer.typed) == PAGE.count("\n$ ") > 10
    assert newcomer.server is not None
    assert newcomer.server.is_running


def test_as_is_for_a_place_in_a_module(tmp_path: Path) -> None:
    run = subprocess.run(
        [command("wispy"), "describe", "motor", "--as", "operator"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "--as is for MODULE:OBJECT" in run.stderr
