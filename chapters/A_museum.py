"""Chapter A: published mistakes that raise no error, each with the test that would have seen it."""

# %% [markdown]
# # Chapter A · The museum of bugs (错误博物馆)
#
# A program that stops with an error is a good program: it tells you where to look. This chapter
# shows the others. Each of these mistakes was in published code or stands in print, some of them
# for years, and none of them raises anything. The loss falls, the figures look like figures, and
# the model is worse than it should be, or good for nothing. That is a **silent failure** (静默错误
# ), the usual kind in machine learning, because training makes the best even of a wrong task.
#
# Against it helps no reading, for the people who wrote these lines could read. What helps is to say
# what must be true, a **property** (性质), and to test it on drawn numbers: no gradient where
# nothing was asked, padding changes nothing, each class is trained. Every page of the museum has
# one such test. It fails on the code as it was published, and passes when that is mended.
#
# **中文导读** 报错的程序是好程序，它告诉你该看哪里。这一章展出的是另一种：不报错，损失照样下降，
# 数字看着也像数字，模型却没有学会该学的东西，这叫静默错误。训练会在错误的任务上也尽力做到最好，
# 所以这类错误特别常见。光靠读代码看不出来，写这些代码的人也读过。有用的办法是写下“必须成立的性质”，
# 再用随机抽取的数去检验：没有提问的位置没有梯度，填充不改变结果，每个类都被训练到。
# 博物馆的每一页都有这样一个测试：对当初发表的写法报红，改正以后变绿。
#
# Run it from the root of the repository: `python chapters/A_museum.py`. `--quick` does less,
# `--seed 3` draws other numbers. F71 and the like are formulas of the documents that the course
# grew out of; `python -m tinygrad_llm.formulas F71 G12` shows two.

# %%
import sys
from pathlib import Path
from textwrap import shorten

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder where `chapters` lies

from chapters import museum
from chapters.lesson import begin
from chapters.museum import mask_on_a_mean, padding_seen, same_paragraph
from tinygrad_llm import Tensor, generation, grad, models, nn, no_grad, optim, plot
from tinygrad_llm import functional as F
from tinygrad_llm.data import corpora
from tinygrad_llm.formulas.pretraining import hide

lesson = begin(__file__, seconds=(60, 10))
rng, quick = lesson.rng, lesson.quick


def constant(array):  # a tensor that asks for no gradient
    return Tensor(array, device=lesson.device)


# %% [markdown]
# ## 1 · How to read a page (一页怎么读)
#
# A page is a small file in `chapters/museum/`. It says where the mistake was published and what its
# user saw, the **symptom** (症状). Then come two functions of a line or two, `broken` and `mended`,
# and `check`, which takes either. Open one beside this text, `chapters/museum/not_shifted.py` say:
# to read `broken` and to find nothing wrong with it is the point.
#
# `check` is a **regression test** (回归测试): once written, it keeps the mistake from coming back.
# Such a test must be able to fail. One that passes on the broken form too, because it only asks
# whether the loss falls or the shape is right, is worse than none, for it makes you feel safe. So
# each section below runs it twice, red and green.
#
# **中文导读** 每一页是 `chapters/museum/` 里的一个小文件：出处、使用者看到的症状、
# 写错的 `broken`、改好的 `mended`，还有一个两者都能接受的 `check`。`check` 是回归测试：
# 写好之后，同样的错误就回不来了。测试必须“能够失败”：如果它对写错的代码也通过
# （例如只看损失有没有下降、形状对不对），还不如没有。所以下面每一节都跑两遍，先红后绿。

# %%
lesson.heading("1 · How to read a page")
said = {}  # page -> what its check says of the broken form, and of the mended one


def visit(number, name):  # the page's texts, and its check: red, then green
    page = museum.page(name)
    lesson.heading(f"{number} · {page.title}")
    red, green = (page.complaint(form) for form in (page.broken, page.mended))
    said[page.title] = red, green
    lesson.say(f"What is seen: {page.seen}")
    lesson.say(f"Source: {page.source}.")
    lesson.say(f"RED    broken: {red or 'passes, which it must not'}.")
    lesson.say(f"GREEN  mended: {green or 'passes'}.")
    return page


lesson.say(
    f"{len(museum.PAGES)} pages: {', '.join(museum.PAGES)}.",
    "A page is chapters/museum/<name>.py.",
)

# %% [markdown]
# ## 2 · A class that is never trained (有一个类从未被训练)
#
# BERT learns two things at once (F87): hidden words, and whether sentence B follows A, which is
# **next-sentence prediction** (下一句预测). The words' labels need a value for "does not count
# here"; someone took 0, the id of the padding, and told the loss to leave out label 0: it is the
# **ignored label** (忽略标签). Then the same loss was used for the pairs, whose classes are 0 and
# 1.
#
# No pair of class 0 sends a gradient any more. To answer 1 always is perfect by this loss, and so
# the loss falls to 0 while half of the answers are wrong. Both numbers were printed, side by side,
# and users asked why they did not fit together. Below: a small network, and drawn rows in place of
# pairs.
#
# The property: **every class** sends a gradient back.
#
# **中文导读** BERT 同时学两件事：被遮住的词，以及 B 是不是 A 的下一句。词的标签需要一个值表示
# “这里不计分”，有人用了 0，并让损失忽略 0；同一个损失又拿去算句子对，而那里 0 是一个真正的类别。
# 从此 0 类没有任何梯度：永远回答 1，损失就是 0，而答案有一半是错的。要检验的性质：每个类都有梯度。

# %%
page = visit(2, "ignored_class")
X, truth = rng.normal(size=(3000, 16)).astype("float32"), rng.normal(size=16)
follows = (X @ truth > 0.0).astype(int)


def classify(loss, steps=60):  # losses, and shares of the last thousand rows that are right
    head, losses, shares = models.MLP([16, 32, 2]).to(lesson.device), [], []
    optimizer = optim.Adam(head.parameters(), lr=0.01)
    for i in range(steps):
        batch = slice(64 * (i % 30), 64 * (i % 30) + 64)
        optimizer.zero_grad()
        value = loss(head(constant(X[batch])), constant(follows[batch]))
        value.backward()
        optimizer.step()
        with no_grad():
            answers = head(constant(X[2000:])).numpy().argmax(axis=1)
        losses.append(value.item())
        shares.append((answers == follows[2000:]).mean())
    return losses, shares


losses, scores, lines, rows = {}, {}, {}, []
for name, loss in (("broken", page.broken), ("mended", page.mended)):
    falling, rising = classify(loss)
    losses[name], scores[name] = falling[-1], rising[-1]
    lines |= {f"{name}: loss": falling, f"{name}: share right": rising}
    rows.append([name, f"{falling[-1]:.3f}", f"{rising[-1]:.3f}"])
lesson.table(["after 60 steps", "loss", "right, of unseen pairs"], rows)
axes = "Two classes, of which the broken loss ignores one", "step", "loss, or share"
lesson.figure(plot.curves(range(1, 61), lines, *axes), "ignored")
bar = ("mended", losses["mended"])
lesson.claim("silent loss", "ignored class: loss", losses["broken"], below=bar)
bar = ("mended", scores["mended"])
lesson.claim(
    "silent share", "ignored class: pairs right", scores["broken"], below=bar, scale="share"
)
bar = ("broken", scores["broken"])
lesson.claim("trained", "mended: pairs right", scores["mended"], above=bar, scale="share")

# %% [markdown]
# ## 3 · A mask multiplied onto a mean (掩码乘在平均值上)
#
# A **mask** (掩码) of ones and zeros says which places of a padded batch count. There are B·T
# losses, one a place, and the loss of the batch is their mean over the places that count:
#
#     Σ mask·loss / Σ mask
#
# Most loss functions give the **mean** (平均值) unless told otherwise. Whoever multiplies *that* by
# the mask, sums and divides, gets the same number back: the mask does nothing. The second try masks
# the B·T losses and takes the mean of all: now padding has no gradient, but it is still in the
# divisor. With three quarters of padding the loss is a quarter, and by plain descent the steps too.
#
# In both cases training goes on as if nothing were wrong. The properties: **no gradient at
# padding**, and **more padding, the same loss**. The second one is needed to catch the second
# mistake.
#
# **中文导读** 掩码标出补齐之后哪些位置算数，一批的损失是这些位置上的平均。
# 大多数损失函数默认直接给出平均值；拿这个平均值去乘掩码、求和、再除，得到的还是它自己，
# 掩码等于没写。第二种写法先乘掩码，再对全部位置取平均：填充没有梯度了，可分母里还有它，
# 四分之三是填充，损失就只剩四分之一。两种写法都照常训练，谁也不报错。
# 要检验两条性质：填充处没有梯度；填充再多，损失不变。

# %%
page = visit(3, "mask_on_a_mean")
lengths = rng.integers(4, 17, size=(32, 1))
logits, ids = rng.normal(size=(32, 16, 10)), rng.integers(1, 10, size=(32, 16))
ways = {"broken": page.broken, "halfway": mask_on_a_mean.halfway, "mended": page.mended}
shares, values = {}, {}
for width in (16, 32, 64):  # the same texts, with more and more padding
    more, mask = ((0, 0), (0, width - 16)), (np.arange(width) < lengths).astype(float)
    for name, loss in ways.items():
        z = Tensor(np.pad(logits, (*more, (0, 0))), requires_grad=True, device=lesson.device)
        each = F.cross_entropy(z, constant(np.pad(ids, more)), reduction="none")
        value = loss(each, constant(mask))
        slopes = np.abs(grad(value, z).numpy()).sum(axis=2)
        shares[name, width] = slopes[mask == 0.0].sum() / slopes.sum()
        values[name, width] = value.item()
rows = [
    [name, *(f"{values[name, w]:.3f}" for w in (16, 32, 64)), f"{shares[name, 64]:.0%}"]
    for name in ways
]
header = ["padded to", "16", "32", "64", "at 64: gradient at padding"]
lesson.table(header, rows)
bar = ("mended", shares["mended", 64])
lesson.claim(
    "padding", "mask on a mean: gradient at padding", shares["broken", 64], above=bar, scale="share"
)
kept = {name: values[name, 64] / values[name, 16] for name in ways}
bar = ("mended, less rounding", kept["mended"] - 1e-9)
lesson.claim(
    "divisor", "halfway: loss at 64 over loss at 16", kept["halfway"], below=bar, scale="share"
)

# %% [markdown]
# ## 4 · Hidden words, and a loss over all words (损失算在了所有位置上)
#
# A **masked language model** (掩码语言模型) learns by filling in words. 15 % of the places are
# selected; there the word becomes [MASK] in 80 % of the cases, a drawn word in 10 %, and stays as
# it is in 10 % (F71). The loss is a mean over the *selected* places. The labels are the text; so it
# is easy to hand over the text as labels, and forget the −100 at the other 85 %.
#
# What does a **copying model** (照抄模型) score, which gives back what it reads? Of all places
# .85 + .15·.10 = .865 and a little for draws that hit; of the selected ones .10. The first number
# looks like success, and nothing is learned for it but a copy.
#
# The texts here count: a start, a stride of 1, 2 or 3, and on modulo 10, as in 4 7 0 3 6. Who
# reads the neighbours can know the hidden number. A small encoder is trained with both losses.
# Look at the two scores of each, not at the loss: under the broken one the first score is near .9
# before anything is understood. And in fairness: it does learn what it should as well, since the
# selected places are among all places. What is broken most is the score by which you would have
# stopped.
#
# **中文导读** 掩码语言模型靠填空学习：选中 15% 的位置，其中 80% 换成 [MASK]，10% 换成随机词，
# 其余 10% 保持原样，损失只算选中的位置。标签就是原文，所以很容易把整段原文当标签，
# 忘了没有选中的 85% 该填 −100。一个只会照抄的模型，在所有位置上能得 .865，在选中的位置上只有 .10。
# 这里的文本是按步长数数；看得懂邻居，就填得出空。要看的不是损失，而是两个得分：
# 写错时“所有位置”很快就接近 .9，其实还什么都没懂。公平地说，它也在慢慢学会填空，
# 因为选中的位置也在所有位置之中；错得最厉害的，是你用来决定“可以停了”的那个得分。

# %%
page = visit(4, "every_place")
PAD, MASK, WORDS, T = 0, 1, 12, 12  # the ten numbers are the ids 2 … 11


def counting(rows):  # ids (rows, T)
    start, stride = rng.integers(10, size=(rows, 1)), rng.integers(1, 4, size=(rows, 1))
    return 2 + (start + stride * np.arange(T)) % 10


def hidden(rows):  # what is read, the words, and which are selected
    words = counting(rows)
    selected, drawn = rng.random(words.shape) < 0.15, rng.integers(2, 12, size=words.shape)
    return hide(words, selected, rng.random(words.shape), drawn, MASK), words, selected


class Reader(nn.Module):
    """An encoder of two layers over words and places: ids (B, T) -> logits (B, T, V)."""

    def __init__(self):
        self.words, self.places = nn.Embedding(WORDS, 32), nn.LearnedPositions(T, 32)
        self.encoder = nn.TransformerEncoder(2, 32, 2, 64, norm="pre")
        self.head = nn.Linear(32, WORDS)
        self.to(lesson.device)

    def forward(self, ids, mask=None):
        return self.head(self.encoder(self.places(self.words(constant(ids))), mask=mask))


def learn(model, loss, steps, measure):  # `loss()` a batch; (step, *measure()) now and then
    optimizer, marks = optim.AdamW(model.parameters(), lr=3e-3), []
    schedule = optim.linear(optimizer, steps + 1, warmup_ratio=0.05)
    for i in lesson.progress(range(steps + 1), type(model).__name__):
        if i % 15 == 0:
            with no_grad():
                marks.append((i, *measure()))
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        schedule.step()
    return np.array(marks).T, value.item()


test, steps = hidden(500), 60 if quick else 300
copied = test[0] == test[1]
lines, readers, rows = {}, {}, [["copying", copied.mean(), copied[test[2]].mean()]]
for name, loss in (("broken", page.broken), ("mended", page.mended)):
    reader = readers[name] = Reader()

    def fill(reader=reader, loss=loss):
        seen, words, selected = hidden(32)
        return loss(reader(seen), words, selected)

    def right(reader=reader):
        hits = reader(test[0]).numpy().argmax(axis=2) == test[1]
        return hits.mean(), hits[test[2]].mean()

    (at, everywhere, asked), _ = learn(reader, fill, steps, right)
    lines |= {f"{name}: all places": everywhere, f"{name}: selected": asked}
    rows.append([name, everywhere[-1], asked[-1]])
cells = [[name, f"{everywhere:.3f}", f"{asked:.3f}"] for name, everywhere, asked in rows]
lesson.table([f"share right, {steps} steps", "all places", "selected places"], cells)
axes = "The same models by two scores", "step", "share right"
lesson.figure(plot.curves(at, lines, *axes), "places")
(_, copying, little), (_, everywhere, asked), (_, _, mended) = rows
lesson.claim(
    "copy", "copying: all places right", copying, above=("selected", little), scale="share"
)
lesson.claim(
    "everywhere", "broken: all places right", everywhere, above=("selected", asked), scale="share"
)
bar = ("copying", little)
lesson.claim("filled", "mended: selected places right", mended, above=bar, scale="share")

# %% [markdown]
# ## 5 · Labels that are not shifted (标签没有错开一位)
#
# A **causal language model** (因果语言模型) foretells the next word. Its logits at place t come
# from the words up to t, so they are held against word t + 1 (F83): logits without the last row,
# labels without the first. Libraries differ in who does that. In some the model shifts the labels
# itself, and wants the ids as they are; in others the data does. Where each trusts the other,
# nobody shifts, and the task becomes to repeat the word just read. Where both do, the model learns
# to foretell two words ahead.
#
# The loss of the unshifted one is *lower*, much lower, than that of the good one, which cannot know
# the first numbers of a text. Here too the texts count. Look at what the two models write.
#
# The property: a model that foretells each next word has a loss of 0, and one that copies does not.
#
# **中文导读** 因果语言模型预测下一个词：第 t 个位置的输出要和第 t + 1 个词比。
# 有的库由模型内部错位，有的由数据错位；两边都以为对方做了，就没人做，任务变成“重复刚读到的词”；
# 两边都做了，就变成预测下下个词。没有错位的损失反而低得多，因为照抄太容易；
# 看看两个模型写出来的东西就明白了。要检验的性质：能预测每个下一个词的模型损失为 0，照抄的不是。

# %%
page = visit(5, "not_shifted")
sizes = {"vocab_size": WORDS, "n_positions": T, "n_embd": 32, "n_layer": 2, "n_head": 2}
still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
ahead, prompt, rows, lines = counting(500), 2 + np.array([[4, 7, 0, 3]]), [], {}
found = {}
for name, loss in (("broken", page.broken), ("mended", page.mended)):
    gpt = models.GPT2LMHeadModel(models.GPT2Config(**sizes, **still)).to(lesson.device)

    def told(gpt=gpt, loss=loss):
        ids = counting(32)
        return loss(gpt(constant(ids)).logits, ids)

    def foretold(gpt=gpt):  # from the second word on a text is determined
        return (
            (gpt(constant(ahead)).logits.numpy()[:, 1:-1].argmax(axis=2) == ahead[:, 2:]).mean(),
        )

    (at, shares), last = learn(gpt, told, steps, foretold)
    text = generation.generate(gpt, prompt, max_new_tokens=5)[0, 4:] - 2
    found[name], lines[name] = (last, shares[-1]), shares
    rows.append([name, f"{last:.3f}", f"{shares[-1]:.3f}", " ".join(map(str, text))])
lesson.table(["", "loss", "next word right", "after 4 7 0 3 it writes"], rows)
axes = "Who foretells the next number?", "step", "share right"
lesson.figure(plot.curves(at, lines, *axes), "shifted")
bar = ("mended", found["mended"][0])
lesson.claim("copies", "not shifted: loss", found["broken"][0], below=bar)
bar = ("chance", 0.1)
lesson.claim("blind", "not shifted: next word", found["broken"][1], below=bar, scale="share")
lesson.claim("foretells", "mended: next word", found["mended"][1], above=bar, scale="share")

# %% [markdown]
# ## 6 · Padding that is listened to (填充也被“听见”了)
#
# **Padding** (填充) makes the texts of a batch equally long, and an **attention mask** (注意力掩码)
# says which ids are words. One published listing had ones everywhere (F79). Then each word hears
# the padding too. In training that is a constant noise. In use, a text comes alone, or with a
# longer one, and its answer depends on its neighbours in the batch, which no one who tries one text
# at a time will ever notice.
#
# The reader of section 4 gets texts of six numbers with the last one hidden, and more and more
# padding behind. How many answers differ from those without padding? The row of the padding was
# never trained, so it is drawn ten times.
#
# The property: **padding changes nothing**, tested to 1e-12. It is a cheap test; run it on every
# model that you write.
#
# **中文导读** 补齐用的填充不该被听见，注意力掩码应当标出哪些是词。有一份发表的代码里掩码全是 1。
# 训练时这只是固定的噪声；真正使用时，一句话单独来、或与更长的句子同批，答案就不一样，
# 而一次只试一句的人永远发现不了。要检验的性质：加多少填充，结果都不变。
# 这个测试很便宜，自己写的每个模型都该跑一遍。

# %%
page = visit(6, "padding_seen")
reader, short = readers["mended"].eval(), counting(300 if quick else 1000)[:, :6].copy()
short[:, -1] = MASK


def answers(mask_of, pads):  # of the hidden number, with padding behind it
    ids = np.pad(short, ((0, 0), (0, pads)), constant_values=PAD)
    with no_grad():
        return reader(ids, constant(mask_of(ids, PAD))).numpy()[:, 5].argmax(axis=1)


# Share of answers that so many places change, over padding of ten drawn rows: none was trained.
def heard(mask_of, pads):
    shares, alone = [], answers(mask_of, 0)
    for row in drawn:
        reader.words.weight.data[PAD] = constant(row).data
        shares.append((answers(mask_of, pads) != alone).mean())
    return np.mean(shares)


changed, pads, drawn = {}, range(T - 6 + 1), rng.normal(size=(10, 32)).astype("float32")
for name, mask_of in (("all ones", padding_seen.broken), ("mended", padding_seen.mended)):
    changed[name] = [heard(mask_of, n) for n in pads]
rows = [[name, *(f"{share:.0%}" for share in shares)] for name, shares in changed.items()]
lesson.table(["answers changed by padding of", *map(str, pads)], rows)
axes = "Answers that depend on the padding", "places of padding", "share changed"
lesson.figure(plot.curves(pads, changed, *axes), "padding")
bar = ("mended", changed["mended"][-1])
lesson.claim(
    "heard", "mask of ones: answers changed", changed["all ones"][-1], above=bar, scale="share"
)

# %% [markdown]
# ## 7 · Negatives from the same paragraph (负例取自同一段落)
#
# Half of the pairs for next-sentence prediction are **positives** (正例), a sentence and the next;
# the other half, the **negatives** (负例), have some other sentence. Which? If it is drawn from the
# same paragraph of n sentences, it is the next one in 1 of n − 1 cases, and the label says that it
# is not. And F72, as printed, asks only whether both are of one paragraph: of the ordered pairs of
# a paragraph of five, 16 of 20 do not follow.
#
# Where negatives come from another text, there is also a clue that any reader would use: sentences
# of one paragraph share words. The table counts it on 507 Chinese paragraphs: the share of B's
# characters that A has too, and how often a positive has more of it than a negative, ties counted
# half (.5 is chance). The clue makes the task easy, and is, as Lan et al. (2020) argue, why it
# teaches little: who answers by topic has not learned what follows what. Keep it beside your model
# as a baseline.
#
# The property: a pair's label is what the text says, counted over some hundred drawn pairs.
#
# **中文导读** 下一句预测一半是正例，一半是负例。负例若取自同一段，n 句的段落里每 n − 1 次
# 就有一次取到真正的下一句，标签却说“不是”。F72 只问两句是否同段：
# 五句的段落里，20 个有序对有 16 个并不相接。
# 负例取自别的文本时，还有一个线索：同段的句子用字相近。下表在 507 段中文上数了这个线索：
# 正例的重合比负例高的比例（.5 就是瞎猜）。它让这个任务变得容易，也让它教不了多少东西：
# 凭话题作答，并没有学会“谁接着谁”。要把它作为基线，摆在自己的模型旁边。

# %%
page = visit(7, "same_paragraph")
texts = [corpora.sentences(paragraph) for paragraph in corpora.paragraphs()]
texts = [text for text in texts if len(text) >= 2]
counts, pairs = [len(text) for text in texts], 1000 if quick else 6000


def shared(first, second):  # of the characters of B, the share that A has
    a, b = (set(texts[text][place]) for text, place in (first, second))
    return len(a & b) / len(b)


def clue(draw):  # share of wrong negatives, and how often a positive shares more than a negative
    drawn = [draw(counts, rng) for _ in range(pairs)]
    wrong = [same_paragraph.follows(a, b) for a, b, label in drawn if not label]
    yes, no = (np.array([shared(a, b) for a, b, y in drawn if y == label]) for label in (1, 0))
    more, ties = (op(yes[:, None], no).mean() for op in (np.greater, np.equal))
    return np.mean(wrong), more + ties / 2.0


seen = {name: clue(draw) for name, draw in (("broken", page.broken), ("mended", page.mended))}
rows = [[name, f"{wrong:.1%}", f"{more:.3f}"] for name, (wrong, more) in seen.items()]
lesson.table(["negatives", "wrong labels", "a positive shares more"], rows)
places = [(i, j) for i in range(5) for j in range(5) if i != j]
apart = np.mean([j != i + 1 for i, j in places])
lesson.say(f"F72: of the {len(places)} pairs of five sentences, {apart:.0%} do not follow.")
bar = ("mended", seen["mended"][0])
lesson.claim("wrong", "same paragraph: labels wrong", seen["broken"][0], above=bar, scale="share")
bar = ("same paragraph", seen["broken"][1])
lesson.claim("clue", "other text: shares more", seen["mended"][1], above=bar, scale="share")
lesson.claim("F72", "F72: pairs that do not follow", apart, above=("mended", 0.0), scale="share")

# %% [markdown]
# ## 8 · Twenty-four printed programs (二十四段印出来的程序)
#
# The documents that the course grew out of print programs: C03 to C26, from reading a file to the
# result that is shown at the end. None of them runs as it stands. Most stop with an error, and that
# is soon mended; then the silent mistake behind it is at work. Each has a page of its own in
# `chapters/museum/listings/`, with the most instructive of its mistakes, and in the text those that
# stop with an error. Below is what the check says of the published form; the mended form passes.
#
# Take any three, and before you open the page: what would the check have to ask?
#
# **中文导读** 课程所依据的文档里印有二十四段程序（C03 到 C26），没有一段能原样运行。
# 多数一运行就报错，改掉报错以后，藏在后面的静默错误才开始起作用。每一段在
# `chapters/museum/listings/` 里都有一页：最值得学的那个错误、查出它的检验、改正的写法。
# 下表是检验对原写法说的话。任选三条，先别打开那一页：如果由你来写检验，该问什么？

# %%
lesson.heading("8 · Twenty-four printed programs")
listings = museum.listing_pages()
heard = {each.name[:3].upper(): each.complaint(each.broken) for each in listings}
rows = [[name, shorten(words, 68, placeholder=" …")] for name, words in heard.items()]
lesson.table(["listing", "its check says"], rows)
caught = sum(bool(words) for words in heard.values())
passed = sum(not each.complaint(each.mended) for each in listings)
lesson.say(f"{caught} of {len(listings)} fail as they were published, {passed} pass when mended.")
bar = ("mended that fail", len(listings) - passed)
lesson.claim("listings", "listings that fail", caught, above=bar, scale="count")

# %% [markdown]
# ## 9 · What they have in common (它们的共同点)
#
# Six mistakes of the first pages, and in each the code is right about something: the loss is a
# cross-entropy, the mask has the right shape, the labels are the text. What is wrong is *which*
# numbers meet. No shape test and no falling **loss** (损失) can see that. Four questions would have
# found all six, before a day of training:
#
# 1. Where does the gradient go, and where must it not?
# 2. What must not change the result, and does it not?
# 3. What does a model score that has understood nothing: one that copies, or always says the same?
# 4. Read twenty drawn rows with your own eyes: do the labels say what is so?
#
# Ask them of your next program.
#
# **中文导读** 六个错误，每一个都“有一部分是对的”：确实是交叉熵，掩码形状没错，标签确实是原文；
# 错的是哪些数碰到了一起。形状检查和下降的损失都看不出来。四个问题可以在训练之前找出全部六个：
# 梯度流向哪里，又不该流向哪里？什么不应该改变结果，它真的没有改变吗？
# 一个什么都没懂的模型（只会照抄，或永远说同一句）能得多少分？
# 亲眼看二十行抽出来的数据：标签说的是真的吗？下次写程序时，先问这四个问题。

# %%
lesson.heading("9 · What they have in common")
rows = [[title, "red" if red else "green", "green" if not green else "red"]
        for title, (red, green) in said.items()]  # fmt: skip
lesson.table(["page", "broken", "mended"], rows)
fails, stays = (sum(bool(pair[i]) for pair in said.values()) for i in (0, 1))
lesson.claim("red", "broken forms that fail", fails, above=("mended", stays), scale="count")

# %% [markdown]
# ## Exercises (练习)
#
# Write these into a file of your own, `my_solution.py`, with `import numpy as np`, and grade them:
# `python -m chapters check A my_solution.py`. For each one that fails you get the smallest input
# that shows it. Answers are in `chapters/solutions/`; try first.
#
# 1. `masked_mean(x, mask)`: x (B, T, D) and mask (B, T), 1.0 at words and 0.0 at padding. Return
#    (B, D), the mean of each text over its words; zeros for a text without any.
#    按掩码求平均，分母是词的个数；没有词的文本返回 0。
# 2. `next_labels(ids, pad)`: ids (B, T), filled up with `pad` on the right. Return labels (B, T),
#    integers: at each place the next word, and −100 where there is none.
#    因果语言模型的标签：错开一位，没有下一个词的位置填 −100。
# 3. `masked_labels(ids, selected, pad)`: ids (B, T), selected booleans (B, T), which may be True at
#    padding by mistake. Return labels (B, T): the word at selected places, −100 elsewhere and at
#    padding.
#    掩码语言模型的标签：选中且不是填充的位置填原词，其余填 −100。
# 4. `untrained(slopes, labels, classes)`: slopes (N, K), the gradient of a loss in its logits, and
#    labels (N,), numbers below `classes`. Return the list, in order, of the classes that have rows
#    and none of whose rows has any gradient: section 2's check.
#    找出有样本却完全没有梯度的类别，按从小到大返回列表。
#
# **中文导读** 把答案写进自己的文件，用上面的命令批改；不通过时会给出能复现错误的最小输入。

# %%
lesson.close()
