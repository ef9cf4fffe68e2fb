"""Sound records, as a run of the suite would leave them, without a run; and a checkout in which to submit them."""

import shutil
from pathlib import Path

from record_factory import changed, make_record

from bench.plan import PlanPart, Run, plan_runs
from bench.protocol import load_protocol
from leaderboard.records.schema import Record
from leaderboard.records.store import write_record

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "c" * 40
TIMINGS = Path("records", "timings", "mnist-scale-28")


def planned(model: str = "cnn", realizations=(0,), protocol: str = "short", task: str = "mnist-scale-28") -> list[Run]:
    return plan_runs([PlanPart(models=[model], tasks=[task])], realizations, load_protocol(protocol))


def sound(run: Run, *, wrong: int = 1000, **changes) -> Record:
    """The record that a run of so many wrong answers of 50,000 would leave."""
    made = make_record(
        run.model, run.task, run.realization, protocol=run.protocol.name, smoke=run.protocol.smoke, digest=run.recipe.digest,
        recipe={**run.recipe.settings, "realizations": run.protocol.realizations}, variant=run.recipe.data.variant,
        fingerprint=run.fingerprint, wrong=wrong, test_count=run.recipe.data.test_images or 50_000, run_id=run.id,
        software={"git_commit": COMMIT},
    )  # fmt: skip
    curves = {"train_loss_curve": [0.5] * run.recipe.epochs, "validation_error_curve": [5.0] * run.recipe.epochs}
    metrics = made.metrics.model_dump() | curves
    source = {"source": run.source} if run.source else {}
    return changed(made, **({"metrics": metrics, "seeds": {"weights": run.seed("weights")}} | source | changes))


def checkout(folder: Path, records=()) -> Path:
    """A folder as the suite's own: these records, some timings, and the files of the board, yet to be written."""
    for record in records:
        write_record(folder / "records", record)
    shutil.copytree(ROOT / TIMINGS, folder / TIMINGS)
    (folder / "docs").mkdir()
    (folder / "README.md").write_text("# Ours\n\n<!-- board -->\n<!-- /board -->\n\nThe rest.\n")
    (folder / "LEADERBOARD.md").write_text("")
    return folder
