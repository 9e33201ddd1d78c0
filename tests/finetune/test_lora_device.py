"""LoRA and adapters on a GPU, through the strict stand-in for CuPy: it takes no host array."""

from __future__ import annotations

import numpy as np
import pytest

from tests.finetune.lora_common import LABELS, WORDS, bits, classifier, lively
from tinygrad_llm import Tensor, no_grad
from tinygrad_llm.finetune import load_adapter, lora_layers, merge_lora, save_adapter
from tinygrad_llm.testing import strict_cupy


@pytest.fixture(autouse=True)
def cuda():
    with strict_cupy.installed():
        yield


def on(model, device):
    """The model there, all of it."""
    assert {p.device[:4] for p in model.to(device).parameters()} == {device[:4]}
    return model


def loss(model, device):
    words, labels = (Tensor(each, device=device) for each in (WORDS, LABELS))
    return model(words, labels=labels).loss


@pytest.mark.parametrize("before", [False, True])
def test_a_gpu_gives_what_the_cpu_gives(before):
    found = []
    for device in ("cpu", "cuda"):
        if before:
            model = lively(on(classifier(), device), rank=4, targets="all")
        else:
            model = on(lively(classifier(), rank=4, targets="all"), device)
        loss(model, device).backward()
        each = next(iter(lora_layers(model).values()))
        each.merge()
        with no_grad():
            merged = loss(model, device).item()
        merge_lora(model)
        assert merged == pytest.approx(loss(model, device).item(), rel=1e-6)
        found.append([merged, each.lora_a.grad.numpy(), each.lora_b.grad.numpy()])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_merged_layer_moves():
    model = lively(classifier(), rank=4)
    for each in lora_layers(model).values():
        each.merge()
    with no_grad():
        host = loss(model, "cpu").item()
        assert loss(on(model, "cuda"), "cuda").item() == pytest.approx(host, rel=1e-5)


def test_an_adapter_comes_back_on_either(tmp_path):
    model = lively(on(classifier(), "cuda"), rank=4)
    save_adapter(model, tmp_path)
    for device in ("cpu", "cuda"):
        again = on(classifier(), device)
        load_adapter(again, tmp_path)
        assert bits(on(again, "cuda")) == bits(model)
