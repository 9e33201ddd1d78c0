"""What is in the corpora: sizes, lengths, characters, classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tinygrad_llm.data.corpora import chinese, english


def describe() -> None:
    """Print a table of the Chinese corpora, their classes, and how much English there is."""
    print(description())


def description() -> str:
    """What `describe` prints."""
    topics, reviews, names = chinese.topics(), chinese.reviews(), chinese.names()
    rows = [
        _row("topics", topics.texts),
        _row("reviews", reviews.texts),
        _row("paragraphs", chinese.paragraphs()),
        _row("names", ["".join(sentence.words) for sentence in names]),
        _row("questions", [each.question for each in chinese.questions()]),
    ]
    head = f"{'Chinese':<11}{'rows':>6}{'length: least':>15}{'mean':>7}{'most':>6}"
    tags = Counter(tag[2:] for sentence in names for tag in sentence.tags if tag[0] == "B")
    return "\n".join(
        [
            f"{head}{'characters':>12}{'different':>11}{'types/tokens':>14}",
            *rows,
            f"topics: {_balance(topics.labels)}",
            f"reviews: {_balance(reviews.labels)}",
            f"names: {_balance(list(tags.elements()))}",
            "",
            "English (standard library of this Python)",
            english.describe(),
        ]
    )


def _row(name: str, texts: Sequence[str]) -> str:
    lengths = [len(text) for text in texts]
    total, kinds = sum(lengths), len(set("".join(texts)))
    mean = total / len(lengths)
    spread = f"{min(lengths):>15}{mean:>7.1f}{max(lengths):>6}"
    return f"{name:<11}{len(texts):>6,}{spread}{total:>12,}{kinds:>11,}{kinds / total:>14.4f}"


def _balance(labels: Sequence[str]) -> str:
    return ", ".join(f"{label} {count}" for label, count in sorted(Counter(labels).items()))
