"""Whether a record is what it says: its digest, id, seeds and data recomputed, its result consistent. Takes no torch."""

from __future__ import annotations

import re

from pydantic import ValidationError

import datasets
from bench.errors import BenchError
from bench.plan import Run
from bench.protocol import Protocol, built_in_protocols, load_protocol
from bench.recipe import Recipe
from datasets import DataError
from leaderboard.errors import one_line
from leaderboard.records.schema import Metrics, Record

CLASSES = 10
COMMIT = re.compile(r"[0-9a-f]{40}")


def faults(record: Record) -> list[str]:
    """What of the record does not follow from the rest of it, each in a few words; empty: it is sound."""
    settings = dict(record.protocol.recipe)
    realizations = settings.pop("realizations", [record.realization])
    try:
        recipe = Recipe.model_validate(settings)
        protocol = Protocol(
            name=record.protocol.name, summary="from a record", smoke=record.protocol.smoke, realizations=realizations,
            recipes={record.task: recipe},
        )  # fmt: skip
        fingerprint = datasets.fingerprint(record.task, record.realization, test_size=recipe.data.test_size)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "recipe"
        return [one_line(f"its recipe is none of today's code ({where}: {first['msg']})")]
    except (DataError, BenchError) as error:
        return [one_line(error)]
    run = Run(record.model, record.task, record.realization, protocol, recipe, fingerprint, source=record.source or "")
    found = []
    if recipe.digest != record.protocol.digest:
        found.append(f"its recipe has the digest {recipe.digest}, not {one_line(record.protocol.digest, 40)}")
    if fingerprint != record.data.fingerprint or recipe.data.variant != record.data.variant:
        found.append(
            f"its data are not those of realization {record.realization} of {record.task}, as far as fingerprints tell"
        )
    if run.id != record.run_id:
        found.append(f"its id should be {run.id}")
    if record.seeds != {"weights": run.seed("weights")}:
        found.append("its seeds are not those that follow from its id")
    return found + (_of_metrics(record.metrics, recipe, record.task) if record.metrics else [])


def _of_metrics(metrics: Metrics, recipe: Recipe, task: str) -> list[str]:
    """The schema has checked already that the error is that of the wrong answers."""
    images = recipe.data.test_images or datasets.sizes(task, test_size=recipe.data.test_size)["test"]
    found = []
    if metrics.test_count != images:
        found.append(f"it was tested on {metrics.test_count} images, where there are {images}")
    if any(answer >= CLASSES for _, answer in metrics.wrong_answers):
        found.append(f"it answers with a class beyond the {CLASSES} that there are")
    validated = recipe.select == "best-validation"
    if len(metrics.train_loss_curve) != recipe.epochs or len(metrics.validation_error_curve) != validated * recipe.epochs:
        found.append(f"its curves are not of {recipe.epochs} epochs")
    if metrics.best_epoch >= recipe.epochs:
        found.append(f"its best epoch, {metrics.best_epoch}, is none of its {recipe.epochs}")
    return found


def objections(record: Record) -> list[str]:
    """Why a sound record does not belong on the committed board."""
    if record.status != "ok":
        return [f"it is {record.status}, so it has no result"]
    if record.source:
        file = re.sub("[^a-z0-9]+", "_", record.model.partition("@")[0].lower())
        return [
            f"{record.model} is no model of the suite, and its code would not come with the record; add its file as "
            f"models/{file}.py, run it again without --plugin, and submit those runs (CONTRIBUTING.md, 'A model')"
        ]
    found = []
    if record.protocol.smoke:
        found.append("it is of a smoke test, whose errors compare with nothing")
    elif record.protocol.name not in built_in_protocols():
        found.append(
            f"{record.protocol.name!r} is no protocol of the suite; add its file as bench/protocols/{record.protocol.name}.yaml"
        )
    else:
        today = load_protocol(record.protocol.name).recipe(record.task)
        if today is None or today.digest != record.protocol.digest:
            found.append(
                f"its recipe is not that of the protocol {record.protocol.name!r} on {record.task}; give it another name"
            )
    data = record.protocol.recipe.get("data")
    if record.protocol.recipe.get("network") or (isinstance(data, dict) and data.get("central_pixels") is not None):
        found.append("it is of another network, or of other images, than the task's own")
    if not COMMIT.fullmatch(record.software.git_commit or ""):
        found.append("it does not say of which commit it is; run it in a checkout, or set BENCH_COMMIT")
    return found


def is_dirty(record: Record) -> bool:
    """Whether its code held changes that nobody else can see, as far as it is known."""
    return record.software.git_dirty is not False
