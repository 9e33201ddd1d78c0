"""LoRA: beside each of some frozen matrices a product of two thin ones, and only these learn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm import graph, nn
from tinygrad_llm.backend.devices import put
from tinygrad_llm.backend.storage import NoStorage
from tinygrad_llm.finetune.freezing import counted, freeze
from tinygrad_llm.functional.arguments import number, operands, probability
from tinygrad_llm.nn.sizes import one_of, size
from tinygrad_llm.nn.storage import room
from tinygrad_llm.tensor import Tensor

ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}


@dataclass(frozen=True)
class Settings:
    """What the LoRA layers of a model have in common. Raises TypeError and ValueError for what
    makes no sense: rank is from 1 on, alpha above 0, dropout a probability."""

    rank: int = 8
    alpha: float = 16.0
    rslora: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        plain = {  # Python's own numbers, as JSON has them
            "rank": size("LoRA: rank", self.rank, least=1),
            "alpha": number("LoRA: alpha", self.alpha),
            "dropout": probability("LoRA: dropout", self.dropout),
        }
        if not 0.0 < plain["alpha"] < math.inf:
            raise ValueError(f"LoRA: alpha must be a number above 0, not {self.alpha}")
        if not isinstance(self.rslora, bool):
            raise TypeError(f"LoRA: rslora must be True or False, not {self.rslora!r}")
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @property
    def scale(self) -> float:
        """s = α/r; with rslora α/√r, under which a higher rank does not learn more slowly
        (Kalajdzievski 2023)."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)


class LoRALinear(nn.Module):
    """Y = XW + b + s(X̃A)B: x (..., in) -> (..., out), W and b frozen  (G17; Hu et al. 2021).

    W and b are the Parameters of the Linear that it is made from, under the same names, `weight`
    and `bias`; beside them are A, `lora_a` (in, r), and B, `lora_b` (r, out), in W's dtype and on
    its device. A begins uniform in ±1/√in, as PEFT's, and B as 0: the output is the Linear's until
    the first step, at which B learns and A does not yet.

    rank, alpha, rslora: r, α, and which scale s; see `Settings`. dropout: of X̃, which A reads, in
    training. Called with an activation, as a Linear may be, it gives that of the whole sum.
    Raises TypeError for what is no nn.Linear, ValueError for a rank above in or out, and
    RuntimeError within a block of `nn.in_dtype`.
    """

    transposed = ("weight",)

    def __init__(
        self,
        linear: nn.Linear,
        rank: int = 8,
        alpha: float = 16.0,
        rslora: bool = False,
        dropout: float = 0.0,
    ):
        self.settings = Settings(rank, alpha, rslora, dropout)
        _check(type(linear).__name__, linear, rank)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.training = linear.training
        self.weight, self.bias = linear.weight, linear.bias
        for frozen in (self.weight, self.bias):
            if frozen is not None:
                frozen.requires_grad, frozen.grad = False, None
        bound = 1.0 / math.sqrt(self.in_features)
        drawn = nn.init.uniform_(Tensor(room(self.in_features, rank)), -bound, bound)
        self.lora_a = _parameter(drawn, self.weight)
        self.lora_b = _parameter(nn.init.zeros_(Tensor(room(rank, self.out_features))), self.weight)
        self.merged = False
        """Whether it computes with W + sAB in one product."""
        self._product: tuple[list[tuple[Any, int]], Any] | None = None  # see _current

    def forward(self, x: Any, activation: str | None = None) -> Tensor:
        if activation is not None:
            one_of("LoRALinear: activation", activation, tuple(ACTIVATIONS))
        if self.merged:
            return self._in_one_product(x, activation)
        x, _ = operands("LoRALinear", x, self.weight)
        y = F.linear(x, self.weight, self.bias) + self._update(x)
        return y if activation is None else ACTIVATIONS[activation](y)

    def _update(self, x: Tensor) -> Tensor:
        """s(X̃A)B; the scale goes to the r numbers of a row, which are fewer than its outputs."""
        low = F.linear(F.dropout(x, self.settings.dropout, self.training), self.lora_a)
        return F.linear(low * self.settings.scale, self.lora_b)

    def merge(self) -> None:
        """Compute with W + sAB in one product from now on, as fast as a Linear, until `unmerge`.

        W, A and B stay as they are, and so does what `state_dict` and the like give. Nothing can
        learn meanwhile: a call that the tape records raises RuntimeError.
        """
        self.merged = True

    def unmerge(self) -> None:
        """Compute with W, A and B again; no bit of them has changed."""
        self.merged, self._product = False, None

    def merged_weight(self) -> Any:
        """W + sAB as a raw array (in, out), computed in float64 and rounded once (G17)."""
        w, a, b = (p.data.astype(np.float64) for p in (self.weight, self.lora_a, self.lora_b))
        return (w + self.settings.scale * (a @ b)).astype(self.weight.dtype)

    def _in_one_product(self, x: Any, activation: str | None) -> Tensor:
        learns = self.lora_a.requires_grad or self.lora_b.requires_grad
        if learns and graph.current_mode().grad:
            raise RuntimeError(
                "LoRALinear: while it is merged A and B get no gradient: unmerge() it to train, or "
                "call the model under no_grad()"
            )
        return F.linear(x, Tensor(self._current()), self.bias, activation)

    def _current(self) -> Any:
        """The merged weight, computed again where one of its three has changed or moved."""
        parts = (self.weight, self.lora_a, self.lora_b)
        now = [(p.data, p._version[0]) for p in parts]
        kept = self._product
        if kept is None or any(a is not b or n != m for (a, n), (b, m) in zip(now, kept[0])):
            kept = self._product = now, self.merged_weight()
        return kept[1]

    def extra_repr(self) -> str:
        s = self.settings
        more = [f"dropout={s.dropout}"] if s.dropout else []
        more += ["rslora=True"] if s.rslora else []
        more += ["merged"] if self.merged else []
        sizes = f"{self.in_features}, {self.out_features}, rank={s.rank}, alpha={s.alpha}"
        return ", ".join([sizes, *more])


def add_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: float = 16.0,
    targets: str | Iterable[str] = ("query", "value"),
    rslora: bool = False,
    dropout: float = 0.0,
    train: Iterable[str] = ("classifier",),
) -> list[str]:
    """Put a `LoRALinear` in the place of each Linear that targets name; all else is frozen but the
    parts of `train`. Returns the names of these layers. Make the optimizer afterwards.

    What has learned is saved by `save_adapter`, or by `save_pretrained` after `merge_lora`: a model
    with LoRA it refuses, as the folder could not be read again.

    rank, alpha, rslora, dropout: see `LoRALinear`.
    targets: last names of layers ("query"), or more of their dotted names ("attention.out"), each
        of at least one; or "all", every Linear of the model's body.
    train: names of parts that learn whole, the new head above all. Those that the model does not
        have count for nothing; a Linear in one of them gets no LoRA.
    Raises, before anything is changed, ValueError for targets that no layer has, a rank above a
    layer's in or out, a layer that shares its weights, or has forward hooks, and a model with LoRA;
    TypeError and ValueError for other settings; RuntimeError in a block of `nn.in_dtype`.
    """
    settings = Settings(rank, alpha, rslora, dropout)
    train = _names("train", train)
    refuse_lora("add_lora", model)
    names = _targeted(model, targets if targets == "all" else _names("targets", targets), train)
    check_layers(model, names, rank)
    put_lora(model, names, settings, train)
    return names


def refuse_lora(what: str, model: nn.Module) -> None:
    """Raise ValueError for a model that has LoRA already."""
    for name in lora_layers(model):
        raise ValueError(
            f"{what}: the model has LoRA already, at {name}: merge_lora(model) first, or begin "
            "with a model that has none"
        )


def check_layers(model: nn.Module, names: Iterable[str], rank: int) -> None:
    """Raise ValueError, or RuntimeError, for layers that no LoRA of this rank can stand beside."""
    uses = Counter(id(p) for _, p in model._all_parameters())
    for name in names:
        layer = at(model, name)
        _check(name, layer, rank)
        if any(uses[id(p)] > 1 for p in layer.parameters()):
            raise ValueError(
                f"add_lora: {name} shares its weights with another layer, which LoRA would part "
                "from it: leave it out of targets"
            )


def put_lora(
    model: nn.Module, names: Iterable[str], settings: Settings, train: Iterable[str]
) -> None:
    """Freeze the model and replace these layers; what is below the names of `train` learns."""
    freeze(model)
    for name in names:
        _replace(model, name, LoRALinear(at(model, name), **asdict(settings)))
    for name, parameter in model.named_parameters():
        if _is_of(name, train):
            parameter.requires_grad = True


def lora_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """The model's LoRA layers by their dotted names."""
    return {name: each for name, each in model.named_modules() if isinstance(each, LoRALinear)}


def merge_lora(model: nn.Module) -> list[str]:
    """Put a plain Linear with W + sAB in the place of each LoRA layer; returns their names.

    The model is then like any other of its class: `save_pretrained` writes an ordinary folder. What
    was frozen stays frozen; `model.requires_grad_()` lets all of it learn. For a while, and without
    loss, see `LoRALinear.merge`.
    Raises ValueError for a model without LoRA, and for layers with forward hooks, RuntimeError in a
    block of `nn.in_dtype`.
    """
    layers = lora_layers(model)
    if not layers:
        raise ValueError("merge_lora: the model has no LoRA: add_lora(model) first")
    for name, layer in layers.items():
        _check_place("merge_lora", name, layer)
    for name, layer in layers.items():
        _replace(model, name, _plain(layer))
    return list(layers)


def trainable_share(model: nn.Module) -> float:
    """How many of the model's numbers learn, as a part of all: 0 … 1; shared ones count once."""
    learning, everything = counted(model)
    return learning / max(everything, 1)


def at(model: nn.Module, name: str) -> Any:
    """What a dotted name stands for. Raises AttributeError where there is no such part."""
    found: Any = model
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    above, _, last = name.rpartition(".")
    setattr(at(model, above) if above else model, last, layer)


def _plain(layer: LoRALinear) -> nn.Linear:
    with nn.no_storage():  # of which nothing is drawn
        linear = nn.Linear(layer.in_features, layer.out_features, bias=False)
    linear.weight = nn.Parameter(layer.merged_weight(), layer.weight.requires_grad)
    linear.bias, linear.training = layer.bias, layer.training
    return linear


def _parameter(values: Tensor, like: Tensor) -> nn.Parameter:
    """What learns these values, in the dtype and on the device of another tensor."""
    data = values.data.astype(like.dtype)
    stays = isinstance(like.data, NoStorage) or isinstance(data, NoStorage)
    return nn.Parameter(data if stays else put(data, like.device), requires_grad=True)


def _check(name: str, layer: Any, rank: int) -> None:
    """Refuse what a LoRA of this rank cannot stand beside."""
    if type(layer) is not nn.Linear:  # one that inherits from it may compute something else
        raise TypeError(f"LoRA: {name} is no nn.Linear but a {type(layer).__name__}")
    _check_place("LoRA", name, layer)
    most = min(layer.in_features, layer.out_features)
    if rank > most:
        raise ValueError(
            f"LoRA: rank {rank} is above {most}, the smaller side of {name}, whose weight is "
            f"{layer.weight.shape}: give a lower one"
        )


def _check_place(what: str, name: str, layer: Any) -> None:
    """Refuse to put another layer in the place of one that others hold on to."""
    if not isinstance(layer.weight, nn.Parameter):
        raise RuntimeError(
            f"{what}: {name} computes with a copy of its weights: leave the block of in_dtype first"
        )
    if layer._forward_hooks:
        raise ValueError(
            f"{what}: {name} has forward hooks, which would be lost: take them off, and register "
            "them again afterwards"
        )


def _names(what: str, given: Any) -> list[str]:
    """Names as a list; a single text would be taken letter by letter."""
    if isinstance(given, Iterable) and not isinstance(given, str):
        names = list(given)
        if all(isinstance(name, str) for name in names):
            return names
    usual = '("query",) or "all"' if what == "targets" else '("classifier",)'
    raise TypeError(f"add_lora: {what} are names, as {usual}, not {given!r:.60}")


def _is_of(name: str, parts: Iterable[str]) -> bool:
    """Whether it is one of these parts, or in one of them."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def _targeted(model: nn.Module, targets: str | list[str], train: list[str]) -> list[str]:
    """The names of the layers that targets mean, in the model's order."""
    known = [name for name in _linears(model) if not _is_of(name, train)]
    if targets == "all":
        body = getattr(model, "body", "")
        targets = [name for name in known if not body or _is_of(name, [body])]
    found = {target: [n for n in known if f".{n}".endswith(f".{target}")] for target in targets}
    unknown = [target for target, names in found.items() if not names]
    if unknown or not found:
        kinds = dict.fromkeys(name.rpartition(".")[2] for name in known)
        named = f"is named {unknown[0]!r:.80}" if unknown else "is named"
        raise ValueError(
            f"add_lora: no Linear {named}: outside of the parts that learn whole there are "
            f"{', '.join(kinds) or 'none'}"
        )
    return [name for name in known if any(name in names for names in found.values())]


def _linears(model: nn.Module) -> Iterator[str]:
    return (name for name, each in model.named_modules() if type(each) is nn.Linear and name)
