"""Tests of `no_storage`: what is counted is what would be, and nothing is allocated or computed."""

from __future__ import annotations

import copy
import threading
import tracemalloc

import numpy as np
import pytest

from tests.nn.common import Block, Net, Tied, same_values, values
from tinygrad_llm import Tensor, manual_seed, models, nn, optim, randn
from tinygrad_llm.training import Trainer, TrainingArguments

X = np.ones((2, 3), np.float32)
IDS = np.array([[3, 1, 2]])


def counted(make):
    """What `make` gives, without storage."""
    with nn.no_storage():
        return make()


def shapes(module: nn.Module) -> list[tuple]:
    return [(n, p.shape, p.dtype, p.requires_grad) for n, p in module.named_parameters()]


@pytest.mark.parametrize(
    "make",
    [
        Net,
        Tied,
        lambda: nn.Embedding(5, 3, padding_idx=0),
        lambda: nn.TransformerDecoder(2, 8, 2, norm="rezero", cross=True),
        lambda: nn.Sequential(nn.RMSNorm(4), nn.LearnedPositions(6, 4)),
        lambda: models.MLP([3, 4, 2]),
        lambda: models.GPT2LMHeadModel(models.GPT2Config.preset("tiny", vocab_size=7)),
        lambda: models.Transformer(models.TransformerConfig(9, d_model=8, nhead=2)),
        lambda: models.BertForPreTraining(models.BertConfig.preset("tiny", vocab_size=7)),
        lambda: nn.Parameter([1.0, 2.0], dtype="float64"),
        lambda: nn.Parameter(Tensor(np.ones((2, 3)))),
    ],
)
def test_names_shapes_and_summary_are_those_of_the_model(make):
    real, bare = make(), counted(make)
    if isinstance(real, nn.Parameter):
        assert (bare.shape, bare.dtype, bare.size) == (real.shape, real.dtype, real.size)
        return
    assert shapes(bare) == shapes(real)
    assert bare.summary() == real.summary()
    assert bare.astype("float16").summary() == real.astype("float16").summary()


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (lambda: models.BertModel(models.BertConfig.preset("base")), 109_482_240),
        (lambda: models.BertForPreTraining(), 110_106_428),
        (lambda: models.GPT2LMHeadModel(models.GPT2Config.preset("base")), 124_439_808),
        (lambda: models.BertModel(models.BertConfig.preset("mini")), 11_170_560),
        (lambda: models.BertModel(models.BertConfig.preset("tiny")), 4_385_920),
    ],
)
def test_published_sizes_are_counted_in_less_than_a_megabyte(make, parameters):
    tracemalloc.start()
    try:
        model = counted(make)
        text = model.summary()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(p.size for p in model.parameters()) == parameters
    assert f"{parameters:,} parameters" in text and most < 1e6


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(10**5, 10**7),
        lambda: nn.Embedding(10**7, 10**5, padding_idx=0),
        lambda: nn.LayerNorm(10**7),
        lambda: nn.RMSNorm(10**7),
        lambda: nn.LearnedPositions(10**7, 10**5),
        lambda: nn.TransformerDecoder(2, 10**6, 2, norm="pre", cross=True),
        lambda: models.BertForPreTraining(models.BertConfig.preset("base", hidden_size=12 * 10**6)),
    ],
)
def test_a_layer_of_any_size_takes_no_memory_for_its_width(make):
    tracemalloc.start()
    try:
        counted(make)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1e6


def test_frozen_parameters_are_counted_apart():
    model = counted(Net)
    model.head.requires_grad_(False)
    assert "53 parameters, 8 of them frozen: 212 B" in model.summary()


def stepped(model: nn.Module) -> None:
    optimizer = optim.Adam(model.parameters())
    for p in model.parameters():
        p.grad = Tensor(np.ones(p.shape, np.float32))
    optimizer.step()


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m(X),
        lambda m: m.summary(X),
        lambda m: m.state_dict(),
        lambda m: m.load_state_dict(values(Net())),
        lambda m: m.to("cpu"),
        lambda m: m.head.weight.numpy(),
        lambda m: m.head.weight.data[0],
        lambda m: m.scale * 2.0,
        lambda m: m.head.weight.sum(),
        lambda m: m.head.weight.item(),
        lambda m: np.asarray(m.head.weight),
        lambda m: X @ m.first.inner.weight,
        lambda m: m.head.weight.data.fill(0.0),
        lambda m: stepped(m),
        lambda m: Trainer(m, TrainingArguments(max_steps=1, quiet=True), [(X[0], 1)]).train(),
    ],
)
def test_whatever_needs_values_says_that_there_are_none(use):
    with pytest.raises(RuntimeError, match=r"a shape but no values: .* made under no_storage\(\)"):
        use(counted(Net))


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.BertModel(models.BertConfig.preset("tiny")),
        lambda: models.BertForPreTraining(models.BertConfig.preset("tiny")),
        lambda: models.GPT2LMHeadModel(models.GPT2Config.preset("tiny")),
    ],
)
def test_a_language_model_that_was_only_counted_does_not_run(make):
    with pytest.raises(RuntimeError, match="a shape but no values"):
        counted(make)(IDS)


def test_random_streams_stay_where_they_are():
    manual_seed(3)
    counted(Net)
    after = values(Net())
    manual_seed(3)
    assert same_values(after, values(Net()))


def test_the_block_ends_after_an_error_and_is_that_of_one_thread():
    with pytest.raises(ValueError, match="below 0"), nn.no_storage():
        nn.Linear(-1, 2)
    assert nn.Linear(2, 3).weight.numpy().any()
    found = []
    with nn.no_storage():
        thread = threading.Thread(target=lambda: found.append(nn.Linear(2, 3)))
        thread.start()
        thread.join()
        assert randn(2).numpy().shape == (2,)
    assert found[0].weight.numpy().any()


def test_it_is_shown_and_copied():
    model = counted(lambda: Block(2, 3))
    assert repr(model.inner.weight) == "Parameter((2, 3), no storage)"
    assert repr(model) == repr(Block(2, 3))
    assert shapes(copy.deepcopy(model)) == shapes(model)
    assert repr(model.gain.data) == "NoStorage((3,), float32)"
