"""How well a dictionary, and subwords without one, cut 150 sentences as they were cut by hand.

    python -m tests.data.corpora.score_segmentation

Counts, byte pairs and word pieces are learnt from the corpora without those sentences. Dictionary
and hand cut are of one hand: the figures compare the methods, not this dictionary with others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

from tinygrad_llm.data import corpora
from tinygrad_llm.tokenizers import BPE, Columns, WordPiece, train_bpe, train_wordpiece
from tinygrad_llm.tokenizers.words import (
    Segmenter,
    learn_counts,
    span_scores,
    spans,
)

HERE = Path(__file__).parent


def gold() -> list[list[str]]:
    """The words of each sentence cut by hand."""
    lines = (HERE / "segmented.txt").read_text(encoding="utf8").splitlines()
    return [line.split(" ") for line in lines if line and not line.startswith("#")]


def corpus() -> list[str]:
    """Every Chinese text of the project, once."""
    rows = [*corpora.topics().texts, *corpora.reviews().texts, *corpora.paragraphs()]
    names = ["".join(sentence.words) for sentence in corpora.names()]
    return [*rows, *names, *(each.question for each in corpora.questions())]


def training_texts() -> list[str]:
    """The corpus, each text without the sentences that were cut by hand."""
    held = {"".join(words) for words in gold()}
    kept = ["\n".join(s for s in corpora.sentences(text) if s not in held) for text in corpus()]
    return [text for text in kept if text]


@cache
def dictionary_counts() -> dict[str, int]:
    """Counts of the dictionary's words, learnt from the training texts."""
    return learn_counts(training_texts(), corpora.words())


def cut_by(text: str, found: list[tuple[int, int]]) -> list[str]:
    """The text cut where one token ends and another starts; tokens inside a character join."""
    cuts = {end for _, end in found} & {start for start, _ in found}
    return [text[a:b] for a, b in pairwise(sorted({0, len(text)} | cuts))]


def byte_pairs(size: int) -> Callable[[str], list[str]]:
    """Byte-level BPE with a vocabulary of this size, as a cut into words."""
    model = BPE(*train_bpe(training_texts(), size))
    return lambda text: cut_by(text, spans_of(model.encode(text)))


def word_pieces(size: int) -> Callable[[str], list[str]]:
    """WordPiece with a vocabulary of this size, as a cut into words.

    BERT's normalizer parts ideographs, which would leave single characters; here each becomes a
    character that it does not part.
    """
    model = WordPiece(train_wordpiece(map(together, training_texts()), size))
    return lambda text: cut_by(text, spans_of(model.encode(together(text))))


def spans_of(tokens: Columns) -> list[tuple[int, int]]:
    """Where the tokens stand."""
    return list(zip(tokens.starts, tokens.ends))


def together(text: str) -> str:
    """The text with its ideographs moved to where BERT takes them for letters."""
    return "".join(chr(ord(c) - 0x4E00 + 0x30000) if "一" <= c <= "鿿" else c for c in text)


def methods() -> dict[str, Callable[[str], list[str]]]:
    """Name and cut of each method."""
    words, counts = corpora.words(), dictionary_counts()
    plain = Segmenter(learn_counts(training_texts(), words, rounds=0))
    every = {*words, *(word for sentence in gold() for word in sentence)}
    learnt, whole = Segmenter(counts), Segmenter(learn_counts(training_texts(), every))
    listed = Segmenter(words)
    return {
        "single characters": Segmenter(["一"]).forward,
        "forward longest match": listed.forward,
        "backward longest match": listed.backward,
        "best path, plain counts": plain.best_path,
        "best path, learnt counts": learnt.best_path,
        "forward, no word unlisted": whole.forward,
        "backward, no word unlisted": whole.backward,
        "path, no word unlisted": whole.best_path,
        "byte-level BPE": byte_pairs(len(counts)),
        "WordPiece": word_pieces(len(counts)),
    }


def unlisted() -> list[set[tuple[int, int]]]:
    """For each sentence the spans of its words that the dictionary does not list, single
    characters and what is no Chinese left out."""
    known = set(corpora.words())
    return [
        {span for word, span in zip(words, spans(words)) if is_long(word) and word not in known}
        for words in gold()
    ]


def is_long(word: str) -> bool:
    """Whether it is a Chinese word of several characters."""
    return len(word) > 1 and not word.isascii()


def ambiguous() -> tuple[int, int]:
    """In how many different sentences of the corpora longest match depends on where it starts, and
    how many sentences there are."""
    cutter = Segmenter(corpora.words())
    every = {sentence for text in corpus() for sentence in corpora.sentences(text)}
    return sum(cutter.forward(s) != cutter.backward(s) for s in every), len(every)


def main() -> None:
    """Print the table."""
    sentences, strange = gold(), unlisted()
    lost = sum(map(len, strange))
    words, several = sum(map(len, sentences)), sum(is_long(w) for s in sentences for w in s)
    print(
        f"{len(sentences)} sentences, {words} words, {several} Chinese ones of several characters;"
    )
    print(f"{len(corpora.words())} words in the dictionary, which lists all but {lost} of those;")
    print(f"{len(dictionary_counts())} tokens in the vocabulary of the subwords")
    print("forward and backward differ in {} of {} sentences".format(*ambiguous()))
    print(f"{'':<28}{'precision':>9}{'recall':>8}{'F1':>7}{'unlisted words found':>22}")
    for name, cut in methods().items():
        found = [cut("".join(sentence)) for sentence in sentences]
        scores = span_scores(found, sentences)
        row = "".join(f"{value:>8.3f}" for value in scores)
        hits = sum(len(these & {*spans(ours)}) for these, ours in zip(strange, found))
        print(f"{name:<28} {row}{hits / lost:>21.3f}")


if __name__ == "__main__":
    main()
