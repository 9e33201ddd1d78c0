"""Forms about looking up token embeddings: G04."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinygrad_llm.formulas.numeric import Array, numeric_gradient, project
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula

Ids = npt.NDArray[np.int64]


@formula("G04", "corrected")
def embedding_gradient(ids: Ids, cotangent: Array, vocabulary: int) -> Array:
    """G04: dE[v] = Σ of the cotangent over every place where id v stands.

    ids (T,), cotangent (T, D) -> (V, D) with V = vocabulary.
    """
    gradient = np.zeros((vocabulary, cotangent.shape[-1]))
    np.add.at(gradient, ids, cotangent)
    return gradient


@formula("G04", "mistake")
def embedding_gradient_assigned(ids: Ids, cotangent: Array, vocabulary: int) -> Array:
    """G04 mistaken: dE[ids] = cotangent, so that of a repeated id only the last place counts."""
    gradient = np.zeros((vocabulary, cotangent.shape[-1]))
    gradient[ids] = cotangent
    return gradient


def _lookup_question(rng: np.random.Generator, ids: Ids) -> Question:
    table, cotangent = rng.normal(size=(6, 3)), rng.normal(size=(len(ids), 3))
    return Question(
        numeric_gradient(lambda table: project(table[ids], cotangent), table),
        lambda form: form(ids, cotangent, 6),
    )


@case("G04", "a repeated id", Outcome.DIFFERS)
def _repeated_question(rng: np.random.Generator) -> Question:
    ids = rng.integers(0, 6, size=5)
    ids[-1] = ids[0]
    return _lookup_question(rng, ids)


@case("G04", "every id once", Outcome.AGREES)
def _distinct_question(rng: np.random.Generator) -> Question:
    return _lookup_question(rng, rng.permutation(6)[:4])
