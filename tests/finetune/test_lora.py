"""Tests of LoRA: values and gradients, which layers get it, what stays frozen and off the tape."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from tests.engine.common import drawn, leaf
from tests.finetune.lora_common import LABELS, WORDS, bits, classifier, layer, lively, logits, tune
from tests.models.common import bert, gpt2, ids
from tests.nn.common import Net
from tinygrad_llm import Tensor, graph, manual_seed, models, nn, optim, use_backend
from tinygrad_llm import functional as F
from tinygrad_llm.files import save_safetensors
from tinygrad_llm.finetune import LoRALinear, add_lora, lora_layers, trainable_share
from tinygrad_llm.ops.products import Linear
from tinygrad_llm.testing import gradcheck

ATTENTION = "bert.encoder.layers.0.attention"


OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "rslora": {"rslora": True, "alpha": 3.0},
    "dropout": {"dropout": 0.4},
}


@pytest.mark.parametrize("activation", [None, "relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gradients_to_second_order(options, activation):
    made = layer(**options)

    def run(x, a, b):
        vars(made).update(lora_a=a, lora_b=b)  # setattr refuses what is no Parameter
        return made(x, activation)

    inputs = [leaf(drawn(2, 2, 4)), leaf(made.lora_a.numpy()), leaf(made.lora_b.numpy())]
    gradcheck(run, inputs)


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("activation", [None, "relu", "gelu", "gelu_tanh"])
def test_the_value_is_that_of_the_formula(activation, rslora):
    made, x = layer(alpha=5.0, rslora=rslora), drawn(6, 4)
    w, b, low, up = (p.numpy() for p in (made.weight, made.bias, made.lora_a, made.lora_b))
    scale = 5.0 / (math.sqrt(2.0) if rslora else 2.0)
    whole = nn.Linear(4, 3).astype("float64")
    whole.load_state_dict({"weight": w + scale * low @ up, "bias": b})
    expected = whole(x, activation).numpy()
    np.testing.assert_allclose(made(x, activation).numpy(), expected, rtol=1e-12, atol=1e-14)


def test_dropout_is_of_what_a_reads_and_in_training_alone():
    made, x = layer(dropout=0.5, alpha=6.0), Tensor(drawn(5, 4))
    manual_seed(3)
    beside = made(x) - F.linear(x, made.weight, made.bias)
    manual_seed(3)
    expected = 3.0 * (F.dropout(x, 0.5) @ made.lora_a @ made.lora_b)
    np.testing.assert_allclose(beside.numpy(), expected.numpy(), atol=1e-14)
    plain = 3.0 * (x @ made.lora_a @ made.lora_b) + F.linear(x, made.weight, made.bias)
    np.testing.assert_allclose(made.eval()(x).numpy(), plain.numpy(), atol=1e-14)


def test_how_a_and_b_begin():
    made = LoRALinear(nn.Linear(400, 300), rank=16)
    low = made.lora_a.numpy()
    assert (made.lora_b.numpy() == 0.0).all() and low.shape == (400, 16)
    assert 0.049 < np.abs(low).max() <= 0.05  # uniform in ±1/√400
    assert abs(low.std() - 0.05 / math.sqrt(3.0)) < 0.001
    assert list(made.state_dict()) == ["weight", "bias", "lora_a", "lora_b"]
    assert repr(made) == "LoRALinear(400, 300, rank=16, alpha=16.0)"


@pytest.mark.parametrize("x", [[[1, 2, 3, 4]], np.ones((2, 4), int), Tensor(np.ones((1, 4), int))])
def test_inputs_may_be_what_a_linear_takes(x):
    made = layer()
    np.testing.assert_allclose(made(x).numpy(), made(np.array(x, np.float64)).numpy())


def test_a_layer_by_itself_freezes_its_linear(tmp_path):
    linear = nn.Linear(3, 2)
    linear(drawn(4, 3)).sum().backward()
    made = LoRALinear(linear, rank=1)
    assert made.weight is linear.weight and made.bias is linear.bias
    assert all(p.grad is None and not p.requires_grad for p in (made.weight, made.bias))
    assert made.lora_a.requires_grad and made.lora_b.requires_grad
    arrays = {n: p.numpy().T if n == "weight" else p.numpy() for n, p in made.state_dict().items()}
    save_safetensors(tmp_path / "w", arrays)
    before = bits(made)
    nn.load_weights(made, tmp_path / "w", layout="torch")  # in which W alone is (out, in)
    assert bits(made) == before


# In a model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_at_the_start_nothing_has_changed(dtype):
    model = classifier(dtype)
    before = logits(model)
    names = add_lora(model, rank=4)
    assert names == [f"bert.encoder.layers.{i}.attention.{n}" for i in (0, 1) for n in TWO]
    assert np.array_equal(logits(model), before)
    assert lora_layers(model).keys() == set(names)
    assert all(p.dtype == dtype for p in model.parameters())
    assert not any(each.training for each in model.modules())


TWO = ("query", "value")

TARGETS = {
    "last names": (("key",), ["attention.key"]),
    "two": (["up", "down"], ["feed_forward.up", "feed_forward.down"]),
    "more of the name": (("attention.out",), ["attention.out"]),
    "whole name": ((f"{ATTENTION}.out",), None),
    "all": ("all", [f"attention.{n}" for n in ("query", "key", "value", "out")]),
}


@pytest.mark.parametrize(("targets", "each"), TARGETS.values(), ids=TARGETS)
def test_targets(targets, each):
    model = classifier()
    found = add_lora(model, rank=2, targets=targets)
    if targets == "all":
        each = [*each, "feed_forward.up", "feed_forward.down"]
    wanted = [f"bert.encoder.layers.{i}.{name}" for i in (0, 1) for name in each or ()]
    assert found == (wanted or list(targets)) + ["bert.pooler.dense"] * (targets == "all")
    assert type(model.classifier) is nn.Linear
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    own = {f"{name}.{x}" for name in found for x in ("lora_a", "lora_b")}
    assert learning == own | {"classifier.weight", "classifier.bias"}


def test_all_of_a_model_without_a_named_body():
    assert len(add_lora(gpt2(), 2, targets="all", train=())) == 12
    net = Net()
    assert add_lora(net, 2, targets="all", train=["head"]) == ["first.inner", "blocks.0.inner"]
    learning = [n for n, p in net.named_parameters() if p.requires_grad]
    assert learning[-1] == "head.weight" and len(learning) == 5


def test_the_body_alone_and_whole_parts():
    model = bert("BertForPreTraining")
    found = add_lora(model, 2, targets="all", train=("seq_relationship",))
    assert len(found) == 13 and all(name.startswith("bert.") for name in found)
    assert not model.predictions.dense.weight.requires_grad
    deep = nn.Sequential(*(nn.Linear(3, 3) for _ in range(11)))
    add_lora(deep, 1, targets=("0",), train=("1",))  # and not "10"
    learning = [name for name, p in deep.named_parameters() if p.requires_grad]
    assert learning == ["0.lora_a", "0.lora_b", "1.weight", "1.bias"]


def test_the_share_that_learns():
    model = classifier()
    everything = sum(p.size for p in model.parameters())
    assert trainable_share(model) == 1.0
    add_lora(model, rank=3)
    own = 4 * (8 * 3 + 3 * 8)
    assert trainable_share(model) == (own + 8 * 2 + 2) / (everything + own)
    with nn.no_storage():
        base = models.BertForSequenceClassification(models.BertConfig.preset("base"))
        add_lora(base)
    assert 0.002 < trainable_share(base) < 0.003


def test_real_steps_leave_the_frozen_weights_alone():
    model = classifier()
    before = bits(model)
    names = add_lora(model, rank=4)
    own = {name: p.numpy().copy() for name, p in model.named_parameters() if p.requires_grad}
    tune(model)
    after = bits(model)
    assert own.keys() - before.keys() == {f"{n}.{x}" for n in names for x in ("lora_a", "lora_b")}
    for name, parameter in model.named_parameters():
        if name in own:
            assert np.abs(parameter.numpy() - own[name]).max() > 1e-3, name
        else:
            assert after[name] == before[name] and parameter.grad is None, name


def test_gradients_of_before_move_nothing():
    model = classifier()
    optimizer = optim.AdamW(model.parameters(), lr=0.1)
    model(WORDS, labels=LABELS).loss.backward()
    before = bits(model)
    add_lora(model, rank=2)
    optimizer.step()
    moved = {name for name, each in bits(model).items() if before.get(name, each) != each}
    assert moved == set()


def test_the_tape_has_no_frozen_weight_and_nothing_below_the_first_layer():
    model = classifier()
    add_lora(model, rank=4, targets=("value",))
    nodes = graph.behind([model(WORDS, labels=LABELS).loss._edge])
    leaves = {id(node.tensor()) for node in nodes if node.op is None}
    assert leaves == {id(p) for p in model.parameters() if p.requires_grad}
    names = [node.op.name for node in nodes if node.op is not None]
    whole = graph.behind([classifier()(WORDS, labels=LABELS).loss._edge])
    assert "embedding" in {node.op.name for node in whole if node.op is not None}
    assert "embedding" not in names and names.count("addlayernorm") == 4


@use_backend("reference")
def test_no_gradient_of_a_frozen_matrix_is_computed(monkeypatch):
    model, seen = lively(classifier(), rank=4, targets="all"), []
    backward = Linear.backward

    def spy(xp, g, saved, needs):
        seen.append((saved[1], needs))
        return backward(xp, g, saved, needs)

    monkeypatch.setattr(Linear, "backward", staticmethod(spy))
    model(WORDS, labels=LABELS).loss.backward()
    learns = {id(p.data): p.requires_grad for p in model.parameters()}
    assert len(seen) == 3 * 13 + 1 - 3  # of the first three no input needs a gradient
    assert all(needs[1] == learns[id(weight)] for weight, needs in seen)
    assert sum(not needs[1] for _, needs in seen) == 10


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradient_checkpointing_gives_the_same_bits(dropout):
    found = []
    for on in (False, True):
        model = lively(classifier(gradient_checkpointing=on), rank=4, dropout=dropout).train()
        manual_seed(5)
        model(WORDS, labels=LABELS).loss.backward()
        found.append([p.grad.numpy() for p in model.parameters() if p.requires_grad])
    assert len(found[0]) == 10
    for a, b in zip(*found):
        assert np.array_equal(a, b) and np.abs(a).max() > 0


def test_in_float16_the_gradients_come_to_the_parameters():
    model = lively(classifier(), rank=4)
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    wanted = [p for p in model.parameters() if p.requires_grad]
    model(WORDS, labels=LABELS).loss.backward()
    exact = [p.grad.numpy() for p in wanted]
    model.zero_grad()
    with nn.in_dtype(model, "float16"):
        loss = model(WORDS, labels=LABELS).loss
        assert [n for n, p in model.named_parameters() if p.requires_grad] == names
    loss.backward()
    for p, g in zip(wanted, exact):
        assert p.grad.dtype == np.float32
        assert np.linalg.norm(p.grad.numpy() - g) < 0.02 * np.linalg.norm(g)


def test_weight_decay_is_for_a_and_b_and_none_of_the_frozen():
    model = classifier()
    add_lora(model, rank=2)
    matrices, rest = optim.decay_groups(model, 0.1)
    assert len(matrices["params"]) == 9 and len(rest["params"]) == 1
    assert all(p.requires_grad for p in matrices["params"])


def test_layers_follow_the_dtype_and_survive_a_copy():
    model = lively(classifier(), rank=4).astype("float64")
    again = copy.deepcopy(model)
    assert all(p.dtype == np.float64 for p in again.parameters())
    assert np.array_equal(logits(again), logits(model))
    state = {name: 2 * value.numpy() for name, value in again.state_dict().items()}
    model.load_state_dict(state)
    assert np.array_equal(model.classifier.bias.numpy(), 2 * again.classifier.bias.numpy())


def test_generation_reads_lora():
    model = gpt2()
    before = model(ids(1, 5)).logits.numpy()
    lively(model, rank=2, targets="all", train=())
    assert np.abs(model(ids(1, 5)).logits.numpy() - before).max() > 0.01
