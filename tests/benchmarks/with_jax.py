"""The races' steps in JAX: loss, gradients and Adam in one compiled program."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from tests.benchmarks.formulas import Functions, gpt_loss, mlp_loss
from tests.benchmarks.worker import Step

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
JAX = Functions(jnp, jax.lax.stop_gradient)


def mlp(arrays: dict[str, np.ndarray]) -> Step:
    """The MLP, with Adam."""
    batches = list(zip(jnp.asarray(arrays.pop("images")), jnp.asarray(arrays.pop("labels"))))
    return _step(partial(mlp_loss, JAX), arrays, batches, decay=0.0)


def gpt(heads: int, arrays: dict[str, np.ndarray]) -> Step:
    """The GPT, with AdamW."""
    batches = [(ids,) for ids in jnp.asarray(arrays.pop("ids"))]
    return _step(partial(gpt_loss, JAX, heads), arrays, batches, decay=0.01)


def _step(
    loss: Callable[..., Any], arrays: dict[str, np.ndarray], batches: list[Any], decay: float
) -> Step:
    # The program may write new weights and moments where the old ones were: they are donated.
    train = jax.jit(partial(_train, loss, decay), donate_argnums=0)
    zeros = {name: np.zeros_like(value) for name, value in arrays.items()}
    state = jax.tree.map(jnp.array, (arrays, zeros, zeros, np.float32(0.0)))

    def step(number: int) -> Any:
        nonlocal state
        state, value = train(state, *batches[number % len(batches)])
        return value

    return step


def _train(loss: Callable[..., Any], decay: float, state: Any, *batch: Any) -> tuple[Any, Any]:
    weights, m, v, count = state
    value, gradients = jax.value_and_grad(loss)(weights, *batch)
    count = count + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradients)
    weights = jax.tree.map(partial(_updated, decay, count), weights, m, v)
    return (weights, m, v, count), value


def _updated(decay: float, count: Any, w: Any, m: Any, v: Any, rate: float = 1e-3) -> Any:
    m_hat, v_hat = m / (1 - BETA1**count), v / (1 - BETA2**count)
    return w - rate * (m_hat / (jnp.sqrt(v_hat) + EPS) + decay * w)
