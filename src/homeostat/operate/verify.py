"""Did the change help? Batches before against batches after, never request against request.

Requests are correlated with each other, so per-request tests call noise an effect; batches of
seconds are much less so. On top of the exact rank-sum test stand four guards, each of which alone
can only make the answer more cautious:

- the mechanism: the change must be seen at work (a new limit used above the old one) in most
  batches, else an improvement came from elsewhere and counts as none;
- the load: when it fell, an improvement proves nothing; when it rose, harm proves nothing;
- the trend: when the batches before were already getting better, the trouble was ending by itself;
- the jump: the fall across the change must be larger than any between neighbouring batches, since
  near saturation a queue wanders slowly and six batches in a row share one of its moods. Falls are
  compared as ratios: latency is skewed, and one batch at three times the usual must not hide a fall
  to a tenth (by simulation it hid 84 % of them as a difference, 4 % as a ratio). The first batch
  after a change may still hold calls of the time before it (a table read from end to end): a fall
  to a tenth may come with the second, if it is larger than any over two batches.

The rank-sum distribution is exact, with midranks for ties (Wilcoxon 1945; Mann and Whitney 1947).
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["better", "worse", "no effect", "cannot tell"]

ALPHA = 0.01  # one-sided; with 6 batches a side the smallest possible is 1/924
TREND_ALPHA = 0.05
MECHANISM_BATCHES_SHARE = 0.5  # the mechanism must be at work in more than half of the batches
BATCHES_MIN = 4
JUMP_FACTOR = 1.5  # by simulation: about 2 % false credit even at a load of 1, without mechanism
LATE_FALL = math.log(
    10
)  # to a tenth; any late fall would credit 4.5 % where 2.5 % are, with this 3 %
VALUE_MIN = 1e-9  # a batch that measured nothing has no logarithm


@dataclass(frozen=True, slots=True)
class Batch:
    """What was measured in one stretch of time.

    Attributes:
        value: the metric that is to fall, e.g. mean latency in ms.
        load: what was asked for in the stretch, per second.
        mechanism: how much the change itself was at work, e.g. the share of time above the old
            limit; 0 before the change.
        reads: what was read for one call, in the demand's own unit; None: not known.
    """

    value: float
    load: float
    mechanism: float = 0.0
    reads: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison says; `reason` is one sentence with the numbers."""

    outcome: Outcome
    reason: str
    before: float
    after: float
    probability: float
    mechanism: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What a remedy must show to be kept.

    Attributes:
        name: of the value, for sentences: `mean latency`.
        unit: of the value.
        reduction_min: least relative reduction of the median batch worth keeping, 0 to 1.
        mechanism: what the mechanism is, for sentences; empty: none is asked for (a change that
            only has to do no harm).
        mechanism_min: level in a batch that counts as at work.
        harm_max: relative rise of the median batch that counts as harm.
        reads: what the change spares reading of, for sentences; empty: nothing. It is told and
            not judged: what a plan looks up is counted, not what a LIMIT or an order spares.
        load_drift_share: change of the load past which nothing can be told; a run takes it from
            `operate.load_drift_share`.
    """

    name: str
    unit: str
    reduction_min: float
    mechanism: str
    mechanism_min: float = 0.05
    harm_max: float = 0.2
    reads: str = ""
    load_drift_share: float = 0.3


def rank_sum_probability(low: Sequence[float], high: Sequence[float]) -> float:
    """Return the chance that `low` would rank this low if both came from one source (one-sided)."""
    pooled = sorted([*low, *high])
    doubled = {  # midranks are halves, so twice the rank is whole
        value: 2 * pooled.index(value) + count + 1 for value, count in Counter(pooled).items()
    }
    ranks = [doubled[value] for value in pooled]
    observed = sum(doubled[value] for value in low)
    ways: list[Counter[int]] = [Counter() for _ in range(len(low) + 1)]
    ways[0][0] = 1
    for rank in ranks:
        for size in range(len(low), 0, -1):
            for total, count in ways[size - 1].items():
                ways[size][total + rank] += count
    whole = sum(ways[len(low)].values())
    return sum(count for total, count in ways[len(low)].items() if total <= observed) / whole


def trend_probability(values: Sequence[float]) -> float:
    """Return the chance of falling pairs being this many without a trend (Mann-Kendall, exact)."""
    n = len(values)
    falling = sum(values[i] > values[j] for i in range(n) for j in range(i + 1, n))
    ways = Counter({0: 1})  # permutations of n by number of inversions (Kendall 1938)
    for size in range(2, n + 1):
        grown: Counter[int] = Counter()
        for inversions, count in ways.items():
            for more in range(size):
                grown[inversions + more] += count
        ways = grown
    whole = sum(ways.values())
    return sum(count for inversions, count in ways.items() if inversions >= falling) / whole


def compare(before: Sequence[Batch], after: Sequence[Batch], demand: Demand) -> Verdict:
    """Judge a change.

    Args:
        before: batches under the old state, in order of time.
        after: batches under the new state, the settling left out.
        demand: what must be shown.

    Returns:
        better: fell by at least `reduction_min`, beyond chance, with the mechanism at work.
        worse: rose by at least `harm_max`, beyond chance.
        no effect: neither.
        cannot tell: too few batches, unsteady load, or a trouble that was ending by itself.
    """
    if min(len(before), len(after)) < BATCHES_MIN:
        reason = f"only {len(before)} batches before and {len(after)} after could be measured"
        return Verdict("cannot tell", reason, 0.0, 0.0, 1.0, 0.0)
    old = [batch.value for batch in before]
    new = [batch.value for batch in after]
    old_median, new_median = statistics.median(old), statistics.median(new)
    seen = statistics.mean(batch.mechanism >= demand.mechanism_min for batch in after)
    change = (new_median - old_median) / old_median if old_median > 0 else 0.0
    numbers = (
        f"{demand.name} {_number(old_median)} -> {_number(new_median)} {demand.unit} "
        f"({change_in_words(change)})"
    )
    read = _read(before, after) if demand.reads else None
    if read is not None:
        numbers += f", {demand.reads} {_number(read[0])} -> {_number(read[1])}"
    fell = rank_sum_probability(new, old)
    rose = rank_sum_probability(old, new)
    outcome: Outcome = "no effect"
    probability = fell
    if change >= demand.harm_max and rose <= ALPHA:
        probability = rose
        load = _load_change(before, after)
        outcome, reason = "worse", f"it got worse (p = {rose:.4f})"
        if load > demand.load_drift_share:
            outcome, reason = "cannot tell", f"but the load rose by {load:.0%}"
    elif not demand.mechanism:
        reason = "no harm seen"
    elif -change < demand.reduction_min or fell > ALPHA:
        reason = f"at least -{demand.reduction_min:.0%} was asked for (p = {fell:.4f})"
    elif seen <= MECHANISM_BATCHES_SHARE:
        reason = f"it fell, but not by this: it was not seen that {demand.mechanism}"
    else:
        outcome, reason = _credit(before, after, demand, fell)
    return Verdict(outcome, f"{numbers}: {reason}", old_median, new_median, probability, seen)


def change_in_words(change: float) -> str:
    """Return a relative change as percent; what is left of a large fall is not rounded away."""
    if -1 < change < -0.99:
        return f"-{math.floor(-change * 1000) / 10:.1f}%"
    return f"{change:+.0%}"


def _credit(
    before: Sequence[Batch], after: Sequence[Batch], demand: Demand, probability: float
) -> tuple[Outcome, str]:
    """Return whether a real improvement may be credited to the change, and why."""
    load = _load_change(before, after)
    if load < -demand.load_drift_share:
        return "cannot tell", f"but the load fell by {-load:.0%}"
    old = [batch.value for batch in before]
    new = [batch.value for batch in after]
    good = statistics.median(new) * (1 + demand.harm_max)
    if trend_probability(old) <= TREND_ALPHA and old[-1] <= good:
        return "cannot tell", "but it was already ending before the change"
    if not _jumped(old, new):
        return "cannot tell", "but it falls as much between batches without any change"
    return "better", f"{demand.mechanism} (p = {probability:.4f})"


def _read(before: Sequence[Batch], after: Sequence[Batch]) -> tuple[float, float] | None:
    """Return what a call read before and after, medians of the batches; None: not known."""
    old = [batch.reads for batch in before if batch.reads is not None]
    new = [batch.reads for batch in after if batch.reads is not None]
    return (statistics.median(old), statistics.median(new)) if old and new else None


def _fall(earlier: float, later: float) -> float:
    return math.log(max(earlier, VALUE_MIN) / max(later, VALUE_MIN))


def _jumped(old: Sequence[float], new: Sequence[float]) -> bool:
    """Return whether the fall across the change stands out, at once or a batch later."""
    if _fall(old[-1], new[0]) > JUMP_FACTOR * max(_largest_fall(old), _largest_fall(new)):
        return True
    within = max(_largest_fall(old, steps=2), _largest_fall(new[1:], steps=2))
    return _fall(old[-1], new[1]) > max(JUMP_FACTOR * within, LATE_FALL)


def _largest_fall(values: Sequence[float], *, steps: int = 1) -> float:
    """Return the largest fall within so many batches."""
    return max(
        _fall(values[i], later)
        for i in range(len(values) - 1)
        for later in values[i + 1 : i + 1 + steps]
    )


def _load_change(before: Sequence[Batch], after: Sequence[Batch]) -> float:
    old = statistics.median(batch.load for batch in before)
    new = statistics.median(batch.load for batch in after)
    return (new - old) / old if old > 0 else 0.0


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
