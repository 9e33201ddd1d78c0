"""`python -m tests.benchmarks.learning.probe train.tsv test.tsv --model FOLDER`: what BERT knows.

Both files have a text, a tab and its class in each line. The BERT of the folder stays as it is; a
logistic regression learns the classes from its last hidden states, with 100, 1,000 and all labels,
and answers for the test file. Beside it stand the same regression on the states of the same
architecture with random weights and on a bag of characters, and the most frequent class.

`--pretrain-steps N` first pretrains a BERT of 4 layers and width 256, or with `--preset tiny` of 2
and 128, on the texts of the training file, without their labels, into the folder; a run that was
stopped goes on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from chapters import options, text
from tests.benchmarks import commands
from tests.benchmarks.environment import facts, in_words
from tinygrad_llm import manual_seed, models
from tinygrad_llm.data import StandardScaler, read_labelled
from tinygrad_llm.metrics import Mean, mean_over_rows
from tinygrad_llm.nn import evaluating
from tinygrad_llm.pretrain import PretrainOptions, pretrain
from tinygrad_llm.tokenizers import Tokenizer
from tinygrad_llm.training.baselines import linear, majority

SIZES = (100, 1000)
"""Labels that are learnt from, and all; each of them drawn anew for every seed."""

AT_ONCE = 128
"""Texts that go through the model together."""

RECIPE: dict[str, Any] = {
    "model": "bert",
    "tokenizer": "wordpiece",
    "vocab_size": 6000,
    "block_size": 32,
    "batch_size": 32,
    "warmup": 0.1,
    "dropout": 0.1,
    "next_sentence": False,
    "valid_share": 0.05,
}
"""For titles of 20 characters or so."""

SIZES_OF = {
    "mini": {"learning_rate": 5e-4, "mlm_probability": 0.3},
    "tiny": {"learning_rate": 1.5e-3, "mlm_probability": 0.2},
}
"""By the size of the model. With 15 % of them hidden, or with a rate of 1e-3, it takes "mini" twice
as many steps and more until anything but frequencies is learnt."""

ROW_LENGTH = 16.0
"""Of the rows of a bag: about that of standardized features, so that one set of penalties fits."""


class Part(NamedTuple):
    """Texts and their classes (N,)."""

    texts: list[str]
    classes: np.ndarray


class Features(NamedTuple):
    """Of both parts, (N, D) and (M, D), under a name; None for the most frequent class."""

    name: str
    learned: np.ndarray | None
    test: np.ndarray | None


Right = dict[str, dict[int, np.ndarray]]
"""Of each method, with so many labels: 1 where an answer is right, (seeds, test rows)."""


def main(arguments: list[str]) -> int:
    text.use_utf8()
    given = _options(arguments)
    learned, test, classes = read(given.train, given.test)
    print(in_words(facts("ours")))
    print(f"{len(learned.texts):,} texts to learn from, {len(test.texts):,} to test on", end=", ")
    print(f"{len(set(learned.texts) & set(test.texts))} in both; {classes} classes")
    if given.pretrain_steps:
        how = given.preset, given.pretrain_steps, given.seed
        print(pretrained(given.model, learned.texts, *how))
    model, tokenizer = bert_in(given.model)
    right, seconds = measure(model, tokenizer, learned, test, classes, given.seeds, given.seed)
    print(table(right, seconds))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = options.Parser(
        prog="python -m tests.benchmarks.learning.probe",
        description=(__doc__ or "").splitlines()[0].partition(": ")[2],
    )
    parser.add_argument("train", type=Path, help="lines of a text, a tab, its class")
    parser.add_argument("test", type=Path, help="the same, never learnt from")
    parser.add_argument("--model", type=Path, required=True, help="the folder of a BERT")
    steps = "pretrain it first, on the training texts"
    parser.add_argument("--pretrain-steps", type=int, default=0, metavar="N", help=steps)
    parser.add_argument("--preset", choices=SIZES_OF, default="mini", help="its size, then")
    parser.add_argument("--seeds", type=int, default=5, help="draws of labels (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and of the first draw")
    given = parser.parse_args(arguments)
    if given.seeds < 1 or given.seed < 0 or given.pretrain_steps < 0:
        parser.refuse("--seeds is at least 1, --seed and --pretrain-steps are at least 0")
    return given


def read(train: Path, test: Path) -> tuple[Part, Part, int]:
    """Both files, and how many classes the first has; SystemExit where they cannot be used."""
    try:
        rows = [read_labelled(path) for path in (train, test)]
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    names = sorted(set(rows[0].labels))
    unknown = sorted(set(rows[1].labels) - set(names))
    if unknown:
        raise SystemExit(f"{test}: class {unknown[0]!r} is not in {train}")
    places = {name: place for place, name in enumerate(names)}
    parts = [Part(each.texts, np.array([places[n] for n in each.labels])) for each in rows]
    for path, found, least in ((train, rows[0], SIZES[0]), (test, rows[1], 2)):
        if len(found) < least:
            raise SystemExit(f"{path}: {len(found)} texts are fewer than {least}")
    return parts[0], parts[1], len(names)


def bert_in(folder: Path) -> tuple[Any, Tokenizer]:
    """The model of a folder and its tokenizer; SystemExit for one that is no BERT."""
    try:
        model = models.from_pretrained(folder)
        tokenizer = Tokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    if not isinstance(model, models.BertModel) and not hasattr(model, "bert"):
        raise SystemExit(f"{folder}: a {type(model).__name__} is no BERT")
    return model, tokenizer


def measure(
    model: Any, tokenizer: Tokenizer, learned: Part, test: Part, classes: int, seeds: int, seed: int
) -> tuple[Right, dict[str, float]]:
    """Which answers of each method are right, and its seconds."""
    manual_seed(seed)
    drawn = type(model)(model.config)
    methods: list[Callable[[], list[Features]]] = [
        lambda: of_bert("pretrained", model, tokenizer, learned, test),
        lambda: of_bert("random weights", drawn, tokenizer, learned, test),
        lambda: [of_bag(learned, test)],
        lambda: [Features("majority class", None, None)],
    ]
    right: Right = {}
    seconds = {}
    for make in methods:
        begun = time.perf_counter()
        found = make()
        shared = (time.perf_counter() - begun) / len(found)
        for features in found:
            begun = time.perf_counter()
            right[features.name] = probe(features, learned, test, classes, seeds, seed)
            seconds[features.name] = shared + time.perf_counter() - begun
    return right, seconds


def of_bert(name: str, model: Any, tokenizer: Tokenizer, learned: Part, test: Part) -> list:
    """The features of a frozen BERT: mean over the tokens, the state of [CLS], and the pooler."""
    here, there = (states(model, tokenizer, part.texts, name) for part in (learned, test))
    scalers = {kind: StandardScaler().fit(values) for kind, values in here.items()}
    return [
        Features(f"{name}, {kind}", scaler.transform(here[kind]), scaler.transform(there[kind]))
        for kind, scaler in scalers.items()
    ]


def states(
    model: Any, tokenizer: Tokenizer, texts: Sequence[str], name: str
) -> dict[str, np.ndarray]:
    """Last hidden states of texts, (N, D) by kind: "mean", "[CLS]" and, if there, "pooler"."""
    body = getattr(model, "bert", model)
    order = np.argsort([len(each) for each in texts], kind="stable")  # so there is little padding
    found: dict[str, np.ndarray] = {}
    most = body.config.max_position_embeddings
    starts = tqdm(range(0, len(order), AT_ONCE), name, unit="batch", disable=None, leave=False)
    with evaluating(model):
        for start in starts:
            rows = order[start : start + AT_ONCE]
            batch = tokenizer(
                [texts[i] for i in rows], padding=True, truncation=True, max_length=most,
                return_tensors="np",
            )  # fmt: skip
            for kind, values in _kinds(body, batch).items():
                room = found.setdefault(kind, np.zeros((len(texts), values.shape[1]), np.float32))
                room[rows] = values
    return found


def _kinds(body: Any, batch: Any) -> dict[str, np.ndarray]:
    answer = body(batch["input_ids"], batch["attention_mask"])
    last, mask = answer.last_hidden_state.numpy(), batch["attention_mask"][:, :, None]
    kinds = {"mean": (last * mask).sum(axis=1) / mask.sum(axis=1), "[CLS]": last[:, 0]}
    pooled = answer.pooler_output
    return kinds if pooled is None else {**kinds, "pooler": pooled.numpy()}


def of_bag(learned: Part, test: Part) -> Features:
    """Which characters a text has, rare ones with more weight (tf-idf), rows of one length."""
    known = sorted(set("".join(learned.texts)))
    column = {character: place for place, character in enumerate(known)}
    bags = [np.zeros((len(part.texts), len(known)), np.float32) for part in (learned, test)]
    for bag, part in zip(bags, (learned, test)):
        for row, each in zip(bag, part.texts):
            row[[column[c] for c in set(each) if c in column]] = 1.0
    weight = np.log((len(bags[0]) + 1) / (bags[0].sum(axis=0) + 1))
    for bag in bags:
        bag *= weight
        bag *= ROW_LENGTH / np.maximum(np.linalg.norm(bag, axis=1, keepdims=True), 1e-9)
    return Features("bag of characters", *bags)


def probe(
    features: Features, learned: Part, test: Part, classes: int, seeds: int, seed: int
) -> dict[int, np.ndarray]:
    """Which answers are right, for each number of labels; all labels are learnt once."""
    found = {}
    for size in _sizes(learned):
        draws = range(seed, seed + (seeds if size < len(learned.texts) else 1))
        bar = tqdm(draws, f"{features.name}, {size} labels", disable=None, leave=False)
        said = [answers(features, learned, test, size, classes, each) for each in bar]
        found[size] = (np.array(said) == test.classes).astype(np.float64)
    return found


def _sizes(learned: Part) -> list[int]:
    return [size for size in SIZES if size < len(learned.texts)] + [len(learned.texts)]


def answers(
    features: Features, learned: Part, test: Part, size: int, classes: int, seed: int
) -> np.ndarray:
    """Classes of the test texts (M,), from `size` labels that the seed draws."""
    rows = np.random.default_rng(seed).permutation(len(learned.texts))[:size]
    y = learned.classes[rows]
    if features.learned is None or features.test is None:
        return np.full(len(test.texts), majority(y))
    x = features.learned[rows]
    met = x.any(axis=0)  # a character that no row has learns nothing
    found = linear.fit_classes(x[:, met], y, classes, seed=seed)
    return found.predict(features.test[:, met])


def table(right: Right, seconds: dict[str, float]) -> str:
    """Accuracies, and how far the pretrained model is above others on the same draws and texts."""
    sizes = list(next(iter(right.values())))
    header = ["accuracy in %", *(f"{size:,} labels" for size in sizes), "seconds"]
    rows = [
        [name, *(_shown(mean_over_rows(right[name][size])) for size in sizes), f"{spent:.0f}"]
        for name, spent in seconds.items()
    ]
    first = "pretrained, mean"
    for other in ("random weights, mean", "bag of characters"):
        gains = [mean_over_rows(right[first][size] - right[other][size]) for size in sizes]
        rows.append([f"{first} − {other}", *map(_shown, gains), ""])
    draws = len(right[first][sizes[0]])
    note = f"± 95 % intervals, over {draws} draws of labels (of all: one) and over test texts"
    return f"{text.table(header, rows)}\n{note}"


def _shown(value: Mean) -> str:
    return f"{100 * value.mean:.1f} ± {100 * value.half:.1f}"


def pretrained(folder: Path, texts: Sequence[str], preset: str, steps: int, seed: int) -> str:
    """Pretrain on the texts into the folder, or go on there; what came of it, in a line each."""
    with tempfile.TemporaryDirectory() as place:
        titles = Path(place, "titles.txt")
        titles.write_text("".join(f"{each}\n" for each in texts), encoding="utf-8")
        begun = (folder / "options.json").exists()
        run = {"data": str(titles), "unit": "line", "out": str(folder), "resume": begun}
        run |= {"preset": preset, **SIZES_OF[preset]}
        try:
            done = pretrain(PretrainOptions(**RECIPE, **run, steps=steps, seed=seed))
        except (OSError, ValueError) as error:
            raise SystemExit(str(error)) from None
    found = {name.removeprefix("eval_"): value for name, value in done.metrics.items()}
    return (
        f"pretrained {steps:,} steps of {RECIPE['batch_size']} in {done.seconds:.0f} s\n"
        f"of {found['mlm_targets']:.0f} hidden characters in held-out texts "
        f"{100 * found['mlm_accuracy']:.1f} % right, "
        f"left neighbour {100 * found['left_neighbour_accuracy']:.1f} %, "
        f"unigram {100 * found['unigram_accuracy']:.1f} %; "
        f"loss {found['mlm_loss']:.3f} nats, unigram {found['unigram_loss']:.3f}"
    )


if __name__ == "__main__":
    commands.run(main)
