"""BERT with each of its heads, and GPT-2 on padded texts, give transformers' recorded outputs,
losses, gradients and steps: in float64 to 1e-10, and in float32 to 1e-5 of the largest number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.fixtures import make_bert as made
from tests.fixtures.make_torch_transformer import STEPS, weight
from tests.nn import torch_names
from tinygrad_llm import Tensor, functional, grad, models, nn, optim
from tinygrad_llm.files import load_safetensors

RECORDED = load_safetensors(made.FILE)[0]
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}

pytestmark = pytest.mark.parametrize("dtype", ["float64", "float32"])


def of(case: str) -> dict[str, np.ndarray]:
    """What was recorded of a case."""
    return torch_names.under(f"{case}/", RECORDED)


def agree(ours: Tensor, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    worst = np.abs(ours.numpy() - theirs).max()
    # Gradients of biases of keys are 0 but for rounding: so not of the largest number alone.
    assert worst <= TOLERANCE[ours.dtype.name] * max(np.abs(theirs).max(), 0.1)


def filled(case: str, model: Any, translate: Callable, dtype: str) -> Any:
    """The model with the weights that transformers' had, known by their names and shapes."""
    theirs = torch_names.under("d ", of(case))
    torch = {name: weight(name, array.shape) for name, array in theirs.items()}
    model.astype(dtype).load_state_dict(translate(torch))
    return model


def bert(case: str, kind: str, dtype: str, **changes: Any) -> Any:
    config = models.BertConfig(**made.SIZES, **changes)
    return filled(case, getattr(models, kind)(config), torch_names.bert, dtype)


def same_gradients(model: nn.Module, loss: Tensor, case: str, translate: Callable) -> None:
    expected = translate(torch_names.under("d ", of(case)))
    parameters = dict(model.named_parameters())
    assert set(expected) == set(parameters)
    for name, ours in zip(parameters, grad(loss, list(parameters.values()))):
        agree(ours, expected[name])


def same_steps(model: nn.Module, loss_of: Callable, case: str, translate: Callable) -> None:
    """Three steps of AdamW: the loss before each, and the weights after them."""
    expected = of(f"{case} trained")
    losses = expected.pop("losses")
    optimizer = optim.AdamW(model.parameters(), **STEPS)
    for theirs in losses:
        optimizer.zero_grad()
        loss = loss_of()
        agree(loss, theirs)
        loss.backward()
        optimizer.step()
    expected = translate(expected)
    for name, p in model.named_parameters():
        # A key's bias adds the same to all scores of a row: its gradient is rounding alone, and
        # Adam makes steps of it that in float32 are anybody's.
        if p.dtype == np.float64 or not name.endswith("key.bias"):
            agree(p, expected[name])


INPUTS: dict[str, dict] = {"plain": {}, "padded": made.PADDED}


@pytest.mark.parametrize("checkpoints", [False, True])
@pytest.mark.parametrize("case", INPUTS)
def test_pretraining(case, checkpoints, dtype):
    model = bert(case, "BertForPreTraining", dtype, gradient_checkpointing=checkpoints)
    labels = {"labels": made.WORDS, "next_sentence_label": made.FOLLOWS}
    asked = {"output_attentions": True, "output_hidden_states": True}
    output, theirs = model(made.IDS, **INPUTS[case], **labels, **asked), of(case)
    for name, ours in {
        "loss": output.loss,
        "mlm": output.mlm_loss,
        "nsp": output.nsp_loss,
        "logits": output.logits,
        "scores": output.seq_relationship_logits,
        "states": functional.stack(output.hidden_states),
        "maps": functional.stack(output.attentions),
    }.items():
        agree(ours, theirs[name])
    assert (output.targets, output.nsp_targets) == (5, 2)
    same_gradients(model, output.loss, case, torch_names.bert)


def test_three_steps_of_pretraining(dtype):
    model = bert("padded", "BertForPreTraining", dtype)
    labels = {"labels": made.WORDS, "next_sentence_label": made.FOLLOWS}
    run = lambda: model(made.IDS, **made.PADDED, **labels).loss  # noqa: E731
    same_steps(model, run, "padded", torch_names.bert)


@pytest.mark.parametrize("case", made.HEADS)
def test_heads(case, dtype):
    kind, changes, labels = made.HEADS[case]
    model = bert(case, kind, dtype, **changes)
    output = model(made.IDS, **made.PADDED, **labels)
    agree(output.loss, of(case)["loss"])
    both = case == "answers"
    logits = functional.stack([output.start_logits, output.end_logits]) if both else output.logits
    agree(logits, of(case)["logits"])
    same_gradients(model, output.loss, case, torch_names.bert)


@pytest.mark.parametrize("checkpoints", [False, True])
def test_gpt2_on_padded_texts(checkpoints, dtype):
    config = models.GPT2Config(**made.GPT2_SIZES, gradient_checkpointing=checkpoints)
    model = filled("gpt2", models.GPT2LMHeadModel(config), torch_names.gpt2, dtype)

    def run(**asked: Any) -> Any:
        return model(made.IDS, made.MASK, labels=made.GPT2_LABELS, **asked)

    output, theirs = run(output_hidden_states=True), of("gpt2")
    real = made.MASK == 1
    agree(output.loss, theirs["loss"])
    agree(output.logits[real], theirs["logits"][real])
    agree(functional.stack(output.hidden_states)[:, real], theirs["states"][:, real])
    same_gradients(model, output.loss, "gpt2", torch_names.gpt2)
    same_steps(model, lambda: run().loss, "gpt2", torch_names.gpt2)
