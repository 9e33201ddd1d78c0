"""The races' steps in HIPS autograd: its gradients, and our optimizer, as it has no AdamW."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.scipy.special import erf
from autograd.tracer import getval

from tests.benchmarks.bert_c import with_places
from tests.benchmarks.formulas import Functions, bert_loss, gpt_loss, mlp_loss
from tests.benchmarks.worker import Step
from tinygrad_llm import nn, optim
from tinygrad_llm.tensor import Tensor

AUTOGRAD = Functions(anp, getval, erf)


def mlp(arrays: dict[str, np.ndarray]) -> Step:
    """The MLP, with Adam."""
    batches = list(zip(arrays.pop("images"), arrays.pop("labels")))
    return _step(partial(mlp_loss, AUTOGRAD), arrays, batches, optim.Adam)


def gpt(heads: int, arrays: dict[str, np.ndarray]) -> Step:
    """The GPT, with AdamW."""
    batches = [(ids,) for ids in arrays.pop("ids")]
    return _step(partial(gpt_loss, AUTOGRAD, heads), arrays, batches, optim.AdamW)


def bert(heads: int, arrays: dict[str, np.ndarray]) -> Step:
    """The BERT, with AdamW."""
    return _step(partial(bert_loss, AUTOGRAD, heads), arrays, with_places(arrays), optim.AdamW)


def _step(
    loss: Callable[..., Any], arrays: dict[str, np.ndarray], batches: list[Any], kind: type
) -> Step:
    parameters = {name: nn.Parameter(value) for name, value in arrays.items()}
    optimizer = kind(parameters.values(), lr=1e-3)
    differentiated = autograd.value_and_grad(loss)

    def step(number: int) -> Any:
        weights = {name: parameter.data for name, parameter in parameters.items()}
        value, gradients = differentiated(weights, *batches[number % len(batches)])
        for name, parameter in parameters.items():
            parameter.grad = Tensor(gradients[name])
        optimizer.step()
        return value

    return step
