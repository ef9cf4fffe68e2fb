"""From runs to tables: which runs may stand in one table, and what each row says. Pure: no clock, no files, no text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass

from leaderboard.board.epoch_time import EpochTime, epoch_times_of
from leaderboard.board.published import PublishedResult, find
from leaderboard.records.runs import RunResult
from leaderboard.stats.answers import by_model, check_comparable, evidence_of
from leaderboard.stats.comparison import Comparison, compare_all, ranks
from leaderboard.stats.evidence import Interval, Summary, summarise

Marked = tuple[Container[str], Container[str]]  # ids of runs that were repeated, and of those that are disputed


@dataclass(frozen=True)
class Row:
    """One model in one table. ``summary`` is None when no run succeeded; ``expected`` is how many runs make it whole.

    ``interval`` (95 %, of the mean) and ``rank`` need two realizations, and are None in a smoke test. ``published`` is the SESN
    paper's number, or where it has none another source's; ``pooled`` and ``split`` are a reproduction's, as it printed it and
    with plain and '+' runs apart.
    """

    model: str
    summary: Summary | None
    expected: int | None
    parameters: tuple[int, ...]
    epoch_times: tuple[EpochTime, ...]
    published: PublishedResult | None
    pooled: PublishedResult | None
    split: PublishedResult | None
    interval: Interval | None
    rank: int | None
    repeated: int = 0  # of its runs with a result, by others, who agree
    disputed: int = 0  # and by those who do not

    @property
    def results(self) -> list[PublishedResult]:
        """The numbers of others that the row has."""
        return [result for result in (self.published, self.pooled, self.split) if result]

    @property
    def difference(self) -> float | None:
        """Our mean minus the published one, in percentage points."""
        return self.summary.mean - self.published.error_mean if self.summary and self.published else None

    @property
    def published_inside(self) -> bool | None:
        """Whether the published mean lies in our interval; None when there is no interval or no published number."""
        return self.published.error_mean in self.interval if self.interval and self.published else None


@dataclass(frozen=True)
class Table:
    """One task under one fully resolved recipe; ``runs`` holds the successful ones, ``failures`` the rest.

    ``comparisons``: every pair of models that shares two realizations or more; empty in a smoke test.
    """

    task: str
    digest: str
    one_of_several: bool
    rows: tuple[Row, ...]
    runs: tuple[RunResult, ...]
    failures: tuple[RunResult, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Section:
    """All tables of one protocol name on one data variant. A smoke section's errors compare with nothing."""

    protocol: str
    smoke: bool
    variant: str
    tables: tuple[Table, ...]


def build_sections(
    runs: Iterable[RunResult], repeated: Container[str] = (), disputed: Container[str] = ()
) -> tuple[Section, ...]:
    """The sections in the board's order: ``paper`` first, then by name, smoke tests last.

    ``repeated`` and ``disputed``: ids of runs that others have repeated, and did or did not find the same.
    No table mixes recipes (digests) or data variants, and runs of an altered network or of altered images are in none.
    Raises RecordError when two runs of one table used different data or numbers of test images for the same realization, or
    when one realization was counted twice for one model.
    """
    groups: defaultdict[tuple[bool, bool, str, str], defaultdict[tuple[str, str], list[RunResult]]]
    groups = defaultdict(lambda: defaultdict(list))
    for run in (run for run in runs if not run.altered):
        section = (run.smoke, run.protocol != "paper", run.protocol, run.data_variant)
        groups[section][run.task, run.protocol_digest].append(run)
    marked = repeated, disputed
    return tuple(
        Section(protocol, smoke, variant, _tables(tables, smoke, marked))
        for (smoke, _, protocol, variant), tables in sorted(groups.items())
    )


def published_in(sections: Iterable[Section]) -> list[PublishedResult]:
    """The published numbers that stand in the rows of these sections."""
    return [result for section in sections for table in section.tables for row in table.rows for result in row.results]


def error_by_scale(runs: Iterable[RunResult]) -> dict[tuple[float, float], tuple[int, int]]:
    """Test images and wrong answers in each bin of scale (low, high), over all runs: each image counts the same."""
    bins: dict[tuple[float, float], tuple[int, int]] = {}
    for run in runs:
        for low, high, count, wrong in run.error_by_scale:
            images, errors = bins.get((low, high), (0, 0))
            bins[low, high] = images + count, errors + wrong
    return dict(sorted(bins.items()))


def _tables(groups: dict[tuple[str, str], list[RunResult]], smoke: bool, marked: Marked) -> tuple[Table, ...]:
    tasks = [task for task, _ in groups]
    return tuple(
        _table(task, digest, tasks.count(task) > 1, runs, smoke, marked) for (task, digest), runs in sorted(groups.items())
    )


def _table(task: str, digest: str, one_of_several: bool, runs: list[RunResult], smoke: bool, marked: Marked) -> Table:
    runs = sorted(runs, key=lambda run: (run.model, run.realization, run.run_id))
    succeeded = tuple(run for run in runs if run.status == "ok")
    check_comparable(task, succeeded)
    comparisons = () if smoke else compare_all(succeeded)
    by_name: defaultdict[str, list[RunResult]] = defaultdict(list)
    for run in runs:
        by_name[run.model].append(run)
    rank_of = ranks(list(by_name), comparisons)
    rows = [_row(task, model, its_runs, rank_of.get(model), smoke, marked) for model, its_runs in by_name.items()]
    rows.sort(key=lambda row: (row.summary is None, row.summary.mean if row.summary else 0.0, row.model))
    failures = tuple(run for run in runs if run.status != "ok")
    return Table(task, digest, one_of_several, tuple(rows), succeeded, failures, comparisons)


def _row(task: str, model: str, runs: list[RunResult], rank: int | None, smoke: bool, marked: Marked) -> Row:
    succeeded = [run for run in runs if run.status == "ok"]
    errors = [run.test_error for run in succeeded if run.test_error is not None]
    sure = not smoke and len(errors) > 1
    repeated, disputed = (sum(run.run_id in ids for run in succeeded) for ids in marked)
    return Row(
        model=model,
        summary=summarise(errors) if errors else None,
        expected=max((run.expected for run in runs if run.expected is not None), default=None),
        parameters=tuple(sorted({run.parameters for run in succeeded if run.parameters is not None})),
        epoch_times=epoch_times_of(succeeded),
        published=None if smoke else find(task, model) or find(task, model, "other"),
        pooled=None if smoke else find(task, model, "reproduction-as-published"),
        split=None if smoke else find(task, model, "reproduction-split"),
        interval=evidence_of(by_model(succeeded)[model]).interval if sure else None,
        rank=rank,
        repeated=repeated,
        disputed=disputed,
    )
