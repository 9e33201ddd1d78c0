"""What the checks of the museum say of listings C03 to C14, and of other wrong forms."""

from __future__ import annotations

import re
import sys

import numpy as np

from chapters.museum.listings import (
    c03_new_words_dropped,
    c06_tuned_on_the_test,
    c07_not_installed,
    c08_no_cls,
    c09_one_column,
)
from tinygrad_llm import Tensor, nn
from tinygrad_llm import functional as F
from tinygrad_llm.data import stratified_split
from tinygrad_llm.tokenizers import CharTokenizer

RED = {
    "c03_new_words_dropped": r"5 characters of the test are new, and 5 of them leave no trace",
    "c04_states_as_answers": r".* of 128 words has 5%: the loss stays at 2\.90",
    "c05_padding_guessed": r"a model that says padding everywhere is right in 84%",
    "c06_tuned_on_the_test": r"labels of tossed coins, and 9\d% are foretold",
    "c07_not_installed": r"3 of 5 packages .*: \['pyyaml', 'scikit-learn', 'transformers'\]",
    "c08_no_cls": r"3 of 3 texts begin with a word in the place of \[CLS\]",
    "c09_one_column": r"2 classes, all rows right, and the loss is 30, not 0",
    "c10_divided_by_a_pair": r"100 rows with a loss of 0\.69 each have 2\.42 in batches of 16",
    "c11_rounded_sigmoid": r"2 logits near 0: .* 262 have no class and 228 more than one",
    "c12_last_epoch": r"tested at a development loss of 58\.0; it was 41\.5 after epoch 10 of 60",
    "c13_softmax_twice": r"all rows right, all sure, and the loss is 0\.313, not 0",
    "c14_tried_until_good": r"40 models that guess: .* is said to be right in 65%",
}


def new_as(id):
    """C03: every new character has this id."""

    def encode(train, test):
        vocab = CharTokenizer.train(train).vocab
        return [[vocab.get(each, id) for each in text] for text in test]

    return encode


def leaked(train, test):
    return c03_new_words_dropped.mended([*train, *test], test)


def bounded(last):
    """C04: a head whose scores are bounded again."""
    return lambda width, vocabulary: nn.Sequential(nn.Linear(width, vocabulary), last())


def kept_words(predicted, labels, pad):
    """C05: the places that count are those where a word is predicted."""
    said = predicted != pad
    return np.mean(predicted[said] == labels[said]) if said.any() else 0.0


def either(predicted, labels, pad):
    """C05: the places that count are those where a word is predicted, or one is right."""
    words = (predicted != pad) | (labels != pad)
    return np.mean(predicted[words] == labels[words])


def by_text(predicted, labels, pad):
    """C05: the mean of the texts' shares, in which a short text counts like a long one."""
    rows = [row != pad for row in labels]
    return np.mean([np.mean(p[w] == y[w]) for p, y, w in zip(predicted, labels, rows)])


def tuned(learn, score):
    """C06: learns some part of the new rows (0, 1, or both: 2) and is scored on another."""

    def tune(model, old, new):
        parts = [(new[0][i], new[1][i]) for i in stratified_split(new[1], 0.5, seed=0)]
        c06_tuned_on_the_test.learn(model, old)
        if learn is not None:
            c06_tuned_on_the_test.learn(model, [*parts, new][learn])
        return c06_tuned_on_the_test.score(model, [*parts, new][score])

    return tune


def first_words(pattern):
    """C07: by lines that look like an import."""

    def requirements(program):
        found = set(re.findall(pattern, program, re.M)) - set(sys.stdlib_module_names)
        return {c07_not_installed.PROVIDED.get(name, name) for name in found}

    return requirements


def import_names(program):
    provided = {package: name for name, package in c07_not_installed.PROVIDED.items()}
    return {provided.get(package, package) for package in c07_not_installed.mended(program)}


def marked(order):
    """C08: marks, cuts and fills in another order."""

    def prepare(tokenizer, texts, length):
        rows = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
        longest = min(length, 2 + max(map(len, rows)))
        if order == "cut last":
            rows = [[2, *row, 3][:length] for row in rows]
        elif order == "fill before the end":
            rows = [[2, *row[: length - 2]] for row in rows]
            rows = [[*row, *[0] * (longest - 1 - len(row)), 3] for row in rows]
        ids = np.array([[*row, *[0] * (longest - len(row))] for row in rows])
        return ids, (ids != 0).astype(int)

    return prepare


def mask_of_words(tokenizer, texts, length):
    """C08: the mask is made from the lengths without the marks."""
    ids, mask = c08_no_cls.mended(tokenizer, texts, length)
    return ids, (np.arange(ids.shape[1]) < mask.sum(axis=1, keepdims=True) - 2).astype(int)


def mask_of_ones(tokenizer, texts, length):
    ids, mask = c08_no_cls.mended(tokenizer, texts, length)
    return ids, np.ones_like(mask)


def column(k):
    """C09: column k of the labels; a negative one is counted from the end."""
    return lambda logits, onehot: F.cross_entropy(logits, Tensor(onehot[:, k].astype(int)))


def by_batches(loss, data, size):
    """C10: each batch counts the same."""
    starts = range(0, len(data[1]), size)
    return np.mean([loss((data[0][i : i + size], data[1][i : i + size])) for i in starts])


def over_rows(loss, data, size):
    """C10: the batches' means, not weighted, over the number of rows."""
    starts = range(0, len(data[1]), size)
    return by_batches(loss, data, size) * len(starts) / len(data[1])


def above(threshold):
    """C11: a class is named where its probability is above the threshold."""
    return lambda logits: (F.softmax(logits).numpy() > threshold) * 1.0


def second_alone(logits):
    """C11: the second logit decides, whatever the first one is."""
    return np.eye(logits.shape[1])[(logits.numpy()[:, 1] > 0.0).astype(int)]


def best_epoch(save, by_test=False, before=False):
    """C12: the best epoch as `save(model)` keeps it, chosen by the test, or told too early."""

    def run(model, learn, dev, test, epochs):
        lowest, best = np.inf, save(model)
        for _ in range(epochs):
            learn()
            if (now := test() if by_test else dev()) < lowest:
                lowest, best = now, save(model)
        told = lowest
        model.load_state_dict(best)
        return told if before and test() else test()

    return run


def references(model):
    return dict(model.named_parameters())


def log_probabilities_expected(outputs, labels):
    """C13: a loss of log-probabilities, which gets logits."""
    return -(outputs.logits * Tensor(np.eye(2)[labels])).sum(axis=-1).mean()


def halves(choose, score):
    """C14: chosen by a slice of the rows, scored on another one."""

    def run(right):
        chosen = right[:, choose].mean(axis=1).argmax()
        return chosen, right[chosen, score].mean()

    return run


FIRST, SECOND, ALL = slice(25), slice(25, 50), slice(None)

WRONG = {
    "new as padding": ("c03_new_words_dropped", new_as(0), "5 of 5 new characters are read as"),
    "new as a known one": ("c03_new_words_dropped", new_as(5), "5 of 5 new characters are read as"),
    "fitted on the test": ("c03_new_words_dropped", leaked, "have 5 ids: the vocabulary has read"),
    "tanh at the end": ("c04_states_as_answers", bounded(nn.Tanh), r"stays at [2-9]\."),
    "softmax at the end": ("c04_states_as_answers", bounded(nn.Softmax), r"stays at [3-9]\."),
    "words as wide as states": (
        "c04_states_as_answers",
        lambda width, vocabulary: nn.Linear(width, width),
        "scores for 8 words, and there are 20",
    ),
    "masked, over all places": (
        "c05_padding_guessed",
        lambda predicted, labels, pad: np.mean((predicted == labels) & (labels != pad)),
        r"of 81 words 49\.4% are right, and it says 7\.8%",
    ),
    "where words are predicted": ("c05_padding_guessed", kept_words, r"49\.4%.*says 100\.0%"),
    "where either is a word": ("c05_padding_guessed", either, r"right, and it says 15\.8%"),
    "text by text": ("c05_padding_guessed", by_text, r"49\.4%.*says 49\.5%"),
    "learns all, scored on half": ("c06_tuned_on_the_test", tuned(2, 1), r"9\d% are foretold"),
    "scored on what it learned": ("c06_tuned_on_the_test", tuned(0, 0), r"(9\d|100)% are foretold"),
    "not tuned": ("c06_tuned_on_the_test", tuned(None, 1), "first number tells"),
    "imports at the margin": (
        "c07_not_installed",
        first_words(r"^(?:import|from) (\w+)"),
        "3 of 5 packages",
    ),
    "first of each line": (
        "c07_not_installed",
        first_words(r"(?:import|from) (\w+)"),
        "2 of 5 packages",
    ),
    "names as imported": ("c07_not_installed", import_names, "2 of 5 packages"),
    "far too much": (
        "c07_not_installed",
        lambda program: c07_not_installed.mended(program) | {"pandas", "os"},
        "2 installed for nothing",
    ),
    "cut after marking": (
        "c08_no_cls",
        marked("cut last"),
        r"1 of 3 texts do not end with \[SEP\]",
    ),
    "filled before the end": (
        "c08_no_cls",
        marked("fill before the end"),
        "2 of 3 texts have other words, or padding between",
    ),
    "mask of words": ("c08_no_cls", mask_of_words, "the mask is wrong at 6 of 18 places"),
    "mask of ones": ("c08_no_cls", mask_of_ones, "the mask is wrong at 4 of 18 places"),
    "last column": ("c09_one_column", column(-1), "3 classes, all rows right"),
    "column 1": ("c09_one_column", column(1), "3 classes, all rows right"),
    "each class by itself": (
        "c09_one_column",
        lambda logits, onehot: F.binary_cross_entropy_with_logits(logits, Tensor(onehot)),
        "all rows right, and the loss is 0.347, not 0",
    ),
    "doubled logits": (
        "c09_one_column",
        lambda logits, onehot: c09_one_column.mended(2.0 * logits, onehot),
        "2 classes: the gradient is off by 0.083",
    ),
    "a sum over rows": (
        "c09_one_column",
        lambda logits, onehot: F.cross_entropy(logits, Tensor(onehot), reduction="sum"),
        "nothing known: the loss is 4.159, not 0.693",
    ),
    "each batch the same": ("c10_divided_by_a_pair", by_batches, "the last 4 rows are worse"),
    "means over rows": ("c10_divided_by_a_pair", over_rows, r"have 0\.05 in batches of 16"),
    "above a half": ("c11_rounded_sigmoid", above(0.5), "3 logits near 0: of 1000 rows, [1-9]"),
    "second alone": ("c11_rounded_sigmoid", second_alone, "2 logits near 0: [1-9].* not of the"),
    "smallest": (
        "c11_rounded_sigmoid",
        lambda logits: np.eye(logits.shape[1])[logits.numpy().argmin(axis=1)],
        "1000 rows are not of the largest",
    ),
    "no copy": ("c12_last_epoch", best_epoch(references), "tested at .* 58.0; it was 41.5"),
    "chosen by the test": (
        "c12_last_epoch",
        best_epoch(nn.Module.state_dict, by_test=True),
        "the test is read 61 times",
    ),
    "told the other loss": (
        "c12_last_epoch",
        best_epoch(nn.Module.state_dict, before=True),
        "a test loss of 41.5 is told, and it is 35.6",
    ),
    "logits as log-probabilities": (
        "c13_softmax_twice",
        log_probabilities_expected,
        "the loss is -40, not 0",
    ),
    "each logit by itself": (
        "c13_softmax_twice",
        lambda outputs, labels: F.binary_cross_entropy_with_logits(
            outputs.logits, Tensor(np.eye(2)[labels])
        ),
        "the loss is 0.347, not 0",
    ),
    "clipped probabilities": (
        "c13_softmax_twice",
        lambda outputs, labels: (
            -F.log(
                (F.softmax(outputs.logits) * Tensor(np.eye(2)[labels])).sum(axis=-1) + 1e-12
            ).mean()
        ),
        "a row that is surely wrong has a gradient of",
    ),
    "chosen by the test half": ("c14_tried_until_good", halves(SECOND, SECOND), "in [67]"),
    "scored on all": ("c14_tried_until_good", halves(FIRST, ALL), "in [56]"),
    "chosen by all": ("c14_tried_until_good", halves(ALL, SECOND), "in [67]"),
    "the first": ("c14_tried_until_good", lambda right: (0, right[0].mean()), "in 0 of 300"),
}
