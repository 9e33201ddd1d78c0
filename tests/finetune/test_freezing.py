"""Tests of freezing: what learns, that the rest keeps every bit, and that its tape is empty."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests.models.common import bert, gpt2, ids
from tests.training.common import trainer
from tinygrad_llm import Tensor, graph, models, nn, optim
from tinygrad_llm.finetune.freezing import counted, freeze, head_only, unfreeze, weights_hash
from tinygrad_llm.nn.summary import saved_bytes

KIND = "BertForSequenceClassification"


def batch(rows: int = 12) -> dict[str, np.ndarray]:
    return {"input_ids": ids(rows, 7), "labels": np.arange(rows) % 3}


def classifier(**options: Any) -> Any:
    return bert(KIND, num_labels=3, **options)


def trained(model: Any, **changes: Any) -> None:
    """Six steps, with dropout and a weight decay that would move every matrix."""
    rows = batch()
    train = [{name: array[i] for name, array in rows.items()} for i in range(12)]
    usual = {"max_steps": 6, "per_device_train_batch_size": 4, "weight_decay": 0.1}
    trainer(model, train, held=(), **{**usual, **changes}).train()


def tape(loss: Tensor) -> list[str]:
    """The ops that backward would go through, "leaf" for what gets a gradient."""
    return [node.op.name if node.op else "leaf" for node in graph.behind([loss._edge])]


def test_head_only_trains_what_is_beside_the_body():
    model = classifier()
    model.classifier.requires_grad_(False)
    assert head_only(model) is model
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learning == ["classifier.weight", "classifier.bias"]
    assert counted(model) == (8 * 3 + 3, sum(p.size for p in model.parameters()))


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "lamb"])
def test_steps_move_the_head_and_no_bit_of_the_body(optimizer):
    model = head_only(classifier())
    body, head = weights_hash(model.bert), weights_hash(model.classifier)
    trained(model, optim=optimizer)
    assert weights_hash(model.bert) == body
    assert weights_hash(model.classifier) != head


def test_steps_in_float16_leave_the_body_as_it_is():
    model = head_only(classifier().astype("float32"))
    body, head = weights_hash(model.bert), weights_hash(model.classifier)
    trained(model, fp16=True)
    assert weights_hash(model.bert) == body
    assert weights_hash(model.classifier) != head


def test_a_gradient_of_before_does_not_move_what_is_frozen_since():
    """Nor do moments and weight decay, of an optimizer that has the body too."""
    model = classifier()
    optimizer = optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model(**batch()).loss.backward()
    optimizer.step()
    head_only(model)
    body, head = weights_hash(model.bert), weights_hash(model.classifier)
    optimizer.step()
    model(**batch()).loss.backward()
    optimizer.step()
    assert weights_hash(model.bert) == body
    assert weights_hash(model.classifier) != head


def test_a_matrix_that_head_and_body_share_is_the_bodys():
    model = head_only(bert("BertForMaskedLM"))
    words, head = weights_hash(model.bert), weights_hash(model.predictions)
    labels = np.where(np.arange(7) % 3 == 0, ids(4, 7), -100)
    model(ids(4, 7), labels=labels).loss.backward()
    optim.SGD(model.parameters(), lr=0.1).step()
    assert weights_hash(model.bert) == words
    assert weights_hash(model.predictions) != head


@pytest.mark.parametrize("checkpoints", [False, True])
def test_the_tape_of_a_frozen_body_is_empty(checkpoints):
    model = head_only(classifier(gradient_checkpointing=checkpoints).train())
    loss = model(**batch()).loss
    found = graph.behind([loss._edge])
    leaves = {id(node.tensor()) for node in found if node.op is None}
    assert leaves == {id(p) for p in model.classifier.parameters()}
    pooled = Tensor(np.ones((12, 8)))
    model.classifier.train()
    alone = model.loss_of(model.classifier(model.dropout(pooled)), batch()["labels"])
    assert tape(loss) == tape(alone)
    assert len(tape(loss)) < 6


def kept(model: Any, inputs: Any) -> tuple[int, int]:
    """Bytes that a pass leaves behind for backward: as they are counted, and as they are."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    output = model.train()(inputs, labels=np.zeros(len(inputs), int))
    gc.collect()
    there = tracemalloc.get_traced_memory()[0] - before
    return saved_bytes(graph.behind([output.loss._edge]), model), there


def test_a_large_frozen_body_keeps_no_activations():
    """Of 6 blocks over 32 × 64 words, of which one array alone has 0.5 MB."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 6, "max_position_embeddings": 64}
    model, one = classifier(**sizes), 32 * 64 * 32 * 8
    inputs = ids(32, 64)
    tracemalloc.start()
    try:
        whole = kept(model, inputs)
        head = kept(head_only(model), inputs)
    finally:
        tracemalloc.stop()
    assert min(whole) > 6 * 10 * one
    assert max(head) < one / 4


def test_freeze_and_unfreeze():
    model = classifier()
    assert freeze(model.bert.embeddings) is model.bert.embeddings
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {
        name for name, _ in model.named_parameters() if name.startswith("bert.embeddings.")
    }
    assert unfreeze(model) is model
    assert all(p.requires_grad for p in model.parameters())


def test_a_shared_matrix_counts_once():
    model = gpt2()
    both = counted(model)
    assert both == (sum(p.size for p in model.parameters()),) * 2
    assert both[1] == model.tokens.weight.size + sum(
        p.size for name, p in model.named_parameters() if name != "tokens.weight"
    )
    freeze(model.tokens)
    assert counted(model) == (both[1] - model.tokens.weight.size, both[1])


class Bodiless(nn.Module):
    body = "part"

    def __init__(self) -> None:
        self.part = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: bert("BertModel"), "a BertModel has no body under a head"),
        (gpt2, "a GPT2LMHeadModel has no body under a head"),
        (lambda: models.MLP([2, 2]), "a MLP has no body under a head"),
        (Bodiless, "a Bodiless has no head: nothing in it is beside its body"),
    ],
    ids=["BertModel", "GPT-2", "MLP", "no head"],
)
def test_a_model_without_a_body_or_a_head_is_refused_as_it_is(make, what):
    model = make()
    with pytest.raises(ValueError, match=what):
        head_only(model)
    assert all(p.requires_grad for p in model.parameters())


def test_the_hash_sees_every_bit():
    a, b = classifier(), classifier()
    assert weights_hash(a) == weights_hash(b)
    assert weights_hash(a.bert) == weights_hash(b.bert) != weights_hash(a)
    b.classifier.weight.data[0, 0] = np.nextafter(b.classifier.weight.data[0, 0], 1.0)
    assert weights_hash(a) != weights_hash(b)
    assert weights_hash(a.bert) == weights_hash(b.bert)


def test_the_hash_tells_zeros_dtypes_and_names_apart():
    a, b, c = (nn.LayerNorm(2) for _ in range(3))
    b.bias.data[...] = -0.0
    c.astype("float64")
    swapped = nn.LayerNorm(2)
    swapped.weight, swapped.bias = swapped.bias, swapped.weight
    assert len({weights_hash(each) for each in (a, b, c, swapped)}) == 4
    whole = Bodiless()
    assert weights_hash(whole) != weights_hash(whole.part)
