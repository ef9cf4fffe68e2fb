"""A timing of the smallest networks, and what `bench time` and `bench profile` leave behind."""

import json

import pytest
import torch

from bench.cli.main import main
from bench.errors import BenchError
from bench.machine.background_load import taints
from bench.machine.device import on
from bench.measure.profiling import profile_step
from bench.measure.timed_step import TimedStep, timed_run
from bench.measure.timer import samples
from bench.measure.timing import TimingConfig, time_model
from bench.step_code.identity import source_here
from leaderboard.reading.folders import read_measurements
from leaderboard.records.timing import Timing

TASK = "mnist-scale-28"


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code


def test_a_model_is_timed_in_a_process_of_its_own_and_leaves_a_record(tmp_path, plugin, capsys):
    wanted = ("--model", "tiny-net", "--plugin", plugin, "--task", TASK, "--device", "cpu", "--batch-size", 4, "--repeats", 3)
    assert call("time", *wanted, "--records", tmp_path) == 0
    (timing,), unreadable = read_measurements(tmp_path, Timing)
    assert unreadable == []
    assert (timing.model, timing.task, timing.batch_size, timing.precision) == ("tiny-net", TASK, 4, "float32")
    assert [len(each) for each in (timing.step_seconds, timing.inference_seconds, timing.latency_seconds)] == [3, 3, 3]
    assert min(timing.step_seconds) > 0 and timing.peak_memory_bytes > 1e7
    # Two layers; the first needs no gradient of the images.
    assert timing.step_operations == 2 * 4 * (2 * 784 * 16 + 3 * 16 * 10)
    assert timing.step_bytes > 4 * 4 * 784
    assert timing.matmul_rate > 1e8 and timing.copy_rate > 1e7
    assert set(timing.tainted) >= set(taints([], timing.background_load)) and timing.tainted == timing.taints
    assert timing.code is not None and timing.code.model != timing.code.plain == source_here().code_of("cnn", TASK)
    assert timing.graph_step_seconds is timing.compile_seconds is timing.compiled_step_seconds is None
    assert f"--plugin {plugin}" in timing.command and "--repeats 3" in timing.command
    printed = capsys.readouterr().out
    assert "tiny-net" in printed and str(tmp_path / "timings") in printed
    assert call("timings", "--records", tmp_path) == 0
    assert "tiny-net" in capsys.readouterr().out


def test_a_model_that_cannot_be_timed_is_one_line(plugin):
    said = r"timing raises-net on mnist-scale-28 failed: RuntimeError: no such luck .*tiny_net.py:\d+: raise"
    with pytest.raises(BenchError, match=said):
        time_model(TimingConfig("raises-net", TASK, "cpu", 4, repeats=1, plugins=(str(plugin),)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("time",), "say what to time"),
        (("time", "--all", "--precision", "float16"), "allowed: --precision float32 or tf32 or bf16"),
        (("time", "--model", "cn", "--task", TASK), "cnn"),
        (("profile", "sesn-*"), "one at a time"),
        (("profile", "cnn", "--device", "tpu"), "try --device"),
        (("timings", "--records", "no-such-folder"), "no folder"),
    ],
)
def test_bad_input_is_one_line(arguments, said, capsys):
    assert call(*arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_warm_up_calls_are_not_among_the_samples():
    calls = []
    assert len(samples(lambda: calls.append(None), torch.device("cpu"), 7)) == 7
    assert len(calls) > 7


def test_profile_of_a_step(tmp_path):
    trace = tmp_path / "deeper" / "trace.json"
    found = profile_step(TimedStep(timed_run("cnn", TASK, 4, "float32"), torch.device("cpu")), torch.device("cpu"), trace)
    assert found.kernels is None
    own = [operator.seconds for operator in found.operators]
    assert own == sorted(own, reverse=True)
    convolutions = {operator.name: operator.calls for operator in found.operators}
    assert convolutions["aten::convolution_backward"] == 3
    assert found.high_water > 4 * 4 * 32 * 28 * 28  # the first maps alone, in bytes
    assert json.loads(trace.read_text())["traceEvents"]


def test_profile_on_the_command_line(tmp_path, plugin, capsys):
    wanted = ("tiny-net", "--plugin", plugin, "--device", "cpu", "--batch-size", 4, "--rows", 3, "--output", tmp_path)
    assert call("profile", *wanted) == 0
    printed = capsys.readouterr().out
    assert "aten::" in printed and "memory high-water" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-net_mnist-scale-28_cpu_float32_b4.json.gz"]


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["cnn", "sesn-vector"])
def test_a_captured_step_is_the_step(model):
    """Dropout off: weights after two plain steps, and after the one that a capture needs and a replay, agree."""
    device, weights = torch.device("cuda"), []
    for captured in (False, True):
        with on(device):
            step = TimedStep(timed_run(model, TASK, 8, "float32"), device)
            for module in step.network.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            step.batch.images.copy_(torch.randn(step.batch.images.shape, generator=torch.Generator().manual_seed(0)))
            again = step.capture() if captured else step
            for _ in range(1 if captured else 2):
                again()
            torch.cuda.synchronize()
            weights.append([parameter.detach().cpu() for parameter in step.network.parameters()])
    for plain, replayed in zip(*weights, strict=True):
        torch.testing.assert_close(replayed, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
def test_a_timing_on_cuda_tells_the_cards_state():
    timing = time_model(TimingConfig("cnn", TASK, "cuda", 32, repeats=5))
    assert [state.when for state in timing.states] == ["before", "busy", "after"]
    assert len(timing.graph_step_seconds or []) == 5 and timing.notes == []
