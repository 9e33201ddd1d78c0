"""The card of a tuned model: its facts, and that every name is shown as it is written."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.common import bert
from tinygrad_llm.finetune import measures
from tinygrad_llm.finetune.card import About, card, escaped, fenced
from tinygrad_llm.finetune.measures import BAG, MAJORITY, MEAN, Result, figures
from tinygrad_llm.finetune.results import one_line, shown

NAMES = ("a|b`c*\nd", "体育 <b>&amp; _x_", "- [x](y) \\| $1$ #")
TRUE = np.array([0, 0, 0, 0, 1, 1, 2, 2])
SAID = np.array([0, 0, 0, 1, 1, 1, 2, 0])
RESULT = Result(TRUE, SAID, NAMES, {BAG: np.array([0, 0, 1, 1, 1, 0, 2, 0]), MAJORITY: 0 * TRUE})
LABELS = {"train": np.repeat([0, 1], [1000, 500]), "test": TRUE}
MODEL = bert("BertForSequenceClassification", num_labels=3)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Samples of the bootstrap."""
    monkeypatch.setattr(measures, "DRAWS", 50)


def about(**changes):
    usual = {
        "model": MODEL,
        "folder": "out/spam",
        "command": "tinygrad-llm predict",
        "pairs": False,
    }
    usual |= {"labels": LABELS, "data_hash": "3fae", "settings": {"learning_rate": 5e-5}}
    return About(**{**usual, **changes})


def tables(text):
    """The tables of a card, by their first head: rows of cells as a reader sees them."""
    found = {}
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1] for line in block.splitlines()]
        cells = [[seen(cell.strip()) for cell in row] for row in rows]
        assert set(map(len, cells)) == {len(cells[0])}
        assert all(re.fullmatch("---:?", cell) for cell in cells[1])
        found[cells[0][0]] = [cells[0], *cells[2:]]
    return found


def seen(markdown):
    """Text without marks that are not escaped, as it is shown."""
    plain = re.sub(r"\\[\\`*_\[\]<>#|~&$]", "", markdown)
    assert not re.search(r"[\\`*_\[\]<>#|~&$]", plain), markdown
    return re.sub(r"\\(.)", r"\1", markdown)


def test_what_the_model_is():
    text = card(about(base="bases/*tiny*", trained=27, pairs=True), RESULT)
    size = sum(p.size for p in MODEL.parameters())
    assert text.startswith("# Text classifier: out/spam\n\n")
    assert (
        "It gives each pair of texts one of 3 classes. A BertForSequenceClassification with "
        f"{size:,} parameters, of which 27 learnt, tuned from bases/\\*tiny\\*." in text
    )
    text = card(about(), RESULT)
    assert "It gives each text one of" in text
    assert f"{size:,} parameters, trained from scratch." in text


def test_an_adapter_says_what_it_needs():
    text = card(about(base="bases/tiny", needs="/at/bases/*tiny*"), RESULT)
    before, after = text.split("## How it is used")
    assert "in /at/bases/\\*tiny\\*: keep that as it is." in before
    assert 'write its new place into finetune.json, as "base".' in before
    assert "LoRA" in before and "LoRA" not in card(about(base="bases/tiny"), RESULT) + after


def test_what_was_measured():
    text = card(about(), RESULT)
    found = tables(text)
    assert "## What was measured: 8 test rows" in text
    for row in found[""][1:]:
        figure = figures(RESULT)[row[0]]
        assert row[1:] == [
            *shown("accuracy", figure["accuracy"]),
            *shown("macro F1", figure["macro F1"]),
        ]
    assert [row[0] for row in found[""][1:]] == ["this model", BAG, MAJORITY]
    assert found[""][1][1:3] == ["75.0%", "40.9% to 92.9%"]
    assert "- accuracy +25.0 points, 95 % interval" in text
    assert "This model less bag of words, on the same rows:" in text
    assert "Newcombe" in text and "Wilson" in text
    assert "Newcombe" not in card(about(), Result(TRUE, SAID, NAMES))


def test_classes_and_data():
    found = tables(card(about(), RESULT))
    first, second, third = map(one_line, NAMES)
    assert found["class"][1:] == [
        [first, "0.75", "0.75", "0.75", "4"],
        [second, "0.67", "1.00", "0.80", "2"],
        [third, "1.00", "0.50", "0.67", "2"],
    ]
    assert found["rows of the class"] == [
        ["rows of the class", "train", "test"],
        [first, "1,000", "4"],
        [second, "500", "2"],
        [third, "0", "2"],
        ["all", "1,500", "8"],
    ]
    assert "Hash of the data: 3fae\n" in card(about(), RESULT)


def test_a_class_without_a_row_was_not_measured():
    found = tables(card(about(), Result(np.array([0, 2]), np.array([1, 2]), NAMES)))
    assert [row[-1] for row in found["class"][1:]] == ["1", "1"]
    assert [row[0] for row in found["class"][1:]] == [one_line(NAMES[0]), one_line(NAMES[2])]


def test_settings_are_as_they_were_given():
    settings = {"learning_rate": 5e-5, "path": "a|b\nc", "freeze": None, "layers": [1, 2]}
    assert tables(card(about(settings=settings), RESULT))["setting"][1:] == [
        ["learning_rate", "5e-05"],
        ["path", "a|b\\nc"],
        ["freeze", "null"],
        ["layers", "[1, 2]"],
    ]


def test_numbers():
    true = np.array([1.0, 2.0, 3.0, 6.0], np.float32)
    result = Result(true, true + 1, (), {MEAN: np.full(4, 3.0)})
    text = card(about(labels={"train": 10 * true, "test": true}), result)
    found = tables(text)
    assert text.startswith("# Text regression: ") and "gives each text a number" in text
    assert found["part"][1:] == [
        ["train", "4", "30", "10", "60"],
        ["test", "4", "3", "1", "6"],
    ]
    assert found[""][1][:2] == ["this model", "1"] and found[""][2][:2] == ["the mean", "3.5"]
    assert "class" not in found and "Wilson" not in text and "Pearson" in text
    assert "print(answer.label)" in text


@pytest.mark.parametrize("folder", ["out/spam", "o'u\"t\n```\n# no", "模型\\n"])
@pytest.mark.parametrize("pairs", [False, True])
def test_the_python_is_python(folder, pairs):
    text = card(about(folder=folder, pairs=pairs), RESULT)
    fence, code = re.search(r"^(`{3,})python\n(.*?)\n\1$", text, re.MULTILINE | re.DOTALL).groups()
    assert fence not in code
    tree = ast.parse(code)
    made, loop = tree.body[1:]
    assert ast.literal_eval(made.value.args[0]) == folder
    assert len(loop.iter.args) == 1 + pairs


@pytest.mark.parametrize("code", ["plain", "a ``` b", "`````", "x\n```\ny"])
def test_fences_hold_what_is_in_them(code):
    first, *lines, last = fenced("sh", code).split("\n")
    assert first == f"{last}sh" and set(last) == {"`"} and len(last) >= 3
    assert "\n".join(lines) == code
    assert last not in code


@given(st.text())
def test_every_text_is_shown_as_it_is(text):
    found = escaped(text)
    assert "\n" not in found
    assert seen(found) == one_line(text)


def test_the_same_facts_give_the_same_text():
    text = card(about(), RESULT)
    assert text == card(about(), RESULT)
    assert text.endswith("|\n") and "\n\n\n" not in text
    assert [line for line in text.split("\n") if line.startswith("#")] == [
        "# Text classifier: out/spam",
        "## How it is used",
        "## What was measured: 8 test rows",
        "## The data",
        "## Settings",
    ]
