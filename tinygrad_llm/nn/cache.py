"""Keys and values of what a decoder has read, so that each new token is read alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_llm.backend.devices import Array, device_of, namespace, put
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

    def extend(self, keys: Tensor, values: Tensor) -> Pair:
        """All keys and values so far, these (B, G, T, K) at their end.

        Raises ValueError for another number of texts than before.
        """
        stop = self.length + keys.shape[2]
        if self._room and len(self._room[0]) != len(keys):
            raise ValueError(
                f"cache: {len(keys)} texts, but it has read {len(self._room[0])}: say by "
                "reorder(rows) which go on"
            )
        if not self._room or self._room[0].shape[2] < stop:
            self._room = [self._grown(i, new.data, stop) for i, new in enumerate((keys, values))]
        for room, new in zip(self._room, (keys, values)):
            room[:, :, self.length : stop] = new.data
        self.length = stop
        keys, values = (Tensor(room[:, :, :stop]) for room in self._room)
        return keys, values

    def memory(self, make: Callable[[], Pair]) -> Pair:
        """Keys and values of the encoder's output: made once, then kept."""
        if self._memory is None:
            self._memory = make()
        return self._memory

    def reorder(self, rows: Any) -> None:
        """Row i goes on from what was row rows[i]; there may be more or fewer rows than before."""
        self._room = [_selected(room, rows) for room in self._room]
        if self._memory is not None:
            keys, values = (Tensor(_selected(each.data, rows)) for each in self._memory)
            self._memory = keys, values

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

    def reorder(self, rows: Any) -> None:
        """Row i goes on from what was row rows[i]; there may be more or fewer rows than before."""
        for layer in self._layers:
            layer.reorder(rows)


def _selected(array: Array, rows: Any) -> Array:
    return array[put(rows, device_of(array))]
