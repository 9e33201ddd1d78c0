"""`python -m tests.benchmarks.learning.recipes --steps 3000`: the recipe of BERT, part by part.

A small BERT is pretrained in four ways with as many steps: hidden words drawn once for the whole
run (static masking) or anew in each epoch (dynamic masking), with and without next sentences. All
answer for the same hidden words of held-out documents, once in single texts and once in pairs. A
fifth way has the last one's recipe, and positions that begin as drawn numbers, not as sinusoids.

Sources: Devlin et al. 2019, "BERT"; Liu et al. 2019, "RoBERTa", sections 4.1 and 4.2.
"""

from __future__ import annotations

import argparse
import itertools
import time
from typing import Any, NamedTuple

import numpy as np

from chapters import options, text
from tests.benchmarks import commands
from tests.benchmarks.environment import facts, in_words
from tinygrad_llm import manual_seed, nn
from tinygrad_llm.data.pretraining import MaskedLanguageCollator
from tinygrad_llm.data.pretraining.masking import IGNORED
from tinygrad_llm.metrics import Mean, mean_over_seeds
from tinygrad_llm.nn import evaluating
from tinygrad_llm.pretrain import MaskedTask, read_documents, split_documents
from tinygrad_llm.pretrain.scores import right_guesses
from tinygrad_llm.tokenizers import WordPieceTokenizer
from tinygrad_llm.training import Trainer, TrainingArguments

BATCH, RATE, VOCABULARY = 16, 1e-3, 4000
ROW = 64
"""Tokens of a row."""

AT_ONCE = 64
"""Held-out rows that go through the model together."""

SPLIT = 0
"""The seed of what is held out, and of what is hidden there: the same for all runs."""


class Recipe(NamedTuple):
    """One of the ways."""

    dynamic: bool
    pairs: bool
    sinusoids: bool = True

    @property
    def name(self) -> str:
        masking = "dynamic" if self.dynamic else "static"
        name = f"{masking} masking, {'with' if self.pairs else 'without'} next sentences"
        return name if self.sinusoids else f"{name}, drawn positions"


RECIPES = [Recipe(*ways) for ways in itertools.product((False, True), (True, False))]
DRAWN = RECIPES[-1]._replace(sinusoids=False)

MODEL: dict[str, Any] = {
    "num_hidden_layers": 3, "intermediate_size": 256, "num_attention_heads": 4,
    "initializer_range": 0.05, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
"""As that of chapter 09, with one block more."""


class Tasks(NamedTuple):
    """The same documents as single texts and as pairs of texts."""

    single: MaskedTask
    pairs: MaskedTask


class Run(NamedTuple):
    """What a pretrained model is right in: shares of the hidden words in single texts and in pairs,
    and of next sentences (None without them)."""

    single: float
    pairs: float
    next_sentence: float | None


def main(arguments: list[str]) -> int:
    text.use_utf8()
    given = _options(arguments)
    tasks = make_tasks(given.data)
    print(in_words(facts("ours")))
    rows = len(tasks.single.train_dataset)
    print(f"{rows:,} rows to learn from, {given.steps:,} steps of {BATCH}", end=": ")
    print(f"each is seen {given.steps * BATCH / rows:.1f} times")
    runs: dict[Recipe, list[Run]] = {recipe: [] for recipe in (*RECIPES, DRAWN)}
    begun = time.perf_counter()
    for seed, recipe in itertools.product(range(given.seeds), runs):
        model = learned(tasks, recipe, given.steps, seed)
        runs[recipe].append(measured(model, tasks, recipe))
        spent = time.perf_counter() - begun
        print(f"seed {seed}, {recipe.name}: {100 * runs[recipe][-1].single:.1f} %, {spent:.0f} s")
    print("\n" + table(runs, tasks) + "\n\n" + effects(runs))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = options.Parser(
        prog="python -m tests.benchmarks.learning.recipes",
        description=(__doc__ or "").splitlines()[0].partition(": ")[2],
    )
    what = "english (default), chinese, or what `tinygrad-llm pretrain` reads"
    parser.add_argument("--data", default="english", help=what)
    parser.add_argument("--steps", type=int, default=3000, help="of each run (default 3000)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each recipe (default 3)")
    given = parser.parse_args(arguments)
    if given.seeds < 2 or given.steps < 1:
        parser.refuse("--seeds is at least 2, for an interval, and --steps at least 1")
    return given


def make_tasks(data: str) -> Tasks:
    """Both tasks on the same documents; SystemExit for data that cannot be used."""
    try:
        train, valid = split_documents(read_documents(data), 0.1, SPLIT)
        tokenizer = WordPieceTokenizer.train([each.text for each in train], VOCABULARY)
        common = {"max_length": ROW, "seed": SPLIT, "rounds": 1}
        parts = train, valid, tokenizer
        single = MaskedTask(*parts, next_sentence=False, **common)
        return Tasks(single, MaskedTask(*parts, next_sentence=True, **common))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None


def learned(tasks: Tasks, recipe: Recipe, steps: int, seed: int) -> Any:
    """A model that was pretrained by a recipe; the seed is that of weights, order and masks."""
    task = tasks.pairs if recipe.pairs else tasks.single
    masking = MaskedLanguageCollator(task.tokenizer, seed=seed)
    plan = TrainingArguments(
        max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=RATE, weight_decay=0.01,
        lr_scheduler_type="cosine", warmup_ratio=0.1, eval_strategy="no", seed=seed, quiet=True,
    )  # fmt: skip
    manual_seed(seed)
    model = task.new_model("tiny", **MODEL)
    if not recipe.sinusoids:
        nn.init.normal_(model.bert.embeddings.positions.weight, std=MODEL["initializer_range"])
    redraw = masking.redraw if recipe.dynamic else None
    data = {"train_dataset": task.train_dataset, "data_collator": masking, "transform": redraw}
    Trainer(model, plan, **data).train()
    return model


def measured(model: Any, tasks: Tasks, recipe: Recipe) -> Run:
    """The model on the held-out rows of both kinds. Which text is the second it is told only where
    it has learnt what that means."""
    single, _ = shares(model, tasks.single, False)
    pairs, follows = shares(model, tasks.pairs, recipe.pairs)
    return Run(single, pairs, follows if recipe.pairs else None)


def shares(model: Any, task: MaskedTask, typed: bool) -> tuple[float, float]:
    """How many hidden words, and how many pairs, are right of all held-out ones."""
    right = asked = follow = 0
    rows = task.eval_dataset
    with evaluating(model):
        for start in range(0, len(rows), AT_ONCE):
            some = range(start, min(start + AT_ONCE, len(rows)))
            batch = task.data_collator([rows[i] for i in some])
            types = {"token_type_ids": batch["token_type_ids"]} if typed else {}
            answer = model(batch["input_ids"], batch["attention_mask"], **types)
            hidden = batch["labels"] != IGNORED
            right += right_guesses(answer, hidden, batch["labels"], len(task.tokenizer))
            asked += int(hidden.sum())
            if typed:
                said = answer.seq_relationship_logits.numpy().argmax(axis=1)
                follow += int((said == batch["next_sentence_label"]).sum())
    return right / asked, follow / len(rows)


def table(runs: dict[Recipe, list[Run]], tasks: Tasks) -> str:
    """Means over seeds, and what counting reaches on the same targets."""
    rows = [[recipe.name, *_cells(found)] for recipe, found in runs.items()]
    both = [each.baselines for each in tasks]
    for name in ("left_neighbour_accuracy", "unigram_accuracy"):
        cells = [f"{100 * each[name]:.1f}" for each in both]
        rows.append([name.removesuffix("_accuracy").replace("_", " "), *cells, ""])
    rows.append(["overlap of words", "", "", f"{100 * both[1]['word_overlap']:.1f}"])
    asked = [task.targets["mlm"] for task in tasks]
    header = ["right, in %", f"{asked[0]:,} hidden words", f"{asked[1]:,} in pairs"]
    return text.table([*header, f"{tasks.pairs.targets['nsp']:,} next sentences"], rows)


def _cells(found: list[Run]) -> list[str]:
    """± are 95 % intervals of the mean over seeds."""
    columns = [column for column in zip(*found) if column[0] is not None]
    means = [mean_over_seeds(np.array(column)) for column in columns]
    return [_shown(mean) for mean in means] + [""] * (3 - len(means))


def effects(runs: dict[Recipe, list[Run]]) -> str:
    """What each part of the recipe does to the hidden words in single texts, seed by seed; each is
    the mean over the two values of the other part, but for the positions, of the last recipe."""
    right = np.array([[run.single for run in found] for found in runs.values()])
    four = [recipe for recipe in runs if recipe.sinusoids]
    signs = {
        "dynamic − static masking": [1 if recipe.dynamic else -1 for recipe in four] + [0],
        "with − without next sentences": [1 if recipe.pairs else -1 for recipe in four] + [0],
        "sinusoids − drawn positions": [2 * (recipe == four[-1]) for recipe in four] + [-2],
    }
    lines = []
    for name, sign in signs.items():
        mean = mean_over_seeds(np.array(sign) @ right / 2)
        lines.append(f"{name}: {100 * mean.mean:+.2f} ± {100 * mean.half:.2f} points")
    note = f"± 95 % intervals of the mean over {right.shape[1]} seeds"
    return "\n".join([*lines, note])


def _shown(value: Mean) -> str:
    return f"{100 * value.mean:.1f} ± {100 * value.half:.1f}"


if __name__ == "__main__":
    commands.run(main)
