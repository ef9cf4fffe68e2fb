"""Short memory: a run says what would fit, evaluation takes smaller batches. Several cards: each run keeps to its own."""

import pytest
from small import PROTOCOL, records_in, write_stl10

MEMORY = 400_000_000  # bytes: too few for the batch of 32 on STL-10, and for evaluating 2,000 digits at once


@pytest.mark.slow
def test_what_does_not_fit_says_what_would_and_evaluation_takes_smaller_batches(bench, tmp_path):
    larger = PROTOCOL.replace("batch_size: 4", "batch_size: 32").replace("test_images: 12", "test_images: 3000")
    (tmp_path / "small.yaml").write_text(larger)
    write_stl10(folder := tmp_path / "data", {"train": 40, "test": 6})
    line = "run --model cnn --task stl10+ --protocol small.yaml --device cuda:0 --jobs 1"
    variables = {"memory": MEMORY, "BENCH_DATA": str(folder), "SMALL_STL10": str(folder)}

    done = bench(f"{line} --model sesn-vector --task mnist-scale-28", **variables)
    assert done.returncode == 1, done.stdout + done.stderr
    found = {(record["model"], record["task"]): record for record in records_in(tmp_path)}
    digits, large = found["sesn-vector", "mnist-scale-28"], found["cnn", "stl10+"]
    assert (digits["status"], digits["execution"]["cuda_graph"]) == ("ok", True), digits["failure"]
    assert digits["execution"]["evaluation_batch"] < 2000
    assert "evaluation does not fit into memory" in done.stdout + done.stderr
    assert (large["status"], large["failure"]["kind"]) == ("failed", "out of memory")
    assert "a batch of 32 does not fit into memory; it fits with --batch-split 2" in large["failure"]["message"]

    done = bench(f"{line} --batch-split 2", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    (fits,) = [record for record in records_in(tmp_path) if (record["task"], record["status"]) == ("stl10+", "ok")]
    assert (fits["execution"]["batch_split"], fits["execution"]["cuda_graph"]) == (2, False)


def test_timing_keeps_to_its_card(bench):
    done = bench("time --model cnn --task mnist-scale-28 --repeats 2 --batch-size 8 --device cuda:1", devices=2)
    assert done.returncode == 0, done.stdout + done.stderr
    for counts in done.counts.values():
        assert {quantity: numbers[0] for quantity, numbers in counts.items() if numbers[0]} == {}
    assert max(counts["events"][1] for counts in done.counts.values()) > 0
    assert max(counts["captured_nodes"][1] for counts in done.counts.values()) > 0


def test_two_cards_are_both_used(bench, tmp_path):
    (tmp_path / "small.yaml").write_text(PROTOCOL)
    done = bench("run --model cnn --model sicnn --task mnist-scale-28 --protocol small.yaml --device cuda", devices=2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {record["status"] for record in records_in(tmp_path)} == {"ok"}
    workers = [counts for counts in done.counts.values() if sum(counts["kernels"])]
    used = sorted([number > 0 for number in counts["kernels"][:2]] for counts in workers)
    assert used == [[False, True], [True, False]]
