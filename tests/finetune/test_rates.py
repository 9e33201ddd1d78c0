"""Tests of layers and their rates, against what a hand computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.models.common import bert, gpt2, ids, translator
from tests.training.common import trainer
from tinygrad_llm import data, models, nn, optim
from tinygrad_llm.finetune.freezing import freeze, head_only
from tinygrad_llm.finetune.rates import GradualUnfreezing, layered_groups, layers
from tinygrad_llm.training import Callback

HEAD, TOP, LOW, BOTTOM = (
    "classifier.",
    "bert.encoder.layers.1.",
    "bert.encoder.layers.0.",
    "bert.embeddings.",
)
"""The layers of `classifier()`, from the top; the pooler goes with the highest block."""


def classifier(**options: Any) -> Any:
    return bert("BertForSequenceClassification", num_labels=3, **options)


def batch(rows: int = 12) -> dict[str, np.ndarray]:
    return {"input_ids": ids(rows, 7), "labels": np.arange(rows) % 3}


def rows(count: int = 12) -> data.ArrayDataset:
    return data.ArrayDataset(**batch(count))


def place(name: str) -> str:
    """Which layer of `classifier()` a parameter is in."""
    return next((each for each in (HEAD, LOW, BOTTOM) if name.startswith(each)), TOP)


def names(model: nn.Module) -> list[list[str]]:
    return [[name for name, _ in layer] for layer in layers(model)]


def test_the_layers_of_a_bert_from_the_top():
    model = classifier()
    found = names(model)
    assert [{place(name) for name in layer} for layer in found] == [{HEAD}, {TOP}, {LOW}, {BOTTOM}]
    assert {"bert.pooler.dense.weight", "bert.pooler.dense.bias"} < set(found[1])
    every = [name for layer in found for name in layer]
    assert sorted(every) == sorted(name for name, _ in model.named_parameters())


def test_the_layers_of_a_gpt_2_whose_head_is_its_embedding():
    model = gpt2()
    found = names(model)
    assert found[-1] == ["tokens.weight", "positions.weight"]
    assert [name for name in found[0] if "layers.1." not in name] == [
        "decoder.norm.weight",
        "decoder.norm.bias",
    ]
    assert all(name.startswith("decoder.layers.0.") for name in found[1])
    assert sum(map(len, found)) == len(list(model.parameters()))


def test_positions_without_weights_are_no_part():
    assert names(gpt2(positions="none"))[-1] == ["tokens.weight"]


def test_a_head_that_reads_the_embedding_leaves_it_at_the_bottom():
    found = names(bert("BertForMaskedLM"))
    assert all(name.startswith("predictions.") for name in found[0])
    assert "bert.embeddings.words.weight" in found[-1]


def test_a_body_alone_begins_with_its_highest_block():
    found = names(bert("BertModel"))
    assert len(found) == 3
    assert {"pooler.dense.weight", "encoder.layers.1.attention.query.weight"} < set(found[0])


@pytest.mark.parametrize("make", [classifier, gpt2, lambda: bert("BertForQuestionAnswering")])
def test_every_parameter_is_in_one_group_with_its_layers_rate(make):
    model = make()
    groups = layered_groups(model, 0.1, 0.5, 0.01)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(rates)
    assert rates == {id(p): 0.1 * 0.5**k for k, layer in enumerate(layers(model)) for _, p in layer}
    for group in groups:
        assert all((group["weight_decay"] == 0.01) == (p.ndim >= 2) for p in group["params"])
        assert group["weight_decay"] in (0.0, 0.01)


def test_the_head_comes_first_with_the_whole_rate():
    model = classifier()
    groups = layered_groups(model, 0.3, 0.5)
    assert [group["lr"] for group in groups] == [
        rate for k in range(4) for rate in [0.3 * 0.5**k] * 2
    ]
    assert groups[0]["params"] == [model.classifier.weight]


RATES = {HEAD: 0.3, TOP: 0.3 * 0.25, LOW: 0.3 * 0.0625, BOTTOM: 0.3 * 0.015625}


def test_one_step_is_what_a_hand_computes():
    """w − rate·g, to the last bit, with the rates written out."""
    model = classifier()
    optimizer = optim.SGD(layered_groups(model, 0.3, 0.25), lr=1.0)
    model(**batch()).loss.backward()
    expected = {
        name: p.data - RATES[place(name)] * p.grad.data for name, p in model.named_parameters()
    }
    optimizer.step()
    for name, p in model.named_parameters():
        assert np.array_equal(p.data, expected[name]), name
    assert optimizer.param_groups[0]["lr"] == 0.3


def test_a_schedule_multiplies_every_rate_and_the_heads_is_logged():
    model = classifier()
    optimizer = optim.AdamW(layered_groups(model, 0.3, 0.25))
    run = trainer(model, rows(), held=(), optimizer=optimizer, max_steps=4, logging_steps=1)
    seen: list[list[float]] = []

    class Rates(Callback):
        def on_step_end(self, trainer: Any) -> None:
            seen.append([group["lr"] for group in optimizer.param_groups[::2]])

    run.callbacks.append(Rates())
    run.train()
    factors = (0.75, 0.5, 0.25, 0.0)
    for found, factor in zip(seen, factors, strict=True):
        assert found == pytest.approx([factor * rate for rate in RATES.values()], rel=1e-12)
    logged = [row["learning_rate"] for row in run.history]
    assert logged == pytest.approx([0.3, 0.225, 0.15, 0.075], rel=1e-12)


def test_what_is_frozen_is_left_out_and_its_layer_still_counts():
    model = head_only(classifier())
    model.bert.embeddings.requires_grad_(True)
    groups = layered_groups(model, 1.0, 0.5)
    assert [group["lr"] for group in groups] == [1.0, 1.0, 0.125, 0.125]
    assert len(groups[2]["params"] + groups[3]["params"]) == 5


@pytest.mark.parametrize(
    ("numbers", "what"),
    [
        ((0.0, 0.5), "learning_rate must be above 0, not 0.0"),
        ((float("nan"), 0.5), "learning_rate must be above 0, not nan"),
        ((float("inf"), 0.5), "learning_rate must be above 0, not inf"),
        ((0.1, 0.0), "decay must be above 0 and at most 1, not 0.0"),
        ((0.1, 1.1), "decay must be above 0 and at most 1, not 1.1"),
        ((0.1, float("nan")), "decay must be above 0 and at most 1, not nan"),
        ((0.1, 0.5, -1.0), "weight_decay must be at least 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(numbers, what):
    with pytest.raises(ValueError, match=what):
        layered_groups(classifier(), *numbers)


def test_nothing_to_learn_is_refused():
    with pytest.raises(ValueError, match="nothing to learn: all parameters are frozen"):
        layered_groups(freeze(classifier()), 0.1, 0.5)


def hollow() -> Any:
    """A BERT whose encoder somebody has replaced."""
    model = classifier()
    model.bert.encoder = nn.Linear(8, 8)
    return model


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: models.MLP([2, 2]), r"a MLP is of no family .*\(bert, gpt2\)"),
        (translator, r"a Transformer is of no family .*\(bert, gpt2\)"),
        (hollow, r"of the family bert has no blocks at bert\.encoder\.layers"),
    ],
    ids=["MLP", "Transformer", "no encoder"],
)
def test_a_model_without_known_blocks_is_refused(make, what):
    with pytest.raises(ValueError, match=what):
        layered_groups(make(), 0.1, 0.5)
    with pytest.raises(ValueError, match=what):
        trainer(make(), rows(), callbacks=[GradualUnfreezing(1)])._tell("on_train_begin")
