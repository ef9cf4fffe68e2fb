"""For notebooks and scripts: `bench.train`, `bench.load` and `bench.predict` (docs/python.md).

They do what the command line does, by the same code: a run that is trained here has the id, the seeds, the numbers and the
record that `bench run` would give it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import models
from bench.commands import repeat_command
from bench.errors import BenchError
from bench.machine.source import ROOT, model_of
from bench.notebook.given import cell_of
from bench.notebook.one_run import do, find_done, plan
from bench.results import weights_path
from bench.verify import find_record
from leaderboard.errors import one_line
from leaderboard.records.schema import Metrics, Record
from leaderboard.records.store import read_record, record_path
from models.registry.catalogue import is_registering

if TYPE_CHECKING:
    from torch import Tensor, nn

LEVELS = 4  # of folders in which a record lies: ROOT/PROTOCOL/TASK/MODEL
COMMITTED = (Path("records"), ROOT / "records")  # where one stands, and beside the code


@dataclass(frozen=True, repr=False)
class Result:
    """A finished run: its record, the results folder, and, once it is asked for, the trained network."""

    record: Record
    results: Path
    device: str = "auto"

    @property
    def path(self) -> Path:
        """The record's file, in the results folder or, of a run that was done before, among the committed records."""
        places = [record_path(root, self.record) for root in (self.results, *COMMITTED)]
        return next((path for path in places if path.exists() and read_record(path) == self.record), places[0])

    @property
    def metrics(self) -> Metrics:
        """Test error in percent, every wrong answer, errors by scale, curves."""
        assert self.record.metrics is not None  # a run without has raised
        return self.record.metrics

    @property
    def test_error(self) -> float:
        """In percent."""
        return self.metrics.test_error

    @property
    def parameters(self) -> int:
        """The number of trainable ones."""
        return self.record.parameters or 0

    @property
    def curves(self) -> dict[str, list[float]]:
        """By epoch: "train_loss", the mean cross-entropy; "validation_error", in percent, empty where nothing was selected."""
        return {"train_loss": self.metrics.train_loss_curve, "validation_error": self.metrics.validation_error_curve}

    @cached_property
    def network(self) -> nn.Module:
        """The network with the weights that were tested, in evaluation mode. Raises as `load`."""
        home = self.path.parents[LEVELS - 1]
        return _network(self.record, [home], [self.results, *COMMITTED], self.results, self.device)

    def __repr__(self) -> str:
        run = self.record
        return (
            f"{run.model} on {run.task}, realization {run.realization}, protocol {run.protocol.name}: "
            f"test error {self.test_error:.2f} %, {self.parameters:,} parameters; {self.path}"
        )


def train(
    model: str,
    task: str = "mnist-scale-28",
    realization: int = 0,
    protocol: str | Path | Mapping[str, Any] = "paper",
    *,
    device: str = "auto",
    results: str | Path = "results",
    progress: bool = True,
    anew: bool = False,
) -> Result:
    """Do one run as `bench run` does it, or read it if it is done: one model on one realization of a task.

    `model`: a name, with options if any (`sesn-vector@config=28p`); also one that a cell of the notebook registered with
    `@models.register`, if that cell holds all that the model needs, as a file would. `protocol`: a name (`quick`, `short`,
    `paper`), the path of a YAML file, or what such a file holds as a dictionary. `device`: auto, cpu, cuda or cuda:N.
    `results`: the folder that takes record, weights and checkpoints. `progress`: say how it goes. `anew`: train it here even if
    ./records holds it.

    Interrupted (Ctrl-C, a notebook's stop button) it saves its state after the step in hand and raises KeyboardInterrupt; the
    same call goes on from there. Raises BenchError: something asked for cannot be done, or the run failed, which its record
    tells too; ModelError: unknown model or task; DataError: no such realization, or the data cannot be had; RecordError: a
    record cannot be read or written.
    """
    if is_registering():
        raise BenchError("bench.train is called by the code that registers a model; call it in a cell or file of its own")
    folder = Path(results)
    run = plan(model, task, realization, protocol, folder)
    return Result(find_done(run, folder, anew) or do(run, device, folder, progress), folder, device)


def load(run: str | Path, *, results: str | Path = "results", device: str = "auto") -> nn.Module:
    """The trained network of a finished run, in evaluation mode: normalised images (N, C, H, W) -> logits (N, 10).

    `run`: its id, looked for below `results`, ./records and the records beside the code; or the path of its record, in whose
    folder of records, or beside it, the folder `weights` lies. Weights in another folder than `results` are read as
    safetensors alone, from which no code is ever run.

    Raises BenchError: no such run, no weights of it, or not those that its record tells of; ModelError: its model is not known
    here (models.load_plugin first); RecordError: its record cannot be read.
    """
    roots = [Path(results), *COMMITTED]
    if Path(run).suffix == ".json":
        record, home = read_record(Path(run)), list(Path(run).absolute().parents)[:LEVELS]
    else:
        record, home = _found(str(run), list({root.resolve(): root for root in roots if root.is_dir()}.values()))
    return _network(record, home, roots, Path(results), device)


def _found(run_id: str, roots: Sequence[Path]) -> tuple[Record, list[Path]]:
    """The run's record in the first folder that has a result of it, and that folder: another's may be of another training."""
    for root in roots:
        try:
            return find_record([root], run_id), [root]
        except BenchError:
            continue
    return find_record(roots, run_id), []  # raises, and says what there is


def predict(network: nn.Module, images: Tensor) -> Tensor:
    """The class that a network gives to each image: uint8 (N, C, H, W), as `datasets.load` has them, -> int64 (N,), on the CPU.

    Pixels are normalised as in training (or left as they are, where the network asks for that); -1 where logits are no finite
    numbers. Raises ModelError: the network's outputs are no logits.
    """
    from bench.training.evaluate import predict as answers
    from bench.training.state.network_state import device_of

    return answers(network, images.to(device_of(network))).cpu()


def _network(record: Record, home: Sequence[Path], roots: Sequence[Path], own: Path, device: str) -> nn.Module:
    """The network with the weights of the record's own folder of records, `home`, or with some that have its SHA-256."""
    from bench.machine.device import choose_device
    from bench.training.state.weights import trained_network

    cell = cell_of(models.info(record.model, record.task))
    if cell is None:
        model_of(record)  # raises where a plugin's code is another by now
    elif cell.source != record.source:
        raise BenchError(f"{record.run_id}: the cell that registers {record.model} is another than the one that was trained")
    folders = list(dict.fromkeys([*home, *roots]))
    there = {root: weights_path(root, record.run_id) for root in folders}
    there = {root: path for root, path in there.items() if path.exists() and (path.suffix == ".safetensors" or root == own)}
    for root, path in there.items():
        if root in home or record.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest():
            return trained_network(root, record, choose_device(device))
    where = ", ".join(one_line(root / "weights") for root in folders if root.is_dir())
    raise BenchError(
        f"{record.run_id}: its weights are not in {where}; "
        f"to make them, do the run in a folder of its own: {repeat_command(record, Path('again'))} --anew; and then load it "
        "with results='again'"
    )
