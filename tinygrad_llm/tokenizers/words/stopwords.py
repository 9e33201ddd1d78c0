"""Stop words of English and of Chinese, by grammatical class, and a function that drops them.

A stop word holds a sentence together and says little of what it is about, which helps where texts
are counted as bags of words and does harm where the order or the grammar carries the meaning: a
language model needs them all. The lists are a choice, made here class by class. Negations are in
neither of them (not, no, never, without; 不, 没, 没有, 别), because one such word turns a review
round; nor are words that weigh as it does (against, few, too; 太). What such a list does drop for
good is who does what to whom: "from" and "to", 把 and 被.
"""

from __future__ import annotations

from collections.abc import Sequence

_ENGLISH = {
    "articles": "a an the",
    "personal pronouns": "i me you he him she her it we us they them",
    "possessives": "my mine your yours his hers its our ours their theirs",
    "reflexive pronouns": """myself yourself himself herself itself ourselves yourselves
        themselves""",
    "demonstratives": "this that these those",
    "question and relative words": "who whom whose which what when where why how",
    "quantities and indefinite pronouns": """all any anyone anything both each either every everyone
        everything many more most much other others same several some someone something
        such""",
    "prepositions": """about above across after along among around as at before behind below beside
        between beyond by down during for from in inside into near of off on onto out outside over
        since through throughout till to toward towards under until up upon via with within""",
    "conjunctions": "although and because but if or so than though whereas whether while",
    "auxiliary verbs": """am are be been being is was were did do does doing had has have having can
        could may might must shall should will would""",
    "adverbs": "again also further here just now quite then there very",
    "contractions": """i'm i've i'll i'd you're you've you'll he's she's it's we're we've we'll
        they're they've they'll that's there's what's""",
}

_CHINESE = {
    "结构助词与动态助词": "的 地 得 着 了 过 所 之 似的",
    "语气词": "吗 呢 吧 啊 呀 哇 嘛 啦 呗 哦 哟 么 而已 罢了",
    "人称代词": "我 你 您 他 她 它 我们 你们 他们 她们 它们 咱们 自己 大家",
    "指示代词": """这 那 这个 那个 这些 那些 这里 那里 这儿 那儿 这样 那样 这么 那么 此 该 各 每 某
        其 其他 其中""",
    "疑问代词": "谁 什么 哪 哪个 哪些 哪里 哪儿 怎么 怎样 如何 为什么 多少",
    "介词": """在 从 自从 往 向 朝 对 对于 关于 至于 由 由于 于 以 把 被 将 给 跟 为 为了 按照
        根据 通过 随着 除了 比""",
    "连词": """和 与 及 以及 或 或者 还是 而 而且 并 并且 但 但是 可是 然而 虽然 因为 所以 因此
        如果 要是 只要 只有 即使 既 则 于是""",
    "副词": "也 都 就 还 又 再 才 已 已经 曾经 正在 便 却 很 更 最 一直 刚刚",
    "系动词与能愿动词": "是 有 能 能够 会 可以 应该 应当 必须",
    "方位词": "上 下 里 中 内 外 之间 之前 之后",
    "数量词": "一 个 一个 一种 一些 些",
}

_CLASSES = {"english": _ENGLISH, "chinese": _CHINESE}

STOP_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(" ".join(classes.values()).split())
    for language, classes in _CLASSES.items()
}
"""The stop words of "english", in small letters, and of "chinese", in simplified characters."""


def remove_stop_words(words: Sequence[str], language: str) -> list[str]:
    """The words that are not in `STOP_WORDS[language]`, as they are written and in their order.

    words: a text already cut into words, punctuation aside; Chinese too, which has no spaces.
    Capitals count as small letters, and the apostrophe ’ as '. Nothing tells the pronoun "us" from
    "US", or the auxiliary "will" from somebody's last will.
    Raises ValueError for another language, and TypeError for one string instead of words and for
    what is not a string among them.
    """
    if language not in STOP_WORDS:
        known = ", ".join(map(repr, STOP_WORDS))
        raise ValueError(f"language is {language!r}, which has no stop words; give one of {known}")
    if isinstance(words, str):
        raise TypeError("words is one string; cut it first and give a list of words")
    words = list(words)
    for place, word in enumerate(words):
        if not isinstance(word, str):
            kind = type(word).__name__
            raise TypeError(f"words[{place}] is of type {kind}, not str; give words")
    stop = STOP_WORDS[language]
    return [word for word in words if word.lower().replace("’", "'") not in stop]
