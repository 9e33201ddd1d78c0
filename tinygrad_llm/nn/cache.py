"""Keys and values of what a decoder has read, so that each new token is read alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import Array, device_of, namespace, put, to_host
from tinygrad_llm.nn.sizes import size
from tinygrad_llm.tensor import Tensor

Pair = tuple[Tensor, Tensor]
"""Keys (B, G, S, K) and values (B, G, S, K)."""

_FIRST = 64
"""Places that are made room for at first; later twice as many as are needed."""


class LayerCache:
    """Of one layer: keys and values of its own tokens, and those of the encoder's output.

    It holds arrays, not a tape, and is filled under `no_grad`.
    """

    def __init__(self) -> None:
        self.length = 0
        self._room: list[Array] = []
        self._memory: Pair | None = None
        self._states: Tensor | None = None
        self._origin = np.zeros(0, int)  # of each row the text of the memory, as it was made

    def extend(self, keys: Tensor, values: Tensor) -> Pair:
        """All keys and values so far, these (B, G, T, K) at their end.

        Raises ValueError for another number of texts, heads or features than before, TypeError for
        another dtype.
        """
        self._check(keys, values)
        stop = self.length + keys.shape[2]
        if not self._room or self._room[0].shape[2] < stop:
            self._room = [self._grown(i, new.data, stop) for i, new in enumerate((keys, values))]
        for room, new in zip(self._room, (keys, values)):
            room[:, :, self.length : stop] = new.data
        self.length = stop
        keys, values = (Tensor(room[:, :, :stop]) for room in self._room)
        return keys, values

    def memory(self, make: Callable[[], Pair], states: Tensor) -> Pair:
        """Keys and values that `make` gives of the encoder's output: made once, then kept.

        states: that output (B, S, D). Raises RuntimeError for another Tensor than the one they were
        made of; after `reorder` the next one counts. Raises ValueError for one of another size.
        """
        if self._memory is None:
            self._memory = make()
            self._origin = np.arange(len(self._memory[0]))
        else:
            self._check_states(states, self._memory[0])
        self._states = states
        return self._memory

    def reorder(self, rows: Any) -> None:
        """Row i goes on from what was row rows[i]; there may be more or fewer rows than before."""
        # With a little room, that the next tokens need not move all of it again.
        self._room = [_selected(room[:, :, : self.length + _FIRST], rows) for room in self._room]
        self._states = None
        if self._memory is None:
            return
        origin = self._origin[to_host(rows)]
        if not np.array_equal(origin, self._origin):  # beams of one text share its memory
            keys, values = (Tensor(_selected(each.data, rows)) for each in self._memory)
            self._memory, self._origin = (keys, values), origin

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens; 0 forgets the memory too."""
        self.length = min(length, self.length)
        if self.length == 0:
            self._memory = self._states = None

    def _check(self, *new: Tensor) -> None:
        keys, values = new
        if keys.shape != values.shape:
            raise ValueError(f"cache: keys {keys.shape}, but values {values.shape}: expected one")
        for given, room in zip(new, self._room):
            if len(given) != len(room):
                raise ValueError(
                    f"cache: {len(given)} texts, but it has read {len(room)}: say by "
                    "reorder(rows) which go on"
                )
            heads, width = given.shape[1], given.shape[3]
            if (heads, width) != (room.shape[1], room.shape[3]):
                raise ValueError(
                    f"cache: {heads} heads of {width} features, but it holds {room.shape[1]} of "
                    f"{room.shape[3]}: each layer needs its own, each model a new_cache()"
                )
            if given.dtype != room.dtype:
                raise TypeError(
                    f"cache: {given.dtype} after {room.dtype}: begin with a new cache when the "
                    "model's dtype has changed"
                )

    def _check_states(self, states: Tensor, keys: Tensor) -> None:
        if self._states is not None and states is not self._states:
            raise RuntimeError(
                "cache: it holds keys and values of another memory: give the same Tensor at each "
                "step, or begin with a new cache"
            )
        held = keys.shape[0], keys.shape[2]
        if states.shape[:2] != held:
            raise ValueError(
                f"cache: a memory of {states.shape[:2]} texts and tokens, but it holds {held}"
            )

    def _grown(self, which: int, new: Array, stop: int) -> Array:
        """Room for twice as many places, with what was there."""
        rows, heads, _, width = new.shape
        places = max(_FIRST, 2 * stop)
        room = namespace(new).empty((rows, heads, places, width), new.dtype)
        if self._room:
            room[:, :, : self.length] = self._room[which][:, :, : self.length]
        return room


class KeyValueCache:
    """Of all layers of a decoder: `cache[i]` is that of layer i."""

    def __init__(self, layers: int):
        self._layers = [LayerCache() for _ in range(size("KeyValueCache: layers", layers, least=1))]

    @property
    def length(self) -> int:
        """How many tokens it has read."""
        return self._layers[0].length

    def __getitem__(self, layer: int) -> LayerCache:
        return self._layers[layer]

    def __len__(self) -> int:
        return len(self._layers)

    def reorder(self, rows: Any) -> None:
        """Row i goes on from what was row rows[i]; there may be more or fewer rows than before."""
        for layer in self._layers:
            layer.reorder(rows)

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens; 0 forgets the memory too."""
        for layer in self._layers:
            layer.truncate(length)


def _selected(array: Array, rows: Any) -> Array:
    return array[put(rows, device_of(array))]
