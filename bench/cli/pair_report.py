"""What `bench compare` says of two models in one table: as lines, and as an object for `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaderboard.board.tables import Section, Table
    from leaderboard.stats.comparison import Comparison
    from leaderboard.stats.evidence import Evidence

KEYS = (
    "task", "protocol", "digest", "data", "errors", "realizations", "difference", "interval", "interval_over",
    "p", "pairs", "significant", "better", "realizations_needed",
)  # fmt: skip


def described(section: Section, table: Table, a: str, b: str) -> dict[str, Any]:
    """What `report` says, in full precision: errors in percent, `difference` (a - b) and `interval` in percentage points.

    What cannot be told is None. An interval over `images` is of one realization: it speaks of other test images alone.
    """
    rows = {row.model: row.summary for row in table.rows if row.model in (a, b)}
    facts: dict[str, Any] = {
        "task": table.task,
        "protocol": section.protocol,
        "digest": table.digest,
        "data": section.variant,
        "errors": {model: rows[model] for model in (a, b)},
        "realizations": _shared(table, a, b),
    }
    if found := _comparison(table, a, b):
        sign = _sign(found, a)
        alone, corrected = _realizations_needed(found, len(table.comparisons))
        return facts | {
            "difference": sign * found.difference,
            "interval": sorted((sign * found.interval.low, sign * found.interval.high)),
            "interval_over": "realizations",
            "p": {"moderated_t": found.p, "holm": found.p_holm, "sign_flip": found.p_sign_flip},
            "pairs": len(table.comparisons),  # of the table, that Holm's correction is for
            "significant": found.significant,
            "better": _better(found) if found.significant else None,
            "realizations_needed": {"alone": alone, "holm": corrected},  # in all, for 80 % power; null: more than 1,000
        }
    if evidence := _of_images(table, a, b):
        interval = [evidence.interval.low, evidence.interval.high]
        facts |= {"difference": evidence.mean, "interval": interval, "interval_over": "images"}
    return dict.fromkeys(KEYS) | facts


def _comparison(table: Table, a: str, b: str) -> Comparison | None:
    return next((found for found in table.comparisons if {found.a, found.b} == {a, b}), None)


def _sign(found: Comparison, a: str) -> int:
    return 1 if found.a == a else -1


def _better(found: Comparison) -> str:
    return found.b if found.difference > 0 else found.a


def _realizations_needed(found: Comparison, pairs: int) -> tuple[int | None, int | None]:
    """How many make the pair significant, alone and among all pairs of its table."""
    from leaderboard.stats.evidence import LEVEL
    from leaderboard.stats.power import realizations_needed

    return realizations_needed(found.evidence, 1 - LEVEL), realizations_needed(found.evidence, (1 - LEVEL) / pairs)


def _shared(table: Table, a: str, b: str) -> list[int]:
    """The realizations that both have."""
    ran = [{run.realization for run in table.runs if run.model == model} for model in (a, b)]
    return sorted(ran[0] & ran[1])


def _of_images(table: Table, a: str, b: str) -> Evidence | None:
    """What one shared realization tells, which is of other test images only; None: there are more, or none."""
    from leaderboard.stats.answers import by_model, gather

    shared = _shared(table, a, b)
    if len(shared) != 1:
        return None
    return gather(by_model(run for run in table.runs if run.model in (a, b)), [a, b], shared).of_pair(0, 1)


def report(section: Section, table: Table, a: str, b: str) -> str:
    """Lines for people: each one's error, their difference, how sure it is, and what would settle it."""
    from leaderboard.board.markup import mean_std

    lines = [f"{table.task}, protocol {section.protocol} ({table.digest}), data {section.variant}"]
    for row in (row for model in (a, b) for row in table.rows if row.model == model):
        assert row.summary is not None
        lines.append(f"  {row.model:<16} error {mean_std(row.summary.mean, row.summary.std)} %, n = {row.summary.n}")
    if found := _comparison(table, a, b):
        return "\n".join(lines + _of_realizations(found, table, a, b))
    return "\n".join(lines + _of_images_only(table, a, b))


def _of_realizations(found: Comparison, table: Table, a: str, b: str) -> list[str]:
    from leaderboard.board.markup import difference, plural, probability

    pairs, sign = len(table.comparisons), _sign(found, a)
    low, high = sorted((sign * found.interval.low, sign * found.interval.high))
    verdict = (
        f"significantly different: {_better(found)} is better"
        if found.significant
        else "not significantly different on these data, which does not make them equal"
    )
    flips = "not computed" if found.p_sign_flip is None else probability(found.p_sign_flip)
    alone, corrected = _realizations_needed(found, pairs)
    p = probability(found.p)
    return [
        f"  {a} - {b}: {difference(sign * found.difference)} percentage points, 95 % interval {difference(low)} to "
        f"{difference(high)}, n = {found.n} shared realizations",
        f"  p {p if p.startswith('<') else f'= {p}'} (moderated t); {probability(found.p_holm)} corrected for the table's "
        f"{plural(pairs, 'pair')} (Holm); {flips} by sign flips alone (never below {2 / 2**found.n:.2g})",
        f"  verdict: {verdict}",
        f"  if the true difference and spread are those seen, 80 % power takes {_more(alone, found.n)} for this pair "
        f"alone, {_more(corrected, found.n)} with the correction for {plural(pairs, 'pair')}",
    ]


def _more(needed: int | None, n: int) -> str:
    if needed is None:
        return "more than 1,000 realizations"
    return f"{needed} realizations ({needed - n} more)" if needed > n else f"{needed} realizations (no more)"


def _of_images_only(table: Table, a: str, b: str) -> list[str]:
    from leaderboard.board.markup import difference
    from leaderboard.stats.comparison import MOST_MODELS

    shared, evidence = _shared(table, a, b), _of_images(table, a, b)
    if not shared:
        return ["  no realization is shared: nothing is compared"]
    if evidence is None:
        return [f"  pairs of over {MOST_MODELS} models are not compared; copy the records of fewer models into a folder"]
    low, high = difference(evidence.interval.low), difference(evidence.interval.high)
    return [
        f"  {a} - {b}: {difference(evidence.mean)} percentage points on realization {shared[0]}, n = 1 shared realization",
        f"  95 % interval over other test images only: {low} to {high}",
        "  no p and no verdict: how much another training changes this is not known from one realization; give both more",
    ]
