"""Tests of the run's log: rows as they come, and cut back to a checkpoint."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tinygrad_llm.training import logs
from tinygrad_llm.training.logs import RunLog


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def filled(folder, count, log=None):
    log = log or RunLog(folder)
    for step in range(1, count + 1):
        log.add("train", {"step": step, "loss": 1.0 / step})
    return log


def test_rows_are_on_disk_at_once_in_all_files(tmp_path):
    log = filled(tmp_path, 3)
    log.add("eval", {"step": 3, "eval_loss": 0.5, "eval_词": 1.0})
    log.add("test", {"step": 3, "time": "now"})
    assert [row["step"] for row in rows(tmp_path / "train.csv")] == ["1", "2", "3"]
    assert rows(tmp_path / "eval.csv") == [{"step": "3", "eval_loss": "0.5", "eval_词": "1.0"}]
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["train"] * 3 + ["eval", "test"]
    assert [json.loads(line) for line in lines] == log.history


def test_a_number_is_read_back_as_it_was(tmp_path):
    log = RunLog(tmp_path)
    log.add("train", {"step": 1, "loss": 0.1 + 0.2})
    assert float(rows(tmp_path / "train.csv")[0]["loss"]) == 0.1 + 0.2


def test_without_a_folder_rows_are_in_memory():
    log = filled(None, 2)
    assert [row["step"] for row in log.history] == [1, 2]
    assert log.position() == {}
    log.go_back({})
    assert len(log.history) == 2


@pytest.mark.parametrize("torn", ["", "4,0.2", '{"kind": "tra'])
def test_going_back_leaves_what_was_there_at_the_checkpoint(tmp_path, torn):
    log = filled(tmp_path, 2)
    position = log.position()
    filled(tmp_path, 5, log)
    for name in ("train.csv", "log.jsonl"):
        with open(tmp_path / name, "a", encoding="utf-8") as file:
            file.write(torn)
    again = RunLog(tmp_path)
    again.go_back(position)
    assert [row["step"] for row in again.history] == [1, 2]
    again.add("train", {"step": 3, "loss": 0.3})
    assert [row["step"] for row in rows(tmp_path / "train.csv")] == ["1", "2", "3"]
    assert not (tmp_path / "eval.csv").exists()


def test_going_back_before_the_first_row_leaves_no_header_without_rows(tmp_path):
    log = RunLog(tmp_path)
    position = log.position()
    filled(tmp_path, 2, log)
    log.go_back(position)
    filled(tmp_path, 1, log)
    assert rows(tmp_path / "train.csv") == [{"step": "1", "loss": "1.0"}]


def test_lost_rows_are_told(tmp_path):
    log = filled(tmp_path, 3)
    position = log.position()
    (tmp_path / "train.csv").unlink()
    with pytest.warns(UserWarning, match=r"train\.csv has 0 bytes and had \d+ at the checkpoint"):
        RunLog(tmp_path).go_back(position)


def test_a_row_keeps_to_the_columns_of_the_first(tmp_path):
    log = filled(tmp_path, 1)
    log.add("train", {"loss": 0.5, "step": 2, "more": 3})
    assert rows(tmp_path / "train.csv")[1] == {"step": "2", "loss": "0.5"}
    assert log.history[1]["more"] == 3


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs, "open", lambda *_, **__: Full(), raising=False)
    with pytest.raises(OSError, match="No space left") as caught:
        logs._append(tmp_path / "log.jsonl", "{}")
    assert caught.value.filename == str(tmp_path / "log.jsonl")
