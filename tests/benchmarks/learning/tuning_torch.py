"""The process of one run of `tuning` in PyTorch, with transformers' BERT, as its users write it.

Weights, tokens, batches, rates and dropout's probabilities are those of our run; `tuning_start`
has written them. A frozen body gives its features once, as ours does.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from torch.nn import functional as F

from tests.benchmarks.environment import facts, peak_memory
from tests.benchmarks.worker import serve
from tests.nn import torch_names

AT_ONCE = 64
"""Rows that a frozen body reads together."""

Arrays = dict[str, np.ndarray]


def main(start: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    tasks = {"run": lambda settings: run(start, settings), "facts": lambda _: facts("torch")}
    serve(lambda: tasks)


def run(start: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What `tuning_ours.run` gives of our side, without the bag of words."""
    with np.load(start) as found:
        arrays = dict(found)
    torch.manual_seed(settings["seed"])
    tuning = Tuning(arrays, settings)
    seconds = tuning.train(torch.from_numpy(arrays["order"]))
    right = (tuning.answers("test") == arrays["test labels"]).astype(int)
    return {
        "accuracy": float(right.mean()),
        "right": "".join(map(str, right)),
        "trained": sum(p.numel() for p in tuning.model.parameters() if p.requires_grad),
        "parameters": sum(p.numel() for p in tuning.model.parameters()),
        "seconds": seconds,
        "mib": peak_memory(),
    }


class Classifier(nn.Module):
    """A BERT with a classifier on its pooler, or on the mean of its states."""

    def __init__(self, config: Any, pooler: bool):
        super().__init__()
        self.bert = transformers.BertModel(config, add_pooling_layer=pooler)
        own = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if own is None else own)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, ids: Any, mask: Any) -> Any:
        """ids (B, T), mask (B, T) -> logits (B, C)."""
        return self.head(self.summary(ids, mask))

    def summary(self, ids: Any, mask: Any) -> Any:
        """What the classifier reads of each text (B, D)."""
        found = self.bert(input_ids=ids, attention_mask=mask)
        if found.pooler_output is not None:
            return found.pooler_output
        mask = mask[:, :, None]
        return (found.last_hidden_state * mask).sum(1) / mask.sum(1)

    def head(self, summary: Any) -> Any:
        """(B, D) -> (B, C)."""
        return self.classifier(self.dropout(summary))


class LoRALinear(nn.Module):
    """A frozen Linear, and beside it what learns."""

    def __init__(self, linear: nn.Linear, a: Any, b: Any, scale: float):
        super().__init__()
        self.linear, self.scale = linear, scale
        self.a, self.b = nn.Parameter(a), nn.Parameter(b)

    def forward(self, x: Any) -> Any:
        """(..., in) -> (..., out)."""
        return self.linear(x) + (x @ self.a * self.scale) @ self.b


class Part:
    """Rows of tokens, and their labels."""

    def __init__(self, name: str, arrays: Arrays, pad: int):
        self.pad, self.labels = pad, torch.from_numpy(arrays[f"{name} labels"])
        ids, ends = (torch.from_numpy(arrays[f"{name} {kind}"]) for kind in ("ids", "ends"))
        self.rows = torch.tensor_split(ids, ends[:-1])

    def batch(self, chosen: Any) -> tuple[Any, Any]:
        """Ids (B, T), padded to the longest of these rows, and their mask."""
        ids = [self.rows[i] for i in chosen.tolist()]
        mask = [torch.ones_like(each) for each in ids]
        padded = nn.utils.rnn.pad_sequence
        return padded(ids, batch_first=True, padding_value=self.pad), padded(mask, batch_first=True)


class Tuning:
    """A model, and the parts that it learns from, is chosen by and answers for."""

    def __init__(self, arrays: Arrays, settings: dict[str, Any]):
        self.settings = settings
        self.model, named = filled(arrays, settings)
        self.optimizer = torch.optim.AdamW(learning(named, settings["groups"]), fused=True)
        pad = settings["config"]["pad_token_id"] or 0
        self.parts = {name: Part(name, arrays, pad) for name in ("train", "valid", "test")}
        self._logits: dict[str, Callable[[Any], Any]] = {}

    def train(self, orders: Any) -> float:
        """Seconds until the last step of the last epoch; the best weights are taken in the end."""
        begun, best, worse = time.perf_counter(), -math.inf, 0
        labels = self.parts["valid"].labels.numpy()
        rates = [*self.settings["rates"], 0.0]  # after the last step it asks once more
        schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rates.__getitem__)
        self.logits("train"), self.logits("valid")
        for order in orders:
            self._epoch(order, schedule)
            ended = time.perf_counter()
            score = macro_f1(labels, self.answers("valid"))
            worse = 0 if score > best else worse + 1
            if score > best:
                best, kept = score, copy.deepcopy(self.model.state_dict())
            if worse >= self.settings["patience"]:
                break
        self.model.load_state_dict(kept)
        return ended - begun

    def _epoch(self, order: Any, schedule: Any) -> None:
        self.model.train()
        logits, labels = self.logits("train"), self.parts["train"].labels
        learning = [p for p in self.model.parameters() if p.requires_grad]
        for rows in order.split(self.settings["batch_size"]):
            self.optimizer.zero_grad()
            F.cross_entropy(logits(rows), labels[rows]).backward()
            nn.utils.clip_grad_norm_(learning, self.settings["max_grad_norm"])
            self.optimizer.step()
            schedule.step()

    def logits(self, name: str) -> Callable[[Any], Any]:
        """What gives the logits of rows of a part; of a head alone it reads features."""
        if name not in self._logits:
            part = self.parts[name]
            if self.settings["method"] == "head":
                found = self._features(part)
                self._logits[name] = lambda rows: self.model.head(found[rows])
            else:
                self._logits[name] = lambda rows: self.model(*part.batch(rows))
        return self._logits[name]

    @torch.no_grad()
    def _features(self, part: Part) -> Any:
        """Of all rows (N, D), those of like length together."""
        self.model.eval()
        order = torch.tensor([len(row) for row in part.rows]).argsort(descending=True)
        found = [self.model.summary(*part.batch(rows)) for rows in order.split(AT_ONCE)]
        return torch.cat(found)[order.argsort()]

    @torch.no_grad()
    def answers(self, name: str) -> np.ndarray:
        """The classes (N,) that the model says."""
        logits = self.logits(name)
        self.model.eval()
        rows = torch.arange(len(self.parts[name].labels))
        split = rows.split(self.settings["eval_batch_size"])
        return torch.cat([logits(some).argmax(1) for some in split]).numpy()


def filled(arrays: Arrays, settings: dict[str, Any]) -> tuple[Classifier, dict[str, Any]]:
    """The model with our weights, and its parameters by our names."""
    model = Classifier(transformers.BertConfig(**settings["config"]), settings["pooler"])
    theirs = dict(model.named_parameters())
    views = torch_names.bert({name: p.detach().numpy() for name, p in theirs.items()})
    for name, view in views.items():  # of the parameters' own memory
        view[...] = arrays[f"weight {name}"]
    places = dict(zip(views, theirs, strict=True))
    named = {name: theirs[place] for name, place in places.items()}
    for layer, scale in settings["scales"].items():
        a, b = (torch.from_numpy(arrays[f"weight {layer}.lora_{x}"]) for x in "ab")
        place, _, last = places[f"{layer}.weight"].removesuffix(".weight").rpartition(".")
        above = model.get_submodule(place)
        added = LoRALinear(getattr(above, last), a, b, scale)
        setattr(above, last, added)
        named |= {f"{layer}.lora_a": added.a, f"{layer}.lora_b": added.b}
    return model, named


def learning(named: dict[str, Any], groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups for an optimizer; all that is in none of them is frozen."""
    for p in named.values():
        p.requires_grad = False
    for p in (named[name] for group in groups for name in group["names"]):
        p.requires_grad = True
    own = ("lr", "betas", "eps", "weight_decay")
    return [
        {"params": [named[name] for name in group["names"]], **{k: group[k] for k in own}}
        for group in groups
    ]


def macro_f1(labels: np.ndarray, said: np.ndarray) -> float:
    """The mean over the classes that the labels have."""
    size = int(max(labels.max(), said.max())) + 1
    hits, rows, named = (
        np.bincount(each, minlength=size) for each in (labels[labels == said], labels, said)
    )
    there = rows > 0
    return float(np.mean(2 * hits[there] / (rows + named)[there]))


if __name__ == "__main__":
    main(*sys.argv[1:])
