"""pretrain: from options to a model folder, through kills and Ctrl-C."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_llm.backend import manual_seed
from tinygrad_llm.models import PretrainedModel
from tinygrad_llm.pretrain import folder as folders
from tinygrad_llm.pretrain.about import about
from tinygrad_llm.pretrain.options import PretrainOptions
from tinygrad_llm.pretrain.parts import (
    Task,
    begun_model,
    initial_model,
    make_model,
    make_task,
    tokenizer_of,
)
from tinygrad_llm.pretrain.picture import draw
from tinygrad_llm.pretrain.texts import read_documents, split_documents
from tinygrad_llm.training import Trainer, TrainingArguments, runs
from tinygrad_llm.training.checkpoints import sweep
from tinygrad_llm.training.folder import has_run

CURVES = "curves.png"


class Pretrained(NamedTuple):
    """What a run gives: its folder, the metrics of the last evaluation, those of the baselines on
    the same targets, and the seconds of training, interruptions left out."""

    folder: Path
    metrics: dict[str, float]
    baselines: dict[str, float]
    seconds: float


def pretrain(
    options: PretrainOptions,
    quiet: bool = False,
    resumed_by: str = "the same options and resume=True",
) -> Pretrained:
    """Train a GPT or a BERT on raw text, from scratch or further, into the folder options.out.

    There are then config.json and model.safetensors, for `models.from_pretrained`; the tokenizer,
    for `Tokenizer.from_pretrained`; options.json, by which a run goes on; log.jsonl (also train.csv
    and eval.csv), a row as soon as it is there; curves.png; and the last two checkpoints.
    A run that was killed at any moment goes on with resume=True, and ends with the same bits as if
    it had not been. Ctrl-C saves before it ends the run.
    quiet: print nothing. resumed_by: how a run that Ctrl-C or a full disk ended goes on, for the
        reader.

    Raises what `read_documents`, `split_documents`, the tokenizers and `from_pretrained` raise for
    text and folders, and `check_folder` for `out`, all before `out` is touched; FloatingPointError
    for a loss that is not finite; BlockingIOError where a process is training in `out`;
    KeyboardInterrupt after Ctrl-C.
    """
    saved = folders.check_folder(options)
    manual_seed(options.seed)
    initial = initial_model(options) if saved is None else begun_model(options, saved)
    documents = read_documents(options.data, options.unit)
    folders.check_texts(saved, documents, options.data)
    parts = split_documents(documents, options.valid_share, options.seed)
    tokenizer = tokenizer_of(options, parts[0])
    task = make_task(options, parts, tokenizer, initial)
    model = make_model(options, task, initial)
    trainer = Trainer(model, arguments(options, quiet), **task.trainer_arguments())
    folder = Path(options.out)
    with runs.alone_in(folder):
        folders.check_folder(options)  # once more: a run may have begun there meanwhile
        if saved is None:
            folders.begin(folder, options, documents, initial, model)
        sweep(folder)
        tokenizer.save_pretrained(folder)
        if not quiet:
            print(about(parts, task, options.data), flush=True)
        trainer.resumed_by = ""  # said by this, wherever Ctrl-C comes
        with runs.saying_how_to_go_on(folder, "" if quiet else resumed_by):
            trainer.train(resume_from_checkpoint=has_run(folder))
            return _finish(trainer, model, folder, task)


def arguments(options: PretrainOptions, quiet: bool = False) -> TrainingArguments:
    """The settings of the Trainer."""
    tenth = max(1, options.steps // 10)
    return TrainingArguments(
        output_dir=options.out,
        max_steps=options.steps,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        learning_rate=float(options.learning_rate),
        weight_decay=float(options.weight_decay),
        lr_scheduler_type="cosine",
        warmup_steps=min(math.ceil(options.warmup * options.steps), options.steps - 1),
        logging_steps=max(1, options.steps // 100),
        eval_steps=options.eval_steps or tenth,
        save_steps=options.save_steps or tenth,
        seed=options.seed,
        quiet=quiet,
    )


def _finish(trainer: Trainer, model: PretrainedModel, folder: Path, task: Task) -> Pretrained:
    """The model and the curves into the folder, the numbers to the caller."""
    model.save_pretrained(folder)
    draw(folder / CURVES, trainer.history, task.baselines)
    step = trainer.state.step
    rows = [r for r in trainer.history if r["kind"] == "eval" and r["step"] == step]
    row = rows[-1] if rows else trainer.evaluate()  # the log may be lost
    metrics = {name: _number(row[name]) for name in row if name.startswith("eval_")}
    metrics |= task.derived(metrics)
    return Pretrained(folder, metrics, dict(task.baselines), trainer.state.seconds)


def _number(value: Any) -> float:
    """A number of the log, where null stands for what is not finite."""
    return math.nan if value is None else float(value)
