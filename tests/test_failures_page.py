"""Tests of the page for failures: its code runs and shows what it says; what it names is there.

That each failure is shown by the call named is tested in test_failures_learning and _running.
"""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest

import tinygrad_llm
from chapters.catalogue import HERE
from tinygrad_llm import (
    Tensor,
    nn,
    optim,
    plot,
)
from tinygrad_llm import functional as F

PAGE = (HERE / "failures.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.S)

WORDS = {"total += loss", "requires_grad", ".data", ".numpy()", ".detach()"}
"""Code spans that name no one thing of the package."""

EXAMPLES = {
    "model": nn.Module,
    "optimizer": optim.Optimizer,
    "loss": Tensor,
    "F": F,
    "np": np,
}
"""What the names of examples stand for; other names are the package's own."""


@pytest.fixture(autouse=True)
def agg():
    """Figures are drawn without a display, and closed."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def ran():
    """The names that the page's code leaves behind, run from top to bottom."""
    matplotlib.use("Agg")
    space: dict = {}
    for block in BLOCKS:
        exec(block, space)
    return space


# The page itself


def test_every_section_of_the_table_is_there_and_has_both_languages():
    links = re.findall(r"^\| \[(.*?)\]\(#(.*?)\) .*[一-鿿]", PROSE, re.M)
    sections = re.findall(r"^## (.*)\n\n\*\*(.*?)\*\*", PROSE, re.M)
    anchors = [re.sub(r"[^\w ]", "", title.lower()).replace(" ", "-") for title, _ in sections]
    assert len(links) == 9 and [anchor for _, anchor in links] == anchors
    assert all(re.search("[一-鿿]", chinese) for _, chinese in sections)


def spans():
    """The code spans of the prose that are no plain words."""
    return sorted(set(re.findall(r"`([^`]+)`", PROSE)) - WORDS)


def resolve(span: str):
    """The thing that a code span names."""
    first, *rest = span.removesuffix("()").split(".")
    if first in EXAMPLES:
        thing = EXAMPLES[first]
    else:
        thing = getattr(__import__(f"tinygrad_llm.{first}") if rest else tinygrad_llm, first)
    for name in rest:
        thing = getattr(thing, name)
    return thing


@pytest.mark.parametrize("span", spans())
def test_what_a_code_span_names_is_there(span):
    resolve(span)


def test_a_span_that_names_nothing_is_found():
    with pytest.raises(AttributeError):
        resolve("diagnostics.no_such")


def test_every_call_of_the_table_stands_in_the_text_below_it():
    table, below = PROSE.split("The examples below", 1)
    code = below + "".join(BLOCKS)
    for span in re.findall(r"`([^`]+)`", table):
        name = span.removesuffix("()").split(".")[-1]
        assert name in code, span


# Its examples, on a model that is well


def test_the_examples_show_a_model_that_is_well(ran):
    assert ran["losses"][-1] < 0.02 < 1.0 < ran["losses"][0]
    assert not ran["frozen"] and ran["names"][0] == "layers.0.weight"
    assert all(0.0 < way < 0.02 for way in ran["moved"].values())
    assert all(norm > 0.0 for norms in ran["norms"].values() for norm in norms)
    assert ran["dead"]["layers.1"].dead < ran["dead"]["layers.1"].units
    assert len(ran["seen"].gradients) == 3
    assert isinstance(ran["total"], float) and ran["error"] < 1e-6


def test_the_sweep_is_bad_at_both_ends(ran):
    sweep, start = ran["sweep"], ran["losses"][0]
    best = min(sweep, key=sweep.get)
    assert best not in (1e-5, 1.0)
    assert sweep[1e-5] > 0.8 * start and sweep[1.0] > 10 * sweep[best]


# Overfitting


def test_the_validation_loss_turns_up_and_the_figure_marks_where(ran):
    training, validation = ran["history"].values()
    best = int(np.argmin(validation))
    assert 0 < best < 50 and validation[-1] > 1.03 * validation[best]
    assert training[-1] < 0.1 * training[best] and training[-1] < 0.02
    legend = plot.training_curves(ran["history"]).axes[0].get_legend().get_texts()
    assert any(f"lowest: {validation[best]:.4g} at {best + 1}" in t.get_text() for t in legend)
