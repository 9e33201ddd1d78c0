"""What the checks of the museum say of listings C15 to C26, and of other wrong forms."""

from __future__ import annotations

from functools import partial

import numpy as np

from chapters.museum.listings import (
    c16_notebook_line,
    c18_no_head,
    c20_import_proves_nothing,
    c21_two_rows,
    c22_columns_not_rows,
    c23_no_versions,
    c24_one_long_text,
    c26_printed_results,
)
from tinygrad_llm import data, nn, optim
from tinygrad_llm.optim.schedules import linear_factor
from tinygrad_llm.tokenizers import ByteBPETokenizer, CharTokenizer

RED = {
    "c15_bare_blocks": r"of the gradient that one block passes back, twelve pass \de-1[0-9]$",
    "c16_notebook_line": r"line 1 of 4 is no Python: invalid syntax$",
    "c17_foreign_vocabulary": r"100% of the characters are unknown: 49 texts, 18 rows of ids",
    "c18_no_head": r"the probabilities of the 12 words that may be hidden add up to 12$",
    "c19_long_warmup": r"in a run of 3 steps the rate gets to 0\.4% of 5e-05$",
    "c20_import_proves_nothing": (
        r"of 8 machines 4 are called ready, 3 of them without sklearn or torch$"
    ),
    "c21_two_rows": r"of 2 classes, 1 is in the rows to learn from$",
    "c22_columns_not_rows": r"an epoch has 4 rows, and there are 10 texts$",
    "c23_no_versions": r"3 of 3 packages are others on another day: numpy 1\.26\.4 → 2\.2\.1",
    "c24_one_long_text": r"86% of the places are padding, for one text of 60 characters$",
    "c25_mode_that_stays": r"the model learns without dropout in 2 of 3 epochs: 2, 3$",
    "c26_printed_results": r"88\.0% is no share of 4 rows: it needs 25 at least$",
}


class _Blocks(nn.Module):
    """Bare blocks, each with something around it: around(x, f(x), norm)."""

    def __init__(self, blocks, width, around):
        self.layers = nn.ModuleList(
            nn.TransformerLayer(width, 2, norm="bare") for _ in range(blocks)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.around = around

    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms):
            x = self.around(x, layer(x), norm)
        return x


def of_blocks(around):
    return lambda blocks, width: _Blocks(blocks, width, around)


def without_marks(*marks):
    """The obvious repair of C16: every line with such a mark goes."""

    def script_of(cell):
        kept = [line for line in cell.splitlines() if not any(mark in line for mark in marks)]
        return "\n".join(kept), c16_notebook_line.mended(cell)[1]

    return script_of


def calling_pip(cell):
    program, packages = c16_notebook_line.mended(cell)
    return f"import subprocess\nsubprocess.run(['pip', 'install', 'numpy'])\n{program}", packages


def shown(model, words, selected):
    """Labels, and the answer in the input."""
    return model(words, labels=np.where(selected, words, -100)).loss


def every_word(model, words, selected):
    hidden = np.where(selected, c18_no_head.MASK, words)
    return model(hidden, labels=words).loss


def guessing(model, words, selected):
    """ln V, whatever the model says."""
    return model.bert(words).last_hidden_state.sum() * 0.0 + np.log(c18_no_head.WORDS + 1)


def by_hand(warmup, total=lambda steps: steps):
    """A linear schedule with a warm-up of warmup(steps), down to 0 at total(steps)."""

    def schedule_of(optimizer, steps):
        how = {"total_steps": total(steps), "warmup_steps": warmup(steps)}
        return optim.Schedule(optimizer, partial(linear_factor, **how))

    return schedule_of


def level(optimizer, steps):
    return optim.constant(optimizer, total_steps=steps, warmup_ratio=0.1)


def first_steps(machine):
    """Tries all but the model."""
    steps = c20_import_proves_nothing.STEPS
    return all(set(steps[name]) <= machine.modules for name in ("tokenize", "split"))


def in_order(labels, seed):
    """The parts in the order of the rows, which stand class by class."""
    return tuple(np.split(np.arange(len(labels)), [len(labels) * 3 // 5, len(labels) * 4 // 5]))


def by_chance(labels, seed):
    """Two rows are refused, and others split without regard to their classes."""
    if len(labels) < 10:
        raise ValueError(f"{len(labels)} rows are too few")
    return c21_two_rows.broken(labels, seed)


def tested_on_training(labels, seed):
    train, validation, _ = c21_two_rows.mended(labels, seed)
    return train, validation, train


def shifted_labels(encoding, labels):
    return c22_columns_not_rows.mended(encoding, np.roll(labels, 1))


def cut(batches_of):
    """Rows cut by a slice, after they were made."""

    def cut_batches(tokenizer, texts):
        return [batch[:, : c24_one_long_text.PLACES] for batch in batches_of(tokenizer, texts)]

    return cut_batches


def by_batch(tokenizer, texts, **how):
    """Each batch padded by itself."""
    groups = [texts[i : i + 4] for i in range(0, len(texts), 4)]
    how = {"padding": True, "return_tensors": "np", **how}
    return [tokenizer(group, **how)["input_ids"] for group in groups]


def always_full(tokenizer, texts):
    places = c24_one_long_text.PLACES
    return by_batch(tokenizer, texts, padding="max_length", truncation=True, max_length=places)


def half_as_long(tokenizer, texts):
    return by_batch(tokenizer, texts, truncation=True, max_length=6)


def never_off(model, epochs, learn, validate):
    for _ in range(epochs):
        model.train()
        learn()
        validate()


def always_off(model, epochs, learn, validate):
    model.eval()
    for _ in range(epochs):
        learn()
        validate()


def judged_at_last(model, epochs, learn, validate):
    for _ in range(epochs):
        model.train()
        learn()
    model.eval()
    validate()


def of_epochs(x, y):
    """The mean loss of each epoch in place of its batches'."""
    log, size = c26_printed_results.mended(x, y), 3
    means = [float(np.mean(part)) for part in np.split(np.array(log.losses), size)]
    return c26_printed_results.Log(means, log.percentages)


def of_the_last(x, y):
    log = c26_printed_results.mended(x, y)
    return c26_printed_results.Log(log.losses, log.percentages[-1:])


def of_training_rows(x, y):
    """The percentages of all rows, those that were learnt from included."""
    log = c26_printed_results.mended(x, y)
    return c26_printed_results.Log(log.losses, [round(100.0 * (len(y) - 1) / len(y), 1)] * 3)


WRONG = {
    "norm without sum": (
        "c15_bare_blocks",
        of_blocks(lambda x, fx, norm: norm(fx)),
        r"twelve pass \de-0[3-9]",
    ),
    "sum that grows": (
        "c15_bare_blocks",
        of_blocks(lambda x, fx, norm: (x + fx) * 3.0),
        r"twelve pass \de\+0[3-9]",
    ),
    "mean of the tokens": (
        "c15_bare_blocks",
        of_blocks(lambda x, fx, norm: norm(x + x.mean(axis=1, keepdims=True) * 3.0)),
        r"the tokens of a text differ by \de-",
    ),
    "lines with !": ("c16_notebook_line", without_marks("!"), "prints 3 3"),
    "lines with ! or %": ("c16_notebook_line", without_marks("!", "%"), "prints nothing"),
    "pip at every start": ("c16_notebook_line", calling_pip, "1 of 5 statements call pip"),
    "packages forgotten": (
        "c16_notebook_line",
        lambda cell: (c16_notebook_line.mended(cell)[0], []),
        "0 of 2 packages are asked for",
    ),
    "options as packages": (
        "c16_notebook_line",
        lambda cell: (c16_notebook_line.mended(cell)[0], cell.splitlines()[0].split()[2:]),
        "2 of 2 packages are asked for, as .*-q",
    ),
    "characters of English": (
        "c17_foreign_vocabulary",
        lambda texts: CharTokenizer.train(["a new phone"]),
        "100% of the characters are unknown",
    ),
    "bytes of English": (
        "c17_foreign_vocabulary",
        lambda texts: ByteBPETokenizer.train(["a new phone"], 260),
        r"a character costs (2\.9|3\.0) tokens",
    ),
    "few Chinese texts": (
        "c17_foreign_vocabulary",
        lambda texts: CharTokenizer.train(texts[:20]),
        r"[4-9]\d% of the characters are unknown",
    ),
    "the answer shown": ("c18_no_head", shown, r"add up to (?!1$)"),
    "every word": ("c18_no_head", every_word, r"add up to (?!1$)"),
    "a loss of ln V": ("c18_no_head", guessing, r"0 of \d+ parameters have a gradient"),
    "no warm-up": ("c19_long_warmup", by_hand(lambda steps: 0), "of 3 steps the first one has 100"),
    "half of it warm-up": (
        "c19_long_warmup",
        by_hand(lambda steps: -(-steps * 6 // 10) if steps > 3 else 1),
        "the rate arrives after 60% of 150 steps",
    ),
    "level": ("c19_long_warmup", level, "the last of 3 steps has 100%"),
    "steps of one epoch": (
        "c19_long_warmup",
        by_hand(lambda steps: 1, total=lambda steps: steps // 3 + 1),
        "1 of 3 steps have a rate of 0",
    ),
    "rows for steps": (
        "c19_long_warmup",
        by_hand(lambda steps: -(-steps // 10), total=lambda steps: steps * 16),
        "the last of 3 steps has 9",
    ),
    "all but the model": (
        "c20_import_proves_nothing",
        first_steps,
        "2 are called ready, 1 of them without torch",
    ),
    "never ready": ("c20_import_proves_nothing", lambda machine: False, "none is called ready"),
    "always ready": ("c20_import_proves_nothing", lambda machine: True, "8 are called ready, 7 of"),
    "in order": ("c21_two_rows", in_order, "of 2 classes, 1 is in the rows to learn from"),
    "by chance, never two rows": (
        "c21_two_rows",
        by_chance,
        r"in \d+ of 20 splits of 30 rows",
    ),
    "two parts": (
        "c21_two_rows",
        lambda labels, seed: data.stratified_split(labels, 0.2, seed),
        "there are 2 parts",
    ),
    "tested on training": ("c21_two_rows", tested_on_training, "a row is in two parts"),
    "names of columns": (
        "c22_columns_not_rows",
        lambda encoding, labels: data.ListDataset(encoding),
        "an epoch has 0 rows",
    ),
    "shifted labels": ("c22_columns_not_rows", shifted_labels, "10 of 10 texts come without"),
    "the first row only": (
        "c22_columns_not_rows",
        lambda encoding, labels: data.Subset(
            c22_columns_not_rows.mended(encoding, labels), [0] * 10
        ),
        "9 of 10 texts come without",
    ),
    "at least": (
        "c23_no_versions",
        lambda: [line.replace("==", ">=") for line in c23_no_versions.mended()],
        "3 of 3 packages are others",
    ),
    "what came along": (
        "c23_no_versions",
        lambda: c23_no_versions.mended()[:2],
        "1 of 3 packages are others on another day: numpy",
    ),
    "one is missing": (
        "c23_no_versions",
        lambda: ["transformers==4.40.2", "numpy==1.26.4"],
        "1 of 2 packages are not installed: torch",
    ),
    "cut by a slice": ("c24_one_long_text", cut(by_batch), "1 of 32 rows have lost their"),
    "not cut": ("c24_one_long_text", by_batch, "a row has 62 tokens, and the model has 16"),
    "always full": ("c24_one_long_text", always_full, r"5\d% of the places are padding"),
    "cut too short": (
        "c24_one_long_text",
        half_as_long,
        r"\d+ of 32 texts have another number of tokens",
    ),
    "never off": ("c25_mode_that_stays", never_off, "dropout acts in 3 of 3 validations"),
    "always off": ("c25_mode_that_stays", always_off, "without dropout in 3 of 3 epochs"),
    "judged at last": ("c25_mode_that_stays", judged_at_last, "3 are trained and 1 validated"),
    "a loss for each epoch": (
        "c26_printed_results",
        of_epochs,
        "3 losses are printed, and 21 batches were trained",
    ),
    "one percentage": ("c26_printed_results", of_the_last, "1 percentages are printed after 3"),
    "of the training rows": (
        "c26_printed_results",
        of_training_rows,
        r"95\.0% is no share of 4 rows: it needs 20 at least",
    ),
}
