"""Tests of the benchmarks of growth, of ops and of the import: known powers, files, refusals."""

from __future__ import annotations

import json
import math
import re

import pytest

from tests.benchmarks import (
    gpt,
    growth,
    import_time,
    op_cost,
    race,
)


def test_the_exponent_of_known_powers():
    values = [1, 2, 4, 8]
    assert growth.exponent(values, [5 * v**1.5 for v in values]) == pytest.approx(1.5)
    assert growth.exponent(values, [7.0] * 4) == pytest.approx(0.0)


def test_counts_of_a_small_model():
    sizes = gpt.Sizes(layers=2, heads=2, width=4, context=8, batch=3, vocabulary=10)
    # Forward, each token: 12·4² weights and 2·8·4 products of scores in 2 layers, 10·4 in the head.
    assert growth.multiplications(sizes) == 3 * (3 * 8) * (2 * (192 + 64) + 40)
    kept = 16 * 3 * 8 * 4 + 3 * 2 * 8 * 8
    assert growth.floats(sizes) == 4 * (2 * 192 + (10 + 8) * 4) + 3 * kept


def test_growth_prints_tables_and_writes_json(monkeypatch, tmp_path, capsys):
    small = gpt.Sizes(layers=1, heads=2, width=8, context=8, batch=2, vocabulary=10)
    monkeypatch.setattr(growth, "BASE", small)
    monkeypatch.setattr(growth, "AXES", {"T": ("context", (4, 8))})
    monkeypatch.setattr(race, "PAUSE", 0.0)
    path = tmp_path / "grown.json"
    assert growth.main(["--repeats", "2", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ +T +ms a step +peak MiB$", out, re.MULTILINE)
    assert re.search(r"^ +8  \d\S* \(\S+–\S+\)", out, re.MULTILINE)
    assert re.search(r"time ~ T\^\S+, by its count T\^1\.", out) and "Indicative" in out
    found = json.loads(path.read_text("utf-8"))["axes"]["T"]
    assert found["values"] == [4, 8] and [len(row["all"]) for row in found["seconds"]] == [2, 2]
    counted = [growth.multiplications(small._replace(context=T)) for T in (4, 8)]
    assert found["time"]["expected"] == pytest.approx(math.log2(counted[1] / counted[0]))


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["W"], "there is no axis W; there are: T, D, layers, batch, V"),
        (["T", "--repeats", "1"], "--repeats: 1 has no quartiles"),
        (["T", "--json", "no/such/x.json"], "--json: there is no folder"),
        (["T", "--json", "tests"], "--json: tests is a folder; name a file in it"),
    ],
)
def test_wrong_usage_of_growth_gets_one_line(words, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        growth.main(words)
    errors = capsys.readouterr().err
    assert ended.value.code == 2 and len(errors.splitlines()) == 1 and complaint in errors


@pytest.mark.parametrize("tool", [import_time, op_cost])
@pytest.mark.parametrize(
    "words, complaint",
    [
        (["--repeats", "0"], "--repeats: 0 has no quartiles; give 2 or more"),
        (["--repeats", "x"], "argument --repeats: invalid int value: 'x'"),
        (["--json", "tests"], "--json: tests is a folder; name a file in it"),
    ],
)
def test_wrong_usage_of_the_smaller_tools_gets_one_line(tool, words, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        tool.main(words)
    errors = capsys.readouterr().err
    assert ended.value.code == 2 and len(errors.splitlines()) == 1 and complaint in errors


def test_the_smaller_tools_measure_and_write_json(tmp_path, capsys):
    for tool, key in ((import_time, "seconds"), (op_cost, "add")):
        path = tmp_path / f"{key}.json"
        assert tool.main(["--repeats", "2", "--json", str(path)]) == 0
        assert key in json.loads(path.read_text("utf-8"))
    assert "import numpy takes" in capsys.readouterr().out
