"""`python -m tests.benchmarks.learning.shakespeare tinyshakespeare.txt`: nanoGPT's CPU setting.

A character model of 4 layers, 4 heads, width 128 and context 64 makes 2,000 steps of 12 texts on
the first nine tenths of the file (github.com/karpathy/nanoGPT, its readme's settings for a CPU).
Then the loss over the whole last tenth is told, not that of a few drawn batches, which scatters.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tests.benchmarks.environment import facts, in_words
from tests.benchmarks.learning.files import text_of
from tinygrad_llm import manual_seed, no_grad, optim
from tinygrad_llm.models import GPT2Config, GPT2LMHeadModel

CONTEXT = 64
TEXTS = 12
RATE, LEAST_RATE, WARM_UP = 1e-3, 1e-4, 100


def main(arguments: list[str]) -> None:
    given = _options(arguments)
    learned, held_out, characters = read(given.file)
    print(in_words(facts("ours")))
    print(f"{len(learned):,} characters to learn from, {len(held_out):,} held out")
    manual_seed(given.seed)
    model = new_model(characters)
    begun = time.perf_counter()
    train(model, learned, given.steps, given.seed)
    seconds = time.perf_counter() - begun
    print(f"{given.steps:,} steps in {seconds:.0f} s, seed {given.seed}")
    print(f"loss over all of the held-out part: {mean_loss(model, held_out):.4f} nats a character")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="a text of a million characters or so")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def read(file: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Ids of the first nine tenths and of the rest, and how many characters there are."""
    text = text_of(file)
    kinds = sorted(set(text))
    ids = np.array([kinds.index(c) for c in text], np.int64)
    border = int(0.9 * len(ids))
    if len(ids) - border <= CONTEXT:
        raise SystemExit(f"{file}: {len(ids)} characters are too few to hold a tenth out")
    return ids[:border], ids[border:], len(kinds)


def new_model(characters: int) -> GPT2LMHeadModel:
    dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    # One place more than the context: a text brings its last target along as an input.
    sizes = {"n_positions": CONTEXT + 1, "n_embd": 128, "n_layer": 4, "n_head": 4}
    return GPT2LMHeadModel(GPT2Config(vocab_size=characters, **sizes, **dropout))


def train(model: GPT2LMHeadModel, ids: np.ndarray, steps: int, seed: int) -> None:
    """AdamW, a rate that falls by a cosine to a tenth, and gradients clipped at 1."""
    groups = optim.decay_groups(model, 0.1)
    optimizer = optim.AdamW(groups, lr=RATE, betas=(0.9, 0.99))
    schedule = optim.Schedule(optimizer, lambda step: rate(step, steps) / RATE)
    for batch in tqdm(batches(ids, steps, seed), total=steps, unit="step", disable=None):
        optimizer.zero_grad()
        loss = model(batch, labels=batch).loss
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def batches(ids: np.ndarray, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Texts of CONTEXT + 1 characters that begin anywhere, (TEXTS, CONTEXT + 1)."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        starts = rng.integers(0, len(ids) - CONTEXT, TEXTS)
        yield ids[starts[:, None] + np.arange(CONTEXT + 1)]


def rate(step: int, steps: int) -> float:
    """Rises in WARM_UP steps, then falls by a cosine."""
    if step < WARM_UP:
        return RATE * (step + 1) / (WARM_UP + 1)
    done = min(1.0, (step - WARM_UP) / max(1, steps - WARM_UP))
    return LEAST_RATE + 0.5 * (RATE - LEAST_RATE) * (1.0 + math.cos(math.pi * done))


def mean_loss(model: GPT2LMHeadModel, ids: np.ndarray) -> float:
    """Over every character but the first, in stretches of CONTEXT that follow one another."""
    total, count = 0.0, 0
    rows = (len(ids) - 1) // CONTEXT
    starts = np.arange(rows)[:, None] * CONTEXT + np.arange(CONTEXT + 1)
    with no_grad():
        for some in np.array_split(ids[starts], max(1, rows // 64)):
            output = model(some, labels=some)
            total += output.loss.item() * output.targets
            count += output.targets
    return total / count


if __name__ == "__main__":
    main(sys.argv[1:])
