"""Networks that want pixels in [0, 1] get them wherever they get images, and of the same pictures; all others as ever."""

import pytest
import torch
from tiny_runs import CPU, one_run, resumed
from torch import nn
from torch.nn import functional as F

import models
from bench.measure.equivariance import measure
from bench.measure.equivariance_record import at_initialisation
from bench.measure.probe_images import Pictures
from bench.measure.timed_step import TimedStep, timed_run
from bench.protocol import load_protocol
from bench.training.data import Epoch, Split, mean_colour, normalise, wants_raw_pixels
from bench.training.evaluate import predict
from bench.training.run import execute
from bench.training.trainer import Watch

MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713)))
MNIST_MEAN, MNIST_STD = 0.0607, 0.2161


class Probe(nn.Module):
    """Notes the smallest and the largest number of what it is given, and makes a buffer at its first use."""

    seen = []  # noqa: RUF012 - of all networks, as a run builds several

    def __init__(self, channels=1):
        super().__init__()
        self.layer = nn.Linear(49 * channels, 10)

    def forward(self, images):
        Probe.seen.append(torch.stack([images.min(), images.max()]).detach())
        if not hasattr(self, "made"):
            self.register_buffer("made", torch.zeros(1))
        return self.layer(F.adaptive_avg_pool2d(images, 7).flatten(1))


class RawProbe(Probe):
    raw_pixels = True


@pytest.fixture(autouse=True)
def probes(own_registry):
    Probe.seen.clear()
    models.register("probe-net", tasks="mnist-scale-*")(lambda task: Probe())
    models.register("raw-probe-net", tasks="mnist-scale-*")(lambda task: RawProbe())


def extremes():
    """Of all that was seen since the last time; and how often."""
    seen = torch.stack(Probe.seen)
    Probe.seen.clear()
    return seen[:, 0].min().item(), seen[:, 1].max().item(), len(seen)


BLACK, WHITE = -MNIST_MEAN / MNIST_STD, (1 - MNIST_MEAN) / MNIST_STD


@pytest.mark.parametrize(("model", "least", "most"), [("raw-probe-net", 0, 1), ("probe-net", BLACK, WHITE)])
def test_in_a_run_in_its_check_and_where_it_is_resumed(tiny, tmp_path, model, least, most):
    run = one_run(tiny, model)
    assert execute(run, CPU, tmp_path / "whole", Watch()).status == "ok"
    low, high, whole = extremes()
    assert (low, high) == pytest.approx((least, most), abs=1e-6)
    assert resumed(run, tmp_path / "pieces", [4]).status == "ok"
    low, high, pieces = extremes()
    assert (low, high) == pytest.approx((least, most), abs=1e-6)
    assert pieces == whole + 2  # the new network is used in both modes, as its state has a buffer that it has not


def test_every_image_of_an_evaluation():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 28, 28)
    predict(RawProbe(), images, batch=1)
    assert torch.stack(Probe.seen)[:, 0].tolist() == pytest.approx([0, 0.2, 1])


def test_in_a_timing():
    step = TimedStep(timed_run("raw-probe-net", "mnist-scale-28", 8, "float32"), CPU)
    step()
    low, high, _ = extremes()
    assert 0 <= low < 0.01 and 0.99 < high <= 1
    TimedStep(timed_run("probe-net", "mnist-scale-28", 8, "float32"), CPU)()
    assert extremes()[0] < -2


@pytest.mark.parametrize(("network", "least", "most"), [(RawProbe(), 0, 1), (Probe(), BLACK, WHITE)])
def test_in_a_measurement_of_equivariance(network, least, most):
    images = torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[0, 0, 14, 14] = 255
    measure(network, Pictures("mnist-scale-28", images, "noise"))
    assert torch.allclose(Probe.seen[0], torch.tensor(float(least)), atol=1e-6)  # the empty image is black
    low, high, _ = extremes()
    assert low == pytest.approx(least, abs=1e-6) and most - 0.2 * (most - least) < high < most + 1e-5


def test_in_what_bench_equivariance_does():
    at_initialisation("raw-probe-net", "mnist-scale-28", 0, 2, "bench equivariance")
    low, high, _ = extremes()
    assert (low, high) == pytest.approx((0, 1), abs=0.1)
    assert low >= 0


def photographs(count=6):
    return torch.randint(256, (count, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_what_cutout_hides_has_the_mean_colour_and_a_raw_epoch_is_the_same_pictures():
    recipe = load_protocol("paper").recipe("stl10+").model_copy(update={"batch_size": 6})
    split = Split(photographs(), torch.zeros(6, dtype=torch.long))
    usual, raw = (Epoch(split, recipe, torch.Generator().manual_seed(2), raw=raw).batch(0).images for raw in (False, True))
    torch.testing.assert_close((raw - MEAN) / STD, usual, rtol=0, atol=1e-5)
    hidden = (usual == 0).all(dim=1)
    assert hidden.flatten(1).sum(dim=1).min() >= 16 * 16
    assert torch.equal(raw.movedim(1, -1)[hidden], MEAN.view(1, 3).expand(int(hidden.sum()), 3))
    assert raw.min() == 0 and raw.max() == 1


@pytest.mark.parametrize("task", ["mnist-scale-28", "stl10+"])
def test_pictures_on_a_canvas_are_the_same_in_either_unit(task):
    images = photographs() if task == "stl10+" else photographs()[:, :1, :28, :28]
    usual = Pictures(task, images, "noise")
    raw, (mean, std) = usual.seen_by(RawProbe()), (MEAN, STD) if task == "stl10+" else (MNIST_MEAN, MNIST_STD)
    for side in (usual.side, 2 * usual.side):
        torch.testing.assert_close((raw.empty(side) - mean) / std, usual.empty(side), rtol=0, atol=1e-5)
        torch.testing.assert_close(raw.content(0.5, side) / std, usual.content(0.5, side), rtol=0, atol=2e-5)
    assert raw.part(slice(0, 2)).raw


def test_pixels_are_what_they_say():
    images = photographs()
    assert torch.equal(normalise(images, raw=True), images.float() / 255)
    torch.testing.assert_close(normalise(images), (images.float() / 255 - MEAN) / STD)
    assert torch.equal(mean_colour(3, CPU), MEAN) and mean_colour(1, CPU).item() == pytest.approx(MNIST_MEAN)


def test_the_outermost_module_is_asked_and_torchs_compiler_passes_it_on():
    assert wants_raw_pixels(torch.compile(RawProbe())) and not wants_raw_pixels(torch.compile(Probe()))
    assert not wants_raw_pixels(nn.Sequential(RawProbe()))
    network = nn.Sequential(Probe())
    network.raw_pixels = True
    assert wants_raw_pixels(network)
