"""One run asked for in Python: planned, looked up, done. By the parts that `bench run` has, so that nothing differs."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import models
from bench.commands import option_words
from bench.errors import BenchError, Stopped
from bench.measure.isolated import isolated
from bench.notebook.given import GivenFile, cell_of, protocol_file
from bench.plan import Run, make_run
from bench.protocol import load_protocol
from bench.record import check_frames
from bench.results import check_writable, run_record_path
from bench.scheduling.done_runs import newer_records, read_results
from bench.scheduling.elsewhere import folders_elsewhere, read_elsewhere
from bench.scheduling.stop import StopRequest, stopped_by_signals
from leaderboard.errors import one_line
from leaderboard.records.schema import Record
from leaderboard.records.store import read_record

if TYPE_CHECKING:
    from bench.scheduling.session import Outcome


def plan(model: str, task: str, realization: int, protocol: str | Path | Mapping[str, Any], results: Path) -> Run:
    """The run that is asked for; what is given as no file is written to the results folder.

    Raises BenchError, ModelError, DataError, RecordError: no such run, or the folder cannot be written.
    """
    name = models.canonical_name(model, task)
    known = models.info(name, task)
    cell = cell_of(known)
    if cell is not None or isinstance(protocol, Mapping):
        check_writable(results, "another folder: results=", "results folder")
    given = str(protocol_file(protocol).write(results) if isinstance(protocol, Mapping) else protocol)
    chosen = load_protocol(given)
    plugin = known.plugin if cell is None else str(_written(cell, results, name, task))
    words = option_words({"protocol": given, "plugin": _from_here(plugin) if plugin else None})
    return make_run(name, task, realization, chosen, tuple(words), known.source if cell is None else cell.source, plugin)


def _written(cell: GivenFile, results: Path, model: str, task: str) -> Path:
    """The cell as a plugin's file. Raises BenchError: by itself it gives no network, as it will have to."""
    path = cell.path(results)
    if not path.exists():
        cell.write(results)
        try:
            said = f"{model} from the cell that registers it, which has to hold all that it uses, imports too,"
            isolated(str, f"building {said}", "bench.notebook.given:build", str(path), model=model, task=task)
        except BaseException:
            path.unlink()
            raise
    return path


def _from_here(path: str) -> str:
    """As one would type it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def find_done(run: Run, results: Path, anew: bool) -> Record | None:
    """The finished run's record, from the results folder or, unless `anew`, from ./records.

    Raises BenchError: a newer version's record is in its place.
    """
    if newer_records([run], results):
        path = run_record_path(results, run)
        raise BenchError(f"{one_line(path)} was written by a newer equiscale; use that one, or another folder: results=DIR")
    here = {record.run_id: record for record in read_results(results) if record.status == "ok"}
    there = read_elsewhere([] if run.id in here else folders_elsewhere(None, results, anew)).done([run])
    return here.get(run.id) or there.get(run.id)


def do(run: Run, device: str, results: Path, progress: bool) -> Record:
    """Do the run, or what is left of it, in a process of its own. `progress`: say on screen how it goes.

    Raises KeyboardInterrupt: interrupted, with the state saved; BenchError: it failed; as `session.do_runs` otherwise.
    """
    stop = StopRequest()
    try:
        with stopped_by_signals(stop), _silence(not progress):
            outcome = _session(run, device, results, stop)
    except Stopped:
        _interrupted(run, stop)
    if outcome.stopped or stop.signal_name is not None:  # it may have come with the last step: then the run is done
        _interrupted(run, stop)
    path = run_record_path(results, run)
    for record in outcome.bad:
        assert record.failure is not None  # it is bad for a reason
        why = one_line(f"{record.failure.kind}: {record.failure.message}")
        error = BenchError(f"{run.id}: {record.status}: {why} (its record: {one_line(path)})")
        error.add_note("\n".join(record.failure.traceback_tail))
        raise error
    return read_record(path)


def _session(run: Run, device: str, results: Path, stop: StopRequest) -> Outcome:
    from bench.compatibility import check_runs
    from bench.machine.device import choose_device, has_tf32
    from bench.machine.hardware import describe_hardware
    from bench.scheduling.engines.local import Local
    from bench.scheduling.estimate import estimates_from
    from bench.scheduling.session import do_runs

    chosen = choose_device(device)
    check_runs([run], on_cuda=chosen.type == "cuda", tf32=has_tf32(chosen))
    check_frames([run], results)
    estimates = estimates_from([results], read_results(results), describe_hardware(chosen).name)
    return do_runs([run], Local(chosen, results), results, estimates, stop)


def _interrupted(run: Run, stop: StopRequest) -> NoReturn:
    """Let the signal do, now that what is done is saved, what it does where nobody waits for it."""
    if stop.signal_name not in (None, "SIGINT"):
        signal.raise_signal(signal.Signals[stop.signal_name])
    raise KeyboardInterrupt(f"{run.id}: what is done is saved; the same call goes on from there")


@contextmanager
def _silence(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield
