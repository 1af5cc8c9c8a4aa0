"""Rounds, goals and the table that scripts/bench.sh ends with."""

import statistics
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/long")

from workload import say  # noqa: E402


class Spread:
    """Values of the rounds: their median, and how far they go."""

    def __init__(self, values):
        self.values = [float(value) for value in values]

    @classmethod
    def of(cls, row, name):
        """A figure of `larder bench --output json`."""
        figure = row[name]
        return cls(figure["rounds"] if isinstance(figure, dict) else [figure])

    @property
    def median(self):
        return statistics.median(self.values)

    def over(self, other):
        """Round by round: rounds side by side share the machine's mood."""
        return Spread([mine / theirs for mine, theirs in zip(self.values, other.values) if theirs > 0])

    def scaled(self, factor):
        return Spread([value * factor for value in self.values])

    def text(self, unit="", digits=2):
        def number(value):
            return f"{value:,.{digits}f}"

        low, high = min(self.values), max(self.values)
        spread = "" if len(self.values) == 1 else f" [{number(low)}-{number(high)}]"
        return f"{number(self.median)}{spread}{' ' + unit if unit else ''}"


class Goal:
    """What a figure must reach: at least or at most."""

    def __init__(self, bound, text, at_most=False):
        self.bound = bound
        self.text = text
        self.at_most = at_most

    def is_met(self, value):
        return value <= self.bound if self.at_most else value >= self.bound


def at_least(bound, text):
    return Goal(bound, text)


def at_most(bound, text):
    return Goal(bound, text, at_most=True)


def _short(why):
    return why if len(why) <= 60 else why[:57] + "..."


class Results:
    """The rows of the table."""

    HEAD = ("what", "Larder", "against", "ratio", "goal", "")

    def __init__(self):
        self.rows = []
        self.missed = 0
        self.broken = 0

    def ratio(self, what, mine, theirs, name, goal=None, unit="GB/s", digits=2, inverse=False):
        """A row with a ratio; `goal` is of the ratio. `inverse`: smaller figures are better."""
        ratio = theirs.over(mine) if inverse else mine.over(theirs)
        if not ratio.values:
            return self.absent(what, f"nothing came from {name} within a round")
        self._add(what, mine.text(unit, digits), f"{name} {theirs.text('', digits)}", ratio.text("x"), goal, ratio.median)

    def figure(self, what, mine, goal=None, unit="", digits=2, against=""):
        """A row with a figure alone; `goal` is of the figure."""
        self._add(what, mine.text(unit, digits), against, "", goal, mine.median)

    def absent(self, what, why):
        """A row for what could not be measured."""
        self.rows.append((what, "-", _short(why), "", "", "not measured"))
        say(f"    {what}: not measured: {why}")

    def fault(self, what, why):
        """Wrong bytes, errors or misses: no figure counts beside them."""
        self.broken += 1
        self.rows.append((what, "-", _short(why), "", "", "WRONG"))
        say(f"    {what}: WRONG: {why}")

    def _add(self, what, mine, against, ratio, goal, value):
        verdict = "" if goal is None else "met" if goal.is_met(value) else "missed"
        self.missed += verdict == "missed"
        self.rows.append((what, mine, against, ratio, goal.text if goal else "", verdict))
        say(f"    {what}: {mine}{'; ' + against if against else ''}{'; ' + ratio if ratio else ''}"
            f"{'; goal ' + goal.text + ': ' + verdict if goal else ''}")

    def print(self):
        rows = [self.HEAD] + self.rows
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.HEAD))]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip(), flush=True)
