"""The Slurm engine by submitit's local executor: jobs that share a results folder, and one that is killed."""

import signal
import time

import psutil
import pytest

pytest.importorskip("submitit", reason="the extra [slurm] is not installed")
COMMAND = ("--engine", "slurm", "--jobs", "2", "--slurm", "cluster=local", "--slurm", "timeout_min=5")


@pytest.mark.slow
def test_two_jobs_do_each_run_once(suite, undisturbed):
    process = suite.start(*COMMAND)
    assert process.wait(timeout=300) == 0, (suite.folder / "output.log").read_text()
    assert suite.records() == undisturbed
    assert suite.epochs_begun() == 27


@pytest.mark.slow
def test_a_killed_driver_started_again_repeats_nothing(suite, undisturbed):
    process = suite.start(*COMMAND)
    while not suite.epochs_begun():
        time.sleep(0.2)
    for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        each.send_signal(signal.SIGKILL)
    process.wait()
    assert suite.start(*COMMAND).wait(timeout=300) == 0, (suite.folder / "output.log").read_text()
    assert suite.records() == undisturbed
    assert suite.epochs_begun() <= 27 + 2
