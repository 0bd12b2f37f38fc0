"""A file on its way to disk."""

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until
from wispy.frontend.incoming import PARTIAL_PREFIX, STALE_S, WRITE, IncomingFile, sweep
from wispy.frontend.upload_rules import Target


def incoming(folder: Path, name: str = "x.bin") -> IncomingFile:
    return IncomingFile(Target(name, folder / name, (folder / name).as_posix(), folder))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_it_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    file = incoming(tmp_path)
    content = os.urandom(3 * WRITE + 5)
    for start in range(0, len(content), 70_000):
        await file.write(content[start : start + 70_000])
    assert names(tmp_path) != ["x.bin"]
    assert names(tmp_path)[0].startswith(PARTIAL_PREFIX)
    await file.complete()
    file.publish(overwrites=False)
    assert names(tmp_path) == ["x.bin"]
    assert (tmp_path / "x.bin").read_bytes() == content
    assert file.size == len(content)
    file.discard()
    assert names(tmp_path) == ["x.bin"], "what is published stays"


async def test_it_overwrites_only_when_it_is_to(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_text("old")
    file = incoming(tmp_path)
    await file.write(b"new")
    await file.complete()
    with pytest.raises(FileExistsError):
        file.publish(overwrites=False)
    assert (tmp_path / "x.bin").read_text() == "old"
    file.publish(overwrites=True)
    assert (tmp_path / "x.bin").read_text() == "new"
    assert names(tmp_path) == ["x.bin"]


async def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    file = incoming(tmp_path)
    await file.write(b"new")
    await file.complete()
    file.publish(overwrites=False)
    assert (tmp_path / "x.bin").read_text() == "new"
    other = incoming(tmp_path)
    await other.complete()
    with pytest.raises(FileExistsError):
        other.publish(overwrites=False)
    other.discard()
    assert names(tmp_path) == ["x.bin"]
    gone = incoming(tmp_path, "y.bin")
    await gone.complete()
    gone.discard()
    with pytest.raises(FileNotFoundError):
        gone.publish(overwrites=False)
    assert names(tmp_path) == ["x.bin"]


async def test_what_is_discarded_is_gone(tmp_path: Path) -> None:
    file = incoming(tmp_path)
    await file.write(b"x" * WRITE)
    file.discard()
    file.discard()
    assert names(tmp_path) == []
    await file.write(b"x" * WRITE)  # what was on its way
    await file.complete()
    assert names(tmp_path) == []


async def test_discarding_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """A connection may be lost while a thread writes: the loop goes on, and the file is closed afterwards."""
    file = incoming(tmp_path)
    is_writing, may_go_on = threading.Event(), threading.Event()
    raw: Any = file._file

    class SlowDisk:
        closed = False

        def write(self, data: Any) -> int:
            is_writing.set()
            assert not raw.closed
            may_go_on.wait(10)
            return raw.write(data)

        def close(self) -> None:
            raw.close()

    file._file = SlowDisk()  # pyright: ignore[reportAttributeAccessIssue]
    writing = asyncio.create_task(file.write(b"x" * WRITE))
    await wait_until(is_writing.is_set, "the thread writes")
    file.discard()
    assert not raw.closed, "closed under the thread, its number might be another file's"
    assert names(tmp_path) == []
    may_go_on.set()
    await writing
    assert raw.closed


def test_what_nobody_writes_any_more_is_swept(tmp_path: Path) -> None:
    now = 1_000_000.0
    for name, age_s in (
        (f"{PARTIAL_PREFIX}old", STALE_S + 1),
        (f"{PARTIAL_PREFIX}new", 10),
        ("mine.bin", 10 * STALE_S),
    ):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now - age_s, now - age_s))
    sweep(tmp_path, now)
    assert names(tmp_path) == [f"{PARTIAL_PREFIX}new", "mine.bin"]
    sweep(tmp_path / "absent", now)
