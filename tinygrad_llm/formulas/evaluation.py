"""Forms about what predictions are worth: F57-F60, F67, F69, F80.

Labels and predictions are arrays (N,) of class numbers; where there are two classes, 1 is the
positive one. TP, FP, FN, TN count true and false positives and negatives.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from tinygrad_llm.formulas.neuron import sigmoid, softmax
from tinygrad_llm.formulas.numeric import Array
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


@formula("F57", "corrected", "printed")
def accuracy(y: Array, predicted: Array) -> np.floating:
    """F57: the share of predictions that are right. Right as described. (N,), (N,) -> ().

    Of rare positives it says nothing: where 5 % are, "never" is right in 95 %.
    """
    return np.mean(y == predicted)


@formula("F80", "corrected", "printed")
def percent_right(y: Array, predicted: Array) -> float:
    """F80: 100 · correct / total, F57 in percent. Right as printed. (N,), (N,) -> ()."""
    return 100.0 * np.sum(y == predicted) / len(y)


@formula("F58", "corrected")
def precision(y: Array, predicted: Array) -> float:
    """F58: P = TP/(TP + FP), the true among those called positive; 0 where none is called so.

    (N,), (N,) -> ().
    """
    called = np.sum(predicted == 1.0)
    return float(np.sum((y == 1.0) & (predicted == 1.0)) / called) if called else 0.0


@formula("F58", "printed")
def precision_printed(y: Array, predicted: Array) -> np.floating:
    """F58 as described: TP/(TP + FP); 0/0 where nothing is called positive. (N,), (N,) -> ()."""
    return np.sum((y == 1.0) & (predicted == 1.0)) / np.sum(predicted == 1.0)


@formula("F59", "corrected")
def recall(y: Array, predicted: Array) -> float:
    """F59: R = TP/(TP + FN), those found among the positive; 0 where there is none.

    (N,), (N,) -> ().
    """
    positive = np.sum(y == 1.0)
    return float(np.sum((y == 1.0) & (predicted == 1.0)) / positive) if positive else 0.0


@formula("F59", "printed")
def recall_printed(y: Array, predicted: Array) -> np.floating:
    """F59 as described: TP/(TP + FN); 0/0 where nothing is positive. (N,), (N,) -> ()."""
    return np.sum((y == 1.0) & (predicted == 1.0)) / np.sum(y == 1.0)


@formula("F60", "corrected")
def f1(y: Array, predicted: Array) -> float:
    """F60: F1 = 2PR/(P + R), the harmonic mean of precision and recall; 0 where both are 0.

    Of several classes: `macro_f1` or `micro_f1`, and say which. (N,), (N,) -> ().
    """
    P, R = precision(y, predicted), recall(y, predicted)
    return 2.0 * P * R / (P + R) if P + R else 0.0


@formula("F60", "mistake")
def f1_arithmetic(y: Array, predicted: Array) -> float:
    """F60 mistaken: (P + R)/2.

    "Combines the two" is all that is said. Call everything positive: R = 1 lifts this above ½
    however few are. (N,), (N,) -> ().
    """
    return (precision(y, predicted) + recall(y, predicted)) / 2.0


def macro_f1(y: Array, predicted: Array, classes: int) -> float:
    """F60 of each class against the others, and their mean: every class counts the same."""
    pairs = (((y == c) * 1.0, (predicted == c) * 1.0) for c in range(classes))
    return float(np.mean([f1(*pair) for pair in pairs]))


def micro_f1(y: Array, predicted: Array, classes: int) -> float:
    """F60 of the counts of all classes together: every row counts the same.

    Where each row has one label and one prediction it is the accuracy.
    """
    every = np.arange(classes)
    return f1(1.0 * (y[:, None] == every).ravel(), 1.0 * (predicted[:, None] == every).ravel())


@formula("F69", "corrected")
def named_classes(Z: Array) -> Array:
    """F69: the class of a row is where its largest logit stands. Z (N, K) -> ones and zeros."""
    return np.eye(Z.shape[1])[np.argmax(Z, axis=1)]


@formula("F69", "printed")
def named_classes_printed(Z: Array) -> Array:
    """F69 as printed: round(σ(Z)), each logit by itself.

    For a head of two logits under a softmax: whenever both have one sign, it names none or both
    of the classes. Z (N, K) -> ones and zeros (N, K).
    """
    return np.round(sigmoid(Z))


@formula("F67", "corrected")
def mixture(Z: Array) -> Array:
    """F67: p̄ = 1/M · Σₘ softmax(zₘ), the mean of what M models hold to be probable.

    −log is convex, so that the negative log-likelihood of p̄ is at most the mean of theirs (Jensen).
    Z (M, N, K) logits -> (N, K).
    """
    return np.mean(softmax(Z), axis=0)


@formula("F67", "mistake")
def mixture_of_logits(Z: Array) -> Array:
    """F67 mistaken: softmax(1/M · Σₘ zₘ).

    "Averages the outputs" is all that is said, and a network's outputs are its logits. But their
    size is how sure a model is: the surest of them speaks for all. Z (M, N, K) -> (N, K).
    """
    return softmax(np.mean(Z, axis=0))


class Counts(NamedTuple):
    """How many rows are true and false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int

    def rows(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Labels and predictions with these counts, in a drawn order. -> (N,), (N,)."""
        order = rng.permutation(sum(self))
        y, predicted = np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
        return np.repeat(y, self)[order], np.repeat(predicted, self)[order]

    def question(self, truth: float, rng: np.random.Generator) -> Question:
        """What a form says of such rows; it should say `truth`."""
        y, predicted = self.rows(rng)
        return Question(np.asarray(truth), lambda form: form(y, predicted))


def draw_counts(rng: np.random.Generator) -> Counts:
    """Counts with more positives missed than there are false alarms: P and R lie far apart."""
    tp = int(rng.integers(3, 9))
    return Counts(tp, 1, tp + int(rng.integers(0, 5)), int(rng.integers(1, 9)))


def _share_question(scale: float, rng: np.random.Generator) -> Question:
    counts = draw_counts(rng)
    return counts.question(scale * (counts.tp + counts.tn) / sum(counts), rng)


def _positives_question(missed: bool, rng: np.random.Generator) -> Question:
    """Precision, or recall if `missed`, from counts."""
    counts = draw_counts(rng)
    wrong = counts.fn if missed else counts.fp
    return counts.question(counts.tp / (counts.tp + wrong), rng)


def _empty_question(counts: Counts, rng: np.random.Generator) -> Question:
    return counts.question(0.0, rng)


def _f1_question(equal: bool, rng: np.random.Generator) -> Question:
    """By counts alone, 2TP/(2TP + FP + FN); if `equal`, P = R."""
    counts = draw_counts(rng)
    counts = counts._replace(fp=counts.fn) if equal else counts
    return counts.question(2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn), rng)


def _class_question(opposed: bool, rng: np.random.Generator) -> Question:
    """Two logits a row; if `opposed`, one above and one below zero."""
    Z = rng.normal(size=(20, 2))
    if opposed:
        Z[:, 1] = -np.sign(Z[:, 0]) * np.abs(Z[:, 1])
    ahead = Z[:, 0] > Z[:, 1]
    return Question(np.stack([ahead * 1.0, ~ahead * 1.0], axis=1), lambda form: form(Z))


def _drawn_model_question(alike: bool, rng: np.random.Generator) -> Question:
    """Counted: each of M models drew 60 times from its probabilities, which are its own shares; a
    share of all draws together is the chance of a class when a model is drawn first. Logits are
    known but for a number added to each row. If `alike`, the models hold the same probable."""
    models, rows, classes = 3, 4, int(rng.integers(2, 5))
    draws = 1.0 + rng.multinomial(60 - classes, rng.dirichlet(np.ones(classes), (models, rows)))
    draws = np.broadcast_to(draws[:1], draws.shape) if alike else draws
    Z = np.log(draws) + rng.normal(size=(models, rows, 1))
    return Question(draws.sum(axis=0) / (60 * models), lambda form: form(Z))


case("F57", "drawn counts", Outcome.AGREES)(partial(_share_question, 1.0))
case("F80", "drawn counts", Outcome.AGREES)(partial(_share_question, 100.0))
case("F58", "drawn counts", Outcome.AGREES)(partial(_positives_question, False))
case("F58", "nothing called positive", Outcome.NOT_FINITE)(
    partial(_empty_question, Counts(0, 0, 3, 4))
)
case("F59", "drawn counts", Outcome.AGREES)(partial(_positives_question, True))
case("F59", "nothing positive", Outcome.NOT_FINITE)(partial(_empty_question, Counts(0, 3, 0, 4)))
case("F60", "precision above recall", Outcome.DIFFERS)(partial(_f1_question, False))
case("F60", "precision and recall equal", Outcome.AGREES)(partial(_f1_question, True))
case("F60", "nothing found", None)(partial(_empty_question, Counts(0, 2, 3, 4)))
case("F67", "models that differ", Outcome.DIFFERS)(partial(_drawn_model_question, False))
case("F67", "models that agree", Outcome.AGREES)(partial(_drawn_model_question, True))
case("F69", "drawn logits", Outcome.DIFFERS)(partial(_class_question, False))
case("F69", "logits of opposite signs", Outcome.AGREES)(partial(_class_question, True))
