"""The runs that are left, shared with whoever else works in the same results folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from bench.errors import best_effort
from bench.plan import Run
from bench.results import leases_folder, remove_checkpoint, run_record_path, runs_begun
from bench.scheduling.leases import Leases
from leaderboard.errors import NewerRecord, RecordError
from leaderboard.records.schema import Record
from leaderboard.records.store import read_record, set_aside, write_record


class Queue:
    """Gives out each run under a lease, and tells of the runs that others have done meanwhile."""

    def __init__(self, runs: Sequence[Run], results: Path) -> None:
        self.results, self.leases = results, Leases(leases_folder(results))
        self.runs = {run.id: run for run in runs}
        self.pending = dict(self.runs)
        self._failed_before = {run.id: best_effort(run_record_path(self.results, run).read_bytes) for run in runs}

    def take(self) -> Run | Record | None:
        """The next run, now leased; or the record of one that another worker has done; None: there is nothing to do now."""
        for run in list(self.pending.values()):
            done = self._done_elsewhere(run)
            if done is None and self.leases.take(run.id):
                done = self._done_elsewhere(run)  # asked again: it may have been written just before the lease was free
                if done is None:
                    self._set_damaged_aside(run)
                    return self.pending.pop(run.id)
                self.leases.release(run.id)
            if done is not None:
                del self.pending[run.id]
                return done
        return None

    def done_elsewhere(self) -> list[Record]:
        """The records that others have written since last asked; their runs are pending no more."""
        found = {run.id: record for run in self.pending.values() if (record := self._done_elsewhere(run)) is not None}
        for run_id in found:
            del self.pending[run_id]
        return list(found.values())

    def give_back(self, run: Run) -> None:
        """Let the run be taken again, by whoever comes first."""
        self.leases.release(run.id)
        self.pending = {run.id: run, **self.pending}

    def finish(self, run: Run, record: Record) -> Record:
        """Write the record and forget the state of a run that needs none any more; the record that stands in the end.

        Raises RecordError: it cannot be written.
        """
        try:
            write_record(self.results, record)
        except RecordError:
            other = self._done_elsewhere(run)
            if other is None:
                raise
            record = other
        finally:
            self.leases.release(run.id)
        if record.status != "failed":  # a failed run resumes from its state when it is repeated
            remove_checkpoint(self.results, run.id)
        return record

    def close(self) -> None:
        """Give all leases back, and forget states that were saved by workers of killed commands when their runs were done."""
        self.leases.close()
        for run in (self.runs[run_id] for run_id in runs_begun(self.results) & self.runs.keys()):
            record = self._done_elsewhere(run)
            if record is not None and record.status == "ok":
                remove_checkpoint(self.results, run.id)

    def _set_damaged_aside(self, run: Run) -> None:
        """Set a damaged record of the run aside: it is about to be done, by this worker alone, and needs the place."""
        path = run_record_path(self.results, run)
        try:
            read_record(path)
        except RecordError as error:
            if os.path.lexists(path) and not isinstance(error, NewerRecord):
                tqdm.write(f"bench: {error}; kept as {set_aside(path).name}, and the run is done again", file=sys.stderr)

    def _done_elsewhere(self, run: Run) -> Record | None:
        content = best_effort(run_record_path(self.results, run).read_bytes)
        if content is None:
            return None
        try:
            record = read_record(run_record_path(self.results, run))
        except RecordError:
            return None
        return record if record.status == "ok" or content != self._failed_before.get(run.id) else None
