"""Tests of the benchmarks' machinery: races, their statistics, and what stops them."""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import (
    bert_c,
    decode_g,
    environment,
    formulas,
    gpt,
    mlp,
    race,
)
from tinygrad_llm.ops.erf import erf

TOY = '''"""A benchmark without a model: a number that shrinks."""
import os, sys
import numpy as np

TITLE = "a toy"
STEPS = 5
FEWER_CHECKED = {"pet": 3}

def start():
    return {"w": np.ones(3)}

def ours(arrays, factor=0.9, end=10**9, last="the lamp is out"):
    w = arrays["w"]
    def step(number):
        print("a word of the library's own")
        if number == end:
            sys.exit(last)
        w[:] *= factor
        return w.sum()
    return step

SIDES = {
    "ours": ours,
    "toy": ours,
    "toy wrong": lambda arrays: ours(arrays, 0.90004),
    "toy mortal": lambda arrays: ours(arrays, end=60),
    "toy killed": lambda arrays: os.kill(os.getpid(), 9),
    "toy diverging": lambda arrays: ours({"w": np.array([np.nan])}),
    "pet": ours,
    "pet wrong after": lambda arrays: ours(arrays, 0.90002),
    "toy held": lambda arrays: ours(arrays, end=0, last=os.getenv("OPENBLAS_CORETYPE", "free")),
}
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The toy as a benchmark that both this process and workers can import."""
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(race, "PAUSE", 0.0)
    monkeypatch.setattr(command, "BENCHMARKS", {"t": "toy"})
    yield "toy"
    sys.modules.pop("toy")


def test_ours_against_ours_does_the_same_work(monkeypatch):
    monkeypatch.setattr(race, "PAUSE", 0.0)
    found = race.race("tests.benchmarks.mlp", ["ours", "ours"], 2, steps=3)
    assert (found["rounds"], found["steps"]) == (2, 3)
    assert found["losses"] == {"checked": race.CHECKED, "difference": 0.0}
    first, second = found["sides"]
    assert first["last_loss"] == second["last_loss"] < math.log(10)
    assert first["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert len(second["seconds"]) == 2 and min(second["seconds"]) > 0
    assert second["blas"] and second["core"] and second["threads"]
    assert second["peak_mib"] is None or 10 < second["peak_mib"] < 2000


def test_sides_take_turns_and_another_begins_each_round(monkeypatch):
    class Recorder:
        def __init__(self, name):
            self.name = name

        def ask(self, task, steps):
            assert (task, steps) == ("seconds", 7)
            asked.append(self.name)
            return float(len(asked))

    asked, ticks = [], []
    monkeypatch.setattr(race, "PAUSE", 0.0)
    times = race.take_turns([Recorder("a"), Recorder("b")], 3, 7, ticks.append)
    assert "".join(asked) == "ab" + "ba" + "ab" + "ba"
    assert times == [[4.0, 5.0, 8.0], [3.0, 6.0, 7.0]] and ticks == [0, 1, 2, 3]


def test_spread_and_ratio_on_known_numbers():
    assert race.spread([5.0, 1.0, 4.0, 2.0, 3.0]) == (3.0, 2.0, 4.0)
    assert race.spread([1.0, 2.0]) == (1.5, 1.25, 1.75)
    # Pair by pair: the ratio of the medians would be 40 / 2 = 20.
    assert race.ratio([1.0, 2.0, 4.0], [30.0, 40.0, 100.0]) == (25.0, 22.5, 27.5)
    with pytest.raises(ValueError):
        race.ratio([1.0, 2.0], [1.0])


def test_losses_that_differ_stop_the_race(toy):
    with pytest.raises(race.RaceError) as stopped:
        race.race(toy, ["ours", "toy wrong"], 2)
    assert str(stopped.value) == (
        "the sides do not do the same work: after step 3 the losses are "
        "2.187 (ours) and 2.187292 (toy wrong)"
    )


def test_a_benchmark_may_check_fewer_losses_of_a_slow_library(toy):
    found = race.race(toy, ["ours", "toy", "pet", "pet wrong after"], 2)
    assert [row["checked"] for row in found["sides"]] == [50, 50, 3, 3]
    assert 0 < found["losses"]["difference"] <= race.TOLERANCE
    assert found["losses"]["checked"] == 50


def test_as_many_losses_agree_as_somebody_else_has(toy, monkeypatch, capsys):
    found = race.race(toy, ["ours", "pet"], 2)
    assert found["losses"]["checked"] == 3
    command.show("t", found)
    assert "the first 3 losses agree to 0 (relative)\n" in capsys.readouterr().out


@pytest.mark.parametrize("theirs", [1.0 + 1.01e-4, 1.0 - 1.01e-4, math.nan, math.inf])
def test_disagreement_is_relative_and_knows_nan(theirs):
    assert race.disagreement(["a", "b"], [[2.0, 1.0], [2.0, 1.0 + 9e-5]]) == pytest.approx(9e-5)
    with pytest.raises(race.RaceError, match=r"after step 2 .* \(a\) and .* \(b\)"):
        race.disagreement(["a", "b"], [[1e6, 1.0], [1e6 + 1, theirs]])


@pytest.mark.parametrize(
    "side, reason",
    [
        ("toy mortal", "the process of 'toy mortal' ended (exit code 1): the lamp is out"),
        ("toy killed", "the process of 'toy killed' ended (killed by signal 9): no word"),
        ("toy absent", "the process of 'toy absent' ended (exit code 1): KeyError: 'toy absent'"),
    ],
)
def test_a_worker_that_dies_is_named_in_one_line(toy, side, reason):
    with pytest.raises(race.RaceError, match=rf"^{re.escape(reason)}$"):
        race.race(toy, ["ours", side], 2)


def test_a_race_that_diverged_has_no_result(toy, monkeypatch):
    monkeypatch.setattr(race, "disagreement", lambda *given, **how: 0.0)
    with pytest.raises(race.RaceError, match="a side has diverged"):
        race.race(toy, ["ours", "toy diverging"], 2)


@pytest.mark.parametrize("core, reason", [("Haswell", "Haswell"), (None, "free")])
def test_openblas_is_held_to_a_core_type_only_when_asked(toy, monkeypatch, core, reason):
    for name in environment.HELD_BACK:
        monkeypatch.setenv(name, "held by the outside")
    assert not set(environment.HELD_BACK) & environment.variables().keys()
    with pytest.raises(race.RaceError, match=rf": {reason}$"):
        race.race(toy, ["toy held"], 2, core=core)


# The command


def test_the_command_prints_a_table_and_writes_json(toy, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: True)
    both = {"ours", "toy"}
    monkeypatch.setattr(command, "_library", lambda side: side if side in both else "others")
    path = tmp_path / "found.json"
    assert command.main(["t", "--against", "toy", "--repeats", "2", "--json", str(path)]) == 0
    out, errors = capsys.readouterr()
    assert errors == ""
    assert "\nt: a toy\n" in out and ", core " in out
    assert re.search(r"^  ours +\d\S* \(\S+–\S+\) +\d+$", out, re.MULTILINE)
    assert re.search(r"^  toy +\d\S* \(\S+–\S+\) +\d+\.\d\d \(\S+–\S+\) +\d+$", out, re.MULTILINE)
    assert "the first 50 losses agree to 0 (relative)" in out
    assert re.search(r"against the fastest other, toy: \d+\.\d\d \(\S+\) times", out)
    found = json.loads(path.read_text("utf-8"))["benchmarks"]["t"]
    assert [len(row["seconds"]) for row in found["sides"]] == [2, 2]


def test_what_was_measured_is_written_before_it_is_shown(toy, monkeypatch, tmp_path):
    def broken(*arguments):
        raise BrokenPipeError

    path = tmp_path / "found.json"
    monkeypatch.setattr(command, "show", broken)
    with pytest.raises(BrokenPipeError):
        command.main(["t", "--repeats", "2", "--json", str(path)])
    assert list(json.loads(path.read_text("utf-8"))["benchmarks"]) == ["t"]


def test_a_reader_that_leaves_ends_a_command_without_a_word():
    program = (
        "from tests.benchmarks import commands; commands.run(lambda words: print('x' * 10**6))"
    )
    code = f"{sys.executable} -c {shlex.quote(program)} | head -c 5; echo ${{PIPESTATUS[0]}}"
    run = partial(subprocess.run, capture_output=True, text=True, cwd=environment.ROOT)
    done = run(["bash", "-c", code])
    assert (done.stdout, done.stderr) == ("xxxxx0\n", "")


def test_several_libraries_are_raced_in_one_table(toy, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: True)
    sides = {"ours": "ours", "toy": "toy", "pet": "pet"}
    monkeypatch.setattr(command, "_library", lambda side: sides.get(side, "others"))
    assert command.main(["t", "--against", "pet,toy,pet", "--repeats", "2"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^  (\w+) +\d\S* \(", out, re.MULTILINE) == ["ours", "toy", "pet"]
    assert "the first 50 losses agree to 0 (relative); of pet's first 3\n" in out


LIBRARIES = {"torch", "jax", "tinygrad", "autograd"}


@pytest.mark.parametrize(
    "letters, missing", [("abde", set()), ("c", {"tinygrad"}), ("g", {"tinygrad", "autograd"})]
)
def test_libraries_have_sides_in_the_races_of_networks(letters, missing):
    for letter in letters:
        sides = import_module(command.BENCHMARKS[letter]).SIDES
        assert {command._library(side) for side in sides} == (LIBRARIES | {"ours"}) - missing


def test_the_networks_of_other_libraries_are_ours():
    """JAX and autograd are given these formulas; here NumPy computes them."""
    functions = formulas.Functions(np, lambda array: array, partial(erf, np))
    arrays = mlp.start()
    batch = arrays["images"][0], arrays["labels"][0]
    theirs = formulas.mlp_loss(functions, arrays, *batch)
    assert float(mlp.ours(arrays)(0)) == pytest.approx(theirs, rel=1e-5)
    sizes = gpt.Sizes(layers=2, heads=2, width=12, context=7, batch=3, vocabulary=11)
    arrays = {name: _larger(array) for name, array in gpt.start(sizes).items()}
    theirs = formulas.gpt_loss(functions, sizes.heads, arrays, arrays["ids"][0])
    assert theirs.dtype == np.float32 and abs(theirs - math.log(11)) > 0.05
    assert float(gpt.ours(sizes, arrays)(0)) == pytest.approx(theirs, rel=1e-5)
    arrays = {name: _larger(array) for name, array in bert_c.start(sizes).items()}
    ids, places, words = bert_c.with_places(dict(arrays))[0]
    theirs = formulas.bert_loss(functions, sizes.heads, arrays, ids, places, words)
    assert theirs.dtype == np.float32 and abs(theirs - math.log(11)) > 0.05
    assert float(bert_c.ours(sizes, arrays)(0)) == pytest.approx(theirs, rel=1e-5)


def _larger(array):
    """Weights far enough from 0 for every term to count."""
    return array * np.float32(20) if array.ndim == 2 else array


def test_each_batch_of_c_hides_as_many_words():
    sizes = gpt.Sizes(layers=1, heads=2, width=4, context=20, batch=3, vocabulary=11)
    arrays = bert_c.start(sizes)
    ids, labels = arrays["ids"], arrays["labels"]
    hidden = labels != bert_c.IGNORED
    assert (hidden.sum(axis=(1, 2)) == 9).all() and len(np.unique(hidden, axis=0)) == gpt.BATCHES
    assert (ids[hidden] == bert_c.MASK).all() and (labels[hidden] != bert_c.MASK).all()
    assert (ids[~hidden] != bert_c.MASK).all()
    for number, (_, places, words) in enumerate(bert_c.with_places(arrays)):
        assert (labels[number].ravel()[places] == words).all() and len(words) == 9
    assert "ids" not in arrays and "labels" not in arrays


def test_a_step_of_g_writes_the_most_probable_tokens():
    sizes = gpt.Sizes(layers=2, heads=2, width=12, context=40, batch=1, vocabulary=101)
    arrays = {name: _larger(array) for name, array in decode_g.start(sizes).items()}
    assert arrays["prompts"].shape == (decode_g.PROMPTS, 1, decode_g.PROMPT)
    text = [int(token) for token in arrays["prompts"][1, 0]]
    model = gpt.network(sizes)
    model.load_state_dict({name: x for name, x in arrays.items() if name != "prompts"})
    for _ in range(7):  # without a cache
        text.append(int(model([text]).logits.data[0, -1].argmax()))
    step = decode_g.ours(sizes, arrays, tokens=7)
    assert len(set(text[-7:])) > 1 and step(1) == decode_g.checksum(text)
    assert step(1 + decode_g.PROMPTS) == step(1) != step(2)
    assert decode_g.checksum(text) != decode_g.checksum([*text[:-1], text[-1] + 1])


def test_texts_must_be_the_same_to_the_last_token(toy, monkeypatch):
    module = import_module(toy)
    monkeypatch.setattr(module, "TOLERANCE", 0.0, raising=False)
    monkeypatch.setattr(module, "COMPARED", "checksums of the texts", raising=False)
    reason = "after step 1 the checksums of the texts are 2.7 \\(ours\\) and 2.70006 \\(pet wrong"
    with pytest.raises(race.RaceError, match=reason):
        race.race(toy, ["ours", "pet wrong after"], 2)
    assert race.race(toy, ["ours", "toy"], 2)["compared"] == "checksums of the texts"


def test_tokens_a_second_are_told_where_a_step_has_some(toy, monkeypatch, capsys):
    monkeypatch.setattr(import_module(toy), "TOKENS", 64, raising=False)
    found = race.race(toy, ["ours", "toy"], 2)
    assert found["tokens"] == 64
    found["sides"][0]["median"], found["sides"][1]["median"] = 2.0, 4.0
    command.show("t", found)
    assert "  tokens a second: 32.0 ours, 16.0 toy\n" in capsys.readouterr().out


def test_facts_of_libraries_in_words(monkeypatch):
    monkeypatch.setattr(environment, "version", lambda name: f"1 of {name}")
    assert environment.in_words(environment.facts("jax")).startswith(
        "JAX 1 of jax, jaxlib 1 of jaxlib (XLA), core native, "
    )
    words = environment.in_words(environment.facts("autograd"))
    assert words.startswith("autograd 1 of autograd, ") and " core " in words


def test_tinygrad_without_its_compiler_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: True)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(SystemExit):
        command.main(["d", "--against", "jax,tinygrad"])
    complaint = "tinygrad needs a C compiler, no-such-compiler: install clang, or name it in CC\n"
    assert capsys.readouterr().err == f"python -m tests.benchmarks: {complaint}"


@pytest.mark.parametrize("high, told", [(1.4e-4, False), (1.6e-4, True)])
def test_a_busy_machine_is_told(capsys, high, told):
    times = {"median": 1.2e-4, "low": 1e-4, "high": high, "ratio": None, "peak_mib": None}
    times["checked"] = 50
    facts = {"version": "v", "blas": "b", "core": "c", "threads": 2}
    rows = [{"side": "ours", **times, **facts}]
    command.show("t", {"title": "a toy", "sides": rows, "rounds": 2, "steps": 5, "tokens": None})
    out = capsys.readouterr().out
    assert ("the machine was busy" in out) == told and " 120 (100–" in out


def test_the_command_says_why_a_race_has_no_result(toy, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: True)
    assert command.main(["--against", "toy"]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("benchmark t: ") and len(complaint.splitlines()) == 1


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["z"], "there is no benchmark z; there are: a, b, c, d"),
        (["d", "--against", "torch"], "torch is not installed: pip install -e '.[bench]'"),
        (["d", "--against", "jax"], "jax is not installed: pip install -e '.[bench]'"),
        (["d", "--against", "autograd,jax"], "autograd is not installed: pip install"),
        (["d", "--against", "numpy"], "argument --against: invalid choice: 'numpy'"),
        (["d", "--against", ","], "argument --against: invalid choice: ''"),
        (["d", "--repeats", "1"], "--repeats: 1 has no quartiles; give 2 or more"),
        (["d", "--json", "no/such/x.json"], f"--json: there is no folder {Path('no/such')}"),
        (["d", "--json", "."], "--json: . is a folder; name a file in it"),
        (["d", "--core", "NoSuch"], "when it is told NoSuch"),
    ],
)
def test_wrong_usage_gets_one_line(words, complaint, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    out, errors = capsys.readouterr()
    assert ended.value.code == 2 and out == ""
    assert len(errors.splitlines()) == 1 and complaint in errors


# Growth with the sizes
