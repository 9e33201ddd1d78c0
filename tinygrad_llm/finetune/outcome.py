"""What a fine-tuning leaves: the model in its folder, its figures beside the baselines', a card."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.files import write_json, write_text
from tinygrad_llm.finetune.adapters import save_adapter
from tinygrad_llm.finetune.card import About, card
from tinygrad_llm.finetune.judging import figures_known, said_of
from tinygrad_llm.finetune.lora import merge_lora
from tinygrad_llm.finetune.measures import BAG, MAJORITY, MEAN, Result, figures, predictions
from tinygrad_llm.finetune.methods import Work
from tinygrad_llm.finetune.options import OF_FULL, OF_LORA, FinetuneOptions
from tinygrad_llm.finetune.results import draw
from tinygrad_llm.finetune.rows import Data, Part, data_hash
from tinygrad_llm.finetune.start import Start
from tinygrad_llm.models.folders import WEIGHTS
from tinygrad_llm.training import Trainer
from tinygrad_llm.training.baselines import BagOfWords, BagOfWordsRegression, majority
from tinygrad_llm.training.checkpoints import checkpoints
from tinygrad_llm.training.memory import peak_memory

RESULTS, CARD = "results.json", "README.md"


class Cost(NamedTuple):
    """What a run took: parameters that learnt, and all; seconds of training, features included and
    interruptions left out; bytes that the process had at its highest, None where the system does
    not say."""

    trained: int
    parameters: int
    seconds: float
    memory: int | None


class Finetuned(NamedTuple):
    """What a run gives: its folder, what was said of the test rows beside the baselines, the
    metrics of the evaluation whose weights were taken, and what it took."""

    folder: Path
    result: Result
    valid: dict[str, float]
    cost: Cost


def finish(
    options: FinetuneOptions,
    begun: Start,
    data: Data,
    trainer: Trainer,
    work: Work,
    said: np.ndarray,
) -> Finetuned:
    """Save the model, compare it on the test rows, draw, write the card; results.json is the last,
    and then the checkpoints go, as nothing is left to go on with.

    said: what the model gave for the test rows, (N, C) or (N, 1).
    """
    folder = Path(options.out)
    _save(options, begun, folder)
    result, valid = _result(options, data, said), _best(trainer)
    seconds = trainer.state.seconds + work.seconds
    cost = Cost(work.trained, work.parameters, seconds, peak_memory())
    draw(folder, trainer.history, result)
    write_text(folder / CARD, card(_about(options, begun, data, work.trained), result))
    write_json(folder / RESULTS, _plain(result, valid, cost))
    _remove_checkpoints(folder)
    return Finetuned(folder, result, valid, cost)


def finished(options: FinetuneOptions, data: Data) -> Finetuned | None:
    """What a run that has ended gave, by its files; None for one that has not.

    Raises ValueError for a results.json that is broken; and as `said_of`, also for a run that has
    not ended where figures of the test rows are known: without what was said it never can.
    """
    folder = Path(options.out)
    path = folder / RESULTS
    if figures_known(folder):
        said_of(folder)
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        valid = {name: _number(value) for name, value in found["validation"].items()}
        cost = Cost(**{name: found[name] for name in Cost._fields})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{path} is broken; the figures are in {CARD}, too") from None
    _remove_checkpoints(folder)  # a kill may have left some
    return Finetuned(folder, _result(options, data, said_of(folder)), valid, cost)


def _save(options: FinetuneOptions, begun: Start, folder: Path) -> None:
    """The whole model, or what LoRA has added to the one that it began with; config.json comes
    last, so that there is a model or none."""
    if options.saves_adapter:
        save_adapter(begun.model, folder)
        (folder / WEIGHTS).unlink(missing_ok=True)  # the Trainer's: the whole model
        begun.model.save_config(folder)
        return
    if options.method == "lora":
        merge_lora(begun.model)
    begun.model.save_pretrained(folder)


def _remove_checkpoints(folder: Path) -> None:
    for path in checkpoints(folder).values():
        path.unlink(missing_ok=True)


def _result(options: FinetuneOptions, data: Data, said: np.ndarray) -> Result:
    """What was said of the test rows, beside what the baselines say."""
    predicted = predictions(options.task, said, data.names)
    return Result(data.test.labels, predicted, data.names, baselines(data))


def baselines(data: Data) -> dict[str, np.ndarray]:
    """What is said of the test rows without any model: by the words of a text, and by its labels
    alone; learnt from the same rows."""
    texts, labels = _joined(data.train), data.train.labels
    if data.names:
        bag = BagOfWords.fit(texts, labels, len(data.names))
        often = np.full(len(data.test.labels), majority(labels))
        return {BAG: bag.predict(_joined(data.test)), MAJORITY: often}
    ridge = BagOfWordsRegression.fit(texts, labels)
    mean = np.full(len(data.test.labels), labels.mean(dtype=np.float64))
    return {BAG: ridge.predict(_joined(data.test)), MEAN: mean}


def _joined(part: Part) -> Sequence[str]:
    """The texts, of pairs both together."""
    if part.seconds is None:
        return part.texts
    return [f"{first}\n{second}" for first, second in zip(part.texts, part.seconds)]


def _best(trainer: Trainer) -> dict[str, float]:
    """The evaluation whose weights were taken."""
    rows = [row for row in trainer.history if row["kind"] == "eval"]
    best = [row for row in rows if row["step"] == trainer.best_step] or rows
    if not best:  # the log may be lost
        return {}
    return {name: _number(v) for name, v in best[-1].items() if name.startswith("eval_")}


def _number(value: Any) -> float:
    """A number of a file, where null stands for what is not finite."""
    return math.nan if value is None else float(value)


def _finite(value: float) -> float | None:
    """A number for a file."""
    return value if math.isfinite(value) else None


def _about(options: FinetuneOptions, begun: Start, data: Data, trained: int) -> About:
    parts = {"train": data.train, "validation": data.valid, "test": data.test}
    pairs = data.train.seconds is not None
    needs = str(Path(options.model).absolute()) if options.saves_adapter else ""
    texts = ["a text", "its second text"] if pairs else ["a text"]
    command = shlex.join(["tinygrad-llm", "predict", "--model", options.out, "--text", *texts])
    # How often a run was stopped says nothing of its model, nor do options of another method.
    silent = {"resume", *(OF_LORA if options.method != "lora" else ())}
    silent |= set(OF_FULL if options.method != "full" else ())
    given = {k: v for k, v in options.to_dict().items() if v is not None and k not in silent}
    return About(
        begun.model,
        options.out,
        command,
        {name: part.labels for name, part in parts.items()},
        data_hash(data),
        given,
        "" if options.is_new else options.model,
        trained,
        pairs,
        needs,
    )


def plain_figures(result: Result) -> dict[str, Any]:
    """`measures.figures` as JSON has them: by who said it and by measure {"value", "interval"},
    with null for a value that is not there."""
    return {
        who: {
            name: {"value": _finite(each.value), "interval": each.interval and list(each.interval)}
            for name, each in found.items()
        }
        for who, found in figures(result).items()
    }


def _plain(result: Result, valid: dict[str, float], cost: Cost) -> dict[str, Any]:
    """All that was measured, as JSON has it."""
    chosen = {name: _finite(value) for name, value in valid.items()}
    about = {"rows": len(result.labels), "validation": chosen, **cost._asdict()}
    return {"test": plain_figures(result), **about}
