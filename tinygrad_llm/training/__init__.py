"""Floor 8: training: the Trainer and its arguments, runs that survive, search over settings."""

from tinygrad_llm.training import baselines
from tinygrad_llm.training.arguments import TrainingArguments
from tinygrad_llm.training.callbacks import Callback
from tinygrad_llm.training.checkpoints import load_checkpoint
from tinygrad_llm.training.evaluation import Predictions
from tinygrad_llm.training.gaussian_process import GaussianProcess, expected_improvement
from tinygrad_llm.training.search import search
from tinygrad_llm.training.spaces import Choice, Integer, LogUniform, Uniform
from tinygrad_llm.training.trainer import Trainer, TrainOutput
from tinygrad_llm.training.trials import SearchResult, Trial

__all__ = [
    "Callback",
    "Choice",
    "GaussianProcess",
    "Integer",
    "LogUniform",
    "Predictions",
    "SearchResult",
    "TrainOutput",
    "Trainer",
    "TrainingArguments",
    "Trial",
    "Uniform",
    "baselines",
    "expected_improvement",
    "load_checkpoint",
    "search",
]
