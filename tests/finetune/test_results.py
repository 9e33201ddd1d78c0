"""The results of a fine-tuning as a reader gets them: the tables, the pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.finetune.results_common import NAMES, SAID, TRUE, classes, numbers
from tinygrad_llm import plot
from tinygrad_llm._text import width
from tinygrad_llm.finetune import measures
from tinygrad_llm.finetune.measures import BAG, MAJORITY, Result, differences
from tinygrad_llm.finetune.results import (
    CONFUSION,
    CURVES,
    SCATTER,
    _signed,
    compared,
    draw,
    one_line,
    report,
    table,
)

HISTORY = [
    {"kind": "train", "step": 5, "loss": 1.0},
    {"kind": "eval", "step": 5, "eval_loss": 1.2, "eval_accuracy": 0.5, "eval_macro_f1": 0.4},
    {"kind": "train", "step": 10, "loss": None},
    {"kind": "eval", "step": 10, "eval_loss": None, "eval_accuracy": 0.75, "eval_macro_f1": 0.7},
    {"kind": "test", "step": 10, "time": "now"},
]


def test_without_a_bag_of_words_there_is_no_difference():
    result = Result(TRUE, SAID, NAMES, {MAJORITY: 0 * TRUE})
    assert differences(result) == {}
    assert compared(result) == []
    assert "less" not in table(result)


CLASSES = """\
test: 400 rows            accuracy   95 % interval  macro F1   95 % interval
this model                   83.0%  79.0% to 86.4%     83.0%  79.5% to 86.4%
bag of words                 62.5%  57.7% to 67.1%     63.6%  59.1% to 68.0%
the most frequent class      24.2%  20.3% to 28.7%      9.8%

this model less bag of words, on the same rows:
  accuracy  +20.5 points, 95 % interval +16.3 to +24.7
  macro F1  +19.4 points, 95 % interval +15.6 to +23.5"""

NUMBERS = """\
test: 500 rows                mse     95 % interval     mae      r
this model                0.09301  0.08276 to 0.104  0.2483  0.955
bag of words               0.3759  0.3278 to 0.4243  0.4937  0.839
the mean                   0.9653    0.8506 to 1.09  0.7852

this model less bag of words, on the same rows:
  mse       -0.283, 95 % interval -0.332 to -0.236
  mae       -0.245, 95 % interval -0.283 to -0.209
  r         +0.116, 95 % interval +0.0927 to +0.141"""


def test_a_difference_of_next_to_nothing_has_no_minus():
    assert _signed("accuracy", -0.0004) == "+0.0" and _signed("mse", -0.0) == "+0"


@pytest.mark.parametrize(("result", "text"), [(classes(), CLASSES), (numbers(), NUMBERS)])
def test_the_tables(result, text):
    assert table(result) == text


def test_what_may_be_chance_is_said():
    true = np.arange(10) % 2
    bag = np.where(np.arange(10) < 1, 1 - true, true)
    lines = compared(Result(true, true, ("no", "yes"), {BAG: bag}))
    assert lines[2] == ("  accuracy  +10.0 points, 95 % interval -18.9 to +40.4: not told apart")


def test_what_is_not_there_is_not_compared():
    """No r of a bag of words that knows no term of these texts."""
    given = numbers()
    lines = compared(Result(given.labels, given.predicted, (), {BAG: 0 * given.labels}))
    assert [line.split()[0] for line in lines[2:]] == ["mse", "mae"]


def test_the_report_is_of_the_classes_that_are_there():
    lines = report(Result(TRUE, SAID, NAMES)).split("\n")
    assert [line.split() for line in lines[2:5]] == [
        ["a", "1.00", "0.75", "0.86", "4"],
        ["b", "0.67", "0.67", "0.67", "3"],
        ["c", "0.50", "1.00", "0.67", "1"],
    ]
    assert lines[-1] == "1 of 4 classes has no row here"
    assert lines[7].split() == ["macro", "avg", "0.72", "0.81", "0.73", "8"]
    assert report(Result(TRUE, SAID, NAMES[:3])).split("\n")[-1].startswith("weighted avg")
    assert report(numbers()) == ""


LONG = "财经新闻与股票市场行情分析报道以及国际贸易往来的一切"


@pytest.mark.parametrize(
    "result",
    [
        Result(TRUE, SAID, (LONG, "b" * 100, "c\nd\x1b[31m", "")),
        classes(0.9, rows=100),
        numbers(scale=3e-7),
        numbers(scale=4e9),
        Result(np.array([0]), np.array([1]), ("x", "y"), {BAG: np.array([0])}),
        Result(np.array([1.5]), np.array([-1e-9])),
    ],
    ids=["names", "classes", "small", "large", "one", "one number"],
)
@pytest.mark.parametrize("part", ["test", "a/very/long/path/to\n/" + LONG])
def test_all_is_within_80_columns(result, part, monkeypatch):
    monkeypatch.setattr(measures, "DRAWS", 20)
    text = f"{table(result, part)}\n{report(result)}"
    assert max(map(width, text.split("\n"))) <= 80
    assert text.replace("\n", "").isprintable()
    if result.names:
        heads = [line for line in text.split("\n") if "precision" in line]
        rows = [line for line in report(result).split("\n")[2:] if line.startswith(" ")]
        assert {width(row) for row in rows} <= {width(heads[0])}


def test_names_stand_in_one_line():
    assert one_line("a\nb\u202e\x1b|`*中 é") == "a\\nb\\u202e\\x1b|`*中 é"


@pytest.mark.parametrize(
    ("history", "result", "expected"),
    [
        (HISTORY, classes(), [CURVES, CONFUSION]),
        (HISTORY, numbers(), [CURVES, SCATTER]),
        (HISTORY, None, [CURVES]),
        ([], classes(rows=300, classes=41), [CONFUSION]),
        (HISTORY[4:], None, []),
    ],
    ids=["classes", "numbers", "no result", "41 classes", "empty log"],
)
def test_pictures_are_drawn(history, result, expected, tmp_path):
    before = plt.get_fignums()
    assert draw(tmp_path, history, result) == expected
    found = {path.name: path.read_bytes()[:4] for path in tmp_path.iterdir()}
    assert found == dict.fromkeys(expected, b"\x89PNG")
    assert plt.get_fignums() == before


def test_what_is_drawn(tmp_path, monkeypatch):
    """The curves of the log, without its gaps, and the matrix with names of one short line."""
    seen = {}
    real = plot.training_curves, plot.confusion_matrix
    monkeypatch.setattr(
        plot, "training_curves", lambda lines, **k: seen.update(lines) or real[0](lines, **k)
    )
    monkeypatch.setattr(
        plot, "confusion_matrix", lambda *all: seen.update(all=all) or real[1](*all)
    )
    draw(tmp_path, HISTORY, Result(TRUE, SAID, ("a\nb", "b" * 99, "c", "d")), "my\ntest")
    true, said, names, title = seen.pop("all")
    assert seen == {
        "training loss": ([5.0], [1.0]),
        "validation loss": ([5.0], [1.2]),
        "validation accuracy": ([5.0, 10.0], [0.5, 0.75]),
        "validation macro F1": ([5.0, 10.0], [0.4, 0.7]),
    }
    assert (true == TRUE).all() and (said == SAID).all()
    assert names == ["a\\nb", "b" * 23 + "…", "c", "d"]
    assert title == "my\\ntest: which class is taken for which"


def test_shares_beyond_40_classes(tmp_path, monkeypatch):
    """A row a true class, even one without rows; a column a predicted one."""
    seen = []
    real = plot.heat_maps
    monkeypatch.setattr(plot, "heat_maps", lambda *a, **k: seen.append((a, k)) or real(*a, **k))
    names = tuple(map(str, range(50)))
    draw(tmp_path, [], Result(np.array([1, 1, 49]), np.array([1, 7, 49]), names))
    (((tables, _, across, down), _),) = seen
    (shares,) = tables.values()
    assert shares.shape == (50, 50)
    assert {(i, j): shares[i, j] for i, j in zip(*shares.nonzero())} == {
        (1, 1): 0.5,
        (1, 7): 0.5,
        (49, 49): 1.0,
    }
    assert across.startswith("predicted") and down.startswith("true")
