"""Compressed copies of text files, and what clients say that they take."""

import asyncio
import gzip
import os
from pathlib import Path

import pytest

from wispy.frontend import compressed as module
from wispy.frontend.compressed import SMALLEST, Compressed, Copy, accepts_gzip, etag_of

TEXT = b"words and more words\n" * 500


@pytest.mark.parametrize(
    ("header", "is_taken"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5, deflate", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=1.0", True),
        ("", False),
        ("identity", False),
        ("x-gzipped", False),
    ],
)
def test_who_takes_gzip(header: str, is_taken: bool) -> None:
    assert accepts_gzip(header) is is_taken


def content(copy: Copy | None) -> bytes:
    assert copy is not None
    return gzip.decompress(copy.content)


async def test_copies_follow_their_files(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_bytes(TEXT)
    compressed = Compressed()
    copies = await asyncio.gather(*(compressed.of(str(file)) for _ in range(5)))
    assert all(copy is copies[0] for copy in copies), "compressed once"
    assert content(copies[0]) == TEXT
    file.write_bytes(TEXT[::-1])
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    assert content(await compressed.of(str(file))) == TEXT[::-1]


async def test_a_file_that_changes_while_it_is_read_is_asked_for_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a browser would keep what it was under the mark of what it is."""
    file = tmp_path / "x.txt"
    file.write_bytes(TEXT)

    def compress(name: str) -> bytes:
        copy = gzip.compress(Path(name).read_bytes())
        file.write_bytes(TEXT + b"and more")
        return copy

    monkeypatch.setattr(module, "_compress", compress)
    copy = await Compressed().of(str(file))
    now = file.stat()
    assert content(copy) == TEXT
    assert copy is not None
    assert copy.etag != etag_of(now.st_mtime_ns, now.st_size, "-gzip")


async def test_what_does_not_pay_leaves_as_it_is(tmp_path: Path) -> None:
    compressed = Compressed()
    for name, content in {"small": b"x" * (SMALLEST - 1), "noise": os.urandom(5000), "huge": bytes(5 << 20)}.items():
        (tmp_path / name).write_bytes(content)
        assert await compressed.of(str(tmp_path / name)) is None, name
    with pytest.raises(FileNotFoundError):
        await compressed.of(str(tmp_path / "absent"))


async def test_memory_is_bounded(tmp_path: Path) -> None:
    compressed = Compressed(limit=20_000)
    for number in range(30):
        file = tmp_path / f"{number}.txt"
        file.write_text(os.urandom(2000).hex())
        assert await compressed.of(str(file)) is not None
        assert compressed.size <= 20_000
