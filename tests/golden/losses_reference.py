#!/usr/bin/env python3
"""Reference values of the losses, from their definitions, with numpy in double precision and nothing of Retort.

    python3 tests/golden/losses_reference.py > tests/golden/losses_reference.csv

Each line: name, then numbers. `logits_s`, `logits_t`: rows of 180; `bpm`: heart rates; the others: a loss over the batch.
tests/unit/distill/losses_test.cc holds worker/distill/losses.cc against them.
"""
import numpy as np

K, FIRST = 180, 30
rng = np.random.default_rng(7)
B = 4
bpm = np.array([72.4, 30.0, 209.0, 118.6])
classes = np.clip(np.round(bpm).astype(int) - FIRST, 0, K - 1)
logits_s = np.round(rng.normal(0, 2, (B, K)), 3)
logits_t = np.round(rng.normal(0, 2, (B, K)), 3)
# A teacher is usually near the truth.
for row in range(B):
    logits_t[row] += np.round(6 * np.exp(-((np.arange(K) - classes[row]) ** 2) / 18.0), 3)
features = np.round(rng.normal(3, 2, (B, 5)), 3)
projected = np.round(rng.normal(0, 1, (B, 5)), 3)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(z, target):
    return float(np.mean(-np.sum(target * np.log(softmax(z)), axis=1)))


def kl(p, q):
    return np.sum(p * np.log(p / q), axis=1)


one_hot = np.eye(K)[classes]


def gaussian(sigma):
    weight = np.exp(-((np.arange(K)[None, :] + FIRST - bpm[:, None]) ** 2) / (2 * sigma**2))
    return weight / weight.sum(axis=1, keepdims=True)


def decoupled(t):
    """TCKD and NCKD per row, eq. 5-7 of Zhao et al., CVPR 2022, written out with probabilities."""
    ps, pt = softmax(logits_s / t), softmax(logits_t / t)
    rows = np.arange(B)
    two_s = np.stack([ps[rows, classes], 1 - ps[rows, classes]], axis=1)
    two_t = np.stack([pt[rows, classes], 1 - pt[rows, classes]], axis=1)
    others = one_hot == 0
    rest_s = ps[others].reshape(B, K - 1)
    rest_t = pt[others].reshape(B, K - 1)
    rest_s = rest_s / rest_s.sum(axis=1, keepdims=True)
    rest_t = rest_t / rest_t.sum(axis=1, keepdims=True)
    return kl(two_t, two_s), kl(rest_t, rest_s), pt[rows, classes]


def emit(name, values):
    print(name + "," + ",".join(repr(float(v)) for v in np.ravel(values)))


emit("bpm", bpm)
for row in range(B):
    emit("logits_s", logits_s[row])
for row in range(B):
    emit("logits_t", logits_t[row])
for row in range(B):
    emit("features_t", features[row])
for row in range(B):
    emit("projected", projected[row])

ce = cross_entropy(logits_s, one_hot)
emit("scratch", [ce])
emit("scratch_sigma3", [cross_entropy(logits_s, gaussian(3.0))])
emit("gaussian_sigma3", gaussian(3.0)[3])
emit("hard_0.5", [0.5 * ce + 0.5 * cross_entropy(logits_s, np.eye(K)[logits_t.argmax(axis=1)])])
for t in (1.0, 2.0, 4.0):
    value = np.mean(kl(softmax(logits_t / t), softmax(logits_s / t)))
    emit(f"soft_0.9_T{t:g}", [0.1 * ce + 0.9 * t * t * value])
emit("soft_0.9_T2_sigma3", [0.1 * cross_entropy(logits_s, gaussian(3.0))
                            + 0.9 * 4 * np.mean(kl(softmax(logits_t / 2), softmax(logits_s / 2)))])
for t in (1.0, 2.0, 4.0):
    tckd, nckd, p = decoupled(t)
    emit(f"tckd_T{t:g}", tckd)
    emit(f"nckd_T{t:g}", nckd)
    # The identity holds for the reference itself.
    assert np.allclose(kl(softmax(logits_t / t), softmax(logits_s / t)), tckd + (1 - p) * nckd)
    emit(f"dkd_0.9_1_8_T{t:g}", [0.1 * ce + 0.9 * t * t * np.mean(tckd + 8 * nckd)])
tckd, nckd, _ = decoupled(4.0)
emit("dkd_zhao2022_epoch4", [ce + (5 / 20) * 16 * np.mean(tckd + 8 * nckd)])
emit("feature_none", [ce + np.mean((projected - features) ** 2)])
unit = features / np.linalg.norm(features, axis=1, keepdims=True)
emit("feature_l2_0.5", [ce + 0.5 * np.mean((projected - unit) ** 2)])
std = (features - features.mean(axis=0)) / features.std(axis=0)
emit("feature_channel_std", [ce + np.mean((projected - std) ** 2)])
