"""Leases: one holder at a time, the dead replaced, the living left alone, whatever the clocks say."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.scheduling import leases
from bench.scheduling.leases import PATIENCE, Leases

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def make(tmp_path):
    made = []

    def one(beat=0.02):
        made.append(Leases(tmp_path, beat))
        return made[-1]

    yield one
    for each in made:
        each.close()


def dead(lease):
    """As after a kill -9: the heart stops and the file stays."""
    lease._ended.set()
    lease._thread.join()
    lease._held.clear()


def until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def far_away(monkeypatch):
    """Process numbers tell nothing: as if the owners were on other machines."""
    monkeypatch.setattr(leases, "_is_dead", lambda content: False)


def test_one_of_many_gets_it(make):
    everybody, won = [make() for _ in range(8)], []
    start = threading.Barrier(8)

    def race(lease):
        start.wait()
        won.extend(lease for name in range(50) if lease.take(f"run{name}"))

    threads = [threading.Thread(target=race, args=(lease,)) for lease in everybody]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(won) == 50


def test_a_living_lease_is_left_alone_and_a_released_one_is_free(make, far_away):
    holder, other = make(), make()
    assert holder.take("run")
    ended = time.monotonic() + 5 * PATIENCE * 0.02
    while time.monotonic() < ended:
        assert not other.take("run")
        time.sleep(0.005)
    holder.release("run")
    assert other.take("run")


def test_a_dead_lease_is_taken_over_by_one(make, far_away, tmp_path):
    holder = make()
    assert holder.take("run")
    dead(holder)
    others, won = [make() for _ in range(6)], []

    def try_for_a_while(lease):
        ended = time.monotonic() + 2
        while time.monotonic() < ended and not won:
            if lease.take("run"):
                won.append(lease)
            time.sleep(0.001)

    threads = [threading.Thread(target=try_for_a_while, args=(lease,)) for lease in others]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    time.sleep(0.1)
    assert len([lease for lease in won if not lease.lost("run")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.lease"]


def test_whoever_wakes_up_too_late_finds_its_lease_lost(make, far_away, tmp_path):
    sleeper, other = make(), make()
    assert sleeper.take("run")
    sleeper._lock.acquire()  # its heart cannot beat
    until(lambda: other.take("run"))
    sleeper._lock.release()
    until(lambda: sleeper.lost("run"))
    content = (tmp_path / "run.lease").read_text()
    sleeper.release("run")
    assert (tmp_path / "run.lease").read_text().startswith(other.owner)
    assert content.startswith(other.owner)
    assert not other.lost("run")


def test_a_long_pause_of_the_one_who_looks_counts_as_one_look(make, far_away, monkeypatch):
    holder, other = make(beat=1000), make(beat=1)
    assert holder.take("run")
    now = time.monotonic()
    for hours in range(PATIENCE):
        monkeypatch.setattr(time, "monotonic", lambda moment=now + 3600 * hours: moment)
        assert not other.take("run")


def test_wall_clocks_mean_nothing(make, far_away, monkeypatch, tmp_path):
    holder, other = make(), make()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert holder.take("run")
    os.utime(tmp_path / "run.lease", (0, 0))
    for _ in range(30):
        assert not other.take("run")
        time.sleep(0.01)


def test_a_living_lease_taken_away_by_mistake_is_put_back(make, tmp_path):
    holder, other = make(), make(beat=0.02)
    assert holder.take("run")
    other._take_away("run", b"what it read long ago")
    assert (tmp_path / "run.lease").read_text().startswith(holder.owner)
    time.sleep(0.1)
    assert not holder.lost("run")
    assert len(list(tmp_path.iterdir())) == 1


def test_without_hard_links_it_works_too(make, tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    holder, other = make(), make()
    assert holder.take("run")
    other._take_away("run", b"what it read long ago")
    assert (tmp_path / "run.lease").read_text().startswith(holder.owner)


@pytest.mark.skipif(sys.platform != "linux", reason="process numbers are looked up in /proc")
def test_a_killed_process_of_this_machine_is_not_waited_for(make, tmp_path):
    code = f"""
import sys, time
from pathlib import Path
from bench.scheduling.leases import Leases
print(Leases(Path({str(tmp_path)!r}), 1000).take("run"), flush=True)
time.sleep(1000)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    other = make()
    assert not other.take("run")
    process.kill()
    until(lambda: other.take("run"))
    process.communicate()


def test_a_lease_of_nonsense_is_taken_over_in_time(make, tmp_path):
    other = make(beat=0.001)
    for content in (b"", b"\xff\xfe", b"a b c d e", f"{leases._machine()} ../../x 1 x 0".encode()):
        (tmp_path / "run.lease").write_bytes(content)
        until(lambda: other.take("run"))
        other.release("run")


def test_no_space_for_a_lease_leaves_nothing(make, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        make().take("run")
    assert list(tmp_path.iterdir()) == []
