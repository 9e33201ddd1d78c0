"""Tests of what LoRA refuses, each in one line, before anything has changed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import drawn
from tests.finetune.lora_common import bits, classifier, layer, logits
from tests.nn.common import Net, Tied
from tinygrad_llm import nn
from tinygrad_llm.finetune import LoRALinear, add_lora, lora_layers, merge_lora


def unchanged(model, kind, said, **options):
    """add_lora raises this error, in one line, and leaves the model as it was."""
    before = [(n, type(m)) for n, m in model.named_modules()], bits(model)
    asked = [p.requires_grad for p in model.parameters()]
    with pytest.raises(kind, match=said) as caught:
        add_lora(model, **options)
    assert "\n" not in str(caught.value)
    assert ([(n, type(m)) for n, m in model.named_modules()], bits(model)) == before
    assert [p.requires_grad for p in model.parameters()] == asked


REFUSED = [
    (ValueError, "no Linear is named 'qeury'.* query, key, value, out", {"targets": ("qeury",)}),
    (ValueError, "no Linear is named 'ery'", {"targets": ("query", "ery")}),
    (ValueError, "no Linear is named: ", {"targets": ()}),
    (ValueError, "no Linear is named 'classifier'", {"targets": ("classifier",)}),
    (TypeError, r'targets are names, as \("query",\) or "all", not', {"targets": "query"}),
    (TypeError, "targets are names", {"targets": 3}),
    (TypeError, r"train are names, as \(\"classifier\",\)", {"train": "classifier"}),
    (TypeError, "train are names", {"train": [None]}),
    (ValueError, "rank 0 is below 1", {"rank": 0}),
    (ValueError, r"rank 9 is above 8, the smaller side of .*0\.attention\.query", {"rank": 9}),
    (TypeError, "rank must be an integer, not 2.5", {"rank": 2.5}),
    (ValueError, "alpha must be a number above 0, not 0", {"alpha": 0}),
    (ValueError, "alpha must be a number above 0, not inf", {"alpha": math.inf}),
    (ValueError, "alpha must be a number above 0, not nan", {"alpha": math.nan}),
    (TypeError, "alpha must be a number, not '8'", {"alpha": "8"}),
    (TypeError, "rslora must be True or False, not 1", {"rslora": 1}),
    (ValueError, "dropout is a probability, not 2", {"dropout": 2}),
]


@pytest.mark.parametrize(("kind", "said", "options"), REFUSED)
def test_bad_arguments(kind, said, options):
    unchanged(classifier(), kind, said, **{"rank": 4, **options})


def test_the_rank_must_fit_every_layer():
    net = nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 3))
    unchanged(net, ValueError, r"rank 4 is above 3, .* of 1, .*\(9, 3\)", rank=4, targets="all")
    assert len(add_lora(net, rank=3, targets="all")) == 2


def test_a_model_with_lora():
    model = classifier()
    add_lora(model, rank=2)
    unchanged(model, ValueError, "has LoRA already, at .*query", rank=2, targets=("key",))


def test_tied_weights():
    unchanged(Tied(), ValueError, "a shares its weights", rank=2, targets=("a",))
    unchanged(Tied(), ValueError, "b shares its weights", rank=2, targets=("b",))
    shared = nn.Linear(4, 4)
    unchanged(nn.Sequential(shared, shared), ValueError, "0 shares", rank=2, targets="all")
    net = Net()
    net.other = net.head.weight
    assert add_lora(net, 2, targets=("inner",)) == ["first.inner", "blocks.0.inner"]


class Doubled(nn.Linear):
    """A Linear that computes something else."""

    def forward(self, x, activation=None):
        return 2.0 * super().forward(x, activation)


def test_what_is_no_plain_linear():
    unchanged(nn.Sequential(Doubled(3, 3)), ValueError, "there are none", rank=1, targets="all")
    with pytest.raises(TypeError, match=r"LoRA: Doubled is no nn\.Linear but a Doubled"):
        LoRALinear(Doubled(3, 3), rank=1)
    with pytest.raises(ValueError, match="activation 'tanh' is not one of relu, gelu, gelu_tanh"):
        layer()(drawn(1, 4), "tanh")
    with pytest.raises(ValueError, match=r"linear: x \(1, 5\) with a weight \(4, 3\)"):
        layer()(drawn(1, 5))


def test_hooks_would_be_lost():
    model = classifier()
    query = model.bert.encoder.layers[0].attention.query
    remove = query.register_forward_hook(lambda *_: None)
    unchanged(model, ValueError, "query has forward hooks", rank=2)
    remove()
    add_lora(model, rank=2)
    model.bert.encoder.layers[0].attention.query.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"merge_lora: .*query has forward hooks"):
        merge_lora(model)
    assert len(lora_layers(model)) == 4


def test_in_a_block_of_in_dtype():
    model = classifier()
    with nn.in_dtype(model, "float16"), pytest.raises(RuntimeError, match="leave the block"):
        add_lora(model, rank=2)
    add_lora(model, rank=2)
    with nn.in_dtype(model, "float16"), pytest.raises(RuntimeError, match="leave the block"):
        merge_lora(model)
    assert len(lora_layers(model)) == 4 and logits(model).dtype == np.float32
