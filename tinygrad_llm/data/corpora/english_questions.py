"""Questions about functions and their parameters, made by rule from docstrings, answers exact."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from tinygrad_llm.data.corpora.english_prose import (
    Docstring,
    Item,
    is_clean,
    items,
    whole_sentences,
)

MIN_CONTEXT, MAX_CONTEXT = 60, 700
MAX_ANSWER = 160
"""Characters."""
MAX_SHARE = 0.7
"""Of the context that an answer may be: where it is nearly all, there is nothing to find."""


class Question(NamedTuple):
    """A question and its answer, which is context[start : start + len(answer)]."""

    context: str
    question: str
    answer: str
    start: int


class _Rule(NamedTuple):
    """A pattern whose group `a` is the answer, and wordings of the question with its groups.

    Group `p` must be a parameter of the function; `f` is the function's name.
    """

    pattern: re.Pattern[str]
    wordings: tuple[str, ...]


_AND = (  # another parameter's turn, or a second verb
    r"(?:,? and |, (?!which |that |what |who ))"
    r"(?:the )?['\"]?\w+['\"]? (?:argument |parameter )?(?:is|are|holds) "
    r"|,? and (?:is|are|holds) "
)
_START = r"(?:^|(?<=[.;:!] ))"
_STOP = r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)[.;](?: |$)|[:!?](?: |$)|$"
_END = rf"(?={_STOP})"
_PARAMETER = r"(?:[Tt]he |[Aa]n? )?(?:[Oo]ptional )?(?:argument |parameter )?['\"]?(?P<p>\w+)['\"]?"
_NOUN = r"(?=(?:an?|the|any|one|either|some|all|how|what|which|whether|where) )"
_ERROR = r"(?P<e>[A-Z]\w*(?:Error|Exception|Exit|Warning|StopIteration|KeyboardInterrupt))"
_VALUE = r"(?P<a>[\w'\".+-]+?(?: [\w'\".+-]+?){0,3})"


def _rule(pattern: str, *wordings: str) -> _Rule:
    return _Rule(re.compile(pattern), wordings)


_RULES = (
    _rule(
        rf"{_START}(?:This (?:function|method) )?[Rr]eturns? "
        rf"(?P<a>(?:an?|the|all|any|one|how|whether) .+?){_END}",
        "What does {f} return?",
        "What is the result of {f}?",
        "What do you get from {f}?",
        "Which value does a call of {f} give back?",
    ),
    _rule(
        rf"{_START}Returns? (?P<v>True|true|False|false|None) (?:if|when|iff|unless) (?P<a>.+?)"
        rf"(?=,? (?:and |or )?(?:returns? )?(?:else|otherwise|True|False|None)\b|{_STOP})",
        "When does {f} return {v}?",
        "In which case is {v} the result of {f}?",
        "What must hold for {f} to return {v}?",
    ),
    _rule(
        rf"{_START}(?:It )?[Rr]aises? (?:an? )?{_ERROR} (?:if|when) (?P<a>.+?){_END}",
        "When does {f} raise {e}?",
        "In which case is {e} raised by {f}?",
        "What makes {f} raise {e}?",
    ),
    _rule(
        rf"{_START}(?:It )?[Rr]aises? (?:an? )?{_ERROR.replace('<e>', '<a>')} "
        rf"(?P<c>(?:if|when) .+?){_END}",
        "Which exception does {f} raise {c}?",
        "What is raised by {f} {c}?",
    ),
    _rule(
        rf"{_START}{_PARAMETER} (?:argument |parameter )?(?:is|are) (?P<a>{_NOUN}.+?)"
        rf"(?={_AND}|{_STOP})",
        "What is the parameter {p} of {f}?",
        "In {f}, what is {p}?",
        "What does {p} stand for in a call of {f}?",
    ),
    _rule(
        rf"{_START}{_PARAMETER} (?:argument |parameter )?"
        rf"(?P<v>specifies|gives|sets|defines|determines|indicates|controls|contains|names) "
        rf"(?P<a>.+?)(?={_AND}|{_STOP})",
        "What does the parameter {p} of {f} {verb}?",
        "In a call of {f}, what does {p} {verb}?",
    ),
    _rule(
        rf"{_START}{_PARAMETER} (?:argument |parameter )?(?P<v>must|should|may|can) be "
        rf"(?P<a>{_NOUN}.+?)(?={_AND}|{_STOP})",
        "What {v} the parameter {p} of {f} be?",
        "In a call of {f}, what {v} {p} be?",
    ),
    _rule(
        rf"\b(?P<p>\w+)['\"]?,? (?:argument |parameter )?(?:which |that |and )?defaults to {_VALUE}"
        rf"(?=[,;()]|{_STOP})",
        "What is the default of {p} in {f}?",
        "Which value has {p} in {f} by default?",
        "What does {p} default to in {f}?",
    ),
    _rule(
        rf"{_START}If (?P<c>{_PARAMETER}(?: argument| parameter)? (?:is|are|was|has|does)\b"
        rf"[^,.;:]{{2,60}}), (?:then )?(?P<a>.+?){_END}",
        "What happens in {f} if {c}?",
        "If {c}, what does that mean for {f}?",
        "What is the effect on {f} if {c}?",
    ),
)
_FIELD_WORDINGS = (
    "What is the parameter {p} of {f}?",
    "In {f}, what is {p}?",
    "How is the argument {p} of {f} described?",
    "What does {p} mean in a call of {f}?",
)
_SOUND = re.compile(
    r"(?!and |or |but |(?:bool|dict|float|int|list|object|str) (?:[Tt]he|An?) |"
    r".*\w (?:If|The|When) )[\w'\"].*[^ ,.]$"
)
_FIELD_ANSWER = re.compile(rf"(?P<a>.+?){_END}")


def ask(docstring: Docstring) -> Iterator[Question]:
    """The questions that the rules find in a docstring of something public, none asked twice."""
    if any(part.startswith("_") for part in docstring.name.split(".")):
        return
    for context, fields in _contexts(docstring):
        asked: set[str] = set()
        for match, wordings, groups in _matches(docstring, context, fields):
            plain = wordings[0].format(f=docstring.name, **groups)
            if plain in asked or not _is_sound(match["a"], context):
                continue
            asked.add(plain)  # however it is worded, it has one answer
            place = zlib.crc32(f"{docstring.name} {match['a']}".encode()) % len(wordings)
            question = wordings[place].format(f=docstring.name, **groups)
            yield Question(context, question, match["a"], match.start("a"))


def _matches(
    docstring: Docstring, context: str, fields: list[tuple[str, int]]
) -> Iterator[tuple[re.Match[str], tuple[str, ...], dict[str, str]]]:
    """Where a rule fits, the wordings of its questions, and what stands in their places."""
    # A module and a class return and raise nothing, though their texts speak of what does.
    rules = [r for r in _RULES if "Function" in docstring.kind or "p" in r.pattern.groupindex]
    for rule in rules:
        for match in rule.pattern.finditer(context):
            groups = match.groupdict()
            if groups.get("p") in (None, *docstring.parameters):
                verb = groups.get("v") or ""
                infinitive = "specify" if verb == "specifies" else verb.removesuffix("s")
                yield match, rule.wordings, groups | {"verb": infinitive}
    for name, start in fields:
        described = _FIELD_ANSWER.match(context, start)
        if described and name in docstring.parameters:
            yield described, _FIELD_WORDINGS, {"p": name}


def _is_sound(answer: str, context: str) -> bool:
    """Whether an answer is complete, short, and something that has to be found in its context."""
    return (
        2 <= len(answer) <= min(MAX_ANSWER, MAX_SHARE * len(context))
        and _SOUND.match(answer) is not None
        and answer.count("'") % 2 == 0
        and context.count(answer) == 1
        and not answer.lower().startswith("if ")
        and is_clean(answer)
    )


def _sentences(part: Item, parameters: tuple[str, ...]) -> str:
    """The part as whole sentences; empty where it is a piece of one, or no prose."""
    text = whole_sentences(part.text)
    word = re.match(r"\W*(\w+)", text)
    begins = word and (part.name or text[0].isupper() or word[1] in parameters)
    if not begins or not is_clean(text):
        return ""
    if text[-1] in ".!?":
        return text
    return text + "." if (part.name or part.whole) and text[-1].isalnum() else ""


def _contexts(docstring: Docstring) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Texts of MIN_CONTEXT to MAX_CONTEXT characters, and where in each a parameter is described.

    Parts of a docstring follow each other in a context as long as there is room.
    """
    contexts, fields = [""], [list[tuple[str, int]]()]
    for part in items(docstring):
        text = _sentences(part, docstring.parameters)
        lead = f"{part.name}: " if part.name else ""
        if len(contexts[-1]) + len(lead) + len(text) >= MAX_CONTEXT:
            contexts.append("")
            fields.append([])
        if text:
            lead = " " * bool(contexts[-1]) + lead
            fields[-1].append((part.name, len(contexts[-1]) + len(lead)))
            contexts[-1] += lead + text
    for context, found in zip(contexts, fields):
        if MIN_CONTEXT <= len(context) <= MAX_CONTEXT:
            yield context, found
