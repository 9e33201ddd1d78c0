"""Tests of atomic writes: the new file or the old one, with its permissions, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from tinygrad_llm.files import atomic_write, save_safetensors, write_json, write_text


def written(path, content):
    """Write bytes and give the path back."""
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("old", [b"old\0bytes", None])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error, old):
    path = tmp_path / "model.bin"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half of the new")
        file.flush()
        raise error
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([] if old is None else [old])


def test_the_old_file_is_there_until_the_block_ends(tmp_path):
    path = written(tmp_path / "a", b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        assert {p.parent for p in tmp_path.rglob("*")} == {tmp_path}
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor):
        calls.append(("fsync", os.fstat(descriptor).st_size))
        fsync(descriptor)

    def record_replace(source, target):
        calls.append(("replace", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    with atomic_write(tmp_path / "a") as file:
        file.write(b"12345")
    assert calls == [("fsync", 5), ("replace", "a")]


def test_a_failed_rename_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError("in use")

    path = written(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="in use"), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_nested_writers_of_one_path_do_not_collide(tmp_path):
    path = tmp_path / "a"
    with atomic_write(path) as outer:
        outer.write(b"outer ")
        with atomic_write(path) as inner:
            inner.write(b"inner")
            outer.write(b"wins")
        assert path.read_bytes() == b"inner"
    assert path.read_bytes() == b"outer wins" and list(tmp_path.iterdir()) == [path]


def test_a_failed_outer_writer_keeps_what_the_inner_wrote(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as outer:
        outer.write(b"outer")
        with atomic_write(path) as inner:
            inner.write(b"inner")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"inner" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_gets_the_permissions_that_open_gives(tmp_path, mask):
    old_mask = os.umask(mask)
    try:
        (tmp_path / "plain").write_bytes(b"")
        save_safetensors(tmp_path / "ours", {})
    finally:
        os.umask(old_mask)
    plain, mine = ((tmp_path / name).stat().st_mode for name in ("plain", "ours"))
    assert stat.S_IMODE(mine) == stat.S_IMODE(plain)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_replaced_file_keeps_its_permissions_from_the_first_byte(tmp_path, mode):
    path = written(tmp_path / "a", b"old")
    path.chmod(mode)
    wanted = path.stat().st_mode
    with atomic_write(path):
        assert {p.stat().st_mode for p in tmp_path.iterdir()} == {wanted}
    assert path.stat().st_mode == wanted


def test_a_missing_folder_is_named_with_the_mend(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "no" / "a"):
        raise AssertionError("the block must not run")
    assert str(caught.value) == (
        f"the folder {tmp_path / 'no'} for a does not exist; create it first"
    )


def test_a_folder_is_no_target(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file inside it"):
        write_text(tmp_path, "text")


def test_a_file_is_no_folder(tmp_path):
    path = written(tmp_path / "a", b"old")
    with pytest.raises(NotADirectoryError, match="is a file, so b cannot lie in it"):
        write_text(path / "b", "text")


@pytest.mark.parametrize("mode", ["r", "a", "wb+", "x", ""])
def test_only_two_modes_are_offered(tmp_path, mode):
    with pytest.raises(ValueError, match="'w' and 'wb'"), atomic_write(tmp_path / "a", mode):
        raise AssertionError("the block must not run")
    assert not list(tmp_path.iterdir())


def test_text_is_utf8_with_unix_lines_unless_told_otherwise(tmp_path):
    path = tmp_path / "a"
    write_text(path, "词\nend\n")
    assert path.read_bytes() == "词\nend\n".encode()
    with atomic_write(str(path), "w", encoding="utf-16-le") as file:
        file.write("é\n")
    assert path.read_bytes() == "é\n".encode("utf-16-le")


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path):
    path = written(tmp_path / "a", b"old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_json_is_readable_utf8(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"标签": ["体育"], "n": 1})
    assert path.read_bytes() == '{\n  "标签": [\n    "体育"\n  ],\n  "n": 1\n}\n'.encode()
    with pytest.raises(TypeError):
        write_json(path, {"n": {1, 2}})
    assert json.loads(path.read_text("utf-8"))["n"] == 1


def test_a_full_disk_names_the_file(tmp_path):
    path = written(tmp_path / "a", b"old")
    said = f"No space left on device: '{path}'"
    with pytest.raises(OSError, match=said) as found, atomic_write(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert found.value.errno == errno.ENOSPC and path.read_bytes() == b"old"


def test_an_error_about_another_file_stays_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_write(tmp_path / "a"):
        (tmp_path / "elsewhere").read_bytes()
    assert not list(tmp_path.iterdir())
