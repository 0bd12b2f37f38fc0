"""Names, folders and whitelists, without a server."""

import unicodedata
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.security.attack import rows
from wispy.config.schema import UploadRulesConfig
from wispy.frontend.upload_rules import LISTED, RefusedError, UploadFolder, checked_name, checked_path, is_there

NAMES = [row["file"] for row in rows("uploads") if row.get("status") != 415]  # any ending will do here
PATHS_OF_ATTACKS = [row["path"] for row in rows("static")]
ANYTHING: dict[str, Any] = {"file_creation_whitelist": ("*",), "file_overwrite_whitelist": ("*",)}
# Pieces of which attacks are made, and anything else.
PARTS = st.sampled_from(["..", ".", "/", "\\", "\0", "%2e", "inner", "outward", "link", "C:", "\u202e", " ", "x.png"])
PATHS = st.one_of(st.lists(PARTS, max_size=8).map("".join), st.text(max_size=40), st.sampled_from(PATHS_OF_ATTACKS))


def refusal(call: Any, *arguments: Any, **options: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        call(*arguments, **options)
    return caught.value


def attempt(call: Any, *arguments: Any) -> Any:
    """What the call returns, or the refusal that it raises."""
    try:
        return call(*arguments)
    except RefusedError as error:
        return error


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a folder outside, and links that lead there and within."""
    top = tmp_path_factory.mktemp("top")
    folder = top / "uploads"
    (folder / "inner").mkdir(parents=True)
    (top / "outside").mkdir()
    (top / "outside" / "secret").write_text("secret")
    (folder / "outward").symlink_to(top / "outside")
    (folder / "link").symlink_to(top / "outside" / "secret")
    (folder / "link.png").symlink_to(top / "outside" / "absent.png")
    (folder / "inward").symlink_to(folder / "inner")
    return folder


def of(folder: Path, **rules: Any) -> UploadFolder:
    return UploadFolder(folder, UploadRulesConfig(**{**ANYTHING, **rules}))


@pytest.mark.parametrize(
    "name", ["x", "x.png", "a b.tar.gz", "été.txt", "日本.png", "x~1", "-rf", "#x", "x.con", "👩‍🔬.png"]
)
def test_names_that_are_taken(name: str) -> None:
    assert checked_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_attacks_are_refused(folder: Path, name: str) -> None:
    error = refusal(of(folder).target, name)
    assert error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
    assert str(folder) not in error.text


@given(st.text(max_size=300))
def test_a_name_that_is_taken_is_one_name(name: str) -> None:
    taken = attempt(checked_name, name)
    if isinstance(taken, RefusedError):
        assert len(taken.text) < 200
        return
    assert Path("/a", taken).parts == ("/", "a", taken)
    assert len(taken.encode()) <= 255
    assert taken.isprintable() or not any(ord(char) < 32 for char in taken)
    assert checked_name(taken) == taken


@given(PATHS)
def test_no_path_leads_outside(folder: Path, path: str) -> None:
    target = attempt(of(folder).target, path)
    if isinstance(target, RefusedError):
        assert str(folder) not in target.text
        return
    assert target.path.resolve().is_relative_to(folder.resolve())
    assert Path(target.shown).is_relative_to(folder)
    assert not target.path.is_symlink()


@given(PATHS)
def test_no_listing_is_from_outside(folder: Path, path: str) -> None:
    try:
        names = of(folder).listing(path).names
    except RefusedError:
        return
    assert names in (["inner/"], []), "links are not listed"


def test_links_count_within_the_folder(folder: Path) -> None:
    target = of(folder).target("inward/x.png")
    assert target.path == folder.resolve() / "inner" / "x.png"
    assert target.shown == f"{folder.as_posix()}/inner/x.png", "whitelists see where it is"
    assert refusal(of(folder).target, "outward/x").status == HTTPStatus.NOT_FOUND
    assert refusal(of(folder).target, "link").status == HTTPStatus.CONFLICT
    assert refusal(of(folder).target, "inner").status == HTTPStatus.CONFLICT


def test_whitelists_see_the_absolute_path(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    for pattern, is_matched in {
        "*/uploads/*.png": True,
        f"{folder.as_posix()}/*": True,
        "*": True,
        "*.PNG": False,
        "*/uploads/x.pn": False,
        "/x.png": False,
    }.items():
        rules = of(folder, file_creation_whitelist=("nothing", pattern))
        if is_matched:
            assert rules.target("x.png").name == "x.png"
        else:
            assert refusal(rules.target, "x.png").status == HTTPStatus.FORBIDDEN
    other = UploadFolder(tmp_path, UploadRulesConfig(file_creation_whitelist=("*",)))
    assert "file_overwrite_whitelist" in refusal(other.target, "x.png").text
    assert other.target("y.png")


def test_nothing_is_taken_by_default(folder: Path) -> None:
    error = refusal(UploadFolder(folder, UploadRulesConfig()).target, "x.png")
    assert (error.status, error.text) == (
        HTTPStatus.FORBIDDEN,
        "x.png may not be created (upload.rules.file_creation_whitelist)",
    )


def test_file_types(folder: Path) -> None:
    rules = of(folder, accepted_filetypes=("png", ".TXT", "tar.gz"))
    for name in ("x.png", "X.PNG", "x.txt", "x.tar.gz", "a.b.png"):
        assert rules.target(name)
    for name in ("x.gz", "png", "x.png.py", "x.pngx", "x"):
        assert refusal(rules.target, name).status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def test_listings_are_sorted_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.png", "a.png", ".hidden", "c.png"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    listing = of(tmp_path).listing("")
    assert (listing.names, listing.complete) == (["a.png", "b.png", "c.png", "sub/"], True)
    assert LISTED > 4
    monkeypatch.setattr("wispy.frontend.upload_rules.LISTED", 2)
    assert (len(of(tmp_path).listing("").names), of(tmp_path).listing("").complete) == (2, False)
    assert refusal(of(tmp_path, get_names_allowed=False).listing, "").status == HTTPStatus.FORBIDDEN


def test_paths_are_bounded() -> None:
    assert checked_path("/".join("abc")) == ["a", "b", "c"]
    assert "16 parts" in refusal(checked_path, "a/" * 16 + "x").text


def test_only_plain_files_are_overwritten(tmp_path: Path) -> None:
    assert not is_there(tmp_path / "x")
    (tmp_path / "x").touch()
    assert is_there(tmp_path / "x")
    assert refusal(is_there, tmp_path).status == HTTPStatus.CONFLICT
    assert refusal(is_there, tmp_path / "x" / "y").status == HTTPStatus.BAD_REQUEST
