"""Modules that hold other modules in an order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tinygrad_llm.functional.arguments import integer
from tinygrad_llm.nn.module import Module


class ModuleList(Module):
    """Modules in a list, found by `parameters` under "0", "1", …; it has no forward.

    Indexing with a slice gives another ModuleList of the same modules.
    """

    def __init__(self, modules: Iterable[Module] = ()):
        self._length = 0
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Put a module at the end. Raises TypeError for anything else."""
        if not isinstance(module, Module):
            kind = type(module).__name__
            raise TypeError(f"{type(self).__name__}: takes modules, not {kind} {module!r}")
        setattr(self, str(self._length), module)
        self._length += 1

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Module]:
        return (getattr(self, str(i)) for i in range(self._length))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ModuleList([self[i] for i in range(len(self))[index]])
        index = integer(f"{type(self).__name__}: an index", index)
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"{type(self).__name__}: no module {index} among {len(self)}")
        return getattr(self, str(place))


class Sequential(ModuleList):
    """Modules one after the other: the output of each is the input of the next.

    Modules are its arguments; without any it is the identity.
    """

    def __init__(self, *modules: Module):
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Sequential(*super().__getitem__(index))
        return super().__getitem__(index)
