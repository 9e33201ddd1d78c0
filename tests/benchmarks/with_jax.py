"""The races' steps in JAX: loss, gradients and Adam in one compiled program."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from tests.benchmarks import formulas
from tests.benchmarks.bert_c import with_places
from tests.benchmarks.decode_g import TOKENS, checksum
from tests.benchmarks.formulas import Functions, bert_loss, gpt_loss, mlp_loss
from tests.benchmarks.worker import Step

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
JAX = Functions(jnp, jax.lax.stop_gradient, jax.scipy.special.erf)


def mlp(arrays: dict[str, np.ndarray]) -> Step:
    """The MLP, with Adam."""
    batches = list(zip(jnp.asarray(arrays.pop("images")), jnp.asarray(arrays.pop("labels"))))
    return _step(partial(mlp_loss, JAX), arrays, batches, decay=0.0)


def gpt(heads: int, arrays: dict[str, np.ndarray]) -> Step:
    """The GPT, with AdamW."""
    batches = [(ids,) for ids in jnp.asarray(arrays.pop("ids"))]
    return _step(partial(gpt_loss, JAX, heads), arrays, batches, decay=0.01)


def bert(heads: int, arrays: dict[str, np.ndarray]) -> Step:
    """The BERT, with AdamW."""
    batches = jax.tree.map(jnp.asarray, with_places(arrays))
    return _step(partial(bert_loss, JAX, heads), arrays, batches, decay=0.01)


def decode(heads: int, arrays: dict[str, np.ndarray], tokens: int = TOKENS) -> Step:
    """The GPT as a writer: one compiled program reads the prompt and finds all tokens."""
    prompts = jnp.asarray(arrays.pop("prompts"))
    weights = jax.tree.map(jnp.asarray, arrays)
    write = jax.jit(partial(_written, heads, tokens))
    return lambda number: checksum(write(weights, prompts[number % len(prompts)]))


def _written(heads: int, tokens: int, p: dict[str, Any], ids: Any) -> Any:
    """ids (1, T) and so many tokens after them, each the most probable one: (T + tokens,)."""
    length = ids.shape[1] + tokens
    layers = len({name.split(".")[2] for name in p if ".layers." in name})
    width = p["tokens.weight"].shape[1] // heads
    caches = [jnp.zeros((2, 1, heads, length, width)) for _ in range(layers)]

    def another(state: Any, _: Any) -> tuple[Any, Any]:
        caches, seen, token = state
        caches, following = _read(heads, p, caches, seen, token[:, None])
        return (caches, seen + 1, following), following

    caches, first = _read(heads, p, caches, 0, ids)
    state = caches, ids.shape[1], first
    _, rest = jax.lax.scan(another, state, length=tokens - 1)
    return jnp.concatenate([ids[0], first, rest[:, 0]])


def _read(heads: int, p: dict[str, Any], caches: list[Any], seen: Any, ids: Any) -> Any:
    """The caches with ids (1, T), which come after `seen` tokens, and the token after them (1,)."""
    places = seen + jnp.arange(ids.shape[1])
    keys = jnp.arange(caches[0].shape[3])
    unseen = jnp.where(keys <= places[:, None], 0.0, -1e9)
    x = p["tokens.weight"][ids] + p["positions.weight"][places]
    grown = []
    for layer, cache in enumerate(caches):
        name = f"decoder.layers.{layer}"
        h = formulas.norm(JAX, p, f"{name}.attention_sum.norm", x)
        q, *new = formulas.heads_of(JAX, heads, p, name, h)
        cache = jax.lax.dynamic_update_slice(cache, jnp.stack(new), (0, 0, 0, seen, 0))
        x = x + formulas.mixed(JAX, p, name, q, *cache, unseen)
        h = formulas.norm(JAX, p, f"{name}.feed_forward_sum.norm", x)
        up = formulas.gelu_tanh(JAX, formulas.linear(p, f"{name}.feed_forward.up", h))
        x = x + formulas.linear(p, f"{name}.feed_forward.down", up)
        grown.append(cache)
    x = formulas.norm(JAX, p, "decoder.norm", x)[:, -1]
    return grown, (x @ p["tokens.weight"].T).argmax(-1)


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
