#!/usr/bin/env python3
"""The answers to C1-C5 from the study's table: analyse.py results.csv [--decoding argmax].

Every subject is tested once, by the networks of one fold, which share a seed. A gain is a difference of errors on the same subject;
it is averaged over students and teachers first, so that one subject gives one number. Two standard errors are made of these numbers: over
subjects (t with subjects - 1 degrees of freedom), and over the means of folds (t with folds - 1), whose networks are shared by the fold's subjects.
The wider interval counts. Needs NumPy and SciPy.
"""
import argparse
import collections
import csv

import numpy as np
from scipy import optimize, stats

METHODS = ["hard", "soft", "dkd", "feature"]
C1_MARGIN, C3_MARGIN = 0.25, np.log(1.05)
PAIRS = [("resnet1d-8/4", "mlp-12x2"), ("resnet1d-16/4", "mlp-32x2"), ("resnet1d-16/8", "mlp-112x2")]


class Table:
    """Errors by arm, student and subject. An arm is (method family, teacher)."""

    def __init__(self, path, decoding):
        column = {"median": "mae_bpm", "argmax": "mae_argmax_bpm", "expectation": "mae_expectation_bpm"}[decoding]
        self.error = {}
        self.validation = collections.defaultdict(dict)
        self.cost = {}
        self.fold = {}
        self.floors = collections.defaultdict(list)
        for row in csv.DictReader(open(path)):
            arm = "teacher" if row["kind"] == "teacher" else arm_of(row["method"])
            key = (arm, row["teacher"], row["student"])
            self.error[(*key, row["subject"])] = float(row[column])
            self.validation[key][row["fold"]] = float(row["val_mae_bpm"])
            self.cost[row["student"]] = {k: float(row[k]) for k in ("params", "params_body", "macs", "latency_ms")}
            self.fold[row["subject"]] = int(row["fold"])
            for floor in ("floor_mean_bpm", "floor_fft_bpm"):
                self.floors[(floor, row["subject"])].append(float(row[floor]))
        self.subjects = sorted(self.fold)
        self.students = sorted({s for a, _, s in self.validation if a != "teacher"}, key=lambda s: (s[0] != "r", self.cost[s]["params"]))
        self.teachers = sorted({t for a, t, _ in self.validation if t}, key=lambda t: self.cost[t]["params"])

    def errors(self, arm, student, teacher=None):
        """Errors of every subject, averaged over the teachers that are meant."""
        teachers = [""] if arm in ("onehot", "gaussian", "teacher") else [teacher] if teacher else self.teachers
        return np.mean([[self.error[(arm, t, student, s)] for s in self.subjects] for t in teachers], axis=0)

    def better_scratch(self, student):
        """The scratch arm that validation prefers for that student."""
        return min(("onehot", "gaussian"), key=lambda arm: np.mean(list(self.validation[(arm, "", student)].values())))

    def interval(self, values, level=0.95):
        """Mean and the wider of two intervals; p of a one-sided test of mean > 0, the larger."""
        values = np.asarray(values)
        folds = [np.mean([v for v, s in zip(values, self.subjects) if self.fold[s] == f]) for f in sorted(set(self.fold.values()))]
        mean, half, p = values.mean(), 0.0, 0.0
        for sample in (values, np.array(folds)):
            error, freedom = sample.std(ddof=1) / np.sqrt(len(sample)), len(sample) - 1
            half = max(half, stats.t.ppf(0.5 + level / 2, freedom) * error)
            p = max(p, stats.t.sf(mean / error, freedom))
        return mean, mean - half, mean + half, p


def arm_of(method):
    name = method.split("(")[0]
    if name != "scratch":
        return name
    return "gaussian" if "sigma" in method else "onehot"


def verdict(low, high, margin):
    return "yes" if low > 0 else "no" if high < margin else "not resolved"


def holm(table, samples, margin):
    """For each named sample: mean, interval at its step of Holm's procedure, verdict."""
    order = sorted(samples, key=lambda name: table.interval(samples[name])[3])
    out = {}
    for step, name in enumerate(order):
        level = 1 - 0.05 / (len(order) - step)
        mean, low, high, _ = table.interval(samples[name], level)
        out[name] = (mean, low, high, verdict(low, high, margin))
    return out


def row(name, mean, low, high, *rest):
    print(f"| {name} | {mean:+.2f} [{low:+.2f}, {high:+.2f}] | " + " | ".join(rest) + " |")


def table_of_errors(t):
    print("\n## Errors: MAE in BPM, mean over subjects\n")
    arms = ["onehot", "gaussian"] + METHODS
    print("| student | parameters | " + " | ".join(arms) + " |\n|---|---|" + "---|" * len(arms))
    for s in t.students:
        print(f"| {s} | {t.cost[s]['params']:.0f} | " + " | ".join(f"{t.errors(a, s).mean():.2f}" for a in arms) + " |")
    for teacher in t.teachers:
        print(f"| teacher {teacher} | {t.cost[teacher]['params']:.0f} | {t.errors('teacher', teacher).mean():.2f} |" + " |" * (len(arms) - 1))
    for floor in ("floor_mean_bpm", "floor_fft_bpm"):
        print(f"| {floor} | | {np.mean([np.mean(t.floors[(floor, s)]) for s in t.subjects]):.2f} |" + " |" * (len(arms) - 1))


def c1(t):
    print("\n## C1: distilled students beat their scratch twins\n\nGain in BPM over the scratch arm that validation prefers, and over each.\n")
    print("| method | gain | verdict | over one-hot | over Gaussian |\n|---|---|---|---|---|")

    def gain(method, scratch, students):
        return np.mean([t.errors(scratch or t.better_scratch(s), s) - t.errors(method, s) for s in students], axis=0)

    for family, students in (("all", t.students), ("resnet1d", [s for s in t.students if s[0] == "r"]), ("mlp", [s for s in t.students if s[0] == "m"])):
        answers = holm(t, {m: gain(m, None, students) for m in METHODS}, C1_MARGIN)
        for m in METHODS:
            over = ["{:+.2f} [{:+.2f}, {:+.2f}]".format(*t.interval(gain(m, arm, students))[:3]) for arm in ("onehot", "gaussian")]
            row(f"{m}, {family}", *answers[m][:3], answers[m][3], *over)
    print("\nPreferred on validation: " + ", ".join(f"{s} {t.better_scratch(s)}" for s in t.students))


def c2(t):
    print("\n## C2: DKD gains most\n\n| DKD's advantage over | BPM | verdict |\n|---|---|---|")
    samples = {m: np.mean([t.errors(m, s) - t.errors("dkd", s) for s in t.students], axis=0) for m in METHODS if m != "dkd"}
    answers = holm(t, samples, C1_MARGIN)
    for m, answer in answers.items():
        row(m, *answer[:3], answer[3])
    verdicts = {a[3] for a in answers.values()}
    print("\nC2: " + ("no" if "no" in verdicts else "yes" if verdicts == {"yes"} else "not resolved"))


def c3(t):
    print("\n## C3: ResNet students gain more than MLPs\n\nDifference of log error ratios, at matched parameters.\n\n| method | difference | verdict |\n|---|---|---|")

    def ratio(method, s):
        return np.log(t.errors(t.better_scratch(s), s)) - np.log(t.errors(method, s))

    for m in METHODS:
        values = np.mean([ratio(m, r) - ratio(m, p) for r, p in PAIRS], axis=0)
        mean, low, high, _ = t.interval(values)
        row(m, mean, low, high, verdict(low, high, C3_MARGIN))


def power_law(sizes, errors):
    """E, A, alpha of L = E + A N^-alpha by least squares of log residuals, the best of several starts; A of sizes in units of the first."""
    x = np.asarray(sizes) / sizes[0]

    def residuals(p):
        return np.log(np.exp(p[0]) + np.exp(p[1]) * x ** -np.exp(p[2])) - np.log(errors)

    starts = [(np.log(floor * min(errors)), np.log(max(errors) - floor * min(errors)), np.log(alpha))
              for floor in (0.3, 0.8, 0.98) for alpha in (0.3, 1.0, 3.0)]
    best = min((optimize.least_squares(residuals, start, bounds=([-5, -9, -4], [5, 5, 2.5])) for start in starts), key=lambda fit: fit.cost)
    return lambda size: np.exp(best.x[0]) + np.exp(best.x[1]) * (size / sizes[0]) ** -np.exp(best.x[2])


def c4(t):
    print("\n## C4: error falls predictably with size\n\nA power law over `params_body` of the four smaller ResNets, and what it says of 16/8. Jackknife over "
          "subjects and over folds, the wider.\n")
    print("| arm | seen at 16/8 | law | law minus seen | a constant minus seen | 16/8 in the interval, law nearer than the constant |\n|---|---|---|---|---|---|")
    nets = [s for s in t.students if s[0] == "r"]
    sizes = [t.cost[s]["params_body"] for s in nets]
    folds = np.array([t.fold[s] for s in t.subjects])
    for arm in ["onehot", "gaussian"] + METHODS:
        errors = np.array([t.errors(arm, s) for s in nets])

        def misses(keep):
            means = errors[:, keep].mean(axis=1)
            return power_law(sizes[:-1], means[:-1])(sizes[-1]) - means[-1], means[:-1].mean() - means[-1]

        everyone = np.ones(len(folds), bool)
        law, constant = misses(everyone)
        half = 0.0
        for groups in ([np.arange(len(folds)) != i for i in range(len(folds))], [folds != f for f in sorted(set(folds))]):
            left_out = np.array([misses(keep)[0] for keep in groups])
            n = len(left_out)
            half = max(half, stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))
        seen = errors[-1].mean()
        good = abs(law) <= half and abs(law) < abs(constant)
        print(f"| {arm} | {seen:.2f} | {seen + law:.2f} | {law:+.2f} [{law - half:+.2f}, {law + half:+.2f}] | {constant:+.2f} | {'yes' if good else 'no'} |")


def c5(t):
    print("\n## C5: edge-ready\n\nStudent minus its teacher, BPM; bytes and latency as the teacher's over the student's.\n")
    print("| student | method | teacher | difference | bytes | latency | within 1 BPM at 95 % |\n|---|---|---|---|---|---|---|")
    for teacher in t.teachers:
        for s in t.students:
            for m in METHODS:
                mean, low, high, _ = t.interval(t.errors(m, s, teacher) - t.errors("teacher", teacher))
                smaller = t.cost[teacher]["params"] / t.cost[s]["params"]
                faster = t.cost[teacher]["latency_ms"] / t.cost[s]["latency_ms"]
                if smaller < 10 or faster < 5 or mean > 2:
                    continue
                print(f"| {s} | {m} | {teacher} | {mean:+.2f} [{low:+.2f}, {high:+.2f}] | {smaller:.0f} | {faster:.1f} | {'yes' if high < 1 else 'no' if low > 1 else 'not resolved'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--decoding", choices=("median", "argmax", "expectation"), default="median")
    args = parser.parse_args()
    t = Table(args.table, args.decoding)
    print(f"# {args.decoding} decoding, {len(t.subjects)} subjects, {len(set(t.fold.values()))} folds")
    for part in (table_of_errors, c1, c2, c3, c4, c5):
        part(t)


if __name__ == "__main__":
    main()
