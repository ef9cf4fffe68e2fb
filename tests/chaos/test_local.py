"""kill -9 at random moments, of the command or of a process that trains: nothing is lost, nothing differs."""

import os
import random
import signal
import time

import psutil
import pytest

KILLS = int(os.environ.get("CHAOS_KILLS", "15"))


def victims(command):
    """The command, and the processes that train for it."""
    process = psutil.Process(command.pid)
    return [process, *process.children()]


def disturb(suite, commands, kills, draw):
    """Kill one of the commands or of their processes, again and again; start again whatever ended before the end."""
    running, done = [suite.start(*options) for options in commands], 0
    while done < kills:
        time.sleep(draw.uniform(3.0, 7.0))
        number = draw.randrange(len(commands))
        if running[number].poll() is None:
            draw.choice(victims(running[number])).send_signal(signal.SIGKILL)
            done += 1
            time.sleep(0.2)
        if all(process.poll() == 0 for process in running):
            break
        for at, process in enumerate(running):
            if process.poll() not in (None, 0):
                running[at] = suite.start(*commands[at])
    for at in range(len(commands)):
        while running[at].wait(timeout=300) != 0:
            running[at] = suite.start(*commands[at])
    return done


@pytest.mark.slow
@pytest.mark.parametrize("commands", [[()], [("--jobs", 2)], [(), ()]], ids=["local", "local, 2 jobs", "local, 2 commands"])
def test_killed_at_random(suite, report, commands, request):
    kills = disturb(suite, commands, KILLS, random.Random(7))
    repeated = report(suite, request.node.callspec.id, kills)
    assert repeated <= 2 * kills  # a kill of a command stops as many runs as it had in hand


@pytest.mark.slow
def test_two_commands_at_once_do_each_run_once(suite, undisturbed):
    both = [suite.start(), suite.start()]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert suite.records() == undisturbed
    assert suite.epochs_begun() == 3 * len(undisturbed)
