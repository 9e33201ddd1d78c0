"""Not all layers alike: smaller learning rates further down, and layers that thaw one by one."""

from __future__ import annotations

import math
import warnings
from typing import Any

from tinygrad_llm import nn, optim
from tinygrad_llm.functional.arguments import integer
from tinygrad_llm.training import Callback

Named = list[tuple[str, nn.Parameter]]

PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "bert": ("encoder", ("embeddings",)),
    "gpt2": ("decoder", ("tokens", "positions")),
}
"""Of each family: the stack of blocks in its body, and what stands below that."""


def layers(model: nn.Module) -> list[Named]:
    """A model's parameters by name, in layers from the top: head, blocks, embeddings; each once.

    What the body has above its blocks (a pooler, a last norm) goes with the highest of them, so
    that the head is what `head_only` trains. A matrix shared with the embeddings goes with these:
    GPT-2, whose head is that matrix, begins with its highest block.

    Raises ValueError for a model whose blocks are not known, and says what it lacks.
    """
    body, blocks, below = _parts(model)
    depth = {id(p): len(blocks) + 1 for part in below for p in part.parameters()}
    for down, block in enumerate(reversed(blocks), start=1):
        depth |= {id(p): down for p in block.parameters()}
    for p in body.parameters():
        depth.setdefault(id(p), 1)
    found: list[Named] = [[] for _ in range(len(blocks) + 2)]
    for name, p in model.named_parameters():
        found[depth.get(id(p), 0)].append((name, p))
    return [layer for layer in found if layer]


def layered_groups(
    model: nn.Module, learning_rate: float, decay: float, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Groups for an optimizer: the head with learning_rate, each layer below × decay.

    The discriminative rates of ULMFiT (Howard & Ruder 2018, who take decay = 1/2.6): low layers
    know what is true of all texts, and should move little. Of `layers` the k-th from the top, from
    0 on, has learning_rate · decayᵏ; biases and norms get no weight decay, as in
    `optim.decay_groups`. The head's group comes first, and is the rate in a Trainer's log. Frozen
    parameters are left out, their layers still count. Give it to a Trainer as
    `optimizer=optim.AdamW(layered_groups(…))`; its schedule multiplies every rate.

    Raises ValueError for a model that `layers` does not know, a learning_rate that is not above 0,
    a decay outside (0, 1], a negative weight_decay, and where nothing is left to learn.
    """
    if not 0.0 < learning_rate < math.inf:
        raise ValueError(f"layered_groups: learning_rate must be above 0, not {learning_rate}")
    if not 0.0 < decay <= 1.0:
        raise ValueError(f"layered_groups: decay must be above 0 and at most 1, not {decay}")
    groups: list[dict[str, Any]] = []
    for k, layer in enumerate(layers(model)):
        learning = [(name, p) for name, p in layer if p.requires_grad]
        if learning:
            rate = {"lr": learning_rate * decay**k}
            groups += [group | rate for group in optim.decay_groups(learning, weight_decay)]
    if not groups:
        raise ValueError("layered_groups: nothing to learn: all parameters are frozen")
    return groups


class GradualUnfreezing(Callback):
    """Begins with the head alone; every `every` steps one more of `layers` learns (Howard & Ruder
    2018), the embeddings last. A head that begins at random then does not spoil what is below it.

    Give the Trainer a model whose parameters learn, so that its optimizer has them; what is frozen
    before the run stays so. Frozen weights get no gradient: nothing of theirs is on the tape, and
    neither decay nor moments move them. A layer's moments begin when it does. Which layers learn
    depends on the number of steps alone, so that a run that was killed goes on with the same bits.
    At the end all learn again.

    Raises ValueError for every < 1, and when training begins for a model that `layers` does not
    know, and for an optimizer that lacks a parameter which is to learn.
    """

    def __init__(self, every: int):
        self.every = integer("GradualUnfreezing: every", every)
        if self.every < 1:
            raise ValueError(f"GradualUnfreezing: every is a number of steps from 1, not {every}")
        self._layers: list[list[nn.Parameter]] = []

    def on_train_begin(self, trainer: Any) -> None:
        """Freeze what does not learn at this step yet."""
        found = [[p for _, p in layer if p.requires_grad] for layer in layers(trainer.model)]
        _check_optimizer(trainer.stepper.optimizer, [p for layer in found for p in layer])
        self._layers = [layer for layer in found if layer]
        self._thaw(trainer.state.step)

    def on_step_end(self, trainer: Any) -> None:
        """One more layer, where it is time."""
        self._thaw(trainer.state.step)

    def on_train_end(self, trainer: Any) -> None:
        """All that learned before the run learns again."""
        for p in (p for layer in self._layers for p in layer):
            p.requires_grad = True

    def state_dict(self) -> dict[str, Any]:
        return {"every": self.every}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Warns (UserWarning) where the run was begun with another `every`."""
        if state["every"] != self.every:
            warnings.warn(
                f"GradualUnfreezing: every was {state['every']} and is {self.every}: the run will "
                "not end as the one that was begun",
                stacklevel=6,
            )

    def _thaw(self, step: int) -> None:
        """Let as many layers learn, from the top, as it is time for after `step` steps."""
        for i, layer in enumerate(self._layers):
            for p in layer:
                p.requires_grad = i <= step // self.every
                if not p.requires_grad:
                    p.grad = None


def _parts(model: nn.Module) -> tuple[nn.Module, list[nn.Module], list[nn.Module]]:
    """The body of a model, its blocks from the lowest, and what stands below them."""
    kind, family = type(model).__name__, getattr(model, "family", None)
    if family not in PARTS:
        raise ValueError(
            f"layers: a {kind} is of no family whose blocks are known ({', '.join(PARTS)}): for "
            "another model make the groups by hand"
        )
    stack, below = PARTS[family]
    name = getattr(model, "body", "")
    body = getattr(model, name, None) if name else model
    blocks = getattr(getattr(body, stack, None), "layers", None)
    if not isinstance(body, nn.Module) or blocks is None:
        place = f"{name}.{stack}" if name else stack
        raise ValueError(f"layers: a {kind} of the family {family} has no blocks at {place}.layers")
    parts = [getattr(body, each, None) for each in below]
    return body, list(blocks), [part for part in parts if isinstance(part, nn.Module)]


def _check_optimizer(optimizer: optim.Optimizer, learning: list[nn.Parameter]) -> None:
    """Refuse an optimizer that would leave a layer as it is after it has thawed."""
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missing = sum(id(p) not in known for p in learning)
    if missing:
        raise ValueError(
            f"GradualUnfreezing: the optimizer lacks {missing} of the {len(learning)} parameters "
            "that are to learn: make it while they all require gradients"
        )
