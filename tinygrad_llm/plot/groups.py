"""Which nodes of a large tape share a box: those that one call of a module made.

A call began at an `order` and ended with the nodes that name it in `calls`; its nodes are those
made since it began that its outputs were computed from. Of the calls that hold a node, the one
that began first and is not opened has it in its box. Drawn so, no tape gets a cycle: let the rank
of a box be the `order` at which its call began, or that of its only node. A box that feeds a call
ranks below it, for what the call did not make itself was made before it began, or is in the box of
a call that began before; and a box that feeds a single node ranks below it, being older.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tinygrad_llm.graph import Node


class Group(NamedTuple):
    """What one box stands for: a single node, or the nodes of a call."""

    title: str
    """Of a call, what was called; empty for a single node."""
    nodes: list[Node]
    """In order of creation; the last one made the output."""


@dataclass(eq=False)
class Call:
    """One call of a module, as far as it is on the tape."""

    module: Any
    begin: int
    outputs: list[Node] = field(default_factory=list)


Owner = Call | Node
"""Whose box it is: that of a call, or of a single node."""


class Grouping:
    """The calls on a tape, and which nodes each of them made.

    nodes: the tape, in order of creation. Calls of modules that are gone do not count.
    """

    def __init__(self, nodes: Sequence[Node]):
        self.nodes = nodes
        self.calls = _calls(nodes)
        self.holders: dict[Node, list[Call]] = {node: [] for node in nodes}
        """The calls that made each node, the outermost first."""
        for call in self.calls:
            for node in _made_in(call):
                self.holders[node].append(call)
        self.users: dict[Node, list[Node]] = defaultdict(list)
        for node in nodes:
            for parent in _sources(node):
                self.users[parent].append(node)
        self.names = parameter_names(nodes)

    def owners(self, opened: set[Call]) -> dict[Node, Owner]:
        """The box of every node when the `opened` calls are no boxes."""
        owner: dict[Node, Owner] = {}
        for node in reversed(self.nodes):  # those that use a leaf come before it
            closed = (call for call in self.holders[node] if call not in opened)
            owner[node] = self._home(node, owner) if node.op is None else next(closed, node)
        return owner

    def _home(self, leaf: Node, owner: dict[Node, Owner]) -> Owner:
        """A parameter, or a leaf made within the call, that only one call uses belongs to it."""
        homes = {owner[user] for user in self.users[leaf]}
        home = homes.pop() if len(homes) == 1 else leaf
        own = isinstance(home, Call) and (leaf in self.names or leaf.order > home.begin)
        return home if own else leaf

    def opened(self, most: int) -> set[Call]:
        """Which calls to open to see as much as possible in at most `most` boxes.

        The largest are opened first, and calls that are alike (the same class, as many nodes) all
        together or none, so that equal layers look equal. A call of one node stays a box.
        """
        opened: set[Call] = set()
        refused: set[tuple] = set()
        while True:
            alike = self._closed(self.owners(opened))
            kinds = [kind for kind in alike if kind not in refused and kind[0] > 1]
            if not kinds:
                return opened
            kind = max(kinds, key=lambda kind: kind[0])  # of equals the first on the tape
            more = opened | set(alike[kind])
            if len(set(self.owners(more).values())) <= most:
                opened = more
            else:
                refused.add(kind)  # for good: opening others never makes boxes fewer

    def _closed(self, owner: dict[Node, Owner]) -> dict[tuple[int, type], list[Call]]:
        """The calls that are boxes, by size and class."""
        sizes = Counter(owner.values())
        alike: dict[tuple[int, type], list[Call]] = defaultdict(list)
        for call in self.calls:
            if call in sizes:
                alike[sizes[call], type(call.module)].append(call)
        return alike

    def groups(self, opened: set[Call]) -> list[Group]:
        """What is in each box; a box comes after those that feed it."""
        inside: dict[Owner, list[Node]] = defaultdict(list)
        for node, owner in self.owners(opened).items():
            inside[owner].append(node)
        return [
            Group(self._title(owner) if isinstance(owner, Call) else "", members[::-1])
            for owner, members in sorted(inside.items(), key=lambda item: _rank(item[0]))
        ]

    def _title(self, call: Call) -> str:
        """The path of the module from the outermost one that holds it, its class, which call."""
        paths = (
            path
            for outer in self.holders[call.outputs[-1]]
            for path, module in outer.module.named_modules()
            if module is call.module
        )
        path, kind = next(paths), type(call.module).__name__
        times = sum(c.module is call.module and c.begin <= call.begin for c in self.calls)
        return (f"{path}  {kind}" if path else kind) + (f" #{times}" if times > 1 else "")


def grouped(nodes: Sequence[Node], most: int) -> list[Group]:
    """The tape in at most `most` boxes.

    Raises ValueError when there are more even with every outermost call in one box.
    """
    grouping = Grouping(nodes)
    fewest = len(set(grouping.owners(set()).values()))
    if fewest > most:
        boxes = "nodes" if fewest == len(nodes) else "boxes, one for each call of a module,"
        raise ValueError(
            f"graph: {fewest} {boxes} are too many to read (at most {most}): draw a part, from an "
            "inner tensor, or put the ops into modules (a call of one that you keep is a box)"
        )
    return grouping.groups(grouping.opened(most))


def parameter_names(nodes: Iterable[Node]) -> dict[Node, str]:
    """The leaves that are parameters of the modules called, by their dotted names."""
    names: dict[int, str] = {}
    modules = {id(call.module): call.module for call in _calls(nodes)}
    for module in modules.values():  # the outermost first: the longest name is the best
        for name, parameter in module.named_parameters():
            names.setdefault(id(parameter), name)
    leaves = [node for node in nodes if node.op is None and id(node.tensor()) in names]
    return {leaf: names[id(leaf.tensor())] for leaf in leaves}


def _calls(nodes: Iterable[Node]) -> list[Call]:
    """In the order in which they began; an outer call began before those within it."""
    found: dict[int, Call] = {}
    for node in nodes:
        for reference, begin in node.calls or ():
            module = reference()
            if module is not None:
                found.setdefault(begin, Call(module, begin)).outputs.append(node)
    return [found[begin] for begin in sorted(found)]


def _made_in(call: Call) -> set[Node]:
    seen: set[Node] = set()
    stack = list(call.outputs)
    while stack:
        node = stack.pop()
        if node not in seen and node.order > call.begin:
            seen.add(node)
            stack += _sources(node)
    return seen


def _sources(node: Node) -> list[Node]:
    return [edge[0] for edge in node.parents if edge is not None]


def _rank(owner: Owner) -> tuple[bool, int]:
    """Leaves first, also those that were made within a call and are used by others too."""
    if isinstance(owner, Call):
        return True, owner.begin
    return owner.op is not None, owner.order
