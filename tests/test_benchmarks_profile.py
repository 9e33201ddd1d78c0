"""Tests of the profile of a race's step: its rows add up, and wrong usage ends in one line."""

from __future__ import annotations

import json
import re

import pytest

from tests.benchmarks import bert_c, decode_g, gpt, profile

SIZES = gpt.Sizes(layers=1, heads=2, width=8, context=40, batch=1, vocabulary=11)


def test_a_training_step_has_its_ops_its_optimizer_and_the_rest():
    found = profile.measure(bert_c.ours(SIZES, bert_c.start(SIZES)), 3)
    rows = {name: (calls, ms, megabytes) for name, calls, ms, megabytes in found["rows"]}
    assert found["steps"] == 3 and rows["linear forward"][0] == rows["linear backward"][0] == 5
    assert rows["linear_gelu forward"][0] == 2 and rows["linear forward"][2] > 0
    parts = [rows[name] for name in (profile.OPTIMIZER, profile.WALK, profile.REST)]
    assert all(calls is megabytes is None and ms > 0 for calls, ms, megabytes in parts)
    assert sum(ms for _, ms, _ in rows.values()) == pytest.approx(found["ms"])


def test_writing_has_neither_backward_nor_optimizer():
    found = profile.measure(decode_g.ours(SIZES, decode_g.start(SIZES), tokens=4), 2)
    names = [name for name, *_ in found["rows"]]
    assert profile.REST in names and "linear forward" in names
    assert profile.OPTIMIZER not in names and not any("backward" in name for name in names)


def test_methods_are_as_before_after_an_error():
    from tinygrad_llm import Tensor
    from tinygrad_llm.optim.base import Optimizer

    before = Optimizer.step, Tensor.backward

    def step(number):
        if number >= profile.WARM:
            raise KeyError("no batch")

    with pytest.raises(KeyError):
        profile.measure(step, 1)
    assert (Optimizer.step, Tensor.backward) == before


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys):
    path = tmp_path / "found.json"
    words = ["d", "--repeats", "2", "--threads", "1", "--json", str(path)]
    assert profile.main(words) == 0
    out = capsys.readouterr().out
    assert ", 1 threads\n" in out and "\nd: one training step, MLP" in out
    shares = re.findall(r"^  (\S.*?) +\d+\.\d\d +(\d+\.\d)%", out, re.MULTILINE)
    assert "linear forward" in dict(shares) and profile.OPTIMIZER in dict(shares)
    assert sum(float(share) for _, share in shares) == pytest.approx(100, abs=1)
    assert [float(share) for _, share in shares] == sorted((float(s) for _, s in shares))[::-1]
    assert json.loads(path.read_text("utf-8"))["d"]["steps"] == 2


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["z"], "there is no benchmark z; there are: a, b, c, d"),
        (["d", "--repeats", "1"], "--repeats: 1 has no quartiles"),
        (["d", "--threads", "0"], "--threads: 0; give 1 or more"),
        (["d", "--json", "no/such/x.json"], "--json: there is no folder"),
    ],
)
def test_wrong_usage_gets_one_line(words, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        profile.main(words)
    out, errors = capsys.readouterr()
    assert ended.value.code == 2 and out == ""
    assert len(errors.splitlines()) == 1 and complaint in errors
