"""Floor 7: how good predictions are: of classes, of tokens, and how sure one can be of it."""

from tinygrad_llm.metrics.classes import (
    accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)
from tinygrad_llm.metrics.intervals import (
    Interval,
    Mean,
    mean_over_rows,
    mean_over_seeds,
    wilson_interval,
)
from tinygrad_llm.metrics.language import perplexity

__all__ = [
    "Interval",
    "Mean",
    "accuracy_score",
    "classification_report",
    "confusion_matrix",
    "f1_score",
    "mean_over_rows",
    "mean_over_seeds",
    "perplexity",
    "precision_recall_fscore_support",
    "precision_score",
    "recall_score",
    "wilson_interval",
]
