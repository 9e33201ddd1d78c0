"""Chapter 03b: rows that a network has not seen: how to measure on them, and what helps there."""

# %% [markdown]
# # Chapter 03b · Generalization (泛化)
#
# Chapter 03a made the training loss fall. But nobody needs the answers to the training rows: they
# are known. A network is worth what it says about rows that it has never seen, and to be right
# there is **generalization** (泛化). This chapter measures it without fooling itself, looks at what
# goes wrong, puts every usual remedy beside the plain network, and says which of them help, and
# when. At its end a Trainer trains, saves, resumes and stops, and a search chooses the settings.
#
# **中文导读** 第 3a 章让训练损失降了下来。可是训练样本的答案本来就知道，没有人需要网络再说一遍；
# 网络值多少，要看它对没见过的样本说得对不对，这叫泛化。本章先学会不自欺地衡量，再看毛病出在哪里，
# 把常见的办法一个个放在什么都不加的网络旁边比一比，如实说出哪些有用、什么时候有用；
# 最后由训练器完成训练、存档、续训和早停，由搜索来选超参数。
#
# Run it from the root of the repository: `python chapters/03b_generalization.py`. `--quick` does
# less, `--seed 3` draws other numbers. F19 and the like are formulas of the documents, as in
# chapter 02; `python -m tinygrad_llm.formulas F19 F64` shows two.

# %%
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder where `chapters` lies

from chapters.lesson import begin
from tinygrad_llm import Tensor, data, manual_seed, metrics, models, no_grad, optim, plot, training
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error

lesson = begin(__file__, seconds=(30, 8))
rng, first = lesson.rng, 1000 * lesson.options.seed
pixels, digits = data.load_digits()


def constant(array):  # a tensor that asks for no gradient
    return Tensor(array, device=lesson.device)


# %% [markdown]
# ## 1 · Three parts (三份数据)
#
# Ask for the most similar row among those that you have stored, and give its label: such a nearest
# neighbour is right about every stored row, even if the labels are noise. A score on training rows
# says nothing about new ones. So split the rows, before anything else happens to them:
#
#     training set      the weights are fitted to it
#     validation set    chooses: which settings, when to stop
#     test set          read once, at the end, for the number that you report
#
# The **training set** (训练集) and the test set you know. Why a third part, the
# **validation set** (验证集)? Because to choose is to fit, too. Let 200 people toss coins for the
# answers to 100 questions, and keep the one who is right most often: some 64 times, by luck; on the
# next 100 questions it is about 50 again. The part that chose him flatters him, and only a part
# that had no say tells the truth.
#
# The split is stratified (chapter 02, section 7): each part has its share of each class, to within
# one row. Rows with equal contents stay together; they are found by a **hash** (哈希), a short
# number computed from the contents: equal rows have equal ones, and nobody knows two different
# rows that have.
#
# Labels come as words and leave as numbers, by a **label encoder** (标签编码器) that refuses a word
# it has not met. A one-hot row has a 1 at that number, and −Σ_c y_c ln p_c over such a row is −ln p
# at that number: one value, by two kinds of label. `cross_entropy` here takes both; other libraries
# have a loss for each, and the documents' program gives one-hot rows to the one that wants numbers
# (F82).
#
# **中文导读** 最近邻对存下来的样本永远全对，哪怕标签是乱写的，所以训练集上的成绩说明不了什么。
# 数据先分三份：训练集调权重，验证集做选择，测试集最后只看一次。为什么要三份？
# 因为“挑选”也是一种拟合：两百个人掷硬币答题，挑出最准的那个，成绩虚高，换一批题就原形毕露。
# 划分要分层，内容相同的行必须留在同一份里（用哈希查重）。标签要编成数字；独热与数字两种写法，
# 损失的值相同；这里的交叉熵两种都收，有的库则各用各的损失函数，给错了就出错。

# %%
lesson.heading("1 · Three parts")
shares, rows = (0.6, 0.2, 0.2), []
split = data.three_way_split(digits, shares, seed=first, contents=pixels)
data.check_disjoint(*(pixels[ids] for ids in split))  # raises ValueError for a row in two parts
for name, share, ids in zip(split._fields, shares, split):
    counts = np.bincount(digits[ids], minlength=10)
    off = np.abs(counts - share * np.bincount(digits)).max()
    rows.append([name, len(ids), f"{counts.min()} … {counts.max()}", off])
lesson.table(["part", "rows", "rows of one digit", "off its share by at most"], rows)
lesson.say(f"{len({data.row_hash(row) for row in pixels})} pictures differ, of {len(pixels)}.")
lesson.claim("strata", "split: rows off a share", max(r[3] for r in rows), below=("two rows", 2))

names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
encoder = data.LabelEncoder.fit(names[digits[split.train]])
codes, logits = encoder.encode(names[digits]), rng.normal(size=(len(digits), 10))
by_number = F.cross_entropy(constant(logits), constant(codes)).item()
log_p = F.log_softmax(constant(logits)).numpy()
by_one_hot = -(data.one_hot(codes, 10) * log_p).sum(axis=1).mean()
lesson.say(f"Cross-entropy by numbers {by_number:.12f}, by one-hot rows {by_one_hot:.12f}.")
tosses = rng.integers(2, size=(200, 2, 100)).mean(axis=2)  # of each: those that choose, and others
chosen, later = tosses[tosses[:, 0].argmax()]
lesson.say(f"The best of 200 coin tossers: {chosen:.2f}, and on other questions {later:.2f}.")
lesson.claim("chosen", "best of 200 tossers", chosen, above=("chance", 0.5), scale="share")

# %% [markdown]
# ## 2 · What leaks (数据泄漏)
#
# A **leak** (泄漏) is any way by which test rows have a say before the test. The score goes up, and
# nothing in the world has become better. Three that happen every day; the first two on data of pure
# chance, where the truth is known:
#
# 1. **Copies.** Half of the rows lie in the file twice. Split without looking, and the test set
#    holds rows that were learned by heart.
# 2. **A choice made on all rows.** 2,000 columns of noise and 100 rows; keep the 20 columns that
#    differ most between the two classes, *then* split. The columns were chosen with the test rows'
#    labels; no later split can mend that.
# 3. **Statistics.** F53 maps a column to 0 … 1: x′ = (x − min)/(max − min). The documents do not
#    say whose min and max. They are the training set's, and are kept with the model, for they are
#    as much part of it as its weights. A test value may lie outside 0 … 1, and a column that is
#    constant in training becomes 0, not 0/0.
#
# The third shows itself the other way round: the score is good in the test, and falls in service.
# It is shown on the digits, by nearest neighbour. Scale new rows by their own minimum and maximum,
# and the answer to a row depends on who came with it. With 360 rows nobody notices. In service they
# come one at a time: then min = max, every pixel becomes 0, and all pictures look alike.
#
# **中文导读** 测试集在考试之前起了任何作用，都叫泄漏：分数虚高，而什么也没有变好。三种常见的：
# 重复的行分到了两边；在全部数据上挑特征，然后才划分；归一化的最小最大值不是来自训练集。
# 前两种用纯随机的数据来演示，真正的成绩只能是瞎猜。第三种正相反：测试时看不出，
# 上线才出错。每批新样本各用各的统计量，一批三百多行时没有问题，
# 上线以后一行一行地来，最大等于最小，所有图都变成零。

# %%
lesson.heading("2 · What leaks")


def nearest(known, answers, asked):  # for each row asked about, the most similar known row's label
    far = (known**2).sum(axis=1) - 2.0 * asked @ known.T
    return answers[far.argmin(axis=1)]


def with_copies(together, seed):  # 200 rows of noise in ten classes, 100 of them there twice
    copies = np.r_[np.arange(200), np.arange(100)]
    x, y = rng.normal(size=(200, 20))[copies], rng.integers(10, size=200)[copies]
    train, _, test = data.three_way_split(y, shares, seed, x if together else None)
    return (nearest(x[train], y[train], x[test]) == y[test]).mean()


def with_selection(honest, seed):  # two classes by the nearer mean, in 20 columns of noise
    x, y = rng.normal(size=(100, 2000)), np.arange(100) % 2
    train, test = data.stratified_split(y, 0.3, seed)
    seen = train if honest else np.arange(100)
    means = [x[seen][y[seen] == c].mean(axis=0) for c in (0, 1)]
    best = np.abs(means[1] - means[0]).argsort()[-20:]
    middle = np.array([x[train][y[train] == c].mean(axis=0)[best] for c in (0, 1)])
    return (nearest(middle, np.arange(2), x[test][:, best]) == y[test]).mean()


rows, trials = [], range(first, first + (10 if lesson.quick else 20))
for name, way, chance in (("copies", with_copies, 0.1), ("choice", with_selection, 0.5)):
    leaking, honest = (np.mean([way(right, seed) for seed in trials]) for right in (False, True))
    rows.append([name, f"{leaking:.3f}", f"{honest:.3f}", chance])
    lesson.claim(name, f"leak by {name}: score", leaking, above=("honest", honest), scale="share")
lesson.table(["leak", "score with it", "without it", "chance"], rows)

train, test, rows = pixels[split.train], pixels[split.test], []
scaler, every = data.MinMaxScaler().fit(train), len(test)
for name, cuts in (("the training set's", 0), ("their own, all at once", 1), ("one by one", every)):
    parts = np.array_split(test, max(cuts, 1))
    scaled = [(data.MinMaxScaler().fit(part) if cuts else scaler).transform(part) for part in parts]
    guess = nearest(scaler.transform(train), digits[split.train], np.concatenate(scaled))
    rows.append([name, (guess == digits[split.test]).mean()])
lesson.table(["minimum and maximum of the test rows", "nearest neighbour"], rows)
(_, good), _, (_, bad) = rows
lesson.claim("F53", "scaled one by one: score", bad, below=("training's", good), scale="share")

# %% [markdown]
# ## 3 · Overfitting (过拟合)
#
# A network with more weights than rows can learn everything by heart, mistakes included. That is
# **overfitting** (过拟合), and its sign is the **generalization gap** (泛化差距): the score on
# training rows less the score on others. Our network, 64–128–10, has 9,610 parameters; give it 200
# digits. And give it what every collection made by people has, **label noise** (标签噪声): a fifth
# of the 200 rows get another digit by chance. The 200 validation rows have as much of it; the test
# rows, which are to tell us the truth, have none.
#
# In the figure both losses fall at first: what all sevens have in common is learned first. Then the
# training loss goes on falling, and the validation loss rises again. By then only single rows are
# left to learn, and the loss of a wrong label falls only if it is learned by heart. The program
# counts how many of the wrong ones were.
#
# The second figure has the medicine that always works: more rows. All labels are right there, so
# its gap has nothing to do with noise: it is what so few rows cannot tell. From 50 rows to 1,000
# the training score stays where it is, at 1, and the test score comes up towards it. (An epoch of
# 1,000 rows has more steps, too; but 50 rows are known by heart with fewer.)
#
# **中文导读** 参数比样本多的网络能把一切背下来，连错误也背，这就是过拟合；
# 它的标志是泛化差距：训练集上的成绩减去没见过的样本上的成绩。这里只给 200 张数字，
# 并且像人工标注的数据那样，让五分之一的标签是错的。先学会的是共性，两条损失一起降；
# 后来训练损失还在降，验证损失却回升：剩下的只是死记单个样本。第二张图是最可靠的药：更多的数据。

# %%
lesson.heading("3 · Overfitting")
EPOCHS = 60 if lesson.quick else 80


def draw(seed, noise, rows=200):
    """Training rows; 200 to validate; the test rows, all others, right; the training truth."""
    train, rest = data.stratified_split(digits, 1.0 - rows / len(digits), seed)
    parts, wrong = [], np.random.default_rng(seed)
    for ids in (train, rest[:200]):
        given, some = digits[ids].copy(), wrong.permutation(len(ids))[: round(noise * len(ids))]
        given[some] = (given[some] + wrong.integers(1, 10, len(some))) % 10
        parts.append((pixels[ids], given))
    return *parts, (pixels[rest[200:]], digits[rest[200:]]), digits[train]


def fit(rows, optimizer=optim.Adam, rate=6e-3, decay=0.0, epochs=EPOCHS, watch=None, **extra):
    """A 64-128-10 network, its rate falling to 0; watch(model) is called after each epoch."""
    # extra: the strengths dropout and l1; moved, for pictures that move by up to a pixel
    model = models.MLP([64, 128, 10], dropout=extra.get("dropout", 0.0)).to(lesson.device)
    mover = optimizer(optim.decay_groups(model, decay), lr=rate)
    schedule = optim.linear(mover, epochs * -(-len(rows[0]) // 50))
    for _ in range(epochs):
        for x, y in data.minibatches(*rows, batch_size=50):
            x = data.augment.shift(x, 1, rng, size=(8, 8)) if "moved" in extra else x  # section 5
            mover.zero_grad()
            F.cross_entropy(model.train()(constant(x)), constant(y)).backward()
            mover.step()
            most = schedule.get_last_lr()[0] * extra.get("l1", 0.0)
            for weight in (p for p in model.parameters() if most and p.ndim == 2):
                weight.data -= weight.data.clip(-most, most)  # section 4
            schedule.step()
        if watch:
            watch(model)
    return model


def measure(model, x, y):  # (accuracy, mean loss), without dropout
    with no_grad():
        logits = model.eval()(constant(x))
        loss = F.cross_entropy(logits, constant(y)).item()
    return (logits.numpy().argmax(axis=1) == y).mean(), loss


train, valid, test, truth = draw(first, 0.2)
history, bad = [], train[1] != truth
plain = fit(train, watch=lambda m: history.append(measure(m, *train) + measure(m, *valid)))
keys = ("training accuracy", "training loss", "validation accuracy", "validation loss")
lines = dict(zip(keys, np.array(history).T))
low, end = min(lines["validation loss"]), lines["validation loss"][-1]
learned = measure(plain, train[0][bad], train[1][bad])[0]
share = f"{learned:.0%} of the {bad.sum()} wrong labels in training are known by heart"
lesson.say(f"Validation loss: {low:.3f} at its lowest, {end:.3f} at the end. By then {share}.")
lesson.figure(plot.training_curves(lines, "200 digits, a fifth wrong", "epoch"), "overfitting")
lesson.claim("rises", "validation loss at the end", end, above=("lowest", low), scale="linear")

counts, found = (50, 200, 1000) if lesson.quick else (50, 100, 200, 400, 1000), []
for count in lesson.progress(counts, "rows"):
    known, _, other, _ = draw(first, 0.0, count)
    model = fit(known)
    found.append([measure(model, *known)[0], measure(model, *other)[0]])
lines = dict(zip(("training accuracy", "test accuracy"), np.array(found).T))
rows = [[name, *(f"{value:.3f}" for value in line)] for name, line in lines.items()]
lesson.table(["rows", *map(str, counts)], rows)
lesson.figure(plot.curves(counts, lines, "More rows", "training rows", "accuracy"), "rows")
gaps = lines["training accuracy"] - lines["test accuracy"]
lesson.claim("rows", "gap with 1,000 rows", gaps[-1], below=("50 rows", gaps[0]), scale="linear")

# %% [markdown]
# ## 4 · Penalties by hand (手写惩罚项)
#
# Where more rows cannot be had, make it costly to use the weights. **Regularization** (正则化) is
# whatever trades some of the training score for the hope of a better test score.
#
# **L2.** Add λ/2 times the sum of the squares of all weight matrices (F19 has one matrix; biases
# stay out, for they shift a function and do not make it rough):
#
#     L̃ = L + λ/2 Σ ‖W‖²        ∂L̃/∂W = ∂L/∂W + λW                                  F19, F20, F49
#
# Two documents, one λ, two meanings: F20 has no ½, and its gradient is 2λW; F49 adds λθ. A λ that
# was tuned by the one is wrong by a factor of 2 in the other. (F49 also writes ∇L on both sides of
# its equation, which is true only where λθ = 0; on the left L̃ is meant.) Under SGD the step is w ←
# (1 − αλ)w − αg: each weight shrinks by the share αλ, hence **weight decay** (权重衰减).
#
# Under Adam these are two things. Adam divides what it gets by its usual size, and λw inside the
# gradient is divided along with it: a weight with large gradients hardly decays.
# **Decoupled weight decay** (解耦权重衰减), AdamW, leaves the gradient alone and takes αλw off
# beside the step; chapter 03a, section 4, has the first one: 0.010 against 0.011. The table has
# four weights that begin at 1, and whose gradients are noise of four sizes for 1,000 steps, with
# αλ = 0.001: AdamW leaves 0.999¹⁰⁰⁰ = 0.37 of each, whatever its gradients.
#
# **L1.** The penalty λ Σ|w| has the slope λ·sign(w), as large near 0 as anywhere, so it can bring a
# weight to 0 and hold it there: what is left is a network that looks at fewer things. But walking
# along that slope does not get there: the last steps, αλ long, throw w across 0 and back. (F64
# names L1 and prints nothing.) Instead walk along g alone, to u, and then go where the penalty is
# best without leaving u far behind, the **proximal step** (近端步):
#
#     argmin_v ½(v − u)² + αλ|v|  =  sign(u)·max(0, |u| − αλ)  =  u − clip(u, −αλ, αλ)
#
# (argmin_v: the v for which what follows is least.) On the side v > 0 the slope is v − u + αλ,
# which is 0 at v = u − αλ, if that is positive; the other side is its mirror image; and if neither
# holds, v = 0. This is the **soft threshold** (软阈值). In the program ten of 1,000 columns matter,
# and there are 200 rows. How do you know that a minimum is the right one? At the minimum of L + λ
# Σ|w| the slope r = ∂L/∂w is −λ·sign(w) where w ≠ 0, and |r| ≤ λ where w = 0: the
# **KKT conditions** (卡罗需–库恩–塔克条件). They do for a minimum what a finite difference does
# for a gradient.
#
# **中文导读** 数据加不了，就让权重“用起来要付钱”：正则化拿一点训练成绩，去换测试成绩变好的希望。
# L2 惩罚权重的平方；两篇文档的 λ 差一个因子 2，因为一个有 ½，一个没有。在 SGD 里它就是权重衰减；
# 在 Adam 里不是：λw 混进梯度以后也被除以梯度的平常大小，梯度大的权重几乎不衰减，
# 所以 AdamW 把衰减放在梯度之外。L1 的斜率在零附近也不变小，能把权重压到零；
# 但沿着斜率走会在零两边来回跳，要用近端步（软阈值）才得到真正的零。最小值对不对，用 KKT 条件检验。

# %%
lesson.heading("4 · Penalties by hand")
W, forms = rng.normal(size=(3, 4)), (FORMS["F20"].corrected, FORMS["F20"].printed)
slopes = [numeric_gradient(lambda W, f=f: f(lambda W: 0.0, W, 0.1), W) for f in forms]
right, wrong = (relative_error(slope, 0.1 * W) for slope in slopes)
ratio = np.median(slopes[1] / (0.1 * W))
lesson.say(f"λW: error {right:.0e}. The slope of F20 as printed is {ratio:.3f} times as long.")
lesson.agrees("L2", "λ/2 ‖W‖² and λW", right, ("without the ½", wrong))


def weights_after(optimizer, gradients, **settings):  # all begin at 1; a row of gradients a step
    w = Tensor(np.ones(gradients.shape[1]), requires_grad=True, device=lesson.device)
    mover = optimizer([w], **settings)
    for g in gradients:
        w.grad = constant(g)
        mover.step()
    return w.numpy()


kinds, sizes = (optim.SGD, optim.Adam, optim.AdamW), np.array([10.0, 1.0, 0.1, 0.01])
steps = [1.0 - weights_after(k, np.ones((1, 1)), lr=0.01, weight_decay=0.1)[0] for k in kinds]
taken = ", ".join(f"{kind.__name__} {step:.3f}" for kind, step in zip(kinds, steps))
lesson.say(f"First step with g = 1, α = 0.01, λ = 0.1: {taken}.")
noise = sizes * rng.normal(size=(1000, 4))
left = [weights_after(each, noise, lr=1e-3, weight_decay=1.0) for each in kinds[1:]]
rows = [[f"±{size:g}", *(f"{v:.2f}" for v in pair)] for size, *pair in zip(sizes, *left)]
lesson.table(["gradients of size", "Adam, L2: what is left of 1", "AdamW, decoupled"], rows)
lesson.claim("F49", "AdamW's step less Adam's", steps[2] - steps[1], above=("half of αλ", 5e-4))
inside, beside = map(np.ptp, left)
lesson.claim("decoupled", "AdamW: uneven by", beside, below=("Adam, L2", inside), scale="linear")

X, holds, strength = rng.normal(size=(200, 1000)), np.zeros(1000), 0.2
holds[:10] = rng.choice([-1.0, 1.0], 10) * rng.uniform(1.0, 2.0, 10)
target, rate = X @ holds + 0.5 * rng.normal(size=200), 200 / np.linalg.norm(X, 2) ** 2
subgradient = 0.01 * rng.normal(size=1000)
w = Tensor(subgradient.copy(), requires_grad=True, device=lesson.device)
mover, rows = optim.SGD([w], lr=rate, momentum=0.9, l1=strength), []
for _ in range(500):
    slope = X.T @ (X @ subgradient - target) / 200
    subgradient = FORMS["F64"].mistake(subgradient, slope, rate, strength)
    w.grad = constant(X.T @ (X @ w.numpy() - target) / 200)
    mover.step()
for name, v in (("along the slope of |w|", subgradient), ("optim.SGD, l1", w.numpy())):
    r = X.T @ (X @ v - target) / 200
    over = np.maximum(abs(r) - strength, 0.0)
    off = np.where(v == 0.0, over, abs(r + strength * np.sign(v))).max()
    rows.append([name, (v == 0.0).sum(), (v[:10] != 0.0).sum(), off])
lesson.table(["500 steps", "exact zeros of 1,000", "of the ten kept", "off KKT by"], rows)
lesson.claim("F64", "proximal: exact zeros", rows[1][1], above=("slope", rows[0][1]), scale="count")
lesson.claim("kkt", "SGD with l1: off KKT by", rows[1][3], below=("λ", strength))

# %% [markdown]
# ## 5 · Does it help? (管用吗)
#
# Now all of them on the network of section 3, each beside the plain one: the same rows, the same
# first weights, so the differences are paired (chapter 02, section 7). Besides the penalties:
# dropout of half of the hidden units (chapter 02, section 10).
# **Data augmentation** (数据增强): move each picture by up to a pixel, by chance, each time it
# comes: the label stays, and the network seldom sees the same row twice. **Early stopping** (早停):
# take the weights of the epoch with the lowest validation loss. It costs next to nothing, but it
# needs validation rows, and 200 more rows to train on would have helped, too.
#
# The strengths were found on other draws, with noise, by such a comparison, and are the same in
# both tables.
#
# *A fifth of the labels wrong.* Every remedy raises the test score, by four to eight points in a
# hundred. For most of them the gap even turns over: a network that does not fall for the wrong
# labels agrees with some 80 % of its training rows and no more. (This gap compares two things: a
# fifth of the training labels is wrong, of the test labels none.)
#
# *All labels right.* The same remedies at the same strengths, and they do next to nothing: over ten
# seeds of this program dropout gained from 0.1 to 0.6 points, L1, AdamW and early stopping ended
# within 0.4 of the plain network, and L2 lost from 0.2 to 0.8. The plain network is right about all
# of its rows and about 93 % of the others; what it lacks are rows, not restraint. Now look at
# augmentation: it makes the gap smaller than most, for its training score has fallen, and it costs
# two to four points of the test score. A smaller gap is not the aim: a network that guesses has
# none.
#
# *The last column* has the same networks on the same test pictures, moved by up to a pixel: one
# day the camera hangs a little lower. All networks fall to 0.4 or less, but for the one that was
# trained on moved pictures, at 0.8 and more: worth more than all other remedies together.
# Augmentation is often the one that helps most, where it makes such rows as will really come. These
# digits were centred by their makers, so on the test set as it is it teaches what nobody asks.
#
# The intervals are ± t·s/√n over n seeds. Two training sets share about one row in nine, two test
# sets most of theirs: they tell about these 1,797 pictures, and not about all digits in the world.
#
# **中文导读** 同样的样本、同样的初始权重，逐个加上各种办法，成对比较。结论要老实说：
# 五分之一标签错了的时候，每种办法都让测试成绩提高四到八个百分点；标签全对时，
# 同样的办法几乎不起作用，dropout 也只多零点几个点，L2 还略有损失：缺的是数据，不是约束。
# 数据增强缩小了差距，测试成绩却降了两到四个点，可见差距变小不是目的。
# 但测试图只要平移哪怕一个像素，就只有见过平移的网络还认得出：增强要造出真正会遇到的变化，才有价值。
# 早停几乎不花钱，不过要占用验证样本。

# %%
lesson.heading("5 · Does it help?")
remedies = {"plain": {}, "L2, Adam": {"decay": 0.02}, "L1, proximal": {"l1": 0.2}}
remedies |= {"decoupled, AdamW": {"optimizer": optim.AdamW, "decay": 2.0}}
remedies |= {"dropout": {"dropout": 0.5}, "augmentation": {"moved": True}, "early stopping": {}}
SEEDS, T = (3, 4.303) if lesson.quick else (8, 2.365)  # T: Student's t, 97.5 %


def stopped(rows, valid):  # the plain network with the weights of its lowest validation loss
    kept = []
    model = fit(rows, watch=lambda m: kept.append((measure(m, *valid)[1], m.state_dict())))
    model.load_state_dict(min(kept, key=lambda pair: pair[0])[1])
    return model


def compare(noise):
    """Remedy → (SEEDS, 3): training, test, and test of pictures that were moved."""
    scores = {name: [] for name in remedies}
    for seed in lesson.progress(range(first + 1, first + 1 + SEEDS), f"noise {noise}"):
        known, valid, other, _ = draw(seed, noise)
        shifted = data.augment.shift(other[0], 1, np.random.default_rng(seed), size=(8, 8))
        for name, settings in remedies.items():
            manual_seed(seed)  # the same first weights for all
            model = stopped(known, valid) if "early" in name else fit(known, **settings)
            parts = known, other, (shifted, other[1])
            scores[name].append([measure(model, *part)[0] for part in parts])
    return {name: np.array(each) for name, each in scores.items()}


gains = {}
for noise in (0.2, 0.0):
    scores, rows = compare(noise), []
    for name, each in scores.items():
        difference = each - scores["plain"]
        gain, half = difference.mean(axis=0), T * difference.std(axis=0, ddof=1) / SEEDS**0.5
        gains[noise, name], (learn, new, moved) = (gain, gain - half), each.mean(axis=0)
        cells = f"{learn:.3f}", f"{new:.3f}", f"{learn - new:+.3f}"
        rows.append([name, *cells, f"{gain[1]:+.3f} ± {half[1]:.3f}", f"{moved:.3f}"])
    lesson.say(f"Wrong labels in training: {noise:.0%}; {SEEDS} seeds.")
    lesson.table(["", "training", "test", "gap", "test − plain", "moved test"], rows)
for name, noise, i in (("L2, Adam", 0.2, 1), ("dropout", 0.2, 1), ("augmentation", 0.0, 2)):
    text = f"{name}, {noise:.0%} wrong{', moved test' * (i == 2)}: gain, lower end"
    lesson.claim(name, text, gains[noise, name][1][i], above=("none", 0.0), scale="linear")
bar = ("L2, 20% wrong", gains[0.2, "L2, Adam"][0][1])
most = max(gains[0.0, name][0][1] for name in remedies)
lesson.claim("clean", "0% wrong: best of the mean gains", most, below=bar, scale="linear")

# %% [markdown]
# ## 6 · Measuring (衡量)
#
# **Accuracy** (准确率), the share of rows that are right (F57, in percent F80), deceives where
# one class is rare. Of 1,000 people 50 are ill; "nobody is ill" is right in 95 %, and finds no one.
# Count instead, for the class in question: TP, called so and right; FP, called so and wrong; FN, of
# the class and missed.
#
#     precision  P = TP/(TP + FP)        of those called so, how many are          F58
#     recall     R = TP/(TP + FN)        of those that are, how many were found    F59
#     F1 = 2PR/(P + R)                   the harmonic mean of the two              F60
#
# 0/0 counts as 0. Why harmonic? Call everybody ill: R = 1, P = 0.05. The arithmetic mean would be
# 0.525, as if half the work were done; **F1** (F1 分数) is 0.095, for it stays near the
# smaller of the two. Of several classes there is a **macro average** (宏平均), the mean over the
# classes, a rare one counting as much as a frequent one, and a **micro average** (微平均), from the
# summed counts, which for one label a row is the accuracy. Say which.
#
# The report is that of section 3's network on rows it has not seen; support is how many rows a
# class has, and the weighted average counts each class by it. The small table of a real test is its
# **confusion matrix** (混淆矩阵): a row for what they are, a column for what they were called. The
# diagonal is right; beside it stand 57 well people called ill, FP, and 10 ill ones missed, FN.
#
# Three mistakes that stop no run. The first two stand in a program of the documents; the third
# waits for those who follow their advice to accumulate, for which they print no formula.
#
# *F69, a sigmoid and a rounding on two logits.* The answer of a softmax is the argmax, one for each
# row. Rounded one by one, two logits of the same sign name both classes, or none. *F68, the loss of
# an epoch.* The means of the batches are summed and divided by len(dataset), but there dataset is a
# pair (inputs, labels), and its length is 2. To divide by the number of batches is right only if
# all have the same size, and the last one seldom has; weigh each mean by its rows. *F66,
# accumulation.* A batch too large for the memory is cut into **micro-batches** (微批), whose
# gradients add up (chapter 01). Each is a mean over its own rows, so K of them add up to K times
# the gradient; weigh each by its count.
#
# And distrust a number that cannot be. Document 004 prints an accuracy of 88.0 % for a run with
# five validation rows at most, where accuracy goes in steps of 20 % or more.
#
# **中文导读** 类别不均衡时准确率会骗人：一千人里五十个病人，全说没病也有 95%，却一个都没找到。
# 所以要看精确率（说有病的里面真有病的占多少）和召回率（真有病的里面找到了多少），
# F1 是两者的调和平均，偏向小的那个；多类时要说明是宏平均还是微平均。
# 三个不声不响的错误：两个 logit 各自取整、损失除以了元组的长度 2（都在文档的程序里）、
# 累积梯度时没有按样本数加权。

# %%
lesson.heading("6 · Measuring")
ill, some = np.arange(1000) < 50, np.zeros(1000, dtype=bool)
some[10:107] = True  # finds 40 of the 50, and calls 57 others ill
rows = []
for name, called in (("nobody", ~ill & ill), ("everybody", ill | ~ill), ("a real test", some)):
    scores = [metrics.accuracy_score(ill, called)]
    scores += metrics.precision_recall_fscore_support(ill, called, pos_label=True, average="binary")
    rows.append([name, *(f"{v:.3f}" for v in scores[:4]), f"{sum(scores[1:3]) / 2:.3f}"])
lesson.table(["called ill", "accuracy", "precision", "recall", "F1", "(P + R)/2"], rows)
well, bad = metrics.confusion_matrix(ill, some).tolist()
lesson.table(["a real test", "called well", "called ill"], [["well", *well], ["ill", *bad]])
worth, bar = metrics.f1_score(ill, some, pos_label=True), ("nobody", float(rows[0][4]))
lesson.claim("F57", "a test of accuracy 0.933: F1", worth, above=bar, scale="share")
true, said = np.repeat([1, 0, 1, 0], [2, 1, 3, 4]), np.repeat([1, 1, 0, 0], [2, 1, 3, 4])
f1, mean = (f(true, said) for f in (FORMS["F60"].corrected, FORMS["F60"].mistake))
lesson.say(f"TP 2, FP 1, FN 3, TN 4: F1 {f1:.4f}, the arithmetic mean {mean:.4f}.")
guess = plain.eval()(constant(test[0])).numpy().argmax(axis=1)
print(metrics.classification_report(test[1], guess))

off = (FORMS["F69"].printed(rng.normal(size=(10_000, 2))).sum(axis=1) != 1.0).mean()
lesson.say(f"F69 as printed: {off:.1%} of drawn rows name no class, or both.")
lesson.claim("F69", "rounded logits: none or both", off, above=("argmax", 0.0), scale="share")
losses, sizes, dataset = np.full(7, 0.69), np.array([16.0] * 6 + [4.0]), (pixels, digits)
bad, good = (f(losses, sizes, dataset) for f in (FORMS["F68"].printed, FORMS["F68"].corrected))
lesson.say(f"F68, 100 rows of loss 0.69 in batches of 16: {bad:.2f} printed, {good:.2f} mended.")

x, y, w = pixels[:120].astype(float), digits[:120], rng.normal(size=(64, 10))


def gradient(rows):  # of the mean cross-entropy over these rows, in the weights w
    leaf = Tensor(w, requires_grad=True, device=lesson.device)
    F.cross_entropy(constant(x[rows]) @ leaf, constant(y[rows])).backward()
    return leaf.grad.numpy()


whole, rows = gradient(slice(None)).ravel(), []
for cuts in ((40, 80), (64, 112)):
    pieces = np.split(np.arange(120), cuts)
    parts = np.array([gradient(piece).ravel() for piece in pieces]), np.array([*map(len, pieces)])
    ways = FORMS["F66"].mistake(*parts), parts[0].mean(axis=0), FORMS["F66"].corrected(*parts)
    errors = [relative_error(whole, way) for way in ways[1:]]
    longer = np.linalg.norm(ways[0]) / np.linalg.norm(whole)
    rows.append([str(parts[1].tolist()), f"{longer:.3f}", *errors])
lesson.table(["rows of 120", "summed: × as long", "mean of means: off", "by count: off"], rows)
lesson.claim("F66", "accumulated by count: error", rows[1][3], below=("mean of means", rows[1][2]))

# %% [markdown]
# ## 7 · The Trainer (训练器)
#
# Every training so far was the same loop. The `Trainer` is that loop with all that surrounds it in
# earnest: evaluation while it runs, the best weights kept, early stopping, logs, and a
# **checkpoint** (检查点), a file from which a run that was killed goes on. Names and meanings are
# those of Hugging Face, so what you learn here you can use there:
#
#     from tinygrad_llm.training import Trainer, TrainingArguments
#
#     args = TrainingArguments(
#         output_dir="run", num_train_epochs=80, per_device_train_batch_size=50,
#         learning_rate=6e-3, weight_decay=2.0, early_stopping_patience=10,
#     )
#     trainer = Trainer(model, args, (x, y), eval_dataset=(vx, vy), test_dataset=(tx, ty))
#     trainer.train()
#     trainer.evaluate()        # {"eval_loss": …, "eval_accuracy": …}, weighed by rows (F68)
#     trainer.test()            # once; a second time is refused, with the time of the first
#
# Does it do the same as the loop by hand? The program runs both, with AdamW, and compares.
#
# To **resume** (续训) a run that a power cut ended, what must have been saved? The weights; but
# also the optimizer's moments and its count of steps, the place in the schedule, the place in the
# epoch's order of rows, and for dropout the place in every stream of random numbers. Leave one out,
# and nothing complains: the run goes on, and ends elsewhere. The program kills a run between two
# checkpoints, resumes it from the file, and compares every bit with a run that was left in peace;
# beside them runs one that got back its weights alone.
#
# Early stopping by the Trainer needs a **patience** (耐心值): after so many evaluations without a
# new lowest loss the run ends, and the best weights come back. With a patience of 1 the first bump
# would end it.
#
# **中文导读** 前面每次训练都是同一个循环；训练器就是这个循环，加上评估、保留最好的权重、早停、
# 日志和检查点，名字与 Hugging Face 一致。它与手写的循环逐位相同。断电以后要续训，只存权重不够：
# 优化器的一阶、二阶矩与步数、学习率走到哪里、这一轮读到第几行、随机数流的位置，少存一样也不会报错，
# 只是结果悄悄变了。程序在两个检查点之间“杀死”训练，续训，再与没有中断的一次逐位比较。
# 早停要有耐心：连续若干次评估没有新低才停，并取回最好的权重。

# %%
lesson.heading("7 · The Trainer")


class PowerCut(training.Callback):  # ends a run between two checkpoints
    def on_step_end(self, trainer):
        if trainer.state.step == 110:
            raise RuntimeError("the power is gone")


def trainer_of(folder=None, dropout=0.5, callbacks=(), evaluate="no", **settings):
    """A Trainer on train, valid and test, its network from the same first weights each time."""
    manual_seed(first)
    model = models.MLP([64, 128, 10], dropout=dropout).to(lesson.device)
    settings = {"learning_rate": 6e-3, "weight_decay": 2.0, "num_train_epochs": EPOCHS} | settings
    settings |= {"output_dir": folder, "eval_strategy": evaluate, "save_steps": 50, "quiet": True}
    settings |= {"per_device_train_batch_size": 50, "max_grad_norm": None, "seed": first}
    args = training.TrainingArguments(**settings)
    return training.Trainer(model, args, train, valid, test, callbacks=callbacks)


def apart(one, other):  # the largest difference between the weights of two networks
    pairs = zip(one.parameters(), other.parameters())
    return float(max(np.abs(a.numpy() - b.numpy()).max() for a, b in pairs))


by_trainer, calm = trainer_of(dropout=0.0), trainer_of()
by_trainer.train()
manual_seed(first)
by_hand = apart(by_trainer.model, fit(train, optim.AdamW, decay=2.0))
calm.train()
with tempfile.TemporaryDirectory() as folder:
    try:
        trainer_of(folder, callbacks=[PowerCut()]).train()
    except RuntimeError as error:
        lesson.say(f"After step 110 of {calm.total_steps}: {error}.")
    saved = training.load_checkpoint(f"{folder}/checkpoint-100.safetensors")
    again = trainer_of(folder)
    again.train(resume_from_checkpoint=True)
bare = trainer_of(max_steps=calm.total_steps - 100)
bare.model.load_state_dict(saved.model)
bare.train()
resumed, alone = (apart(each.model, calm.model) for each in (again, bare))
rows = [["the loop by hand, and the Trainer", by_hand], ["in peace, and resumed", resumed]]
rows.append(["in peace, and resumed by the weights alone", alone])
lesson.table(["two runs", "weights differ by"], rows)
lesson.claim("loop", "Trainer less the loop by hand", by_hand, below=("1e-6", 1e-6), scale="linear")
lesson.claim("resume", "resumed: off by", resumed, below=("weights alone", alone), scale="linear")

early = trainer_of(dropout=0.0, evaluate="epoch", early_stopping_patience=10, weight_decay=0.0)
early.train()
best, loss = early.state.best_step, early.evaluate()["eval_loss"]
lesson.say(f"Step {early.state.step}: {early.state.stopped}. Back to step {best}: {loss:.3f}.")

# %% [markdown]
# ## 8 · Search (超参数搜索)
#
# A **hyperparameter** (超参数) is a setting that no gradient reaches: the learning rate, λ, the
# width. To find good ones means to train again and again, and to compare on the validation set.
# Three ways to say what comes next:
#
#     grid (网格搜索)          every combination of some values
#     random (随机搜索)        by chance; from ranges it never tries the same learning rate twice
#     Bayesian (贝叶斯优化)    where the trials so far promise most
#
# The third fits a **Gaussian process** (高斯过程) to the trials: before any, the loss is a random
# function whose values at near points are alike: k(a, b) = exp(−‖a − b‖²/2ℓ²) says how much the
# values at a and b go together (their **covariance**, 协方差), from 1 at one point to 0 far apart.
# After trials at X with results y (brought to mean 0 and standard deviation 1), and with noise of
# variance σ² in them, the loss at x is normal, with
#
#     m(x) = kᵀ(K + σ²I)⁻¹ y        s²(x) = 1 − kᵀ(K + σ²I)⁻¹ k,        k = k(X, x), K = k(X, X)
#
# and what a trial at x would gain on the best loss so far, b, is on average the
# **expected improvement** (期望提升):
#
#     EI(x) = E max(b − f, 0) = (b − m)Φ(z) + s·φ(z),    z = (b − m)/s
#
# with the normal distribution Φ and its density φ. It is large where m is low, or where s is large:
# it goes to what looks good and to what nobody has looked at. The second figure is one slice, four
# trials old (three in a quick run): the dots are these trials, the rings all results of the grid in
# this slice, of which the process knows those with a dot. Between the dots m bends as smoothly as
# it can, s grows with the distance to the nearest, and the triangle, where EI is largest, says
# where the next trial goes. (The documents name the Gaussian process once, among large models, and
# print no formula. Nothing about it is large.)
#
# How much does it save? All combinations are trained once. Then random and Bayesian search play ten
# times each on the table of results, where a trial costs nothing: after how many have they met the
# best of the grid? Chance needs half of them on average, Bayesian search less on most seeds (not on
# all: try `--seed 1`); the first figure is the last of its ten runs, where a triangle is a loss too
# far off to be drawn. Look at the last column, too: this valley is flat, and chance may find
# something within 1 % of the best about as soon. What the last per cent is worth depends on what a
# trial costs. And look where the winner lies. If at the edge, as with `--seed 1`, the grid is too
# narrow, and the best may lie outside.
#
# The winner's validation loss is the lowest of many, and flatters it, as his score flattered the
# coin tosser. So the test set, at last, and once: for the winner, beside the plain network that you
# would have had without a search. Its rows had no say in the choice.
#
# **中文导读** 超参数是梯度够不着的设置，只能一遍遍训练、在验证集上比较。网格搜索把组合全试一遍；
# 随机搜索碰运气；贝叶斯优化用高斯过程从已有的结果推测每个点的均值和不确定程度，
# 挑“期望提升”最大的点试：看起来好的，或者还没人看过的。把网格全部算好，再在这张表上各玩十遍，
# 看几次能碰到最好的那个。验证集选出的最低损失必然偏低，
# 所以最后只看一次测试集，日志里记着是什么时候看的。

# %%
lesson.heading("8 · Search")
train, valid, test, _ = draw(first + 50, 0.2)
count, epochs = (6, 20) if lesson.quick else (7, 50)
powers = {"rate": (-3.5, -1.5), "decay": (-1.0, 1.0)}
axes = {n: [float(f"{v:.2g}") for v in np.logspace(*p, count)] for n, p in powers.items()}
space = {name: training.Choice(values) for name, values in axes.items()}
ticks = iter(lesson.progress(range(count**2), "grid"))


def validation_loss(settings):
    next(ticks)
    manual_seed(first)
    return measure(fit(train, optim.AdamW, epochs=epochs, **settings), *valid)[1]


grid = training.search(validation_loss, space, "grid")
table = np.array([trial.value for trial in grid.trials]).reshape(count, count)
rows = [[f"{r:g}", *(f"{v:.2f}" for v in vs)] for r, vs in zip(axes["rate"], table)]
lesson.table(["rate \\ decay", *(f"{v:g}" for v in axes["decay"])], rows)
known, rows = {tuple(trial.settings.values()): trial.value for trial in grid.trials}, []
for method in ("random", "bayes"):
    needed = []
    for seed in range(first, first + 10):
        run = training.search(lambda s: known[tuple(s.values())], space, method, count**2, seed)
        values = np.array([trial.value for trial in run.trials])
        needed.append([(values <= bar * values.min()).argmax() + 1 for bar in (1.0, 1.01)])
    (exact, near), (most, _) = np.median(needed, axis=0), np.max(needed, axis=0)
    rows.append([method, exact, most, near])
lesson.table([f"trials until the best of {count**2}", "median", "most", "within 1 %: median"], rows)
lesson.figure(plot.search(run, "Bayesian search", "validation loss"), "search")
lesson.claim("bayes", "Bayes: trials", rows[1][1], below=("half", count**2 / 2), scale="count")

x, y = np.linspace(0.0, 1.0, count)[:, None], table[:, count // 2]
y, fine = (y - y.mean()) / y.std(), np.linspace(0.0, 1.0, 101)[:, None]
X, seen = x[::2], y[::2]  # four trials, three in a quick run
m, s = training.GaussianProcess(lengthscale=0.3, noise=0.1).fit(X, seen).predict(fine)
k, K = (np.exp(-((a - X.T) ** 2) / (2 * 0.3**2)) for a in (fine, X))
solved = k @ np.linalg.inv(K + 0.1**2 * np.eye(len(X)))
off = max(abs(solved @ seen - m).max(), abs(1.0 - (solved * k).sum(axis=1) - s**2).max())
gain = training.expected_improvement(m, s, seen.min())
drawn = np.maximum(seen.min() - rng.normal(m, s, (20_000, 101)), 0.0).mean(axis=0)
drift = abs(drawn - gain).max()
lesson.say(f"By hand: m, s² {off:.0e} apart. EI from 20,000 draws: {drift:.0e} apart.")
lesson.claim("process", "m and s² by hand: gap", off, below=("draws", drift))
lines = {"m": m, "m + 2s": m + 2 * s, "m − 2s": m - 2 * s, "expected improvement": gain}
labels = "learning rate, from lowest to highest (log)", "validation loss, standardized"
title, top = f"A Gaussian process after {len(X)} trials", [gain.argmax()]
spots = {"trials": (X[:, 0], seen), "the grid": (x[:, 0], y), "next": (fine[top, 0], gain[top])}
lesson.figure(plot.curves(fine[:, 0], lines, title, *labels, points=spots), "process")

settings, rows = {"plain, section 3": (6e-3, 0.0, EPOCHS)}, []
settings["chosen by validation"] = (*grid.best.settings.values(), epochs)
for name, (rate, decay, many) in settings.items():
    final = trainer_of(dropout=0.0, learning_rate=rate, weight_decay=decay, num_train_epochs=many)
    final.train()
    loss, score = final.evaluate()["eval_loss"], final.test()["test_accuracy"]
    rows.append([name, f"{rate:g}", f"{decay:g}", many, f"{loss:.3f}", f"{score:.3f}"])
lesson.table(["network", "rate", "decay", "epochs", "validation loss", "test accuracy"], rows)
try:
    final.test()
except RuntimeError as error:
    lesson.say(f"A second look: {error}.")
beaten = ("plain", float(rows[0][-1]))
lesson.claim("test", "chosen by validation: test", score, above=beaten, scale="share")

# %% [markdown]
# ## Exercises (练习)
#
# Write these into a file of your own, `my_solution.py`, with `import numpy as np`, and grade them:
# `python -m chapters check 03b my_solution.py`. For each one that fails you get the smallest input
# that shows it. Answers are in `chapters/solutions/`; try first.
#
# 1. `min_max(train, test)`: both parts (N, D) and (M, D), scaled column by column to 0 … 1 by the
#    training part's minimum and maximum (F53). A column that is constant in training becomes 0 in
#    both. Return (train, test).
#    按训练集的最小最大值逐列缩放；训练集中是常数的列，两份都变成 0。
# 2. `soft_threshold(w, t)`: for each element the v that makes ½(v − w)² + t|v| least (F64).
#    软阈值：逐元素求使上式最小的 v。
# 3. `precision_recall_f1(true, predicted, cls)`: of the class cls, from two arrays of class numbers
#    (N,). 0/0 is 0. Return (precision, recall, F1).
#    某一类的精确率、召回率和 F1；0/0 算 0。
# 4. `accumulate(gradients, counts)`: row k of gradients (K, D) is the mean over the counts[k] rows
#    of micro-batch k. Return the mean over all rows, (D,) (F66).
#    由各微批的平均梯度和样本数，求整批的平均梯度。
# 5. `early_stop(losses, patience)`: validation losses, one an epoch, counted from 0. The run stops
#    after the first epoch that is number `patience` in a row without a loss below the lowest so
#    far; if there is none, after the last. Return (stop, best): that epoch, and the one with the
#    lowest loss up to then, the first of equals.
#    早停：连续 patience 轮没有新低就停；返回停在哪一轮，以及到那时为止损失最低的一轮。
#
# **中文导读** 把答案写进自己的文件，用上面的命令批改；不通过时会给出能复现错误的最小输入。

# %%
lesson.close()
