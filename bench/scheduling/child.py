"""The process that trains: takes jobs as lines of JSON on its input, answers with lines of JSON on its output.

Whatever a run does to its process (a segmentation fault, running out of memory) happens here and not where the records are
written. The end of the input means: stop, after the step in hand and with the state saved; also when the parent was killed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import torch

    from bench.plan import Run

from bench.machine.streams import never_fail

SECONDS_BETWEEN_STEPS_TOLD = 0.2


def main() -> None:
    """Do jobs until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a model prints is no answer
    never_fail()
    jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threading.Thread(target=_listen, args=(jobs, ended), daemon=True).start()
    while not ended.is_set() and (job := jobs.get()) is not None:
        _do(job, ended, answers)


def _listen(jobs: queue.Queue[dict[str, Any] | None], ended: threading.Event) -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    ended.set()
    jobs.put(None)


def _do(job: dict[str, Any], ended: threading.Event, answers: TextIO) -> None:
    from bench.errors import Stopped
    from bench.training.failure import told_of
    from bench.training.run import execute
    from bench.training.train import Watch

    def tell(**what: Any) -> None:
        try:
            print(json.dumps(what), file=answers, flush=True)
        except BrokenPipeError:  # the parent is gone
            ended.set()

    told = 0.0

    def on_step(epoch: int, step: int) -> None:
        nonlocal told
        if time.monotonic() - told >= SECONDS_BETWEEN_STEPS_TOLD:
            told = time.monotonic()
            tell(epoch=epoch, step=step)

    try:
        run, device = _prepared(job)
    except Exception as error:  # the parent can tell what its user did not foresee; nothing of this process's is broken
        failure = told_of(error, job["plugin"])
        tell(failed=failure.kind, message=failure.message, last_words=failure.traceback_tail)
        return
    watch = Watch(on_step, ended.is_set, lambda text: tell(say=text))
    if ended.is_set():  # the parent was killed: somebody else may be through with the run before a first step is made here
        tell(stopped=True)
        return
    try:
        record = execute(run, device, Path(job["results"]), watch, job["jobs"])
    except Stopped:
        tell(stopped=True)
    else:
        tell(record=record.model_dump(mode="json"))


def _prepared(job: dict[str, Any]) -> tuple[Run, torch.device]:
    """Raises ModelError: the plugin cannot be loaded, or is another by now; and whatever a broken installation may raise."""
    import torch

    import models
    from bench.machine.device import choose_device
    from bench.plan import Run

    if job["threads"]:
        torch.set_num_threads(job["threads"])
    if job["plugin"]:
        models.load_plugin(job["plugin"])
    run = Run.from_json(job["run"])
    if (now := models.info(run.model, run.task).source) != run.source:
        what = f"the plugin {job['plugin']}" if job["plugin"] else "the package that registers it"
        raise models.ModelError(
            f"{run.model}: {what} has changed since the command read it (code {run.source[:10]} then, {now[:10] or 'none'} "
            "now); give the same command again"
        )
    return run, choose_device(job["device"])


if __name__ == "__main__":
    main()
