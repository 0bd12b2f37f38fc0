import logging
import os
import resource
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wispy.bounded_file import BoundedFile


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("wispy.audit", logging.INFO, "", 0, text, None, None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_lines_are_appended_and_nobody_else_may_read_them(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    path.write_text("before\n")
    path.chmod(0o600)
    file = BoundedFile(str(path), 1000, 2)
    for text in ("one", "two"):
        file.emit(record(text))
    file.close()
    assert path.read_text() == "before\none\ntwo\n"
    other = BoundedFile(str(tmp_path / "new"), 1000, 2)
    other.close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_full_file_is_renamed_and_the_oldest_goes(tmp_path: Path) -> None:
    file = BoundedFile(str(tmp_path / "audit"), 25, 2)
    for number in range(10):
        file.emit(record(f"line {number:4}"))  # ten bytes with its end
    file.close()
    assert names(tmp_path) == ["audit", "audit.1", "audit.2"]
    texts = [(tmp_path / name).read_text().split("\n") for name in ("audit.2", "audit.1", "audit")]
    assert [line[-1:] for text in texts for line in text if line] == ["4", "5", "6", "7", "8", "9"]


def test_a_line_larger_than_the_file_is_written_all_the_same(tmp_path: Path) -> None:
    file = BoundedFile(str(tmp_path / "audit"), 10, 1)
    file.emit(record("x" * 50))
    file.emit(record("y"))
    file.close()
    assert (tmp_path / "audit.1").read_text() == "x" * 50 + "\n"
    assert (tmp_path / "audit").read_text() == "y\n"


def test_it_begins_anew_where_somebody_else_has_moved_the_file(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    file = BoundedFile(str(path), 1000, 1)
    file.emit(record("one"))
    path.rename(tmp_path / "moved")  # as logrotate does
    file.emit(record("two"))
    file.close()
    assert (tmp_path / "moved").read_text() == "one\n"
    assert path.read_text() == "two\n"


def test_who_cannot_rename_a_full_file_does_not_have_the_others_wait(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    (tmp_path / "audit.1" / "in the way").mkdir(parents=True)
    files = [BoundedFile(str(path), 10, 1) for _ in range(2)]
    files[0].emit(record("x" * 50))
    files[0].emit(record("lost"))
    other = threading.Thread(target=files[1].emit, args=(record("lost"),), daemon=True)
    other.start()
    other.join(10)
    assert not other.is_alive(), "it waits for a lock that nobody gives back"
    for file in files:
        file.close()
    assert path.read_text() == "x" * 50 + "\n"


WRITER = """
import logging, sys
from wispy.bounded_file import BoundedFile
file = BoundedFile(sys.argv[1], 2000, 1000)
for number in range(1000):
    file.emit(logging.LogRecord("wispy.audit", logging.INFO, "", 0, f"{sys.argv[2]} {number}", None, None))
"""


def test_processes_share_a_file_and_no_line_is_lost(tmp_path: Path) -> None:
    path = str(tmp_path / "audit")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name]) for name in "abc"]
    for writer in writers:
        assert writer.wait(60) == 0
    assert len(names(tmp_path)) > 5
    seen = Counter(line for file in tmp_path.iterdir() for line in file.read_text().splitlines())
    assert seen == Counter(f"{name} {number}" for name in "abc" for number in range(1000))


def test_a_line_that_cannot_be_written_is_told_of_once_in_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = BoundedFile(str(tmp_path / "audit"), 1000, 1)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        for number in range(5):
            file.emit(record(str(number)))
    file.emit(record("again"))
    file.close()
    assert [entry.getMessage() for entry in caplog.records] == [
        f"1 lines could not be written to {tmp_path / 'audit'}: No space left on device"
    ]
    assert (tmp_path / "audit").read_text() == "again\n"


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: as on a full disk, what fits is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_of_which_only_a_part_could_be_written_leaves_blanks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit"
    file, other = (BoundedFile(str(path), 1000, 1) for _ in range(2))
    file.emit(record("one"))
    with room_for(len("one\nhalf")):
        file.emit(record("half a line"))
        file.emit(record("of this one nothing"))
    for writer, text in ((other, "two"), (file, "three")):
        writer.emit(record(text))
    assert path.read_text() == "one\n   \ntwo\nthree\n"
    assert file._lost == 1, "counted for the next complaint"
    assert [entry.getMessage() for entry in caplog.records] == [
        f"1 lines could not be written to {path}: there is no room for a whole line"
    ]
    other.emit(record("four"))
    file._blank(len("three\n"))  # too late: somebody has appended
    assert path.read_text() == "one\n   \ntwo\n     \nfour\n"
    for each in (file, other):
        each.close()


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        BoundedFile(str(tmp_path / "absent" / "audit"), 1000, 1)
