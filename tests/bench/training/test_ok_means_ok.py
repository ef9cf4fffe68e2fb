"""A run that is ok was given logits of the right form by its network, finite ones; its data stay as they were."""

import re
from types import SimpleNamespace

import pytest
import torch
from tiny_runs import CPU, StopAt, metrics, one_run
from torch import nn

import datasets
import models
from bench.errors import BenchError, Stopped
from bench.measure.scale_sweep import wrong_answers
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.training.data import Split, load_split
from bench.training.evaluate import NO_ANSWER, predict
from bench.training.run import execute
from bench.training.state.checkpoint import Checkpoint, _state
from bench.training.step import forward_backward
from bench.training.trainer import Watch
from models import ModelError

pytestmark = pytest.mark.usefixtures("own_registry")  # others walk over all models that there are


class Changed(nn.Module):
    """Linear, and then something done to what it gives. `classes`: the number of outputs."""

    def __init__(self, change, classes=10):
        super().__init__()
        self.change, self.layer = change, nn.Linear(784, classes)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, images):
        self.steps += self.training
        return self.change(self, self.layer(images.flatten(1)))


def registered(name, change, classes=10):
    models.register(name, tasks="mnist-scale-28+")(lambda task: Changed(change, classes))
    return name


def plain(network, logits):
    return logits


WRONG = {
    "7 outputs": (plain, 7, r"a tensor of shape \(16, 7\), float32, on cpu"),
    "12 outputs": (plain, 12, r"\(16, 12\)"),
    "one output": (plain, 1, r"\(16, 1\)"),
    "transposed": (lambda n, y: y.t(), 10, r"\(10, 16\)"),
    "maps": (lambda n, y: y[..., None, None], 10, r"\(16, 10, 1, 1\)"),
    "pooled over the batch": (lambda n, y: y.mean(0), 10, r"shape \(10,\)"),
    "answers": (lambda n, y: y.argmax(1), 10, r"shape \(16,\), int64"),
    "integers": (lambda n, y: y.long(), 10, "int64"),
    "complex": (lambda n, y: y.cfloat(), 10, "complex64"),
    "sparse": (lambda n, y: y.to_sparse(), 10, "sparse_coo tensor"),
    "another device": (lambda n, y: torch.empty(len(y), 10, device="meta"), 10, "on meta"),
    "a tuple": (lambda n, y: (y, None), 10, "a tuple of 2"),
    "a dict": (lambda n, y: {"logits": y}, 10, "a dict"),
    "an object": (lambda n, y: SimpleNamespace(tensor=y), 10, "a SimpleNamespace"),
    "None": (lambda n, y: None, 10, "None"),
    "in evaluation": (lambda n, y: y if n.training else (y, y), 10, "a tuple of 2"),
    "in training": (lambda n, y: y[:, :7] if n.training else y, 10, r"\(16, 7\)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_are_no_logits_is_said_before_the_first_step(tiny, plugin, tmp_path, what):
    change, classes, said = WRONG[what]
    name, steps = registered(f"wrong-{what.replace(' ', '-')}", change, classes), []
    record = execute(one_run(tiny, name), CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at)))
    assert (record.status, record.failure.kind, steps) == ("failed", "ModelError", [])
    assert re.search(rf"^{name}: .*{said}.*wanted: logits, .*\(16, 10\)", record.failure.message), record.failure.message


def spoilt(value, when, rows=slice(None)):
    def change(network, logits):
        if not when(network):
            return logits
        logits = logits.clone()
        logits[rows, 3] = value
        return logits

    return change


EPOCH = 3  # steps; a run is of three epochs


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("when", "rows", "said"),
    [
        (lambda n: not n.training, slice(None), "validation after epoch 1: 50 of 50"),
        (lambda n: not n.training and n.steps == 2 * EPOCH, [4], "validation after epoch 2: 1 of 50"),
    ],
)
def test_validation_that_is_not_finite(tiny, plugin, tmp_path, value, when, rows, said):
    name = registered(
        f"spoilt-{len(rows) if isinstance(rows, list) else 0}-{value}".replace("--", "-minus-"), spoilt(value, when, rows)
    )
    record = execute(one_run(tiny, name), CPU, tmp_path, Watch())
    assert (record.status, record.metrics) == ("diverged", None)
    assert record.failure.message == f"{said} images have logits that are not finite numbers"


def test_a_test_that_is_not_finite(tiny, plugin, tmp_path):
    """Validated are 50 images at a time, tested 60."""
    name = registered("spoilt-test", lambda n, y: spoilt(float("nan"), lambda n: not n.training and len(y) == 60, [7, 8])(n, y))
    record = execute(one_run(tiny, name), CPU, tmp_path, Watch())
    assert (record.status, record.failure.message) == (
        "diverged",
        "test: 2 of 60 images have logits that are not finite numbers",
    )


class Broken(nn.Module):
    """Weights that are no longer numbers after a step, from a gradient that is none where the loss is finite."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(784, 10), nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return self.layer(images.flatten(1)) + self.scale.sqrt()


def test_weights_that_are_not_finite(tiny, plugin, tmp_path):
    models.register("broken-net", tasks="mnist-scale-28+")(lambda task: Broken())
    record = execute(one_run(tiny, "broken-net"), CPU, tmp_path, Watch())
    assert record.status == "diverged" and "epoch 1" in record.failure.message


def test_a_loss_that_is_not_finite_is_said_after_the_first_step(tiny, plugin, tmp_path):
    name, steps = registered("spoilt-at-once", spoilt(float("nan"), lambda n: n.training)), []
    record = execute(one_run(tiny, name), CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at)))
    assert (record.status, record.failure.message, steps) == (
        "diverged",
        "the training loss is nan in the first step",
        [(0, 0)],
    )


def test_such_an_image_gets_no_answer_and_costs_the_others_none():
    images = torch.randint(256, (9, 1, 28, 28), dtype=torch.uint8)
    sound, broken = Changed(plain), Changed(spoilt(float("nan"), lambda n: True, slice(1, 2)))  # the second of each batch
    broken.load_state_dict(sound.state_dict())
    missing = torch.tensor([False, True, False, False] * 2 + [False])
    assert torch.equal(predict(broken, images, batch=4), torch.where(missing, NO_ANSWER, predict(sound, images, batch=4)))
    with pytest.raises(BenchError, match="1 of 9 images have logits that are not finite numbers"):
        wrong_answers(broken, images, torch.zeros(9, dtype=torch.long), "float32")


def test_other_verbs_steps_check_the_outputs_too(tiny, plugin):
    recipe = one_run(tiny).recipe
    batch = Split(torch.zeros(4, 1, 28, 28), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ModelError, match=r"\(4, 12\)"):
        forward_backward(Changed(plain, 12), batch, recipe)


def test_the_images_stay_as_they_were(tiny, plugin, tmp_path):
    class InPlace(nn.Linear):
        def forward(self, images):
            images.fill_(0.5)
            return super().forward(images.flatten(1))

    models.register("in-place-net", tasks="mnist-scale-28+")(lambda task: InPlace(784, 10))
    run = one_run(tiny, "in-place-net")
    before = {split: datasets.load("mnist-scale-28", 0, split)[0].clone() for split in ("train", "validation", "test")}
    assert execute(run, CPU, tmp_path, Watch()).status == "ok"
    for split, images in before.items():
        held = load_split(run, split, CPU).images
        assert torch.equal(held, images[: len(held)])
        assert torch.equal(datasets.load("mnist-scale-28", 0, split)[0], images)


def with_images(tiny, train, batch_size, model):
    protocol = load_protocol(str(tiny)).with_settings(batch_size=batch_size)
    (recipe,) = protocol.recipes.values()
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"train_images": train})})
    protocol = protocol.model_copy(update={"recipes": {"mnist-scale-*": recipe}})
    return plan_runs([PlanPart(models=[model], tasks=["mnist-scale-28+"])], [0], protocol)[0]


@pytest.fixture(scope="module")
def normalised(plugin):
    models.register("normalised-net", tasks="mnist-scale-28+")(
        lambda task: nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    )
    return "normalised-net"


def test_a_last_batch_of_one_image_is_said_before_the_first_step(tiny, normalised, tmp_path):
    steps = []
    record = execute(with_images(tiny, 65, 32, normalised), CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at)))
    assert (record.status, record.failure.kind, steps) == ("failed", "ModelError", [])
    said = r"last batch of an epoch is of 1 image \(65 in batches of 32\), .*more than 1 value"
    assert re.search(said, record.failure.message), record.failure.message


@pytest.mark.parametrize(
    ("images", "batch_size", "model"),
    [(66, 32, "normalised-net"), (65, 32, "tiny-net"), (64, 32, "ghost-net"), (20, 32, "ghost-net")],
)
def test_other_batches_are_no_matter(tiny, normalised, tmp_path, images, batch_size, model):
    """A network to which one image is enough; one that takes batches of certain sizes alone, where there are no others."""

    class Ghost(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(784, 10)

        def forward(self, images):
            if self.training:
                images = images.view(4, -1, 784).flatten(0, 1)
            return self.layer(images.flatten(1))

    if model == "ghost-net":
        models.register(f"ghost-net-{images}", tasks="mnist-scale-28+")(lambda task: Ghost())
        model = f"ghost-net-{images}"
    record = execute(with_images(tiny, images, batch_size, model), CPU, tmp_path, Watch())
    assert record.status == "ok", record.failure


@pytest.mark.parametrize(("evaluation_batch", "status"), [(49, "failed"), (59, "failed"), (50, "ok")])
def test_an_evaluation_of_one_image_is_tried_where_there_will_be_one(tiny, plugin, tmp_path, evaluation_batch, status):
    """Of 50 images to validate with, or of 60 to test with, one is left; a network without that image's axis then."""
    name, steps = registered(f"squeezed-{evaluation_batch}", lambda n, y: y.squeeze()), []
    run = one_run(tiny, name, evaluation_batch=evaluation_batch)
    record = execute(run, CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at)))
    assert (record.status, len(steps)) == (status, 0 if status == "failed" else 9)
    if status == "failed":
        assert f"{name}: the network gives a tensor of shape (10,)" in record.failure.message


def test_an_optimizer_that_cannot_be_is_said_before_the_first_step(tiny, plugin, tmp_path):
    run, steps = one_run(tiny), []
    optimizer = run.recipe.optimizer.model_copy(update={"eps": -1.0})
    run.recipe.__dict__["optimizer"] = optimizer  # past the protocol's own checks
    record = execute(run, CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at)))
    assert (record.status, steps) == ("failed", []) and "epsilon" in record.failure.message


@pytest.mark.parametrize(("asked", "epoch", "step"), [(5, 0, 3), (3 * 3 + 3 * 5 + 4, 3, 0)])
def test_an_evaluation_is_left_between_batches_and_nothing_else_is_done_again(tiny, plugin, tmp_path, asked, epoch, step):
    """Validated are 5 batches after 3 steps of each of 3 epochs, then tested 6. Random draws go on where they were."""
    run = one_run(tiny, evaluation_batch=10)
    whole, steps = execute(run, CPU, tmp_path / "whole", Watch()), []
    with pytest.raises(Stopped):
        execute(run, CPU, tmp_path, Watch(should_stop=StopAt(asked)))
    checkpoint = Checkpoint(tmp_path, run.id)
    progress = _state(checkpoint.path.read_bytes())["progress"]
    assert (progress["epoch"], progress["step"]) == (epoch, step)
    record = execute(run, CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at)))
    assert steps == [(e, s) for e in range(epoch + bool(step), 3) for s in range(3)]
    assert metrics(record) == metrics(whole)
    assert len(record.timings.train_seconds_per_epoch) == 3 and min(record.timings.train_seconds_per_epoch) > 0


def test_random_draws_of_an_evaluation_that_was_left_are_made_again(tiny, plugin, tmp_path):
    """A network that samples in evaluation mode, too."""
    name = registered("sampling-net", lambda n, y: y + torch.randn_like(y))
    run = one_run(tiny, name)
    whole = execute(run, CPU, tmp_path / "whole", Watch())
    for stop in (4, 9):
        with pytest.raises(Stopped):
            execute(run, CPU, tmp_path, Watch(should_stop=StopAt(stop)))
    assert metrics(execute(run, CPU, tmp_path, Watch())) == metrics(whole)
