"""The formulas of the documents: a catalogue of ids and verdicts, and forms to hold to account.

`python -m tinygrad_llm.formulas` prints the catalogue. `FORMS["F07"].corrected` is a function on
float64 arrays, `FORMS["F07"].printed` the form as the document prints it.
"""

from tinygrad_llm.formulas import (
    attention,
    backprop,
    batches,
    blocks,
    descent,
    embedding,
    evaluation,
    initialization,
    losses,
    networks,
    neuron,
    optimizers,
    penalties,
    precision,
    preparation,
    regularization,
    schedules,
)
from tinygrad_llm.formulas.catalogue import CATALOGUE, Entry, Verdict
from tinygrad_llm.formulas.numeric import numeric_gradient, numeric_gradients, relative_error
from tinygrad_llm.formulas.registry import (
    FORMS,
    Case,
    Forms,
    Outcome,
    Question,
    case,
    formula,
    judge,
)

__all__ = [
    "CATALOGUE",
    "FORMS",
    "Case",
    "Entry",
    "Forms",
    "Outcome",
    "Question",
    "Verdict",
    "attention",
    "backprop",
    "batches",
    "blocks",
    "case",
    "descent",
    "embedding",
    "evaluation",
    "formula",
    "initialization",
    "judge",
    "losses",
    "networks",
    "neuron",
    "numeric_gradient",
    "numeric_gradients",
    "optimizers",
    "penalties",
    "precision",
    "preparation",
    "regularization",
    "relative_error",
    "schedules",
]
