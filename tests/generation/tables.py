"""Models whose logits are sums of rows of tables, as in the recorded figures; with caches too.

The logits after a token: its row of `last`, the row of the token before it, that of its place and
those of all tokens so far. An encoder-decoder adds those of its source.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.fixtures.make_generation import FILE, PERIOD, UNIT, tables
from tinygrad_llm import Tensor
from tinygrad_llm.nn import Module

FIGURES = json.loads(FILE.read_text(encoding="utf8"))


class Memory:
    """A cache: of each row the last token (NONE before the first) and the sum of its history."""

    def __init__(self, none: int):
        self.none, self.last, self.history = none, None, None
        self.places = 0

    def reorder(self, rows: np.ndarray) -> None:
        self.last, self.history = self.last[rows], self.history[rows]


class Decoder(Module):
    """A decoder alone that reads all tokens at every step."""

    def __init__(self, given: dict[str, list], dtype: Any = np.float32):
        self._tables = SimpleNamespace(
            **{name: np.array(table, dtype=dtype) / dtype(UNIT) for name, table in given.items()}
        )
        self.calls: list[tuple[int, int]] = []

    def forward(self, input_ids: Any, attention_mask: Any, position_ids: Any) -> Tensor:
        self.calls.append(input_ids.shape)
        return Tensor(self._logits(input_ids, attention_mask, position_ids, None))

    def new_cache(self) -> Memory:
        return Memory(len(self._tables.last))

    def _logits(self, ids: Any, mask: Any, places: Any, memory: Memory | None) -> np.ndarray:
        """(N, T, V) for ids (N, T), of which the mask (N, S) covers those in the memory too."""
        t, memory = self._tables, memory or self.new_cache()
        mask = mask[:, mask.shape[1] - ids.shape[1] :]
        if memory.last is None:
            memory.last = np.full(len(ids), memory.none)
            memory.history = np.zeros((len(ids), t.last.shape[1]), dtype=t.last.dtype)
        real = np.where(mask == 1, ids, memory.none)
        before = np.concatenate([memory.last[:, None], real[:, :-1]], axis=1)
        history = memory.history[:, None] + (t.history[ids] * mask[:, :, None]).cumsum(axis=1)
        memory.last, memory.history = real[:, -1], history[:, -1]
        memory.places += ids.shape[1]
        return (t.last[ids] + t.before[before] + t.place[places % PERIOD] + history).astype(
            t.last.dtype
        )


class CachedDecoder(Decoder):
    """A decoder alone that reads each token once, and answers as larger models do."""

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        cache: Any = None,
        logits_to_keep: int = 0,
    ) -> Any:
        self.calls.append(input_ids.shape)
        found = self._logits(input_ids, attention_mask, position_ids, cache)
        return SimpleNamespace(logits=Tensor(found[:, -logits_to_keep:]))


class EncoderDecoder(Decoder):
    """An encoder-decoder that reads all its own tokens at every step."""

    def encode(self, input_ids: Any, attention_mask: Any) -> Tensor:
        self.calls.append(("encode", *input_ids.shape))
        return Tensor(self._tables.source[input_ids])

    def decode(self, ids: Any, states: Tensor, attention_mask: Any) -> Tensor:
        self.calls.append(ids.shape)
        return Tensor(self._decoded(ids, states, attention_mask, None))

    def _decoded(self, ids: Any, states: Any, mask: Any, memory: Memory | None) -> np.ndarray:
        source = (states.numpy() * mask[:, :, None]).sum(axis=1, keepdims=True)
        begin = memory.places if memory else 0
        places = np.zeros_like(ids) + np.arange(begin, begin + ids.shape[1])
        found = self._logits(ids, np.ones_like(ids), places, memory) + source
        return found.astype(states.dtype)


class CachedEncoderDecoder(EncoderDecoder):
    """An encoder-decoder whose decoder reads each token once."""

    def decode(self, ids: Any, states: Tensor, attention_mask: Any, cache: Any) -> Any:
        self.calls.append(ids.shape)
        return SimpleNamespace(logits=Tensor(self._decoded(ids, states, attention_mask, cache)))


def recorded(which: int, options: dict, cached: bool = False, dtype: Any = np.float32) -> Decoder:
    """The recorded model of that number, of the kind that the options are for."""
    alone = "decoder_start_token_id" not in options
    kind = {
        (True, False): Decoder,
        (True, True): CachedDecoder,
        (False, False): EncoderDecoder,
        (False, True): CachedEncoderDecoder,
    }[alone, cached]
    return kind(FIGURES["models"][which], dtype)


def decoder(seed: int = 0, towards_end: float = 0.5, kind: Any = CachedDecoder) -> Any:
    """A model of new tables, float64."""
    return kind(tables(seed, towards_end), np.float64)
