"""Rows of token ids that grow, and the model that says what may come next, with or without a cache.

What `generate` asks of a model. Of the keywords below it is given those that its signature names,
so that a model which knows none of them, and gives logits (N, T, V) for ids (N, T), will do.

A decoder alone is called as `model(input_ids, ...)`; an encoder-decoder, which is a model that has
`encode`, and a `decode` of two positional inputs, once as
`states = model.encode(input_ids, attention_mask=...)` and then as `model.decode(ids, states, ...)`.
states[rows] must give the states of those rows, as a Tensor
(B, S, D) does. The answer is a Tensor of logits (N, T, V), or an object with `.logits`.

- attention_mask (N, S): 1 at tokens, 0 at padding, of all tokens so far, those in the cache
  included; for `decode`, of the source. A model that does not name it gets no padded prompts.
- position_ids (N, T), for a decoder alone: places counted from the first token after padding; 0 at
  padding.
- cache: what `model.new_cache()` gave. The model adds to it what it reads, and `input_ids` are the
  tokens that it has not read yet. Without this keyword, or without `new_cache`, it reads all tokens
  again at every step.
- logits_to_keep: always 1: only the last place's logits are wanted, though more may be given.

Where the model has a `config`, its decoder_start_token_id, pad_token_id and eos_token_id are those
that nobody else says, its max_position_embeddings is how many tokens it reads at most, and its
vocab_size, or for what an encoder-decoder writes its target_vocab_size, how many there are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from tinygrad_llm.backend.devices import put, to_host
from tinygrad_llm.nn import Module
from tinygrad_llm.tensor import Tensor

KEYWORDS = ("attention_mask", "position_ids", "cache", "logits_to_keep")


class Cache(Protocol):
    """What a model keeps of the N rows that it has read, such as their keys and values."""

    def reorder(self, rows: np.ndarray) -> None:
        """Row i goes on from what was row rows[i]; there may be more or fewer rows than before."""


class Rows:
    """N rows for a decoder alone.

    ids, mask (N, T): the text so far, and 0 at its padding. numbers (N,): which of the first rows
    each goes on from. logits (N, V) float64: scores of the next token, after `read`.
    """

    logits: np.ndarray

    def __init__(self, model: Any, ids: np.ndarray, mask: np.ndarray):
        self._model, self._device = model, _device_of(model)
        self.ids, self.mask, self.numbers = ids, mask, np.arange(len(ids))
        self._call = self._function()
        self._names = _named(self._call)
        if not callable(getattr(model, "new_cache", None)):
            self._names = [name for name in self._names if name != "cache"]
        self._cache = model.new_cache() if "cache" in self._names else None
        self._seen = 0  # columns of ids that are in the cache

    def read(self) -> None:
        """Let the model read what it has not read."""
        options = {name: self._option(name) for name in self._names}
        output = self._answer(self._put(self.ids[:, self._seen :]), options)
        if self._cache is not None:
            self._seen = self.ids.shape[1]
        self.logits = _last_logits(output, len(self.ids))

    def append(self, tokens: np.ndarray) -> None:
        """One more token (N,) for each row."""
        self.ids = np.concatenate([self.ids, tokens[:, None]], axis=1)
        self.mask = np.pad(self.mask, ((0, 0), (0, 1)), constant_values=1)

    def select(self, rows: np.ndarray) -> None:
        """Row i goes on from what was row rows[i]."""
        if np.array_equal(rows, np.arange(len(self.ids))):
            return
        self.ids, self.mask, self.logits = self.ids[rows], self.mask[rows], self.logits[rows]
        self.numbers = self.numbers[rows]
        if self._cache is not None:
            self._cache.reorder(rows)

    def _function(self) -> Callable:
        """What is called at each step."""
        return self._model

    def _answer(self, ids: Any, options: dict[str, Any]) -> Any:
        return self._call(ids, **options)

    def _option(self, name: str) -> Any:
        if name == "cache":
            return self._cache
        if name == "logits_to_keep":
            return 1
        if name == "position_ids":
            places = np.where(self.mask, self.mask.cumsum(axis=1) - 1, 0)
            return self._put(places[:, self._seen :])
        return self._put(self.mask)

    def _put(self, array: np.ndarray) -> Any:
        return put(array, self._device)


class DecoderRows(Rows):
    """N rows for the decoder of an encoder-decoder, which reads the sources (B, S) once."""

    def __init__(self, model: Any, sources: np.ndarray, mask: np.ndarray, start: int):
        ids = np.full((len(sources), 1), start)
        super().__init__(model, ids, np.ones_like(ids))
        self._source_mask = mask
        named = {"attention_mask": self._put(mask)}
        options = named if "attention_mask" in _named(model.encode) else {}
        self._states = model.encode(self._put(sources), **options)

    def select(self, rows: np.ndarray) -> None:
        if not np.array_equal(self.numbers[rows], self.numbers):  # beams of one source share it
            self._states, self._source_mask = self._states[rows], self._source_mask[rows]
        super().select(rows)

    def _function(self) -> Callable:
        return self._model.decode

    def _answer(self, ids: Any, options: dict[str, Any]) -> Any:
        return self._call(ids, self._states, **options)

    def _option(self, name: str) -> Any:
        return self._put(self._source_mask) if name == "attention_mask" else super()._option(name)


def is_encoder_decoder(model: Any) -> bool:
    """Whether the model has an encoder to run first; helpers such as `encode(text)` and
    `decode(ids)`, which takes one input, are none."""
    encode, decode = getattr(model, "encode", None), getattr(model, "decode", None)
    return callable(encode) and callable(decode) and _needs_two(decode)


def takes_mask(model: Any) -> bool:
    """Whether the model, or its encoder, can be told what is padding."""
    return "attention_mask" in _named(model.encode if is_encoder_decoder(model) else model)


def _named(function: Callable) -> list[str]:
    """Those of KEYWORDS that the function takes."""
    parameters = _parameters(function)
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return list(KEYWORDS)
    return [name for name in KEYWORDS if name in parameters]


def _needs_two(function: Callable) -> bool:
    """Whether the function is to be called with two positional inputs."""
    given = _parameters(function).values()
    places = [each for each in given if each.kind <= each.POSITIONAL_OR_KEYWORD]
    any_number = any(each.kind is each.VAR_POSITIONAL for each in given)
    return any_number or sum(each.default is each.empty for each in places) >= 2


def _parameters(function: Callable) -> Mapping[str, inspect.Parameter]:
    looked_at = function.forward if isinstance(function, Module) else function
    return inspect.signature(looked_at).parameters


def _device_of(model: Any) -> str:
    parameters = model.parameters() if isinstance(model, Module) else iter(())
    first = next(parameters, None)
    return "cpu" if first is None else first.device


def _last_logits(output: Any, rows: int) -> np.ndarray:
    """The logits (N, V) of the last place, float64, checked."""
    logits = getattr(output, "logits", output)
    if not hasattr(logits, "shape"):
        raise TypeError(
            f"generate: the model gave {type(logits).__name__}, expected logits (N, T, V), or an "
            "object that has them as .logits"
        )
    if len(logits.shape) != 3 or logits.shape[0] != rows:
        raise ValueError(
            f"generate: the model's logits have shape {tuple(logits.shape)}, expected "
            f"({rows}, T, V)"
        )
    last = logits[:, -1]
    scores = to_host(last.data if isinstance(last, Tensor) else last).astype(np.float64)
    if not np.isfinite(scores.max(axis=-1)).all():
        raise ValueError(
            "generate: the model's logits hold NaN or +inf, or nothing but -inf: look at its "
            "weights, or run it under detect_anomaly()"
        )
    return scores
