"""Chapter 03a: how far to step, which way, on how many samples, and when to slow down."""

# %% [markdown]
# # Chapter 03a · Optimization (优化)
#
# Chapter 02 ended every gradient in the same line, w ← w − αg, and named momentum and Adam without
# asking what they are good for. This chapter asks. How large may α be, and why? What does momentum
# buy, in steps? Why take a batch and not a sample, or all samples? What do RMSprop, Adam, AdamW and
# LAMB divide by? Which of them is best, if each may choose its own α? Each answer is a formula that
# you can work out, and a number that the program measures.
#
# **中文导读** 第 2 章的每个梯度最后都进了同一行：w ← w − αg。本章追问：学习率最大能取多少？
# 动量究竟省下多少步？为什么用小批量，而不是一个样本或全部样本？RMSprop、Adam、AdamW、
# LAMB 各自除以什么？如果每个优化器都自己挑学习率，谁更好？每个问题都先推公式，再由程序量出数字。
#
# Run it from the root of the repository: `python chapters/03a_optimization.py`. `--quick` does
# less, `--seed 3` draws other numbers. F13 and the like are formulas of the documents that the
# course grew out of, "as printed" is as they have them, and G13 and the like are what they leave
# out; `python -m tinygrad_llm.formulas F13 G13` shows two. Chapter 03b goes on from here: what a
# network does on data that it has not seen.

# %%
import sys
import time
import warnings
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder where `chapters` lies

from chapters.lesson import begin
from tinygrad_llm import Tensor, data, manual_seed, models, no_grad, optim, plot
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.optimizers import LOGISTIC

lesson = begin(__file__, seconds=(25, 8))
rng, quick, seed = lesson.rng, lesson.quick, 1000 * lesson.options.seed


def leaf(array):  # a float64 tensor that asks for its gradient
    return Tensor(np.array(array, dtype=float), requires_grad=True, device=lesson.device)


def constant(array):  # a tensor that asks for none
    return Tensor(array, device=lesson.device)


# %% [markdown]
# ## 1 · How far to step (步长)
#
# Take the simplest valley, L = ½λw². Its slope is λw, and λ its **curvature** (曲率). One step is
#
#     w ← w − α·λw = (1 − αλ)·w        so after t steps   w = (1 − αλ)ᵗ · w₀             F70
#
# The whole story is in the factor 1 − αλ:
#
#     αλ < 1        w shrinks and keeps its sign
#     1 < αλ < 2    it jumps to the other side at each step, and still shrinks
#     αλ = 2        it jumps to and fro for ever
#     αλ > 2        every jump is longer than the last: it **diverges** (发散)
#
# With α = 1.9/λ the factor is −0.9, with 2.1/λ it is −1.1, and after a hundred steps that makes
# 0.00003 or 14,000 of w: a tenth lies between a fast descent and an explosion. With α = 0.001/λ, w
# has gone no more than a tenth of its way by then. F84 says that the learning rate is tuned to
# avoid overfitting or too fast a convergence. It lies between two other evils: too small
# **stalls** (停滞), too large diverges. (F51 does not say where the gradient is taken. With that of
# the start, frozen, w walks straight through the valley and on: the last row of the table.)
#
# Now two directions, with curvatures λ₁ < λ₂: a **ravine** (峡谷). One α serves both. The steep
# direction wants it below 2/λ₂, and along the flat one every step then leaves almost all of the
# way. The best compromise makes both factors equally large, 1 − αλ₁ = −(1 − αλ₂):
#
#     α = 2/(λ₁ + λ₂)      factor (κ − 1)/(κ + 1) ≈ 1 − 2/κ,     κ = λ₂/λ₁
#
# κ is the **condition number** (条件数), and the steps that you need grow in proportion to it: the
# column of SGD in the table of section 2. The loss of a network has thousands of directions, from
# steep ones to nearly flat ones.
#
# **中文导读** 在抛物线 ½λw² 上走一步，w 乘以 1 − αλ：α 小于 2/λ 收敛，超过就发散，
# 1.9/λ 与 2.1/λ 只差一成，一百步后却一个近零、一个上万；太小则原地不动。
# F84 说调学习率是为了“避免过拟合或收敛过快”，不准确：太大发散，太小停滞。
# 两个方向曲率不同（峡谷）时，步长由最陡的方向决定，步数由条件数 κ = λ₂/λ₁ 决定。

# %%
lesson.heading("1 · How far to step")


def walk(make, loss, start):  # all w on 100 steps down loss(w), by the tape
    w = leaf(start)
    optimizer, path = make([w]), [w.numpy().copy()]
    for _ in range(100):
        optimizer.zero_grad()
        loss(w).backward()
        optimizer.step()
        path.append(w.numpy().copy())
    return np.array(path)


curvature, rows, off, marks = rng.uniform(0.5, 5.0), [], [], (1, 10, 100)
for share in (0.001, 0.5, 1.9, 2.0, 2.1):
    path = walk(partial(optim.SGD, lr=share / curvature), lambda w: 0.5 * curvature * w * w, 1.0)
    rows.append([f"{share}/λ", f"{1.0 - share:g}", *path[[*marks]]])
    off.append(np.abs(path / (1.0 - share) ** np.arange(101) - 1.0).max())
frozen = [FORMS["F51"].printed(lambda w: curvature * w, 1.0, 0.5 / curvature, n) for n in marks]
rows.append(["0.5/λ, F51 as printed", "", *frozen])
lesson.table(["α", "1 − αλ", "w after 1 step", "10", "100"], rows)
lesson.say(f"optim.SGD differs from (1 − αλ)ᵗ by {max(off):.0e} of it at most.")
stalled, _, good, _, bad, _ = (abs(row[4]) for row in rows)
lesson.claim("law", "optim.SGD less (1 − αλ)ᵗ: share", max(off), below=("rounding", 1e-11))
lesson.claim("diverges", "α = 2.1/λ, 100 steps: |w|", bad, above=("1.9/λ", good))
lesson.claim("stalls", "α = 0.001/λ, 100 steps: |w|", stalled, above=("1.9/λ", good))

# %% [markdown]
# ## 2 · Momentum (动量)
#
# In a ravine the gradient mostly points across, not along. Across, it changes sign at every step;
# along, it says the same again and again. **Momentum** (动量) adds gradients up, so that the first
# cancel and the second grow:
#
#     momentum   v ← μv + g      w ← w − αv               Polyak 1964; μ = 0.9 is usual
#     Nesterov   v ← μv + g      w ← w − α(g + μv)        one step further along v
#
# If g stays the same, v tends to g + μg + μ²g + … = g/(1 − μ): with μ = 0.9 the steps become ten
# times as long. That is worth remembering when you compare learning rates: momentum 0.9 with α is
# about as fast as plain SGD with 10α. **Nesterov momentum** (涅斯捷罗夫动量) already takes the part
# μv that the next step would take anyway (v is the new one, just computed), and so brakes a little
# earlier.
#
# What does it buy? On ½λw² each position follows from the last two:
#
#     w_{t+1} = (1 + μ − αλ)·w_t − μ·w_{t−1}
#
# Try w_t = zᵗ, and z² − (1 + μ − αλ)z + μ = 0. It has two roots, and w shrinks by the larger one at
# each step. Their product is μ. Where they are complex they are equally large, so that both are √μ
# in size, *whatever λ is*, as long as (1 − √μ)² ≤ αλ ≤ (1 + √μ)². All directions between these two
# bounds shrink at the same rate! Put λ₁ at the one and λ₂ at the other, and
#
#     √μ = (√κ − 1)/(√κ + 1) ≈ 1 − 2/√κ,       α = 4/(√λ₁ + √λ₂)²
#
# √κ in the place of κ: where plain descent takes 3,000 steps, momentum takes 200. (For Nesterov the
# best settings on a quadratic are μ = (√(3κ + 1) − 2)/(√(3κ + 1) + 2), α = 4/(3λ₂ + λ₁): Lessard,
# Recht and Packard 2016.) The bound on α is wider, too: 2(1 + μ)/λ instead of 2/λ. The program
# counts the steps to a thousandth of the way, and fits the exponent p of steps ~ κᵖ. It is a little
# above ½, for at the end of its range momentum still has a factor t in front of √μᵗ. That factor is
# in the figure, too: momentum first swings twice as wide as SGD, and pays that back later.
#
# **中文导读** 峡谷里，梯度主要横着来回，真正要走的方向每步都一样。动量把梯度累加起来：来回的抵消，
# 一致的越积越大，梯度不变时步子长到 1/(1 − μ) 倍，所以动量 0.9 配学习率 α，
# 大致相当于普通 SGD 的 10α。Nesterov 动量先把下一步必走的 μv 走掉。在二次函数上可以算清：
# 步数从正比于 κ 降到正比于 √κ；程序数出步数，再拟合指数来核对。

# %%
lesson.heading("2 · Momentum")


def momentum(w, g, s, t=0, lr=0.1, mu=0.9):  # s keeps what lasts from step to step; μ = 0 is SGD
    s["v"] = mu * s["v"] + g
    return w - lr * s["v"]


def nesterov(w, g, s, t=0, lr=0.1, mu=0.9):
    s["v"] = mu * s["v"] + g
    return w - lr * (g + mu * s["v"])


def way_down(rule, kappa, start, lr, mu):  # all w, until a thousandth of the distance is left
    way, s = [start], defaultdict(float)
    while way[-1] @ way[-1] > 1e-6 * (start @ start):
        way.append(rule(way[-1], np.array([1.0, kappa]) * way[-1], s, lr=lr, mu=mu))
    return way


def best_ways(kappa, start):  # the best settings for curvatures 1 and κ: SGD, momentum, Nesterov
    root, far = kappa**0.5, (3.0 * kappa + 1.0) ** 0.5
    mu = ((root - 1.0) / (root + 1.0)) ** 2
    plain = way_down(momentum, kappa, start, 2.0 / (1.0 + kappa), 0.0)
    heavy = way_down(momentum, kappa, start, 4.0 / (1.0 + root) ** 2, mu)
    return plain, heavy, way_down(nesterov, kappa, start, 4.0 / far**2, (far - 2.0) / (far + 2.0))


kappas, start = [10, 100, 1000, *([] if quick else [10_000])], rng.uniform(0.9, 1.1, 2)
names = ["SGD", "momentum", "Nesterov"]
counts = [[len(way) - 1 for way in best_ways(kappa, start)] for kappa in kappas]
powers = np.polyfit(np.log(kappas[1:]), np.log(counts[1:]), 1)[0]
rows = [[str(kappa), *each] for kappa, each in zip(kappas, counts)]
rows.append(["exponent, κ ≥ 100", *(f"{power:.2f}" for power in powers)])
lesson.table(["κ", *(f"{name}: steps" for name in names)], rows)
wider = walk(partial(optim.SGD, lr=2.1, momentum=0.9), lambda w: 0.5 * w * w, 1.0)
lesson.say(f"Momentum 0.9 with α = 2.1/λ converges: after 100 steps |w| is {abs(wider[-1]):.1e}.")
ways = {name: way[:26] for name, way in zip(names, best_ways(30.0, np.array([-2.0, 0.5])))}
title, span = "25 steps in a ravine, condition number 30", ((-2.3, 0.9), (-1.4, 1.4))
lesson.figure(plot.descent(lambda x, y: 0.5 * x**2 + 15.0 * y**2, ways, span, title), "ravine")
for name, p in zip(names[1:], powers[1:]):
    lesson.claim(name, f"{name}: steps ~ κᵖ, p", p, below=("SGD", powers[0]), scale="linear")
lesson.claim("wider", "momentum 0.9 at 2.1/λ: |w|", abs(wider[-1]), below=("SGD", bad))

# %% [markdown]
# ## 3 · How many samples a step? (一步用多少样本)
#
# The loss is a mean over N samples, and so is its gradient. Three ways to step:
#
#     full batch     g = 1/N Σᵢ ∇ℓᵢ                the exact slope, a pass over the data    F54
#     one sample     g = ∇ℓᵢ, i drawn at random    cheap and wild                         F55
#     mini-batch     g = 1/B Σ ∇ℓᵢ, B samples      between the two                        F56
#
# All of them are right on average: draw i evenly, and the mean of ∇ℓᵢ is the gradient of the
# **full batch** (全批量). Such an estimate is called **unbiased** (无偏). One trap: 256 rows in
# batches of 100 leave a last one of 56. The mean of the three gradients is then *not* that of the
# epoch, unless each is weighted by its size.
#
# What differs is the scatter, the **gradient noise** (梯度噪声). The mean of B independent draws
# has 1/B of the variance of one:
#
#     E ‖g_B − g‖² = σ²/B                       drawn with replacement                     F89
#     E ‖g_B − g‖² = σ²/B · (N − B)/(N − 1)     without, as an epoch does: all N leave no noise
#
# where σ² is the mean of ‖∇ℓᵢ − g‖². F89 says only that the batch size trades speed for quality;
# this is the rate of exchange. Four times the batch costs four times the samples and leaves a
# quarter of the variance, so that the noise is half as large. Per *sample* seen, small batches are
# the better bargain: they step more often, and early on even a noisy step goes downhill; two epochs
# of full batches are two steps. Per *second* it is another matter: a step has a cost of its own,
# and a matrix product of 64 rows takes hardly longer than one of a single row. The best batch is
# about where a step begins to take longer. The table trains on 1,150 digits with plain SGD, each B
# at the best of several rates, which were tried once, on other seeds. Its last two columns depend
# on your machine.
#
# **中文导读** 损失是对所有样本取平均，梯度也是。全批量最准，走一步要看完所有数据；单个样本最便宜，
# 但噪声大；小批量居中。三者平均起来都对（无偏），差别在方差：B 个样本取平均，方差是 σ²/B；
# 不放回抽样还要乘 (N − B)/(N − 1)。批量增大到四倍，噪声的标准差才减半。
# 按“看过的样本数”算，小批量最划算；按“花的时间”算，64 行的矩阵乘法几乎和一行一样快，
# 所以适中的批量最好。注意：最后一个不满的批次要按大小加权。

# %%
lesson.heading("3 · How many samples a step?")
pixels, labels = data.load_digits()
N, network = 256, models.MLP([64, 16, 10], "tanh").astype("float64").to(lesson.device)
x, y = pixels[:N].astype(float), labels[:N]


def slope(part):  # the gradient of the mean loss over these rows, in all weights: (D,)
    network.zero_grad()
    F.cross_entropy(network(constant(x[part])), constant(y[part])).backward()
    return np.concatenate([p.grad.numpy().ravel() for p in network.parameters()])


full, single = slope(range(N)), np.array([slope([i]) for i in range(N)])
same = relative_error(full, single.mean(axis=0))
parts = np.array([slope(each) for each in np.split(np.arange(N), [100, 200])])
ragged = [relative_error(full, np.average(parts, 0, weights=w)) for w in ([100, 100, 56], None)]
lesson.say(f"Mean of one-sample gradients: off the full gradient by a share of {same:.0e}.")
lesson.say(f"Mean of ragged batches: by {ragged[0]:.0e} weighted, by {ragged[1]:.2f} unweighted.")
apart, draws, rows, ones = single - full, 4000 if quick else 10_000, [], np.ones(N, dtype=int)
between, sigma, off = apart @ apart.T, (apart**2).sum(axis=1).mean(), 0.0
for B in (1, 4, 16, 64, 256):
    drawn = rng.multinomial(B, ones / N, draws), rng.multivariate_hypergeometric(ones, B, draws)
    found = [((c @ between) * c).sum(axis=1).mean() / B / sigma for c in drawn]
    rows.append([B, *(f"{abs(each):.3f}" for each in (*found, (N - B) / (N - 1)))])
    off = max(off, abs(found[0] - 1.0))
lesson.table(["B", "variance · B/σ²", "without replacement", "(N − B)/(N − 1)"], rows)
lesson.claim("F55", "mean of one-sample gradients: error", same, below=("rounding", 1e-12))
lesson.claim("F56", "a ragged batch, unweighted: error", ragged[1], above=("weighted", ragged[0]))
lesson.claim("F89", "variance · B/σ², off 1 by", off, below=("5 %", 0.05), scale="linear")


def step(model, optimizer, images, answers, clip=list):  # clip may change the gradients
    optimizer.zero_grad()
    loss = F.cross_entropy(model(constant(images)), constant(answers))
    loss.backward()
    clip(model.parameters())
    optimizer.step()
    return loss.item()


def scores(model, rows):  # mean loss and accuracy
    with no_grad():
        z = model(constant(pixels[rows]))
        loss = F.cross_entropy(z, constant(labels[rows])).item()
    return loss, (z.numpy().argmax(axis=1) == labels[rows]).mean()


# Train a new network; the images of step `broken` are a thousand times too bright. Returns its
# losses in training, validation and test, test accuracy, seconds, and the loss at each step.
def train(make, run, steps, batch=64, schedule=optim.constant, clip=list, broken=-1):
    learn, test = data.stratified_split(labels, 0.2, seed=7000 + seed + run)
    inner, outer = data.stratified_split(labels[learn], 0.2, seed=run)
    inner, outer, losses = learn[inner], learn[outer], []
    manual_seed(seed + run)
    model = models.MLP([64, 64, 64, 10]).to(lesson.device)
    optimizer = make(model.parameters())
    plan, begun = schedule(optimizer), time.perf_counter()
    while len(losses) < steps:
        for images, answers in data.minibatches(pixels[inner], labels[inner], batch_size=batch):
            images = images * 1000.0 if len(losses) == broken else images
            losses.append(step(model, optimizer, images, answers, clip))
            plan.step()
            if len(losses) == steps:
                break
    used, held_out = time.perf_counter() - begun, scores(model, outer)[0]
    return [scores(model, inner)[0], held_out, *scores(model, test), used, *losses]


rows, seconds = [], 0.1 if quick else 0.5
for B, rate in lesson.progress([(1, 0.02), (8, 0.1), (64, 0.3), (1150, 0.5)], "batches"):
    make, steps = partial(optim.SGD, lr=rate), round(2 * 1150 / B)
    loss, *_, used = train(make, 0, steps, B)[:5]
    speed = B * steps / used
    rows.append([B, rate, loss, speed, train(make, 0, max(1, round(seconds * speed / B)), B)[0]])
shown = [[*row[:3], f"{row[3]:,.0f}", row[4]] for row in rows]
lesson.table(["B", "α", "loss, 2 epochs", "samples a second", f"loss, {seconds} s"], shown)
(_, _, one, slow, _), _, (_, _, some, fast, _), (_, _, every, _, _) = rows
lesson.claim("samples", "2 epochs, B = 1: loss", one, below=("B = 64", some))
lesson.claim("full", "2 epochs, full batch: loss", every, above=("B = 64", some))
lesson.claim("speed", "samples a second, B = 64 ÷ B = 1", fast / slow, above=("B = 1", 1.0))

# %% [markdown]
# ## 4 · A rate for each weight (每个权重各走各的)
#
# In a network some weights have gradients a thousand times as large as others, and one α has to
# serve them all. Four optimizers divide the gradient of each weight by its own usual size. First,
# though, the gradient in *what*? F13 prints ∇ₓL, that in the input, and F14 and F15 hand the same
# wrong variable to Adam. For a layer the shapes do not even fit. With a single weight they do, and
# nothing warns. Here, with as many labels 0 as 1, w is driven to 0, where the loss is ln 2 = 0.693,
# that of a guess (chapter 02 says why); with far more labels 1 it would grow, whatever the inputs
# say. With g = ∇_W L:
#
#     RMSprop   v ← ρv + (1 − ρ)g²          w ← w − αg/(√v + ε)                            G13
#     Adam      m ← β₁m + (1 − β₁)g         v ← β₂v + (1 − β₂)g²                      F14, F15
#               m̂ = m/(1 − β₁ᵗ)             v̂ = v/(1 − β₂ᵗ)                           F16, F17
#               d = m̂/(√v̂ + ε)              w ← w − αd                                     F18
#     AdamW     w ← w − αd − αλw                                                     F49 mended
#     LAMB      r = d + λw                  w ← w − α(‖w‖/‖r‖)r, layer by layer             G14
#
# **RMSprop** (均方根传播) keeps a running mean of g². Its root is the usual size of g, so that a
# step is about α for every weight. Adam is that, with momentum in the numerator, and with a **bias
# correction** (偏差修正): m and v begin at 0 and are too small at first, by the factors 1 − β₁ᵗ and
# 1 − β₂ᵗ, which F16 and F17 divide out. How much does that matter? Without it a step is (1 − β₁ᵗ)/
# √(1 − β₂ᵗ) times as long: 3.16 times at first, 6.6 times at its worst, and still too long after a
# thousand steps. (RMSprop has no such correction: with ρ = 0.99 its first step is 10α long. See it
# leap out of the bent valley, up to (−0.5, 2), in the figure of section 5.)
#
# **Weight decay** (权重衰减) pulls weights towards 0; chapter 03b puts it to use. F49 adds λw to
# the gradient. For SGD that is the same as to shrink w by the share αλ at each step. Inside Adam it
# is not: there λw is divided by √v̂ like everything else. On the first step d is the sign of g + λw,
# and λ is invisible: α = 0.01 moves w = 1 by 0.010, where AdamW moves it by 0.011. Over a run it is
# worse. Weights with large gradients divide λw by much and hardly decay, those with small ones
# vanish. **AdamW** (解耦权重衰减) takes the decay out of the quotient, and all weights shrink
# alike. The program feeds both with noise of two sizes for 500 steps.
#
# **LAMB** (逐层自适应矩) looks at whole layers. A step of α is much for a layer of small weights,
# little for one of large ones. So it scales r by the **trust ratio** (信任比) ‖w‖/‖r‖, and every
# layer moves by the same share α of its length. (Where a norm is 0 the ratio is set to 1, for a
# layer of zeros would never move.) It was made to train BERT with batches of 32,000 and more.
#
# **中文导读** F13 误把梯度写成对输入求，F14、F15 跟着错；只有一个权重时形状相符、不会报错，
# 却学不到东西。RMSprop 用梯度平方的滑动平均开根号做除数，每个权重每步大约走 α；
# Adam 再加上动量和偏差修正，不修正的话第一步是应有长度的 3.16 倍，最坏 6.6 倍，上千步后仍偏大。
# F49 把 λw 加进梯度：对 SGD 就是衰减，放进 Adam 却也被 √v̂ 除了一遍，梯度大的权重几乎不衰减，
# 梯度小的却被压到零；AdamW 把衰减移到外面，一视同仁。LAMB 让每一层都走自身长度的 α 倍。

# %%
lesson.heading("4 · A rate for each weight")
inputs, targets, rows = np.sort(rng.normal(size=80)), np.repeat([0.0, 1.0], 40), []
picks = [(inputs[i : i + 1], targets[i : i + 1]) for i in rng.integers(80, size=300)]
for name, role in (("as printed: gradient in x", "printed"), ("mended: in w", "corrected")):
    w = first = np.array([[0.1]])
    for each in picks:
        w = getattr(FORMS["F13"], role)(LOGISTIC, w, *each, 0.5)
    ends = (FORMS["F24"].corrected(inputs * each.item(), targets) for each in (first, w))
    rows.append([name, *map(float, ends)])
lesson.table(["F13", "loss at the start", "after 300 steps of SGD"], rows)
wrong, right = (row[2] for row in rows)
lesson.claim("F13", "F13 as printed: loss", wrong, above=("mended", right), scale="linear")


def rmsprop(w, g, s, t, lr=0.01, rho=0.99, eps=1e-8):
    s["v"] = rho * s["v"] + (1.0 - rho) * g * g
    return w - lr * g / (np.sqrt(s["v"]) + eps)


def direction(g, s, t, beta1=0.9, beta2=0.999, eps=1e-8):  # Adam's d
    s["m"] = beta1 * s["m"] + (1.0 - beta1) * g
    s["v"] = beta2 * s["v"] + (1.0 - beta2) * g * g
    m_hat, v_hat = s["m"] / (1.0 - beta1**t), s["v"] / (1.0 - beta2**t)
    return m_hat / (np.sqrt(v_hat) + eps)


def adam(w, g, s, t, lr=0.01, decay=0.1):  # with L2 inside, F49 as printed; λ = 0 is plain Adam
    return w - lr * direction(g + decay * w, s, t)


def adamw(w, g, s, t, lr=0.01, decay=0.1):
    return w - lr * direction(g, s, t) - lr * decay * w


def lamb(w, g, s, t, lr=0.01, decay=0.1):
    r = direction(g, s, t, eps=1e-6) + decay * w
    return w - lr * np.linalg.norm(w) / np.linalg.norm(r) * r


def gap(rule, optimizer, **settings):  # after 30 steps by hand and by the library, gradients drawn
    w, s = rng.normal(size=(3, 2)), defaultdict(float)
    tensor = leaf(w)
    optimizer = optimizer([tensor], **settings)
    for t in range(1, 31):
        g = rng.normal(size=w.shape) * 10.0 ** rng.uniform(-2.0, 1.0)
        w, tensor.grad = rule(w, g, s, t), constant(g)
        optimizer.step()
    return np.abs(tensor.numpy() - w).max()


decayed, heavy = {"lr": 0.01, "weight_decay": 0.1}, partial(optim.SGD, momentum=0.9)
ahead = partial(heavy, nesterov=True)
gaps = {"momentum": gap(momentum, heavy, lr=0.1), "Nesterov": gap(nesterov, ahead, lr=0.1)}
gaps |= {"RMSprop": gap(rmsprop, optim.RMSprop), "Adam with L2": gap(adam, optim.Adam, **decayed)}
gaps |= {"AdamW": gap(adamw, optim.AdamW, **decayed), "LAMB": gap(lamb, optim.LAMB, **decayed)}
gaps["AdamW; the library's Adam, L2"] = gap(adamw, optim.Adam, **decayed)
rows = [[name, f"{each:.0e}"] for name, each in gaps.items()]
lesson.table(["30 steps by hand, and by the library", "gap"], rows)
*right, wrong = gaps.values()
lesson.claim("hand", "six optimizers by hand: gap", max(right), below=("L2 for AdamW", wrong))
ages = np.array([1, 12, 100, 1000, 5000])
longer = (1.0 - 0.9**ages) / (1.0 - 0.999**ages) ** 0.5
rows = [["length, in α", *(f"{each:.2f}" for each in longer)]]
lesson.table(["uncorrected step", *(f"t = {age}" for age in ages)], rows)
lesson.claim("bias", "first step, uncorrected", longer[0], above=("α", 1.0), scale="linear")
rows = []
for name, rule, optimizer in (("L2 in Adam", adam, optim.Adam), ("AdamW", adamw, optim.AdamW)):
    w, first = leaf(np.ones((2, 1000))), 1.0 - rule(1.0, 3.0, defaultdict(float), 1)
    optimizer = optimizer([w], **decayed)
    for _ in range(500):
        w.grad = constant(rng.normal(size=(2, 1000)) * [[0.1], [10.0]])
        optimizer.step()
    rows.append([name, *(f"{each:.3f}" for each in (first, *w.numpy().mean(axis=1)))])
rows.append(["(1 − αλ)⁵⁰⁰", "", *[f"{0.999**500:.3f}"] * 2])
lesson.table(["from w = 1", "first step", "g ≈ 0.1: after 500", "g ≈ 10: after 500"], rows)
uneven, even = (abs(float(row[3]) - float(row[2])) for row in rows[:2])
lesson.claim("adamw", "AdamW: two sorts apart", even, below=("L2 in Adam", uneven), scale="linear")
rows = []
for name, optimizer in (("SGD", optim.SGD), ("Adam", optim.Adam), ("LAMB", optim.LAMB)):
    manual_seed(seed)
    model = models.MLP([64, 256, 16, 10]).to(lesson.device)
    weights, norm = [p for p in model.parameters() if p.ndim == 2], np.linalg.norm
    before = [p.numpy().astype(float) for p in weights]
    step(model, optimizer(model.parameters(), lr=0.01), pixels[:64], labels[:64])
    shares = [norm(p.numpy() - w) / norm(w) for p, w in zip(weights, before)]
    rows.append([name, *shares, max(shares) / min(shares)])
lesson.table(["α = 0.01: ‖Δw‖/‖w‖", "layer 1", "layer 2", "layer 3", "most/least"], rows)
lesson.claim("lamb", "LAMB: most/least", rows[2][4], below=("Adam", rows[1][4]), scale="linear")

# %% [markdown]
# ## 5 · All of them on one problem (同台比较)
#
# First a limit that all optimizers of section 4 share: they scale the axes of w, each by itself. If
# the ravine lies along an axis, that flattens it, and RMSprop goes down to zero. Adam stays at
# 10⁻⁴, for its momentum still swings to and fro about the bottom (with β₁ = 0 it gets to zero,
# too). Turn the ravine by 45°, and every weight has a part in both directions. SGD and momentum do
# not notice the turn. RMSprop loses all that it had won; what Adam keeps, it keeps by its momentum.
# The table has 100 steps down the ravine of κ = 100, straight and turned, and down a bent valley,
# (1 − x)² + 10(y − x²)², each at the best of the rates from 0.001 to 1; the figure has the ways
# down the valley. (With `--quick` Adam, at α = 1, leaps as far as RMSprop, whose line then covers
# it.)
#
# That phrase, *at the best of the rates*, is the rule of a fair comparison. Whoever compares
# optimizers at one and the same rate compares rates: what suits Adam is slow for SGD. So everyone
# gets a **sweep** (扫描) of as many rates, five here, each about three times the one before. The
# best is chosen on a **validation set** (验证集), a part of the data that is neither trained on nor
# tested on, and only its test score goes into the table. It must not lie at the edge of the five,
# or the sweep was too narrow: the table would say so.
#
# The task: the digits, 64-64-64-10 with ReLU, 100 mini-batches of 64. Five runs for each rate, each
# with a split and with weights of its own, which are the same for all optimizers: so the
# differences to the baseline, SGD with momentum 0.9, are paired, ± half of their 95 % interval (see
# chapter 02). "Loss" is that of the training part at the end.
#
# What to see? One table of five runs can hardly tell momentum, Nesterov, RMSprop, Adam and AdamW
# apart: most of the intervals have 0 in them. (And of six intervals of 95 % one misses by chance in
# every fourth table, 1 − 0.95⁶.) It takes more runs. Over ten seeds of this program, which is fifty
# runs, Nesterov is ahead of momentum by 1.0 ± 0.5 points of accuracy, Adam by 0.6 ± 0.5. LAMB is
# level with momentum (0.4 ± 0.5 behind), and plain SGD, which has not come as far in 100 steps, is
# 1.5 ± 1.2 behind. That is seen, and it is little: between the best and the worst of Adam's five
# rates lie 6 to 20 points. *Tune the rate before you change the optimizer.*
#
# The second table has batches of 512, and a fifth of the steps. Now the training losses of AdamW
# and LAMB are far below that of momentum, which takes 1/(1 − μ) = 10 steps of the 20 to come up to
# speed. In accuracy AdamW is ahead of it by 4.2 ± 0.7 points over the ten seeds, LAMB by 2.9 ± 1.0,
# though on four of the seeds LAMB's interval has 0 in it. LAMB, which was made for large batches,
# is not better than AdamW on a network this small: it has the higher training loss on nine of ten
# seeds. A newer name is not a better one until a table like these says so.
#
# **中文导读** 第 4 节的方法只能逐个坐标缩放，峡谷转过 45° 就帮不上忙：RMSprop 的优势全失，
# Adam 剩下的是动量的功劳（没转时，也正是动量让 Adam 在谷底来回摆动，停在 10⁻⁴），
# SGD 与动量则不受旋转影响。再谈公平：在同一个学习率下比较优化器，
# 其实是在比较学习率。每个优化器扫描同样多个学习率，用验证集各挑最好的一个，再看测试成绩；
# 同样的划分成对比较，并给出 95% 区间。五次运行几乎分不出动量、Nesterov、RMSprop、Adam 和 AdamW；
# 十个种子共五十次运行才看得出 Nesterov 比动量高约 1.0 个百分点，Adam 高约 0.6。
# 而 Adam 自己在最差的学习率下要低 6 到 20 个百分点。先调学习率，再谈换优化器。
# 批量 512、步数只有五分之一时，AdamW 和 LAMB 的训练损失远低于动量；十个种子平均，
# 准确率 AdamW 高 4.2 个百分点，LAMB 高 2.9，但有四个种子的区间含 0。LAMB 并不比 AdamW 好。

# %%
lesson.heading("5 · All of them on one problem")


def ravine(H):
    return lambda w: 0.5 * (w * (constant(np.array(H)) @ w)).sum()


def valley(w):
    x, y = w[0], w[1]
    return (1.0 - x) ** 2 + 10.0 * (y - x * x) ** 2


def best_walk(make, loss, start):  # of the ways with rates from 0.001 to 1 the one that ends lowest
    rates = 10.0 ** np.arange(-3.0, 0.1, 1.0 if quick else 0.25)
    paths = [walk(partial(make, lr=rate), loss, start) for rate in rates]
    ends = [loss(constant(path[-1])).item() for path in paths]
    return np.nanmin(ends), paths[np.nanargmin(ends)]


makers = {"SGD": optim.SGD, "momentum": heavy, "Adam": optim.Adam, "RMSprop": optim.RMSprop}
problems, found = {"ravine": (ravine([[1.0, 0.0], [0.0, 100.0]]), [1.0, 1.0])}, {}
problems["turned by 45°"] = ravine([[50.5, -49.5], [-49.5, 50.5]]), [0.0, 2.0**0.5]
problems["bent valley"] = valley, [-1.5, 1.0]
with np.errstate(all="ignore"):  # rates that are too large overflow
    for name, make in makers.items():
        found[name] = [best_walk(make, *each) for each in problems.values()]
rows = [[name, *(f"{each[0]:.1e}" for each in ends)] for name, ends in found.items()]
lesson.table(["100 steps: loss at the end", *problems], rows)
ways, span = {name: ends[2][1] for name, ends in found.items()}, ((-2.0, 2.0), (-0.7, 2.5))
lesson.figure(plot.descent(lambda *xy: valley(xy), ways, span, "A bent valley"), "paths")
(good, _), (bad, _), _ = found["RMSprop"]
lesson.claim("turned", "RMSprop, ravine turned: loss", bad, above=("not turned", good))


def difference(these, those):  # the mean of paired differences, and half of its 95 % interval
    each = these - those
    t = {3: 4.303, 5: 2.776, 8: 2.365}[len(each)]  # Student's, 2.5 % out at each end
    return each.mean(axis=0), t * each.std(axis=0, ddof=1) / len(each) ** 0.5


RATES = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
CONTENDERS = {"momentum": (heavy, 5), "SGD": (optim.SGD, 6), "Nesterov": (ahead, 5)}
CONTENDERS |= {"RMSprop": (optim.RMSprop, 2), "Adam": (optim.Adam, 3), "AdamW": (optim.AdamW, 3)}
CONTENDERS["LAMB"] = optim.LAMB, 3  # each with the place in RATES of the middle of its five


# Train all at their rates and print each at its best -> its runs there, and all runs by rate.
def contest(names, steps, batch):
    rows, best, every = [], {}, {}
    for name in lesson.progress(names, f"batches of {batch}"):
        make, middle = CONTENDERS[name]
        rates, every[name] = RATES[middle - 2 : middle + 3], {}
        for rate in rates:
            tuned = partial(make, lr=rate)
            every[name][rate] = np.array([train(tuned, i, steps, batch) for i in range(count)])
        rate = min(rates, key=lambda rate: every[name][rate][:, 1].mean())
        best[name], edge = every[name][rate], " (edge)" if rate in (rates[0], rates[-1]) else ""
        mean, half = difference(best[name][:, 3], best["momentum"][:, 3])
        means = (f"{each:.4f}" for each in best[name].mean(axis=0)[[0, 1, 3]])
        less = f"{mean:+.4f} ± {half:.4f}" if rows else ""
        rows.append([name, f"{rate}{edge}", *means, less])
    header = ["best α", "loss", "validation", "test accuracy", "less momentum's"]
    lesson.table([f"{steps} steps of {batch}", *header], rows)
    return best, every


count, T = (3, 40) if quick else (5, 100)
with np.errstate(all="ignore"):
    best, every = contest(CONTENDERS, T, 64)
    large, _ = contest(["momentum", "AdamW", "LAMB"], 20, 512)
ends = {name: runs.mean(axis=0) for name, runs in best.items()}
alike = np.ptp([end[3] for name, end in ends.items() if name not in ("SGD", "LAMB")])
tuned = np.ptp([runs[:, 3].mean() for runs in every["Adam"].values()])
lesson.say(f"Test accuracies: five optimizers lie {alike:.4f} apart, Adam's rates {tuned:.4f}.")
lines = {n: [e[r][:, 1].mean() if r in e else np.nan for r in RATES] for n, e in every.items()}
axes = f"Digits, {T} steps", "learning rate", "validation loss"
lesson.figure(plot.curves(RATES, lines, *axes, log=True, lowest=[*lines]), "rates")
curves = {name: end[5:] for name, end in ends.items()}
lesson.figure(plot.training_curves(curves, f"Digits, mean of {count} runs", log=True), "training")
fast, lambs, heavies = ends["momentum"][0], *(large[n][:, 0].mean() for n in ("LAMB", "momentum"))
lesson.claim("alike", "five optimizers apart", alike, below=("Adam's rates", tuned), scale="share")
lesson.claim("sgd", "SGD: training loss", ends["SGD"][0], above=("momentum", fast))
lesson.claim("ahead", "Nesterov: training loss", ends["Nesterov"][0], below=("momentum", fast))
lesson.claim("batch", "LAMB, batch 512: training loss", lambs, below=("momentum", heavies))

# %% [markdown]
# ## 6 · Slow down in time: schedules (学习率调度)
#
# With a constant α the walk never comes to rest. Near the minimum a step is w ← w − α(λw + e), with
# e the gradient noise of section 3, of variance s². A step keeps (1 − αλ)² of w², on average, and
# adds α²s². The two balance when E w² = (1 − αλ)² E w² + α²s², and that is
#
#     E w² = αs² / (λ(2 − αλ)) ≈ αs²/2λ
#
# a ball of noise around the minimum, whose width grows as √α. A tenth of the rate has a tenth of
# that variance, but takes ten times as long to get there. So go fast first and slow later: a
# **schedule** (学习率调度) multiplies α by a factor that depends on the step t of T (T_w of them,
# at first, are the warm-up, if there is one):
#
#     linear       (T − t)/(T − T_w)                    straight down to 0                  G15
#     cosine       ½(1 + cos(π(t − T_w)/(T − T_w)))     slow, fast, slow
#     warm-up      t/T_w                                for the first T_w steps, before both
#
# **Warm-up** (预热) is for the first steps, when the weights are still random, the gradients large,
# and Adam's v̂ is made of few samples. Large Transformers often fail without it. Here it makes no
# difference that the runs could show.
#
# Does **decay** (学习率衰减) help *here*? That depends on α. The table has AdamW with 150 steps, at
# three rates; the rows below the first are differences to a constant rate, paired over the splits,
# with 95 % intervals. At 0.001, which is too small for so short a run, decay does harm, for it
# halves the way that is gone. At 0.01 nothing is seen. At 0.03, which is a little too large to end
# with, decay helps: by 1.0 to 2.0 points of accuracy on ten seeds of this program, though eight
# runs are so few that on three of them the interval has 0 in it. So decay makes a larger rate
# usable: 0.03 with it is half a point better than 0.01 without. Between linear and cosine no
# difference is seen.
#
# F74 asks for 500 steps of warm-up whatever the length of the run. 800 rows in batches of 16 for 3
# epochs are 150 steps: the run ends on its way up, at 149/500 = 29.8 % of the rate. With one row of
# data, 3 steps, it ends at 2/500 = 0.4 %. The library warns of it; give the warm-up as a share of
# the run instead. See in the last row what it costs: a great deal where the rate was small already,
# less where it was too large, for there the mistake happens to mend another.
#
# **中文导读** 学习率不变，就永远停不下来：噪声使 w 在最低点附近晃动，方差约为 αs²/2λ。
# 学习率小十倍，晃动的方差小十倍，但走得也慢十倍，所以要先快后慢：线性或余弦衰减。
# 预热则是开头几步从 0 慢慢升上来，大模型常常离不开它，这里看不出差别。衰减有没有用取决于学习率：
# 本来就偏小时反而有害，偏大时明显有益，它的用处正是让人敢用更大的学习率。
# F74 不管训练多长都预热 500 步，而 150 步的训练最高只到 29.8%。应当按比例设置预热。

# %%
lesson.heading("6 · Slow down in time: schedules")
w = np.full((3, 2000), 10.0)
for t in range(1000):
    rates = np.array([[0.1], [0.01], [0.1 * optim.linear_factor(t, 1000)]])
    w -= rates * (w + rng.normal(size=w.shape))  # λ = s = 1
ball, law = (w**2).mean(axis=1), 0.1 / 1.9
rows = [["0.1", ball[0], law], ["0.01", ball[1], 0.01 / 1.99], ["0.1, linear to 0", ball[2], ""]]
lesson.table(["α, 1,000 steps from w = 10", "mean of w²", "α/(2 − α)"], rows)
off = abs(ball[0] / law - 1.0)
lesson.claim("ball", "mean of w², off α/(2 − α) by", off, below=("a fifth", 0.2), scale="linear")
T, rates, count, shapes, runs = 150, (0.001, 0.01, 0.03), 3 if quick else 8, {}, {}
linear, cosine = (partial(each, total_steps=T) for each in (optim.linear, optim.cosine))
plans = {"constant": optim.constant, "linear": linear, "cosine": cosine}
plans["warm-up 15, linear"] = partial(linear, warmup_ratio=0.1)
plans["warm-up 500"] = partial(linear, warmup_steps=500)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name, plan in lesson.progress(plans.items(), "schedules"):
        factor = plan(optim.SGD([leaf(0.0)], lr=1.0)).factor
        shapes[name] = [factor(t) for t in range(T)]
        for rate in rates:
            make = partial(optim.AdamW, lr=rate)
            runs[name, rate] = np.array([train(make, i, T, 64, plan)[2:4] for i in range(count)])
lesson.say("What the library says:", f"{caught[0].message}.")
lesson.figure(plot.curves(range(T), shapes, "Schedules", "step", "share of α"), "schedules")
less = {key: difference(each, runs["constant", key[1]]) for key, each in runs.items()}
shown = {key: f"{mean[1]:+.4f} ± {half[1]:.4f}" for key, (mean, half) in less.items()}
shown |= {key: f"{each[:, 1].mean():.4f}" for key, each in runs.items() if key[0] == "constant"}
rows = [[name, *(shown[name, rate] for rate in rates)] for name in plans]
lesson.table([f"AdamW, accuracy, {count} runs", *(f"α = {rate}" for rate in rates)], rows)
usual, late = (runs[name, 0.01][:, 0].mean() for name in ("constant", "warm-up 500"))
lesson.claim("F74", "F74: share", max(shapes["warm-up 500"]), below=("α", 1.0), scale="linear")
lesson.claim("late", "warm-up 500, α = 0.01: test loss", late, above=("constant", usual))
for rate, sign, what in ((0.03, -1.0, "saved"), (0.001, 1.0, "added")):
    value, text = sign * less["linear", rate][0][0], f"linear decay from {rate}: test loss {what}"
    lesson.claim(what, text, value, above=("constant", 0.0), scale="linear")

# %% [markdown]
# ## 7 · When gradients explode, and where to begin (梯度爆炸与起点)
#
# One broken batch is enough to ruin a run: a wrong unit, a corrupt row, a sequence that is much too
# long. **Gradient clipping** (梯度裁剪) bounds what one step can do (G16):
#
#     by norm     g ← g·min(1, c/‖g‖)        ‖g‖ over all weights together: the direction stays
#     by value    g ← each element held within ±c          the direction turns
#
# The program plants such a batch: the pixels of batch 61 of 150 are a thousand times too bright.
# Without clipping one step of SGD throws the weights away. Adam looks safer, for it divides by the
# size of the gradient. But its m carries the giant along for some ten steps, all in that one wrong
# direction, and its v forgets only a thousandth of it at each step, so that √v̂ is far too large
# and the steps far too small for the rest of the run. Clip by norm, and both go on nearly as if
# nothing had happened. By value the loss is about twice as high for some steps, and then falls
# again.
#
# How large should c be? About what the norm usually is, or a little more: `clip_grad_norm_` returns
# it, so look first. A clip that is at work in every step only hides that the rate is too large. And
# clipping does not mend a loss that is NaN: then find the cause (`chapters/failures.md`).
#
# Where does the walk begin? No optimizer mends a bad **initialization** (初始化). After twenty ReLU
# layers the mean square of a signal of 1 is still about 1 with He's variance, 2/n_in, and (½)²⁰ ≈
# 10⁻⁶ with Xavier's, and with it the gradients fade that the optimizer lives on. Chapter 02,
# section 9, measures that, and what becomes of such networks.
#
# **中文导读** 一个坏批次就能毁掉一次训练。按范数裁剪把整个梯度等比缩短，方向不变；
# 按数值裁剪逐个截断，方向会变。程序把第 61 个批次的像素放大一千倍：SGD 不裁剪，
# 一步就把权重抛到天边；Adam 看似安全，可是 m 会带着这个巨大的梯度朝错误方向再走十来步，
# v 每步只忘掉千分之一，之后步子一直太小。按范数裁剪，两者都几乎若无其事；按数值裁剪，
# 有几步损失约为原来的两倍，然后再降下来。阈值取平时的范数或略大一点，
# 先看 clip_grad_norm_ 的返回值。初始化不当则不是优化器能补救的，见第 2 章第 9 节。

# %%
lesson.heading("7 · When gradients explode, and where to begin")
g, clipped = rng.normal(size=650), []
for clip in (optim.clip_grad_norm_, optim.clip_grad_value_):
    w = leaf(g)
    w.grad = constant(g.copy())
    clip([w], 0.5)
    clipped.append(w.grad.numpy())
kept = [each @ g / np.linalg.norm(each) / np.linalg.norm(g) for each in clipped]
off = relative_error(g * 0.5 / np.linalg.norm(g), clipped[0])
lesson.say(f"By norm: off G16 by {off:.0e}, cosine {kept[0]:.4f}. By value: cosine {kept[1]:.4f}.")
lesson.claim("clip", "by value: cosine", kept[1], below=("by norm", kept[0]), scale="linear")
norms, rows, lines, ends, count = [], [], {}, {}, 2 if quick else 5
clips = {"none": lambda parameters: norms.append(optim.clip_grad_norm_(parameters, 1e9))}
clips["norm 1"] = partial(optim.clip_grad_norm_, max_norm=1.0)
clips["value 0.1"] = partial(optim.clip_grad_value_, clip_value=0.1)
makers = {"momentum": partial(heavy, lr=0.1), "Adam": partial(optim.Adam, lr=0.01)}
for name, how in ((name, how) for name in makers for how in clips):
    runs = [train(makers[name], i, 150, clip=clips[how], broken=60) for i in range(count)]
    _, _, _, ends[name, how], _, *losses = np.mean(runs, axis=0)
    means = np.mean(losses[55:60]), np.mean(losses[61:66])
    rows.append([name, how, *map(float, means), f"{ends[name, how]:.4f}"])
    lines[f"{name}, {how}"] = losses
usual = np.median(np.array(norms).reshape(-1, 150), axis=0)
lesson.say(f"Norm of the gradient in batch 60: {usual[59]:.2f}; in batch 61: {usual[60]:,.0f}.")
lesson.table(["", "clipping", "loss, 5 steps before", "5 after", "test accuracy"], rows)
lesson.figure(plot.training_curves(lines, "Batch 61 is broken", log=True), "clipping")
for name in makers:
    bare, held, text = ends[name, "none"], ends[name, "norm 1"], f"broken batch, {name}: clipped"
    lesson.claim(f"broken {name}", text, held, above=("not clipped", bare), scale="share")

# %% [markdown]
# ## Exercises (练习)
#
# Write these into a file of your own, `my_solution.py`, with `import numpy as np`, and grade them:
# `python -m chapters check 03a my_solution.py`. For each one that fails you get the smallest input
# that shows it. Answers are in `chapters/solutions/`; try first.
#
# 1. `momentum_step(w, g, v, lr, mu, nesterov)`: one step of SGD with momentum, Nesterov's when
#    `nesterov` is True. Return the new (w, v), and leave what you were given unchanged.
#    动量更新一步；nesterov 为 True 时用 Nesterov 动量；返回新的 (w, v)，不得改动输入。
# 2. `epoch_gradient(gradients, sizes)`: gradients (K, D) has a row for each of K batches, the mean
#    over its samples; sizes (K,) says how many samples each batch had. Return the gradient of the
#    mean loss over all samples (D,).
#    由各批次的平均梯度和批次大小，求全部样本的平均梯度。
# 3. `adamw_step(w, g, m, v, t, lr, decay)`: one step of AdamW with β = (0.9, 0.999) and ε = 1e-8; t
#    counts from 1. Return the new (w, m, v).
#    AdamW 更新一步：衰减不进入 m 和 v，也不除以 √v̂。
# 4. `warmup_linear(step, total, warmup)`: the factor of the learning rate at `step` = 0, 1, …: up
#    from 0 to 1 over `warmup` steps, then straight down to 0 at `total`, and 0 from there on. No
#    warm-up and a warm-up longer than the run are allowed.
#    预热后线性衰减的系数；没有预热、预热长过训练，都要算对。
# 5. `clip_by_norm(dW, db, c)`: the gradients of a layer. Return (dW, db, norm): both clipped by the
#    norm of the two together, and that norm as it was before. Zero gradients stay zero.
#    按总范数裁剪一层的两个梯度；返回裁剪后的 dW、db 和裁剪前的范数；全零时不能出现 NaN。
#
# **中文导读** 把答案写进自己的文件，用上面的命令批改；不通过时会给出能复现错误的最小输入。

# %%
lesson.close()
