"""Tests of manifests."""

from __future__ import annotations

import hashlib
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import check_manifest, manifest, write_manifest
from tinygrad_llm.data.manifest import _describe


@pytest.fixture
def folder(tmp_path):
    """A small data set."""
    folder = tmp_path / "data"
    (folder / "more").mkdir(parents=True)
    (folder / "train.tsv").write_bytes("好\t正\n差\t负\n".encode())
    (folder / "more" / "test.tsv").write_bytes(b"a\tb")
    (folder / "image.bin").write_bytes(b"\n\0\n")
    (folder / ".hidden").write_bytes(b"x")
    return folder


@given(st.binary(max_size=50))
def test_files_are_described(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "described"
    file.write_bytes(data)
    rows = None if b"\0" in data else len(data.split(b"\n")) - data.endswith(b"\n") - (not data)
    expected = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": rows}
    assert manifest(file) == {str(file): expected} == manifest([file])


def test_a_file_is_read_in_pieces(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"ab\nc\n\nde")
    whole = _describe(file)
    # The package's name `manifest` is the function, so its module is looked up by the full name.
    monkeypatch.setattr(sys.modules["tinygrad_llm.data.manifest"], "_CHUNK", 3)
    assert _describe(file) == whole and whole["rows"] == 4
    file.write_bytes(b"a\0b\nc\n")
    assert _describe(file)["rows"] is None


def test_a_folder_is_described_by_its_files_in_order(folder):
    found = manifest(folder)
    assert list(found) == ["image.bin", "more/test.tsv", "train.tsv"]
    assert [entry["rows"] for entry in found.values()] == [None, 1, 2]
    assert manifest(str(folder)) == found


def test_a_manifest_holds_what_is_needed_and_agrees(folder):
    path = folder / "manifest.json"
    write_manifest(folder, path, source="https://example.org", licence="CC BY 4.0")
    content = json.loads(path.read_text("utf-8"))
    assert (content["source"], content["licence"]) == ("https://example.org", "CC BY 4.0")
    listed = {name: entry for name, entry in manifest(folder).items() if name != path.name}
    assert (content["folder"], content["files"]) == (".", listed)
    check_manifest(path)
    write_manifest(folder, path)
    check_manifest(str(path))


def test_folder_and_manifest_can_be_moved_together(folder, tmp_path, monkeypatch):
    (tmp_path / "lists").mkdir()
    monkeypatch.chdir(tmp_path)
    write_manifest("data", "lists/data.json")
    assert json.loads((tmp_path / "lists/data.json").read_text())["folder"] == "../data"
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "lists").rename(moved / "lists")
    folder.rename(moved / "data")
    check_manifest(moved / "lists" / "data.json")
    (moved / "data").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=r"data\.json: its folder .* does not exist; put"):
        check_manifest(moved / "lists" / "data.json")


def test_every_change_is_named(folder, tmp_path):
    path = tmp_path / "data.json"
    write_manifest(folder, path)
    (folder / "train.tsv").write_bytes("好\t负\n差\t正\n".encode())
    (folder / "more" / "test.tsv").unlink()
    (folder / "more" / "extra.tsv").write_bytes(b"")
    (folder / "new.tsv").write_bytes(b"")
    with pytest.raises(ValueError) as caught:
        check_manifest(path)
    assert str(caught.value) == (
        f"{path}: changed: train.tsv; missing: more/test.tsv; new: more/extra.tsv, new.tsv; "
        "bring the files back or write the manifest again"
    )


def test_a_folder_that_lost_all_its_files_is_reported(folder, tmp_path):
    write_manifest(folder, tmp_path / "data.json")
    for file in [*folder.glob("*.*"), *folder.glob("more/*")]:
        if file.is_file():
            file.unlink()
    with pytest.raises(ValueError, match=r"missing: image\.bin, more/test\.tsv, train\.tsv; bring"):
        check_manifest(tmp_path / "data.json")


def test_a_failed_write_leaves_the_old_manifest(folder, tmp_path):
    path = tmp_path / "data.json"
    write_manifest(folder, path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_manifest(folder, path, source=object())
    assert path.read_bytes() == before and list(tmp_path.glob("*.tmp")) == []


def test_what_cannot_be_listed_is_one_clear_line(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="none does not exist; check the name"):
        manifest([folder / "none"])
    with pytest.raises(IsADirectoryError, match="is a folder; give it alone"):
        manifest([folder])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no files; give the folder of the data"):
        manifest(tmp_path / "empty")
    with pytest.raises(ValueError, match="holds no files"):
        write_manifest(tmp_path / "empty", tmp_path / "empty" / "manifest.json")
    with pytest.raises(NotADirectoryError, match=r"train\.tsv is no folder; give"):
        write_manifest(folder / "train.tsv", tmp_path / "m.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "is no manifest"),
        (b'{"folder": 3, "files": {}}', "is no manifest"),
        (b'{"folder": "."}', "is no manifest"),
        (b"{", r"is no JSON \(.*\)"),
        (b"\xff", r"is no JSON \(.*\)"),
        (b"[" * 100_000, r"is no JSON \(.*\)"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, content, message):
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"manifest\.json {message}; write it with"):
        check_manifest(path)
    with pytest.raises(FileNotFoundError, match="is no file; write it with write_manifest"):
        check_manifest(tmp_path)
