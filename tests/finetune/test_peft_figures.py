"""BERT with LoRA, and whole, gives PEFT's and transformers' recorded outputs, gradients and losses
of three steps of AdamW."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.fixtures import make_peft as made
from tests.fixtures.make_bert import IDS, PADDED, SIZES
from tests.fixtures.make_torch_transformer import STEPS, weight
from tests.nn import torch_names
from tinygrad_llm import finetune, models, optim
from tinygrad_llm.files import load_safetensors

RECORDED = load_safetensors(made.FILE)[0]

CASES: dict[str, dict[str, Any] | None] = {
    "lora": {},
    "rslora": {"rslora": True},
    "at the start": {},
    "every linear": {"targets": "all"},
    "whole": None,
}
"""Case -> what add_lora is told beside rank and alpha; None without LoRA."""


def of(case: str) -> dict[str, np.ndarray]:
    return torch_names.under(f"{case}/", RECORDED)


def ours(torch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays under our names, matrices (in, out)."""
    names = {".lora_A.weight": ".lora_a", ".lora_B.weight": ".lora_b"}
    found = torch_names.bert(torch)
    for theirs, mine in names.items():
        found = {name.replace(theirs, mine): array for name, array in found.items()}
    return found


def filled(case: str, dtype: str) -> Any:
    """The model with the weights that PEFT's had, known by their names."""
    config = models.BertConfig(**SIZES, num_labels=3)
    model = models.BertForSequenceClassification(config).astype(dtype)
    whole = torch_names.under("whole/d ", RECORDED)
    model.load_state_dict(ours({name: weight(name, g.shape) for name, g in whole.items()}))
    options = CASES[case]
    if options is None:
        return model
    finetune.add_lora(model, made.LORA["r"], made.LORA["lora_alpha"], **options)
    theirs = torch_names.under("d ", of(case))
    own = ours({n: weight(n, g.shape) for n, g in theirs.items() if ".lora_" in n})
    for layer, each in finetune.lora_layers(model).items():
        each.lora_a.data[...] = own[f"{layer}.lora_a"]
        if case != "at the start":
            each.lora_b.data[...] = own[f"{layer}.lora_b"]
    return model


def far(a: np.ndarray, b: np.ndarray) -> float:
    """The norm of the difference, as a part of the second's."""
    assert a.shape == b.shape
    # Gradients of biases of keys are 0 but for rounding.
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-3))


LIMITS = {"float64": (1e-9, 1e-9), "float32": (1e-4, 2e-4)}
"""Of gradients and outputs, and of the losses."""


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("case", CASES)
def test_three_steps(case, dtype):
    model, theirs = filled(case, dtype), of(case)
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    expected = ours(torch_names.under("d ", theirs))
    assert set(learning) == set(expected)
    optimizer, losses = optim.AdamW(learning.values(), **STEPS), []
    for step in range(3):
        optimizer.zero_grad()
        output = model(IDS, **PADDED, labels=made.LABELS)
        output.loss.backward()
        losses.append(output.loss.item())
        if step == 0:
            assert far(output.logits.numpy(), theirs["logits"]) < LIMITS[dtype][0]
            for name, parameter in learning.items():
                assert far(parameter.grad.numpy(), expected[name]) < LIMITS[dtype][0], name
        optimizer.step()
    np.testing.assert_allclose(losses, theirs["losses"], rtol=LIMITS[dtype][1])


def test_the_cases_are_told_apart():
    """The recorded figures depend on the scale, on B, and on which layers have LoRA."""
    firsts = [of(case)["losses"] for case in CASES]
    for i, a in enumerate(firsts):
        for b in firsts[:i]:
            assert np.abs(a - b)[1:].max() > 1e-3
    start = {n: g for n, g in of("at the start").items() if n.startswith("d ")}
    assert all((g == 0).all() == ("lora_A" in n) for n, g in start.items())
