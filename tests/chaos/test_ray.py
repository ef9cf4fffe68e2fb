"""A Ray cluster of several nodes on this machine: nodes and drivers are killed with -9, the runs go on elsewhere."""

import os
import random
import signal
import time

import psutil
import pytest

pytest.importorskip("ray", reason="the extra [ray] is not installed")
KILLS = int(os.environ.get("CHAOS_KILLS", "15"))


@pytest.fixture
def cluster(suite, monkeypatch):
    """A head that trains nothing, and two nodes with room for one run each."""
    from ray.cluster_utils import Cluster

    for name in ("PYTHONPATH", "OMP_NUM_THREADS", "CHAOS_LOG"):
        monkeypatch.setenv(name, suite.environment[name])
    size = {"object_store_memory": 100 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **size})
    made.size = size
    for _ in range(2):
        made.add_node(num_cpus=1, **size)
    yield made
    made.shutdown()


def kill_node(cluster, draw):
    """kill -9 a raylet with everything below it, and bring another node up in its place."""
    node = draw.choice([node for node in cluster.list_all_nodes() if node is not cluster.head_node])
    (raylet,) = [info.process.pid for info in node.all_processes["raylet"]]
    for process in [*psutil.Process(raylet).children(recursive=True), psutil.Process(raylet)]:
        process.send_signal(signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(num_cpus=1, **cluster.size)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))  # a suite is done after a few kills
def test_nodes_and_drivers_killed_at_random(suite, cluster, report, seed):
    draw, done = random.Random(seed), 0
    command = ("--engine", "ray", "--address", cluster.address)
    process = suite.start(*command)
    while done < KILLS:
        time.sleep(draw.uniform(6.0, 12.0))
        if process.poll() == 0:
            break
        if draw.random() < 0.5:
            kill_node(cluster, draw)
        else:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = suite.start(*command)
        done += 1
    while process.wait(timeout=300) != 0:
        process = suite.start(*command)
    assert report(suite, "ray, 2 nodes", done) <= 2 * done


@pytest.mark.slow
def test_undisturbed_it_gives_the_same_records(suite, cluster, undisturbed):
    assert suite.start("--engine", "ray", "--address", cluster.address).wait(timeout=300) == 0
    assert suite.records() == undisturbed
    assert suite.epochs_begun() == 27
