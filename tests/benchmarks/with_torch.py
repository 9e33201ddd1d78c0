"""The races' steps in PyTorch, written as its users write them.

`adam` chooses among its implementations of the optimizer, such as foreach=True or fused=True.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tests.benchmarks.decode_g import TOKENS, checksum
from tests.benchmarks.mlp import WIDTHS, parameters
from tests.benchmarks.torch_networks import GPT, Bert, Concatenated, Preallocated
from tests.benchmarks.worker import Step

RATE = 1e-3


def mlp(arrays: dict[str, np.ndarray], **adam: bool) -> Step:
    """The MLP, with Adam."""
    fan_in, width, classes = WIDTHS
    model = nn.Sequential(nn.Linear(fan_in, width), nn.ReLU(), nn.Linear(width, classes))
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), parameters(arrays), strict=True):
            parameter.copy_(torch.from_numpy(array.T))
    images, labels = map(torch.from_numpy, (arrays["images"], arrays["labels"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, **adam)
    return _step(lambda x, y: F.cross_entropy(model(x), y), list(zip(images, labels)), optimizer)


def gpt(heads: int, arrays: dict[str, np.ndarray], **adam: bool) -> Step:
    """The GPT, with AdamW."""
    batches = [(ids,) for ids in torch.from_numpy(arrays.pop("ids"))]
    model = GPT(heads, _tensors(arrays))
    return _step(model, batches, torch.optim.AdamW(model.parameters(), lr=RATE, **adam))


def bert(heads: int, arrays: dict[str, np.ndarray], **adam: bool) -> Step:
    """The BERT, with AdamW."""
    batches = list(zip(*(torch.from_numpy(arrays.pop(name)) for name in ("ids", "labels"))))
    model = Bert(heads, _tensors(arrays))
    return _step(model, batches, torch.optim.AdamW(model.parameters(), lr=RATE, **adam))


def decode(
    heads: int, arrays: dict[str, np.ndarray], tokens: int = TOKENS, *, concatenated: bool = False
) -> Step:
    """The GPT as a writer. concatenated: its cache grows by each token, and is not made before."""
    prompts = torch.from_numpy(arrays.pop("prompts"))
    model = GPT(heads, _tensors(arrays))
    new_cache = Concatenated if concatenated else Preallocated

    def step(number: int) -> int:
        return checksum(_written(model, prompts[number % len(prompts)], tokens, new_cache))

    return step


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _step(loss_of: Callable, batches: list[tuple], optimizer: torch.optim.Optimizer) -> Step:
    def step(number: int) -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(*batches[number % len(batches)])
        loss.backward()
        optimizer.step()
        return loss

    return step


@torch.inference_mode()
def _written(model: GPT, ids: Any, tokens: int, new_cache: Callable[..., Any]) -> Any:
    """ids (1, T) and so many tokens after them, each the most probable one: (T + tokens,)."""
    written, length = [ids], ids.shape[1] + tokens
    caches = [new_cache(block.heads, length, block.width) for block in model.blocks]
    for _ in range(tokens):
        written.append(model.next_scores(written[-1], caches).argmax(-1, keepdim=True))
    return torch.cat(written, 1)[0]
