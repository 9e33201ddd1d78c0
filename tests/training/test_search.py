"""Tests of the search: spaces, what each method tries, and the file from which it goes on."""

from __future__ import annotations

import json
import math
import os
import statistics

import numpy as np
import pytest

from tests.fixtures.make_search_tables import FILE, GRIDS, row_of
from tinygrad_llm import Tensor
from tinygrad_llm._text import width
from tinygrad_llm.training import spaces
from tinygrad_llm.training.search import search
from tinygrad_llm.training.spaces import Choice, Integer, LogUniform, Uniform, draw, place
from tinygrad_llm.training.trials import SearchResult, Trial

TABLES = json.loads(FILE.read_text(encoding="utf8"))

MIXED = {
    "lr": LogUniform(1e-4, 1.0),
    "dropout": Uniform(0.0, 0.6),
    "layers": Integer(1, 8),
    "act": Choice(["relu", "tanh", None]),
}

SMALL = {"a": Choice([1, 2, 3]), "b": Choice(["x", "y"]), "c": Integer(0, 1)}


def bowl(settings):
    """Lowest, 0, at lr 0.01, dropout 0.2, 3 layers and tanh; lost where lr is large."""
    if settings["lr"] > 0.3:
        return math.nan
    distance = (math.log10(settings["lr"]) + 2) ** 2 + 4 * (settings["dropout"] - 0.2) ** 2
    return distance + 0.1 * abs(settings["layers"] - 3) + 0.2 * (settings["act"] != "tanh")


def tried(result):
    return [tuple(trial.settings.values()) for trial in result.trials]


class Stop(Exception):
    """Raised by an objective to end the search."""


# Spaces


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Uniform(1.0, 1.0), ValueError, r"Uniform\(1.0, 1.0\): low must be below high"),
        (lambda: Uniform(0.0, math.inf), ValueError, "both finite"),
        (lambda: Uniform(math.nan, 1.0), ValueError, "low must be below high"),
        (lambda: LogUniform(1.0, 0.1), ValueError, r"LogUniform\(1.0, 0.1\): low must be below"),
        (lambda: LogUniform(0.0, 1.0), ValueError, "0.0 has no logarithm: low must be above 0"),
        (lambda: Integer(5, 5), ValueError, r"Integer\(5, 5\): low must be below high"),
        (lambda: Integer(0.5, 2), TypeError, "float"),
        (lambda: Choice([]), ValueError, "nothing to choose from"),
        (lambda: Choice([0.1, 0.2, 0.1]), ValueError, "0.1 stands there twice"),
        (lambda: Choice("abc"), TypeError, "'abc' is one string"),
        (lambda: Choice([math.sin]), TypeError, "choose among names"),
        (lambda: Choice([math.nan]), TypeError, "nan cannot be written"),
    ],
)
def test_ranges_that_are_none_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_draws_are_in_the_range_and_even_on_its_scale():
    generator = np.random.default_rng(0)
    for name, dimension in MIXED.items():
        drawn = [dimension.draw(generator) for _ in range(2000)]
        assert all(dimension.read(value) == value for value in drawn)
        places = np.array([dimension.place(value) for value in drawn])
        assert places.min() >= 0.0 and places.max() <= 1.0
        if name != "act":
            assert places.mean() == pytest.approx(0.5, abs=0.03)
    assert {MIXED["layers"].draw(generator) for _ in range(200)} == set(range(1, 9))


def test_places_on_the_unit_cube():
    lr = LogUniform(1e-4, 1.0)
    assert [lr.place(v)[0] for v in (1e-4, 1e-2, 1.0)] == pytest.approx([0.0, 0.5, 1.0])
    assert LogUniform(1e-300, 1e300).place(1.0) == pytest.approx([0.5])
    assert [Choice([100, 1, 10]).place(v) for v in (1, 10, 100)] == [[0.0], [0.5], [1.0]]
    assert Choice([7]).place(7) == [0.0]
    names = Choice(["a", "b", True])
    a, b, c = (np.array(names.place(v)) for v in names.values)
    assert [np.linalg.norm(d) for d in (a - b, b - c, a - c)] == pytest.approx([1.0] * 3)
    assert len(place(MIXED, draw(MIXED, np.random.default_rng(0)))) == 6


def test_choices_come_from_numpy_and_keep_their_kind():
    choice = Choice(np.geomspace(1e-3, 1e-1, 3))
    assert [type(v) for v in choice.values] == [float] * 3
    assert Choice([np.int64(3)]).values == [3]
    assert Choice([1, 1.0, True]).read(json.loads("1.0")) is not True
    assert Choice([(32, 64), (16,)]).read(json.loads("[32, 64]")) == (32, 64)


def test_choices_that_are_equal_in_python_have_places_of_their_own():
    choice = Choice([1, 1.0, True])
    assert [choice.index(value) for value in (True, 1.0, 1)] == [2, 1, 0]
    with pytest.raises(ValueError, match=r"2 is not among \[1, 1\.0, True\]"):
        choice.index(2)


# Methods


def test_a_grid_covers_every_combination_once():
    result = search(lambda s: s["a"], SMALL)
    assert tried(result) == [(a, b, c) for a in (1, 2, 3) for b in "xy" for c in (0, 1)]
    assert result.best == result.trials[0] and result.best.value == 1.0
    assert search(lambda s: s["a"], SMALL, maximize=True).best.settings["a"] == 3


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_finite_space_is_never_tried_twice_and_ends(method):
    for seed in range(3):
        result = search(lambda s: 1.0, SMALL, method, trials=50, seed=seed)
        assert len(result.trials) == len(set(tried(result))) == 12


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_space_that_is_not_listed_is_not_tried_twice_either(method, monkeypatch):
    monkeypatch.setitem(search.__globals__, "FEW", 10)
    monkeypatch.setitem(search.__globals__, "CANDIDATES", 4)
    result = search(lambda s: s["a"], SMALL, method, trials=50)
    assert len(result.trials) == len(set(tried(result))) == 12


@pytest.mark.parametrize(("method", "few"), [("grid", 4096), ("random", 4096), ("random", 10)])
def test_the_work_for_a_trial_does_not_grow(monkeypatch, tmp_path, method, few):
    monkeypatch.setitem(search.__globals__, "FEW", few)
    key, written = spaces.key, []
    monkeypatch.setattr(spaces, "key", lambda settings: written.append(settings) or key(settings))
    space = {"a": Integer(1, 12), "b": Integer(1, 10)}
    for _ in range(2):  # the second takes all of them from the file
        result = search(lambda s: 0.0, space, method, trials=120, file=tmp_path / "a.jsonl")
    assert len(set(tried(result))) == 120
    assert len(written) <= (40 if few == 10 else 4) * 120


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_the_seed_decides(method):
    first, again, other = (
        tried(search(bowl, MIXED, method, trials=9, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert not set(first) & set(other)


@pytest.mark.parametrize("name", GRIDS)
def test_bayes_needs_at_most_half_of_the_trials_of_the_grid(name):
    """Until it meets the lowest validation loss of a table of trained models; median of ten."""
    table = {row: float(value) for row, value in TABLES[name].items()}
    lowest = min(value for value in table.values() if math.isfinite(value))
    space = {setting: Choice(values) for setting, values in GRIDS[name].items()}
    needed = []
    for seed in range(10):
        seen = []

        def loss(settings, seen=seen):
            if lowest in seen:
                raise Stop
            seen.append(table[row_of(settings)])
            return seen[-1]

        with pytest.raises(RuntimeError, match="Stop"):
            search(loss, space, "bayes", trials=len(table), seed=seed)
        needed.append(len(seen))
    assert statistics.median(needed) <= len(table) / 2


def test_bayes_beats_chance_on_ranges():
    found = {
        method: statistics.median(
            search(bowl, MIXED, method, trials=25, seed=seed).best.value for seed in range(3)
        )
        for method in ("random", "bayes")
    }
    assert found["bayes"] < 0.3 * found["random"]


def test_bayes_goes_up_under_maximize():
    down = search(bowl, MIXED, "bayes", trials=9, seed=3)
    up = search(lambda s: -bowl(s), MIXED, "bayes", trials=9, seed=3, maximize=True)
    assert tried(down) == tried(up) and up.best.value == -down.best.value


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("maximize", [False, True])
def test_what_is_not_finite_is_kept_and_is_the_worst(lost, maximize):
    values = iter([lost, 3.0, 1.0, lost, 2.0] + [lost] * 3)
    result = search(lambda s: next(values), MIXED, "bayes", trials=8, maximize=maximize)
    assert [math.isfinite(t.value) for t in result.trials].count(False) == 5
    assert result.best.value == (3.0 if maximize else 1.0)
    assert [line.split()[0] for line in result.table().splitlines()[1:4]] == (
        ["2", "5", "3"] if maximize else ["3", "5", "2"]
    )


def test_without_a_finite_value_there_is_no_best():
    result = search(lambda s: math.nan, MIXED, "bayes", trials=9)
    with pytest.raises(RuntimeError, match="none of 9 trials gave a finite value"):
        _ = result.best


def test_an_objective_gets_its_own_settings_and_may_return_a_tensor():
    def spoils(settings):
        settings.clear()
        return Tensor(2.0)

    result = search(spoils, SMALL)
    assert result.trials[0] == Trial({"a": 1, "b": "x", "c": 0}, 2.0, result.trials[0].seconds)
    assert result.trials[0].seconds >= 0.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (({}, "grid"), ValueError, "the space is empty"),
        (({"a": [1, 2]}, "grid"), TypeError, r"'a' is \[1, 2\]: give Choice"),
        ((SMALL, "best"), ValueError, "method is one of .*not 'best'"),
        ((SMALL, "grid", 5), ValueError, "the grid has 12 combinations, not 5"),
        ((MIXED, "grid"), ValueError, r"cannot cover lr = LogUniform\(0.0001, 1.0\): say Choice"),
        ((MIXED, "random"), ValueError, "random needs a number of trials"),
        ((MIXED, "bayes", 0), ValueError, "bayes needs a number of trials"),
    ],
)
def test_other_searches_are_refused_before_anything_runs(arguments, error, message):
    def never(settings):
        raise AssertionError("it ran")

    with pytest.raises(error, match=message):
        search(never, *arguments)


@pytest.mark.parametrize("value", [None, "1.0", [1.0]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match=r"the objective returned .* return a number"):
        search(lambda s: value, SMALL)


# The file


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_a_search_goes_on_where_it_stopped(tmp_path, method):
    def value(settings):
        return math.inf if settings["a"] == 3 else settings["a"] / 3

    file, trials = tmp_path / "search.jsonl", None if method == "grid" else 11
    whole = search(value, SMALL, method, trials=trials)
    calls = []

    def stops(settings):
        if len(calls) == 6:
            raise Stop("enough")
        calls.append(settings)
        return value(settings)

    with pytest.raises(
        RuntimeError, match=r"trial 7 with \{'a': .* raised Stop: enough; the 6 fin"
    ):
        search(stops, SMALL, method, trials=trials, file=file)
    calls.clear()
    result = search(lambda s: calls.append(s) or value(s), SMALL, method, trials=trials, file=file)
    assert tried(result) == tried(whole) and len(calls) == len(whole.trials) - 6
    assert [t.value for t in result.trials] == [t.value for t in whole.trials]
    assert search(stops, SMALL, method, trials=trials, file=file) == result


def test_more_trials_go_on_too(tmp_path):
    file = tmp_path / "search.jsonl"
    for trials in (4, 9):
        result = search(bowl, MIXED, "bayes", trials=trials, file=file)
    assert tried(result) == tried(search(bowl, MIXED, "bayes", trials=9))


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0c", "\r", "\n"])
def test_values_that_hold_an_end_of_line_go_on_too(tmp_path, character):
    space = {"separator": Choice([f"x{character}y", "z"])}
    first = search(lambda s: 1.0, space, file=tmp_path / "search.jsonl")
    again = search(lambda s: pytest.fail("it ran"), space, file=tmp_path / "search.jsonl")
    assert again == first and len(again.trials) == 2


@pytest.mark.parametrize("end", range(1, 60, 7))
def test_a_torn_last_line_runs_again(tmp_path, end):
    file = tmp_path / "search.jsonl"
    result = search(bowl, MIXED, "random", trials=5, file=file)
    content = file.read_bytes()
    file.write_bytes(content[:-end])
    for _ in range(2):
        assert tried(search(bowl, MIXED, "random", trials=5, file=file)) == tried(result)
    assert len(file.read_bytes().splitlines()) == 6 and file.read_bytes().endswith(b"\n")


def test_a_torn_head_is_a_new_file(tmp_path):
    file = tmp_path / "search.jsonl"
    search(bowl, MIXED, "random", trials=2, file=file)
    content = file.read_bytes()
    for end in (0, 1, content.index(b"\n")):
        file.write_bytes(content[:end])
        assert len(search(bowl, MIXED, "random", trials=2, file=file).trials) == 2
        assert file.read_bytes()[: content.index(b"\n")] == content[: content.index(b"\n")]


def test_each_trial_is_on_the_disk_before_the_next_begins(tmp_path, monkeypatch):
    file = tmp_path / "search.jsonl"
    lines, synced = [], []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(file.read_text().count("\n")))
    search(lambda s: lines.append(file.read_text().count("\n")) or math.nan, SMALL, file=file)
    assert lines == list(range(1, 13)) and synced == list(range(1, 14))
    for line in file.read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "its seed is 0, here it is 1"),
        ({"method": "bayes"}, "its method is random, here it is bayes"),
        ({"maximize": True}, "its maximize is False, here it is True"),
        ({"space": {**MIXED, "layers": Integer(1, 9)}}, r"its space is .*Integer\(1, 8\)"),
    ],
)
def test_the_file_of_another_search_is_refused(tmp_path, change, message):
    file = tmp_path / "search.jsonl"
    arguments = {"space": MIXED, "method": "random", "trials": 2, "file": file}
    search(bowl, **arguments)
    content = file.read_bytes()
    with pytest.raises(ValueError, match=f"search.jsonl belongs to another search: {message}"):
        search(bowl, **{**arguments, **change})
    assert file.read_bytes() == content


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"[]\n", b'{"seed": 0}\n', b"abc", b"\xff\n"])
def test_other_files_are_refused_and_left_alone(tmp_path, content):
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"notes\.txt is not the file of a search"):
        search(bowl, MIXED, "random", trials=2, file=file)
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    "line",
    [
        "not JSON",
        "3",
        '{"settings": {"a": 1, "b": "x"}, "value": 1.0, "seconds": 0.0}',
        '{"settings": {"a": 9, "b": "x", "c": 0}, "value": 1.0, "seconds": 0.0}',
        '{"settings": {"a": 1, "b": "x", "c": 0.5}, "value": 1.0, "seconds": 0.0}',
        '{"settings": {"a": 1, "b": "x", "c": 0}, "seconds": 0.0}',
    ],
)
def test_a_bad_line_is_named(tmp_path, line):
    file = tmp_path / "search.jsonl"
    search(lambda s: 1.0, SMALL, file=file)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    with pytest.raises(ValueError, match=r"search.jsonl, line 3: no trial of this search"):
        search(lambda s: 1.0, SMALL, file=file)


def test_a_folder_that_is_not_there_is_named_before_anything_runs(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        search(lambda s: pytest.fail("it ran"), SMALL, file=tmp_path / "missing" / "a.jsonl")


# The table


def test_the_table_goes_from_best_to_worst():
    trials = [Trial({"lr": 0.001, "网络": "宽"}, v, 1.25) for v in (2.0, math.nan, 1 / 3)]
    table = SearchResult(trials, {"lr": None, "网络": None}).table()
    assert table == (
        "trial     value  seconds     lr  网络\n"
        "    3  0.333333      1.2  0.001    宽\n"
        "    1         2      1.2  0.001    宽\n"
        "    2       nan      1.2  0.001    宽\n"
    )


def test_a_table_of_many_settings_stays_within_80_columns():
    settings = {f"a_rather_long_setting_{i}": 0.123456789 for i in range(6)} | {"名": "长" * 50}
    table = SearchResult([Trial(settings, 1.0, 100.0)] * 2, dict.fromkeys(settings)).table()
    assert max(map(width, table.splitlines())) <= 80
    assert table.splitlines()[0] == "trial  value  seconds  settings"
    assert all(table.count(f"  {name}=0.1235") == 2 for name in list(settings)[:6])
    assert table.count("…") == 2
