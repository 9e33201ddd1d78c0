"""What the tests of whole fine-tunings share: rows, small models in folders, runs of a second."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_llm import finetune, manual_seed, models, tokenizers
from tinygrad_llm.finetune import FinetuneOptions, TextClassifier
from tinygrad_llm.finetune.card import escaped
from tinygrad_llm.finetune.judging import said_of
from tinygrad_llm.tokenizers.wordpiece import SPECIAL_TOKENS

CLASSES = {
    "law": ["court", "judge", "appeal", "trial", "lawyer", "verdict", "crime", "witness"],
    "music": ["song", "violin", "choir", "concert", "melody", "piano", "drum", "opera"],
    "体育": ["球", "goal", "team", "match", "跑", "coach", "score", "stadium"],
}
OTHER = ["the", "a", "of", "and", "on", "in", "it", "was", "last", "new"]
ALL = [*OTHER, *(word for words in CLASSES.values() for word in words)]

TOKENIZER = tokenizers.WordPieceTokenizer.train(ALL * 3, 150, special_tokens=SPECIAL_TOKENS)

SIZES = {
    **{"vocab_size": len(TOKENIZER), "hidden_size": 16, "num_hidden_layers": 2},
    **{"num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 24},
    "initializer_range": 0.3,  # or all texts look alike
}

FILES = (
    *("config.json", "model.safetensors", "adapter.json", "adapter.safetensors"),
    *("tokenizer.json", "tokenizer_config.json", "vocab.txt", "finetune.json", "test.safetensors"),
)
"""Of a folder, those that two equal runs have byte by byte, where they are there."""

METHODS = {
    "full": {"method": "full"},
    "head": {"method": "head", "epochs": 4},
    "lora": {"method": "lora", "rank": 2},
    "merged": {"method": "lora", "rank": 2, "merge": True},
}


def hurry(monkeypatch: pytest.MonkeyPatch, drawn: bool = False) -> None:
    """Let runs leave out what takes longer than a small training."""
    monkeypatch.setattr(finetune.measures, "DRAWS", 20)
    if not drawn:
        monkeypatch.setattr(finetune.outcome, "draw", lambda *_: [])


def text(name: str, generator: np.random.Generator) -> str:
    """A few words of a class among others."""
    own = generator.choice(CLASSES[name], 3)
    return " ".join(generator.permutation([*own, *generator.choice(OTHER, 4)]))


def rows(each: int = 20, seed: int = 0) -> list[tuple[str, str]]:
    """Texts with their classes, so many of each."""
    generator = np.random.default_rng(seed)
    return [(text(name, generator), name) for _ in range(each) for name in CLASSES]


def write_rows(folder: Path, name: str = "rows.tsv", each: int = 20, seed: int = 0) -> Path:
    path = folder / name
    path.write_text("".join(f"{a}\t{b}\n" for a, b in rows(each, seed)), encoding="utf-8")
    return path


def write_numbers(folder: Path) -> Path:
    """Labels that are numbers: how much of a text is law."""
    path = folder / "numbers.tsv"
    lines = [f"{a}\t{2.5 * (b == 'law') + 0.01 * i}\n" for i, (a, b) in enumerate(rows())]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def write_pairs(folder: Path) -> Path:
    """Labels of pairs: whether both are of one class."""
    found, path = rows(), folder / "pairs.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for i, (first, name) in enumerate(found):
            second, other = found[(7 * i + i % 2) % len(found)]
            said = "same" if name == other else "other"
            row = {"text": first, "text_pair": second, "label": said}
            file.write(json.dumps(row) + "\n")
    return path


def save_model(
    folder: Path, kind: str = "BertForPreTraining", seed: int = 0, **options: Any
) -> Any:
    """A model with drawn weights and its tokenizer in a folder."""
    manual_seed(seed)
    model = getattr(models, kind)(models.BertConfig(**{**SIZES, **options}))
    model.save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return model


def options(folder: Path, name: str = "out", **changes: Any) -> FinetuneOptions:
    """A run of a moment, on folder/rows.tsv and folder/bert."""
    usual: dict[str, Any] = {"model": folder / "bert", "train": folder / "rows.tsv"}
    usual |= {"out": folder / name, "epochs": 2, "batch_size": 8, "learning_rate": 0.01}
    return FinetuneOptions(**{**usual, **changes})


def run(folder: Path, name: str = "out", **changes: Any) -> finetune.Finetuned:
    return finetune.finetune(options(folder, name, **changes), quiet=True)


def data_of(chosen: FinetuneOptions) -> finetune.Data:
    files = chosen.train, chosen.valid, chosen.test
    return finetune.read_data(*files, chosen.task, chosen.seed or 0)


def log(folder: Path) -> list[dict[str, Any]]:
    """The rows of the log, without what tells the time."""
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(x).items() if k not in ("seconds", "time")} for x in lines]


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def trace(folder: Path) -> dict[str, Any]:
    """All in which two equal runs agree."""
    found: dict[str, Any] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in FILES
        if (folder / name).exists()
    }
    figures = {k: v for k, v in results(folder).items() if k not in ("seconds", "memory")}
    card = (folder / "README.md").read_text(encoding="utf-8")
    for name in (str(folder), escaped(str(folder))):
        card = card.replace(name, "FOLDER")
    return {**found, "log": log(folder), "results": figures, "card": card}


def agrees(found: finetune.Finetuned, chosen: FinetuneOptions) -> finetune.TextClassifier:
    """What the folder's classifier says of the test rows is what the run reported, row by row."""
    part = data_of(chosen).test
    classifier = TextClassifier.from_pretrained(found.folder)
    np.testing.assert_allclose(
        classifier.logits(part.texts, part.seconds), said_of(found.folder), rtol=0, atol=1e-5
    )
    labels = [each.label for each in classifier.predict(part.texts, part.seconds)]
    if classifier.names:
        assert labels == [classifier.names[i] for i in found.result.predicted]
    else:
        np.testing.assert_allclose(labels, found.result.predicted, rtol=0, atol=1e-5)
    return classifier
