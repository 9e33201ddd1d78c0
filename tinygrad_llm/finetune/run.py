"""finetune: from options to the folder of a model that is judged, through kills and Ctrl-C."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinygrad_llm._text import clip
from tinygrad_llm.backend import manual_seed
from tinygrad_llm.files import write_json
from tinygrad_llm.finetune.classifier import FINETUNE
from tinygrad_llm.finetune.examples import Examples, encode, notes
from tinygrad_llm.finetune.freezing import weights_hash
from tinygrad_llm.finetune.judging import BEST, Judge, read_once
from tinygrad_llm.finetune.methods import Sets, Work, prepare
from tinygrad_llm.finetune.options import OF_PLACE, FinetuneOptions
from tinygrad_llm.finetune.outcome import Finetuned, finish, finished
from tinygrad_llm.finetune.results import one_line
from tinygrad_llm.finetune.rows import Data, Part, data_hash, read_data, shared_texts
from tinygrad_llm.finetune.start import Start, start
from tinygrad_llm.models.folders import CONFIG
from tinygrad_llm.training import Trainer, TrainingArguments, runs
from tinygrad_llm.training.checkpoints import sweep
from tinygrad_llm.training.folder import has_run

KIND = runs.Kind("tinygrad_llm fine-tuning 1", OF_PLACE)

COLUMNS = 80
"""Of a terminal."""


def finetune(
    options: FinetuneOptions,
    quiet: bool = False,
    resumed_by: str = "the same options and resume=True",
) -> Finetuned:
    """Tune a model to labelled texts, choose by the validation rows, judge once by the test rows;
    all of it into the folder options.out.

    There are then the model (of LoRA its adapter alone, unless merged) and its tokenizer, for
    `TextClassifier.from_pretrained`; what a run needs to go on; the log and its curves; what was
    said of the test rows, when, and the picture of it; and all figures beside the baselines'.
    A run that was killed at any moment goes on with resume=True, and ends with the same bits as if
    it had not been; one that has ended gives what it gave. Ctrl-C saves first. quiet: print
    nothing. resumed_by: how a run that was stopped goes on, for the reader.

    Raises what `read_data`, `start`, `encode` and `prepare` raise, `runs.begun` for `out`, and
    RuntimeError without such a device, all before `out` is touched; FloatingPointError for a loss
    that is not finite; BlockingIOError where a process is training in `out`; KeyboardInterrupt
    after Ctrl-C.
    """
    saved, seed = runs.begun(KIND, options), options.seed or 0
    data = read_data(options.train, options.valid, options.test, options.task, seed)
    manual_seed(seed)
    begun = start(options, data)
    said = _said(begun, data)
    _check_same(saved, options, said)
    sets = Sets(*(_encoded(part, begun, quiet) for part in data[:3]))
    begun.model.to(options.device)
    settled = options.settled(begun.model.config.hidden_size, len(sets.train))
    work, judge = prepare(settled, begun, sets, quiet), Judge(options.task, data.names)
    trainer = _trainer(settled, work, judge, quiet)
    folder = Path(options.out)
    with runs.alone_in(folder):
        runs.begun(KIND, options)  # once more: a run may have begun there meanwhile
        if (before := finished(options, data)) is not None:
            return before
        if saved is None:
            runs.begin(KIND, folder, options, **said)
        _make_ready(folder, options, begun, data.train.seconds is not None)
        if not quiet:
            print("\n".join(about(options, data, sets)), flush=True)
        with runs.saying_how_to_go_on(folder, "" if quiet else resumed_by):
            trainer.train(resume_from_checkpoint=has_run(folder))
            said_of_test = read_once(trainer, judge, folder)
            return finish(settled, begun, data, trainer, work, said_of_test)


def _make_ready(folder: Path, options: FinetuneOptions, begun: Start, pairs: bool) -> None:
    """What is there beside the model, which is none as long as it has no config.json."""
    sweep(folder)
    (folder / CONFIG).unlink(missing_ok=True)  # of a run that was killed when it was almost done
    begun.tokenizer.save_pretrained(folder)
    read: dict[str, Any] = {"max_length": begun.max_length, "pairs": pairs}
    if options.saves_adapter:
        read["base"] = str(Path(options.model).absolute())  # where it is asked from may differ
    write_json(folder / FINETUNE, read)


def _trainer(options: FinetuneOptions, work: Work, judge: Judge, quiet: bool) -> Trainer:
    trainer = Trainer(
        work.module,
        arguments(options, len(work.datasets[0]), work.optimizer is not None, quiet),
        *work.datasets,
        data_collator=work.collate_fn,
        compute_metrics=judge,
        callbacks=work.callbacks,
        optimizer=work.optimizer,
        length=work.length,
    )
    trainer.resumed_by = ""  # said by `finetune`, wherever Ctrl-C comes
    return trainer


def arguments(
    options: FinetuneOptions, rows: int, own_optimizer: bool = False, quiet: bool = False
) -> TrainingArguments:
    """The settings of the Trainer for so many rows; own_optimizer: whether rate and decay are those
    of an optimizer that it gets."""
    size, epochs = options.batch_size or 1, options.epochs or 1
    steps = math.ceil(rows / size) * epochs
    usual: dict[str, Any] = {}
    if not own_optimizer:
        usual["learning_rate"] = float(options.learning_rate or 0.0)
        usual["weight_decay"] = float(options.weight_decay or 0.0)
    return TrainingArguments(
        output_dir=options.out,
        num_train_epochs=float(epochs),
        per_device_train_batch_size=size,
        warmup_steps=min(math.ceil((options.warmup or 0.0) * steps), steps - 1),
        logging_steps=max(1, steps // 100),
        metric_for_best_model=BEST[options.task],
        greater_is_better=options.task == "classification",
        early_stopping_patience=options.patience,
        save_total_limit=1,
        seed=options.seed or 0,
        quiet=quiet,
        **usual,
    )


def about(options: FinetuneOptions, data: Data, sets: Sets) -> list[str]:
    """What is said before a run: rows and classes, and what of the texts is lost."""
    told = {"train": "to learn from", "valid": "to choose by", "test": "to judge by"}
    given = [options.valid, options.test]
    ways = ["a part of" if None in given else "all of"]
    ways += ["all of" if path else "held out of" for path in given]
    lines = [
        f"{name}: {len(part.texts):,} rows, {way} {part.path}"
        for name, part, way in zip(told.values(), data[:3], ways)
    ]
    if data.names:
        shown = ", ".join(map(one_line, data.names[:10])) + ", …" * (len(data.names) > 10)
        lines.append(clip(f"{len(data.names)} classes: {shown}", COLUMNS))
    if (Path(options.model) / FINETUNE).exists() and None in given:
        lines.append(
            f"warning: {options.model} was tuned before; rows that it has learnt from flatter it: "
            "give --valid and --test"
        )
    for name, count in shared_texts(data).items():
        if count:
            lines.append(
                f"warning: {count:,} of the rows {told[name]} are among those to learn from, too"
            )
    return [*lines, *(line for use, each in zip(told.values(), sets) for line in notes(each, use))]


def _encoded(part: Part, begun: Start, quiet: bool) -> Examples:
    return encode(part, begun.tokenizer, begun.max_length, quiet)


def _said(begun: Start, data: Data) -> dict[str, Any]:
    """What a run writes down of what it begins with, as JSON has it."""
    config = json.loads(json.dumps(asdict(begun.model.config)))
    return {"texts": data_hash(data), "start": weights_hash(begun.model), "config": config}


def _check_same(
    saved: dict[str, Any] | None, options: FinetuneOptions, said: dict[str, Any]
) -> None:
    """Refuse to go on with other rows, or from another model. Raises ValueError."""
    if saved is None:
        return
    if saved["texts"] != said["texts"]:
        raise ValueError(
            f"resume: the rows to learn from, to choose by or to judge by have changed since the "
            f"run in {options.out} began: give what they were, or another out"
        )
    if any(saved.get(name) != said[name] for name in ("start", "config")):
        raise ValueError(
            f"resume: model {options.model} is not the one that the run in {options.out} began "
            "with: give that one, or another out"
        )
