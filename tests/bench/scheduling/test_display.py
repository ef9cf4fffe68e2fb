"""What a log shows of runs under way, and a terminal: which lines, how often, on a simulated clock."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
import torch
from command_line import ROOT
from record_factory import make_record

from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.scheduling import messages
from bench.scheduling.display import Display
from bench.scheduling.driver import Driver
from bench.scheduling.estimate import Estimates
from bench.scheduling.messages import EpochDone, Job, NewCheckpoint, RunStopped, StepDone, from_line, to_line

EPOCH = EpochDone(12, 0.03125, 1.85, 13.0, 1.0)


class Clock:
    """Moved by hand."""

    def __init__(self):
        self.now = 5000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def runs():
    return plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28"])], range(4), load_protocol("paper"))


def epochs(display, clock, run, numbers, seconds, slot=0):
    """The run ends these epochs, one after another."""
    for number in numbers:
        clock.now += seconds
        display.epoch(slot, run, EpochDone(number, 0.03125, 1.85, seconds * 0.75, seconds * 0.25))


def test_a_line_for_an_epoch_says_all(clock, runs, capsys):
    display = Display(1, clock=clock)
    display.begun(0, "", runs[0], None)
    epochs(display, clock, runs[0], range(1, 13), 80.0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    # 48 epochs of 80 s, and 50,000 test images at 20 s for 2,000
    assert lines[-1] == (
        "cnn mnist-scale-28 r0: epoch 12/60, loss 0.03125, validation error 1.85 %, 80.0 s per epoch, 72 min to go"
    )
    display.close()


@pytest.mark.parametrize(("seconds", "count"), [(1.0, 10), (59.0, 300), (61.0, 600)])
def test_at_most_a_line_a_minute(clock, runs, capsys, seconds, count):
    display = Display(1, clock=clock)
    display.begun(0, "", runs[0], None)
    epochs(display, clock, runs[0], [1] * 600, seconds)
    assert len(capsys.readouterr().out.splitlines()) == count
    display.finished(make_record(), "in 600 s")
    assert capsys.readouterr().out.splitlines() == ["[1/1] cnn mnist-scale-28 realization 0: error 2.00 % in 600 s"]
    display.close()


def test_a_short_run_says_its_end_alone(clock, runs, capsys):
    display = Display(1, clock=clock)
    display.begun(0, "", runs[0], None)
    for step in range(79):
        display.step(0, runs[0], 0, step)
    epochs(display, clock, runs[0], range(1, 61), 0.9)
    assert capsys.readouterr().out == ""


def test_steps_speak_where_an_epoch_takes_long(clock, runs, capsys):
    display = Display(1, clock=clock)
    display.begun(0, "", runs[0], 36_000.0)
    for step in range(79):
        clock.now += 30.0
        display.step(0, runs[0], 0, step)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3  # in 39 minutes
    assert lines[0].startswith("cnn mnist-scale-28 r0: epoch 1/60, step 20 of 79, ") and lines[0].endswith(" min to go")


def test_without_validation_and_with_a_time_budget(clock, runs, capsys):
    display = Display(1, clock=clock, deadline=clock.now + 300)
    display.begun(0, "gpu7", runs[0], None)
    clock.now += 120
    display.epoch(0, runs[0], EpochDone(1, 2.302585, None, 100.0, 0.0))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("gpu7 cnn mnist-scale-28 r0: epoch 1/60, loss 2.303, 100 s per epoch, ")
    assert "validation" not in line and line.endswith("; time budget: 3 min left")


def test_all_runs_side_by_side_and_the_last_one(clock, runs, capsys):
    display = Display(4, clock=clock)
    display.waits(3, 3 * 6500.0)
    display.begun(0, "", runs[0], None)
    display.waits(2, 2 * 6500.0)
    display.begun(1, "", runs[1], None)
    for number in range(1, 31):
        clock.now += 100.0
        for slot in (0, 1):
            display.epoch(slot, runs[slot], EpochDone(number, 0.5, 2.0, 80.0, 20.0))
    left = 30 * 100.0 + 25 * 20.0
    assert display.to_go() == pytest.approx((2 * left + 2 * 6500.0) / 2)
    assert capsys.readouterr().out.splitlines()[-1].endswith("58 min to go; all runs: 2 h 47 min to go")
    display.idle(1)
    display.waits(0, None)
    assert display.to_go() == pytest.approx(left)  # one is left: no share of a slot that is empty
    clock.now += 60.0
    assert display.to_go() == pytest.approx(left - 60.0)
    display.idle(0)
    assert display.to_go() == 0.0


def test_runs_that_nothing_is_known_of_take_as_long_as_those_in_hand(clock, runs, capsys):
    display = Display(4, clock=clock)
    display.waits(3, None)
    display.begun(0, "", runs[0], None)
    assert display.to_go() is None
    epochs(display, clock, runs[0], range(1, 31), 100.0)
    assert display.to_go() == pytest.approx(30 * 100.0 + 25 * 25.0 + 3 * (60 * 100.0 + 25 * 25.0))
    shared = Display(4, clock=clock, shares=2)
    shared.waits(3, 600.0)
    assert shared.to_go() == pytest.approx(200.0)


def test_the_end_of_a_run_says_how_long_the_others_take(clock, capsys):
    display = Display(3, clock=clock)
    display.waits(2, 240.0)
    display.finished(make_record(), "in 120 s")
    display.waits(1, None)
    display.finished(make_record(), "in 120 s")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("in 120 s; 4 min to go") and lines[1].endswith("in 120 s")


def test_no_name_can_write_on_the_screen(clock, runs, capsys):
    display = Display(1, clock=clock)
    display.begun(0, "ma\x1b[2Jchine\n\u202e", runs[0], None)
    epochs(display, clock, runs[0], [1], 100.0)
    display.say("two\nlines\x1b]0;title\x07")
    out = capsys.readouterr().out
    assert out.count("\n") == 2 and "\x1b" not in out and "\u202e" not in out and "\x07" not in out


def test_an_epoch_goes_through_a_pipe():
    for message in (EPOCH, EpochDone(1, 1e300, None, 0.1, 0.0)):
        assert from_line(to_line(message).encode()) == message


class Epochs:
    """A worker that trains two epochs, and loses its run then."""

    where = ""

    def __init__(self, how):
        self.said = [StepDone(0, 0), EPOCH, StepDone(12, 5), NewCheckpoint(b""), EPOCH, how]

    def ready(self):
        return True

    def begin(self, job):
        pass

    def receive(self):
        said, self.said = self.said, []
        return said

    def stop(self):
        pass

    def close(self):
        pass


class Pool:
    device = torch.device("cpu")

    def __init__(self, *how):
        self.workers = iter([Epochs(one) for one in how])

    def size(self):
        return 1

    def spawn(self):
        return next(self.workers)

    def job(self, slot, run):
        return Job(run.to_json(), run.id, "", "cpu", jobs=2)


@pytest.mark.parametrize("how", [messages.RunFailed("x", "y", []), messages.WorkerDied("killed"), RunStopped()])
def test_the_driver_tells_the_display_and_forgets_a_run_that_ended_somehow(tmp_path, runs, capsys, clock, how):
    finished = messages.RunFinished(make_record("cnn", realization=0, run_id=runs[0].id))
    display, estimates = Display(1, clock=clock), Estimates([make_record("cnn", digest=runs[0].recipe.digest)], "")
    seen = []
    display.epoch, shown = lambda *what: (seen.append(what), shown(*what)), display.epoch
    display.begun, begin = lambda *what: (seen.append(what), begin(*what)), display.begun
    held = []
    display.finished, finish = lambda *what: (held.append(list(display.in_hand)), finish(*what)), display.finished
    driver = Driver(runs[:1], Pool(how, finished), tmp_path, estimates, lambda: False, display)
    list(driver.run())
    assert (0, runs[0], EPOCH) in seen
    alone = estimates.seconds(runs[0])
    assert seen[0] == (0, "", runs[0], alone and 2 * alone)
    assert held == [[]] and display.waiting == (0, None)


TERMINAL = """
import time
from bench.machine.streams import never_fail
never_fail()
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.scheduling.display import Display
from bench.scheduling.messages import EpochDone
run = plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28"])], [0], load_protocol("paper"))[0]
display = Display(1, clock=lambda: now)
now = 0.0
display.begun(0, "", run, None)
for epoch in range(3):
    now += 100.0
    display.epoch(0, run, EpochDone(epoch + 1, 0.5, 7.25, 80.0, 20.0))
    time.sleep(0.25)
    display.step(0, run, epoch + 1, 0)
display.close()
"""


def on_terminal(lines, columns):
    """What it shows of three epochs."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", TERMINAL], cwd=ROOT, stdout=far, stderr=far)
    os.close(far)
    shown = b""
    while True:
        try:
            shown += os.read(near, 65536)
        except OSError:
            break
    os.close(near)
    assert process.wait(timeout=60) == 0, shown
    return shown


def test_on_a_terminal_bars_show_the_validation_error_and_the_time_to_go():
    shown = on_terminal(24, 140)
    assert b"epoch 4/60, validation error 7.25 %, " in shown
    assert b"103 min to go" in shown or b"1 h 43 min to go" in shown
    assert b"loss" not in shown  # lines are for logs


def test_a_terminal_of_no_size_gets_lines():
    assert on_terminal(0, 0).count(b"cnn mnist-scale-28 r0: epoch ") == 3
