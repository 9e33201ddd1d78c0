"""`python -m tests.benchmarks.learning.translation pairs.tsv`: English to Chinese in 20 minutes.

The file has a pair in each line, English, a tab, Chinese; Tatoeba's (tatoeba.org) are meant. All
translations of one English sentence go into the same part, so that none of the held-out sentences
has been learnt. The model is an encoder–decoder of 3 + 3 layers; English is cut into WordPiece,
Chinese into characters. When the time is up, the weights that were best on the validation part
translate the test part, and BLEU is told beside that of the nearest sentence learnt.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from tests.benchmarks.environment import facts, in_words
from tests.benchmarks.learning.bleu import corpus_bleu
from tests.benchmarks.learning.files import text_of
from tinygrad_llm import manual_seed, no_grad, optim
from tinygrad_llm.generation import generate
from tinygrad_llm.models import Transformer, TransformerConfig
from tinygrad_llm.tokenizers import CharTokenizer, WordPieceTokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""Of the Chinese vocabulary; a translation begins with [CLS] and ends with [SEP]."""

HELD_OUT = 1000
BATCH = 64
RATE, WARM_UP = 1e-3, 400
CHECKED_EVERY = 30.0
"""Seconds of training between two looks at the validation part."""


class Part(NamedTuple):
    """English sentences, each with all its Chinese translations."""

    english: list[str]
    chinese: list[list[str]]

    def pairs(self) -> list[tuple[str, str]]:
        return [(e, c) for e, several in zip(self.english, self.chinese) for c in several]


class Encoded(NamedTuple):
    """Pairs as ids, shortest first: sources (N, S) and labels (N, T), and their lengths."""

    sources: list[list[int]]
    labels: list[list[int]]


def main(arguments: list[str]) -> None:
    given = _options(arguments)
    learned, validation, test = split(read(given.file), given.seed)
    print(in_words(facts("ours")))
    print(f"{len(learned.pairs()):,} pairs to learn, {len(test.english):,} sentences to translate")
    begun = time.perf_counter()
    english = WordPieceTokenizer.train([e for e, _ in learned.pairs()], 6000)
    chinese = CharTokenizer.train([c for _, c in learned.pairs()], special_tokens=SPECIAL)
    manual_seed(given.seed)
    model = new_model(len(english.vocab), len(chinese.vocab), chinese)
    ids = [encoded(part, english, chinese) for part in (learned, validation)]
    steps = train(model, *ids, 60.0 * given.minutes, given.seed, begun)
    print(f"{steps:,} steps in {(time.perf_counter() - begun) / 60:.1f} minutes, seed {given.seed}")
    report(model, learned, test, english, chinese)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="lines of English, a tab, Chinese")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def read(file: Path) -> Part:
    """The file's pairs, by their English sentences in order."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text_of(file).splitlines(), 1):
        columns = line.split("\t")
        if len(columns) != 2 or not all(columns):
            raise SystemExit(f"{file}, line {number}: expected English, a tab, Chinese")
        found.setdefault(columns[0], []).append(columns[1])
    if len(found) < 3 * HELD_OUT:
        raise SystemExit(f"{file}: {len(found)} sentences are too few to hold {HELD_OUT} out twice")
    return Part(list(found), list(found.values()))


def split(part: Part, seed: int) -> tuple[Part, Part, Part]:
    order = np.random.default_rng(seed).permutation(len(part.english))
    borders = (0, HELD_OUT, 2 * HELD_OUT, len(order))
    test, validation, learned = (
        Part([part.english[i] for i in some], [part.chinese[i] for i in some])
        for some in (order[start:stop] for start, stop in itertools.pairwise(borders))
    )
    return learned, validation, test


def new_model(source: int, target: int, chinese: CharTokenizer) -> Transformer:
    config = TransformerConfig(
        source, target, d_model=256, nhead=4, encoder_layers=3, decoder_layers=3,
        dim_feedforward=1024, dropout=0.3, norm="pre",
        pad_token_id=chinese.pad_token_id, decoder_start_token_id=chinese.cls_token_id,
    )  # fmt: skip
    return Transformer(config)


def encoded(part: Part, english: Any, chinese: Any) -> Encoded:
    pairs = sorted(part.pairs(), key=lambda pair: len(pair[1]))
    sources = [english(e)["input_ids"] for e, _ in pairs]
    written = [chinese.encode(c, add_special_tokens=False) for _, c in pairs]
    return Encoded(sources, [[*ids, chinese.sep_token_id] for ids in written])


def train(
    model: Transformer, learned: Encoded, held: Encoded, seconds: float, seed: int, begun: float
) -> int:
    """Learns until the seconds are over, and ends with the weights that were best on `held`."""
    optimizer = optim.AdamW(optim.decay_groups(model, 0.05), lr=RATE, betas=(0.9, 0.98))
    best, kept, steps, looked = np.inf, {}, 0, begun
    bar = tqdm(total=round(seconds), unit="s", disable=None)
    for sources, labels in batches(model, learned, np.random.default_rng(seed)):
        now = time.perf_counter()
        if now - looked > CHECKED_EVERY or now - begun > seconds:
            looked, loss = now, mean_loss(model, held)
            bar.set_postfix(step=steps, validation=f"{loss:.3f}", refresh=False)
            bar.update(round(now - begun) - bar.n)
            if loss < best:
                best, kept = loss, {k: v.copy() for k, v in model.state_dict().items()}
            if now - begun > seconds:
                break
        share = (now - begun) / seconds
        optimizer_rate = RATE * min((steps + 1) / WARM_UP, max(0.0, 1.0 - share) ** 0.5)
        for group in optimizer.param_groups:
            group["lr"] = optimizer_rate
        optimizer.zero_grad()
        model(sources, labels=labels).loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
    bar.close()
    model.load_state_dict(kept)
    print(f"best loss on the validation part: {best:.3f} nats a character")
    return steps


def batches(model: Transformer, part: Encoded, rng: Any) -> Iterator[tuple[Any, Any]]:
    """For ever: BATCH pairs of about the same length, in another order each time."""
    starts = np.arange(0, len(part.labels), BATCH)
    while True:
        for start in rng.permutation(starts):
            yield padded(model, part, slice(start, start + BATCH))


def padded(model: Transformer, part: Encoded, some: slice) -> tuple[np.ndarray, np.ndarray]:
    """sources (B, S), labels (B, T) with −100 behind the end."""
    sources, labels = part.sources[some], part.labels[some]
    pad = model.config.pad_token_id
    return _rectangle(sources, pad), _rectangle(labels, -100)


def _rectangle(rows: list[list[int]], fill: int) -> np.ndarray:
    filled = np.full((len(rows), max(map(len, rows))), fill)
    for row, ids in zip(filled, rows):
        row[: len(ids)] = ids
    return filled


def mean_loss(model: Transformer, part: Encoded) -> float:
    total, count = 0.0, 0
    model.eval()
    with no_grad():
        for start in range(0, len(part.labels), BATCH):
            sources, labels = padded(model, part, slice(start, start + BATCH))
            output = model(sources, labels=labels)
            total += output.loss.item() * output.targets
            count += output.targets
    model.train()
    return total / count


def report(model: Transformer, learned: Part, test: Part, english: Any, chinese: Any) -> None:
    """BLEU of greedy search, of 5 beams and of the nearest sentence, and ten samples."""
    written = {
        "greedy": translate(model, test.english, english, chinese, 1),
        "5 beams": translate(model, test.english, english, chinese, 5),
        "nearest sentence learnt": nearest(learned, test),
    }
    for name, texts in written.items():
        print(f"{name:<26}BLEU {corpus_bleu(texts, test.chinese):5.1f}")
    for i in range(10):
        print(f"{test.english[i]}\n    {written['5 beams'][i]}    ({' / '.join(test.chinese[i])})")


def translate(
    model: Transformer, sentences: list[str], english: Any, chinese: Any, beams: int
) -> list[str]:
    written = []
    for start in range(0, len(sentences), BATCH):
        rows = [english(s)["input_ids"] for s in sentences[start : start + BATCH]]
        sources = _rectangle(rows, model.config.pad_token_id)
        ids = generate(
            model, sources, attention_mask=(sources != model.config.pad_token_id).astype(int),
            num_beams=beams, max_new_tokens=60, eos_token_id=chinese.sep_token_id,
            pad_token_id=chinese.pad_token_id,
            decoder_start_token_id=chinese.cls_token_id,
        )  # fmt: skip
        written += chinese.batch_decode(ids, skip_special_tokens=True)
    return written


def nearest(learned: Part, test: Part) -> list[str]:
    """The translation of the sentence that shares most of its words, by Jaccard's index."""
    known = [set(s.lower().split()) for s in learned.english]
    found = []
    for sentence in test.english:
        words = set(sentence.lower().split())
        shares = [len(words & other) / len(words | other) for other in known]
        found.append(learned.chinese[int(np.argmax(shares))][0])
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
