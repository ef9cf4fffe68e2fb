"""How long a step may take: its share of the budget; the runs, which have none, what all the others leave."""

from __future__ import annotations

from collections.abc import Sequence

from bench.sprint.step import Step


def limit(steps: Sequence[Step], index: int, budget: float, left: float, kept: float) -> float:
    """Seconds for `steps[index]`, of `left` that are left of the budget. `kept`: the share that belongs to no step, at the end.

    Time that earlier steps did not use goes to the step without a share; the last step may have all that is then left.
    """
    later = sum(step.share or 0.0 for step in steps[index + 1 :])
    most = left - budget * (kept + later)
    share = steps[index].share
    if share is None or index == len(steps) - 1:
        return max(0.0, most)
    return max(0.0, min(budget * share, left - budget * kept))
