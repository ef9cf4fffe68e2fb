"""Every model of every task, through the command line: as a graph and kernel by kernel, on the first card and on the second."""

import pytest
from small import PROTOCOL, records_in, write_stl10

import models

TASKS = ("mnist-scale-28", "stl10+")
OURS = {(model, task) for task in TASKS for model in models.list_models(task)}  # before other tests register theirs


@pytest.mark.parametrize("graph", [True, False], ids=["graph", "plain"])
@pytest.mark.parametrize("card", [0, 1])
def test_every_model_runs(bench, tmp_path, card, graph):
    (tmp_path / "small.yaml").write_text(PROTOCOL)
    write_stl10(folder := tmp_path / "data")
    line = f"run --model * --task {' --task '.join(TASKS)} --protocol small.yaml --jobs 1 --device cuda:{card}"
    done = bench(line + ("" if graph else " --no-cuda-graph"), devices=2, BENCH_DATA=str(folder), SMALL_STL10=str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    records = records_in(tmp_path)
    assert {(record["model"], record["task"]) for record in records} == OURS
    for record in records:
        assert (record["status"], record["hardware"]["device"]) == ("ok", "cuda"), record["failure"]
        assert record["execution"]["cuda_graph"] is graph, record["run_id"]
    for counts in done.counts.values():
        elsewhere = {quantity: numbers[1 - card] for quantity, numbers in counts.items() if numbers[1 - card]}
        assert elsewhere == {}
        assert counts["refused"] == [0] * len(counts["refused"])
        assert counts["stray_launches"][card] == 0
    trained = max(done.counts.values(), key=lambda counts: counts["kernels"][card])
    assert (trained["replayed_nodes"][card] > 1000 * len(OURS)) == graph
    assert "[fake]" not in done.stdout + done.stderr
