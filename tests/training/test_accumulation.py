"""Tests that accumulated micro-batches are one batch: unequal sizes, unequal ignored targets."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.common import bert
from tinygrad_llm import functional as F
from tinygrad_llm import manual_seed, models, optim
from tinygrad_llm.training import TrainingArguments
from tinygrad_llm.training.batches import IGNORED, default_loss
from tinygrad_llm.training.evaluation import evaluate
from tinygrad_llm.training.steps import Stepper


class Keep(optim.SGD):
    """Moves nothing: the gradients of a step are looked at."""

    def step(self):
        self.seen = [p.grad.data.copy() for g in self.param_groups for p in g["params"]]


def gradients(batches, kind=models.MLP):
    manual_seed(1)
    model = kind([3, 5, 4], "tanh").astype("float64")
    optimizer = Keep(model.parameters(), lr=1.0)
    args = TrainingArguments(max_grad_norm=None)
    step = Stepper(model, args, default_loss, optimizer, optim.constant(optimizer))
    done = step.step(batches, 1)
    return done, optimizer.seen


@st.composite
def cuts(draw):
    """Rows with labels, some ignored, and where they are cut."""
    rows = draw(st.integers(2, 12))
    labels = draw(st.lists(st.sampled_from([0, 1, 2, 3, IGNORED]), min_size=rows, max_size=rows))
    places = draw(st.sets(st.integers(1, rows - 1), max_size=4))
    return np.array(labels), sorted(places)


@given(cuts())
def test_micro_batches_are_one_batch(drawn):
    labels, places = drawn
    x = np.random.default_rng(len(labels)).normal(size=(len(labels), 3))
    whole, expected = gradients([(x, labels)])
    parts, found = gradients(list(zip(np.split(x, places), np.split(labels, places))))
    assert parts.targets == whole.targets == (labels != IGNORED).sum()
    assert parts.loss == pytest.approx(whole.loss, rel=1e-12, abs=1e-15)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_the_mean_of_means_would_be_another():
    """What the weights are for: batches of 6 and 2 rows, the mean of whose means is far off."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(8, 3)), rng.integers(0, 4, 8)
    _, expected = gradients([(x, labels)])
    halves = [gradients([(x[a:b], labels[a:b])])[1] for a, b in ((0, 6), (6, 8))]
    naive = [(a + b) / 2 for a, b in zip(*halves)]
    worst = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(naive, expected))
    assert worst > 0.05


class Shifted(models.MLP):
    """Counts its own targets, as a language model that shifts its labels does: here all but the
    first row of a batch."""

    def forward(self, x, labels):
        logits = super().forward(x)
        loss = F.cross_entropy(logits[1:], labels[1:])
        return Answer(loss, logits, int((labels[1:] != IGNORED).sum()))


class Answer:
    def __init__(self, loss, logits, targets):
        self.loss, self.logits, self.targets = loss, logits, targets


def test_a_model_that_counts_its_targets_itself():
    """Two batches whose first rows count nothing are the others as one batch."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(9, 3)), rng.integers(0, 4, 9)
    labels[4] = IGNORED
    kept = [1, 2, 6, 7, 8]
    done, found = gradients(
        [{"x": x[:3], "labels": labels[:3]}, {"x": x[5:], "labels": labels[5:]}], Shifted
    )
    whole, expected = gradients([(x[kept], labels[kept])])
    assert done.targets == whole.targets == 5
    assert done.loss == pytest.approx(whole.loss, rel=1e-12)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_a_batch_of_nothing_but_ignored_labels_moves_nothing():
    x = np.ones((3, 3))
    done, found = gradients([(x, np.full(3, IGNORED))])
    assert done.targets == 0 and done.loss == 0.0
    assert all(not g.any() for g in found)


def step_of(model, batches):
    optimizer = Keep(model.parameters(), lr=1.0)
    args = TrainingArguments(max_grad_norm=None)
    step = Stepper(model, args, default_loss, optimizer, optim.constant(optimizer))
    return step.step(batches, 1), optimizer.seen


def loss_of(model, batches):
    return evaluate(model, batches, partial(default_loss, model), None).metrics["loss"]


def parts_of_rows(batch, places):
    """The batch, cut between its rows."""
    cut = {name: np.split(array, places) for name, array in batch.items()}
    return [{name: cut[name][i] for name in batch} for i in range(len(places) + 1)]


def pretraining(words, pairs):
    """Four rows of which so many words and these pairs have labels."""
    rng = np.random.default_rng(3)
    labels = np.full((4, 6), IGNORED)
    for row, count in enumerate(words):
        labels[row, :count] = rng.integers(2, 13, count)
    return {
        "input_ids": rng.integers(2, 13, (4, 6)),
        "labels": labels,
        "next_sentence_label": np.array(pairs),
    }


@pytest.mark.parametrize("places", [[1], [2], [1, 2, 3]])
@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        ([1, 0, 5, 4], [0, 1, 1, 0]),
        ([1, 0, 5, 4], [0, IGNORED, IGNORED, IGNORED]),
        ([0, 0, 0, 0], [0, 1, 1, 0]),
        ([2, 0, 0, 0], [IGNORED] * 4),
    ],
)
def test_each_part_of_a_joint_loss_has_weights_of_its_own(words, pairs, places):
    model, batch = bert(), pretraining(words, pairs)
    whole, expected = step_of(model, [batch])
    parts, found = step_of(model, parts_of_rows(batch, places))
    assert parts.loss == pytest.approx(whole.loss, rel=1e-12) and whole.loss > 0.1
    assert parts.targets == whole.targets == sum(words) + sum(each != IGNORED for each in pairs)
    assert any(np.abs(each).max() > 1e-3 for each in expected)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    rows = evaluate(
        model, parts_of_rows(batch, places), partial(default_loss, model), None
    ).metrics["loss"]
    assert rows == pytest.approx(model(**batch).loss.item(), rel=1e-12)


def test_answers_that_were_cut_off_have_no_weight():
    model = bert("BertForQuestionAnswering")
    rng = np.random.default_rng(0)
    batch = {"input_ids": rng.integers(2, 13, (4, 6)), "start_positions": np.array([2, 9, 1, 6])}
    batch["end_positions"] = np.array([5, 9, 2, 7])
    whole, expected = step_of(model, [batch])
    parts, found = step_of(model, parts_of_rows(batch, [1, 2, 3]))
    assert (parts.loss, parts.targets) == (pytest.approx(whole.loss, rel=1e-12), 4)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    rows = evaluate(model, parts_of_rows(batch, [3]), partial(default_loss, model), None).metrics[
        "loss"
    ]
    assert rows == pytest.approx(whole.loss, rel=1e-12)


def test_a_model_with_parts_that_does_not_count_them_is_told():
    class Parts(models.MLP):
        def forward(self, x, labels):
            loss = F.cross_entropy(super().forward(x), labels)
            answer = Answer(loss, None, None)
            answer.parts = [(loss * 0.5, 2), (loss * 0.5, 1)]
            return answer

    batch = {"x": np.ones((2, 3)), "labels": np.array([0, 1])}
    done, seen = step_of(Parts([3, 5, 4]).astype("float64"), [batch])
    assert done.targets == 3 and np.abs(seen[0]).max() > 0
    with pytest.raises(TypeError, match=r"Parts answers with .parts: .* count_targets\(batch\)"):
        step_of(Parts([3, 5, 4]).astype("float64"), [batch, batch])
