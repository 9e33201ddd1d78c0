"""Activation checkpointing: memory for time, by computing what ops saved a second time."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from tinygrad_llm import graph
from tinygrad_llm.backend import random
from tinygrad_llm.tensor import Tensor


def checkpoint(fn: Callable, *inputs: Any) -> Any:
    """fn(*inputs), without keeping what its ops save: backward computes that again.

    The ops stay on the tape; what they saved is dropped, and computed again, with the same random
    numbers, when backward first needs one of them. So gradients of captured parameters, `grad` and
    second derivatives work as without it (Chen et al. 2016; non-reentrant). A checkpoint inside
    another is part of it.

    fn must compute the same each time that it is called. RuntimeError when it runs other ops or
    shapes the second time, or when a tensor has changed in place that was given to it, or that it
    captured and reads by an op or a comparison.
    """
    now = graph.current_mode()
    if now.frame is not None or not now.grad:
        return fn(*inputs)
    frame = _Frame(fn, inputs)
    with graph.mode(frame=frame):
        outputs = fn(*inputs)
    frame.close()
    return outputs


class _Frame:
    """One checkpointed call: how to make it again, and what its ops saved when it was."""

    def __init__(self, fn: Callable, inputs: tuple):
        self.fn, self.inputs = fn, inputs
        self.read = {id(c): c for c in [x._version for x in inputs if isinstance(x, Tensor)]}
        self.made: dict[int, list[int]] = {}
        self.versions: list[tuple[list[int], int]] = []
        self.context = copy_context()
        self.chance = random.state()
        self.ops: list[tuple] = []
        self.saved: dict[int, tuple] = {}

    def see(self, read: list, made: list) -> None:
        """Note the version counters of what fn reads and has not made itself."""
        self.read |= {id(c): c for c in read if c is not None and id(c) not in self.made}
        self.made |= {id(c): c for c in made if id(c) not in self.read}

    def keep(self, node: graph.Node) -> Callable[[], tuple]:
        """In the place of what the op saved: a function that computes it again."""
        self.ops.append((node.op, node.outputs))
        return _Later(self, len(self.ops) - 1)

    def close(self) -> None:
        """What was read must stay as it is now, or the second time would compute something else."""
        self.versions = [(counter, counter[0]) for counter in self.read.values()]
        self.made = {}

    def fetch(self, index: int) -> tuple:
        """What the op of this number saved; it is given out once."""
        if index not in self.saved:
            self.saved = self.context.copy().run(self._again)
        return self.saved.pop(index)

    def _again(self) -> dict[int, tuple]:
        """Run fn once more under the modes and random numbers of the first time."""
        if any(counter[0] != version for counter, version in self.versions):
            raise RuntimeError(
                "checkpoint: a tensor that the function reads was changed in place since: "
                "change a copy, or run backward first"
            )
        replay = _Replay()
        with random.replay(self.chance), graph.mode(frame=replay):
            self.fn(*self.inputs)
        # A backward inside of fn comes here before all of the ops have run.
        if replay.ops[: len(self.ops)] != self.ops:
            raise RuntimeError(
                "checkpoint: the function ran other ops, or other shapes, the second time: "
                "it must compute the same from the same inputs"
            )
        return dict(enumerate(replay.saved))


class _Later:
    """What an op saved, computed again when it is asked for; until then only inputs are held."""

    __slots__ = ("_frame", "_index")

    def __init__(self, frame: _Frame, index: int):
        self._frame, self._index = frame, index

    def __call__(self) -> tuple:
        return self._frame.fetch(self._index)

    @property
    def inputs(self) -> list:
        """The raw arrays that the checkpoint was given."""
        return [x.data for x in self._frame.inputs if isinstance(x, Tensor)]


class _Replay:
    """The second time: keeps what ops save, apart from the nodes, because a backward inside of fn
    frees those."""

    def __init__(self):
        self.ops: list[tuple] = []
        self.saved: list[tuple] = []

    def see(self, read: list, made: list) -> None:
        """Nothing to note: the first time did."""

    def keep(self, node: graph.Node) -> tuple:
        self.ops.append((node.op, node.outputs))
        self.saved.append(node.saved)
        return node.saved
