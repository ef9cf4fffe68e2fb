"""The process that trains: takes jobs as lines of JSON on its input, answers with lines of JSON on its output.

Whatever a run does to its process (a segmentation fault, running out of memory) happens here and not where the records are
written. The end of the input means: stop, after the step in hand and with the state saved; also when the parent was killed.
"""

from __future__ import annotations

import json
import queue
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bench.machine.processes import take_streams
from bench.machine.streams import never_fail
from bench.scheduling import messages

if TYPE_CHECKING:
    import torch

    from bench.plan import Run
    from bench.training.state.run_state import Progress

SECONDS_BETWEEN_STEPS_TOLD = 0.2


def main() -> None:
    """Do jobs until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    orders, answers = take_streams()
    never_fail()
    jobs: queue.Queue[messages.Job | None] = queue.Queue()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threading.Thread(target=_listen, args=(orders, jobs, ended), daemon=True).start()
    while not ended.is_set() and (job := jobs.get()) is not None:
        _do(job, ended, answers)


def _listen(orders: BinaryIO, jobs: queue.Queue[messages.Job | None], ended: threading.Event) -> None:
    for line in orders:
        jobs.put(messages.Job(**json.loads(line)))
    ended.set()
    jobs.put(None)


def _do(job: messages.Job, ended: threading.Event, answers: BinaryIO) -> None:
    from bench.errors import Stopped
    from bench.training.failure import describe_failure
    from bench.training.run import execute
    from bench.training.trainer import Watch

    def say(message: messages.ProcessMessage) -> None:
        try:
            answers.write(messages.to_line(message).encode() + b"\n")
            answers.flush()
        except BrokenPipeError:  # the parent is gone
            ended.set()

    last_step_said = 0.0

    def on_step(epoch: int, step: int) -> None:
        nonlocal last_step_said
        if time.monotonic() - last_step_said >= SECONDS_BETWEEN_STEPS_TOLD:
            last_step_said = time.monotonic()
            say(messages.StepDone(epoch, step))

    def on_epoch(progress: Progress) -> None:
        error, validation = progress.validation_error_curve[-1:], progress.validation_seconds[-1:]
        loss, seconds = progress.train_loss_curve[-1], progress.train_seconds[-1]
        say(
            messages.EpochDone(progress.epoch, loss, error[0] if error else None, seconds, validation[0] if validation else 0.0)
        )

    try:
        run, device = _prepared(job)
    except Exception as error:  # the parent can tell what its user did not foresee; nothing of this process's is broken
        failure = describe_failure(error, job.plugin)
        say(messages.RunFailed(failure.kind, failure.message, failure.traceback_tail))
        return
    watch = Watch(on_step, ended.is_set, lambda text: say(messages.Note(text)), on_epoch)
    try:
        if ended.is_set():  # the parent was killed: somebody else may be through with the run before a first step is made here
            raise Stopped
        say(messages.RunFinished(execute(run, device, Path(job.results), watch, job.jobs)))
    except Stopped:
        say(messages.RunStopped())


def _prepared(job: messages.Job) -> tuple[Run, torch.device]:
    """Raises ModelError: the plugin cannot be loaded, or is another by now; and whatever a broken installation may raise."""
    import torch

    import models
    from bench.machine.device import choose_device
    from bench.plan import Run

    if job.threads:
        torch.set_num_threads(job.threads)
    if job.plugin:
        models.load_plugin(job.plugin)
    run = Run.from_json(job.run)
    if (now := models.info(run.model, run.task).source) != run.source:
        what = f"the plugin {job.plugin}" if job.plugin else "the package that registers it"
        raise models.ModelError(
            f"{run.model}: {what} has changed since the command read it (code {run.source[:10]} then, {now[:10] or 'none'} "
            "now); give the same command again"
        )
    return run, choose_device(job.device)


if __name__ == "__main__":
    main()
