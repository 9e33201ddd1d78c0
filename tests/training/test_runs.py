"""Runs with options and a folder: which begin, which go on, and whose folder it is."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest

from tinygrad_llm.files import locked
from tinygrad_llm.training import runs
from tinygrad_llm.training.checkpoints import checkpoint_path

KIND = runs.Kind("a test 1", ("out", "data", "resume"))

SAID = {"texts": "abc", "config": {"width": 3}}


@dataclass(frozen=True)
class Options:
    out: str
    data: str = "here"
    size: int = 2
    rate: float = 0.5
    resume: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@pytest.fixture
def options(tmp_path):
    return Options(str(tmp_path / "out"))


def begin(options, **said):
    with runs.alone_in(runs.Path(options.out)):
        runs.begin(KIND, runs.Path(options.out), options, **{**SAID, **said})


def refused(kind, options):
    with pytest.raises(kind) as caught:
        runs.begun(KIND, options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_begins_in_a_folder_that_is_new_or_empty(options, tmp_path):
    assert runs.begun(KIND, options) is None
    (tmp_path / "out").mkdir()
    assert runs.begun(KIND, options) is None
    (tmp_path / "out" / ".hidden").write_text("as of a file manager")
    assert runs.begun(KIND, options) is None


def test_what_was_said_comes_back(options):
    begin(options, start="xyz")
    found = runs.begun(KIND, replace(options, resume=True))
    assert found == {"format": "a test 1", "options": options.to_dict(), **SAID, "start": "xyz"}
    begin(replace(options, resume=True))  # by which a run could not begin
    assert runs.begun(KIND, replace(options, resume=True))["options"]["resume"] is False


def test_a_folder_with_a_run_or_with_something_else_is_not_free(options, tmp_path):
    begin(options)
    expected = f"out {options.out} has a run: go on with resume, or give another folder"
    assert refused(FileExistsError, options) == expected
    other = Options(str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    for name in ("b", "a", ".c"):
        (tmp_path / "other" / name).write_text("")
    assert refused(FileExistsError, other).endswith("has a in it: give a new or empty folder")
    file = Options(str(tmp_path / "other" / "b"))
    assert refused(NotADirectoryError, file).endswith("is a file; give the name of a folder")


def test_without_a_run_there_is_nothing_to_go_on_with(options, tmp_path):
    again = replace(options, resume=True)
    said = f"out {options.out} has no run to go on with: leave resume out to begin one"
    assert refused(FileNotFoundError, again) == said
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("")
    assert refused(FileNotFoundError, again) == said


def test_options_are_as_they_were_but_those_of_place(options, tmp_path):
    begin(options)
    (tmp_path / "out").rename(tmp_path / "moved")
    again = Options(str(tmp_path / "moved"), data="there", resume=True)
    assert runs.begun(KIND, again)["options"]["data"] == "here"
    said = refused(ValueError, replace(again, size=3, rate=0.25))
    assert said == (
        "resume: size was 2 and is 3; rate was 0.5 and is 0.25: give what it was, or another out"
    )


def test_an_option_that_came_later_is_no_difference(options, tmp_path):
    begin(options)
    path = tmp_path / "out" / "options.json"
    found = json.loads(path.read_text())
    del found["options"]["rate"]
    path.write_text(json.dumps(found))
    assert runs.begun(KIND, replace(options, resume=True, rate=0.1))


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        "{",
        "[]",
        "3",
        "[" * 100_000,
        b"\xff\xfe",
        {"format": "another kind 1"},
        {"options": []},
        {"config": None},
        {"texts": ""},
        *({name: ...} for name in ("format", "options", "config", "texts")),
    ],
    ids=lambda each: str(each)[:24],
)
def test_a_broken_or_foreign_file_is_named(change, resume, options, tmp_path):
    begin(options)
    path = tmp_path / "out" / "options.json"
    if isinstance(change, dict):
        found = {**json.loads(path.read_text()), **change}
        path.write_text(json.dumps({k: v for k, v in found.items() if v is not ...}))
    else:
        path.write_bytes(change if isinstance(change, bytes) else change.encode())
    said = refused(ValueError, replace(options, resume=resume))
    assert said == f"{path} is of no run of ours, or broken: give another out"


def test_one_process_is_in_a_folder(options, tmp_path):
    folder = tmp_path / "deep" / "out"
    with runs.alone_in(folder):
        assert folder.is_dir()
        message = r"a process is training in .*out: wait for it, or end it"
        with pytest.raises(BlockingIOError, match=message), runs.alone_in(folder):
            raise AssertionError
    assert not list(folder.iterdir())
    with (
        locked(folder / runs.LOCK, "held"),
        pytest.raises(BlockingIOError),
        runs.alone_in(folder),
    ):
        raise AssertionError


@pytest.mark.parametrize("saved", [False, True], ids=["nothing saved", "saved"])
@pytest.mark.parametrize(
    ("error", "always", "once_saved"),
    [
        (KeyboardInterrupt(), True, True),
        (SystemExit(143), True, True),
        (OSError(28, "No space left on device"), False, True),
        (MemoryError(), False, True),
        (FloatingPointError("the loss is nan"), False, False),
        (ValueError("a"), False, False),
    ],
    ids=lambda each: type(each).__name__,
)
def test_how_to_go_on_is_said_where_that_helps(error, always, once_saved, saved, tmp_path, capsys):
    if saved:
        checkpoint_path(tmp_path, 3).write_bytes(b"")
    with pytest.raises(type(error)), runs.saying_how_to_go_on(tmp_path, "run it again"):
        raise error
    said = capsys.readouterr().out
    assert said == ("go on with\n  run it again\n" if (once_saved if saved else always) else "")


def test_nothing_is_said_where_nothing_is_given_or_goes_wrong(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt), runs.saying_how_to_go_on(tmp_path, ""):
        raise KeyboardInterrupt
    with runs.saying_how_to_go_on(tmp_path, "run it again"):
        os.path.exists(tmp_path)
    assert capsys.readouterr().out == ""
