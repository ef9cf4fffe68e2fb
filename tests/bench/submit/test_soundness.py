"""What a record has to say so that it is believed, and what keeps a sound one off the committed board."""

from dataclasses import replace
from pathlib import Path

import pytest
from record_factory import changed
from submissions import planned, sound

from bench.submit.soundness import faults, is_dirty, objections
from leaderboard.reading.folders import read_all

ROOT = Path(__file__).resolve().parents[3]
RUN = planned()[0]
RECORD = sound(RUN)


def test_every_committed_record_is_sound_and_one_like_them():
    records, unreadable = read_all(ROOT / "records")
    assert len(records) > 90 and unreadable == []
    assert {record.run_id: found for record in records if (found := faults(record))} == {}
    assert (faults(RECORD), objections(RECORD)) == ([], [])
    assert [record.run_id for record in records if record.protocol.name in ("paper", "short") and objections(record)] == []


def in_part(part, **values):
    return changed(RECORD, **{part: getattr(RECORD, part).model_dump() | values})


def in_recipe(**values):
    return in_part("protocol", recipe=RECORD.protocol.recipe | values)


WRONG = {
    "another recipe under the same digest": (in_recipe(batch_size=64), "its recipe has the digest"),
    "another digest": (in_part("protocol", digest="0" * 12), "its recipe has the digest"),
    "a setting that there is not": (in_recipe(colour="blue"), "its recipe is none of today's code (colour"),
    "another model under the same id": (changed(RECORD, model="sicnn"), "its id should be sicnn_"),
    "another realization under the same id": (changed(RECORD, realization=1), "its data are not those of realization 1"),
    "another seed": (changed(RECORD, seeds={"weights": 1}), "its seeds are not"),
    "other data": (in_part("data", fingerprint="0" * 64), "its data are not"),
    "another split's name": (in_part("data", variant="10k-2k-48k"), "its data are not"),
    "code in the id and none in the record": (changed(RECORD, run_id=replace(RUN, source="1" * 64).id), "its id should be"),
    "more test images": (in_part("metrics", test_count=100_000, test_error=1.0), "on 100000 images, where there are 50000"),
    "an eleventh class": (
        in_part("metrics", wrong_answers=[(i, 10) for i, _ in RECORD.metrics.wrong_answers]), "beyond the 10"),
    "fewer epochs": (in_part("metrics", train_loss_curve=[0.5]), "its curves are not of 4 epochs"),
    "a curve of another length": (in_part("metrics", validation_error_curve=[5.0] * 5), "its curves are not of 4 epochs"),
    "a best epoch beyond the last": (in_part("metrics", best_epoch=4), "its best epoch, 4"),
    "a task that there is not": (changed(RECORD, task="mnist-scale-29"), "unknown task"),
}  # fmt: skip


@pytest.mark.parametrize(("record", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_follow_from_the_rest_is_a_fault(record, said):
    found = faults(record)
    assert any(said in fault for fault in found), found


def other(model="cnn", protocol="short", **changes):
    return sound(planned(model, protocol=protocol)[0], **changes)


UNWELCOME = {
    "failed": (
        changed(RECORD, status="failed", metrics=None, failure={"kind": "x", "message": "", "traceback_tail": []}),
        "it is failed"),
    "a plugin's": (changed(RECORD, source="1" * 64, model="my-net"), "add its file as models/my_net.py"),
    "a smoke test": (other(protocol="quick", wrong=0), "smoke test"),
    "another protocol": (in_part("protocol", name="mine"), "add its file as bench/protocols/mine.yaml"),
    "a file's name as protocol": (in_part("protocol", name="mine.yaml"), "no protocol of the suite"),
    "another recipe under a known name": (in_part("protocol", digest="0" * 12), "not that of the protocol 'short'"),
    "another network": (in_recipe(network={"depth": 10}), "another network"),
    "other images": (in_recipe(data=RECORD.protocol.recipe["data"] | {"central_pixels": 20}), "other images"),
    "no commit": (in_part("software", git_commit=None), "of which commit"),
    "half a commit": (in_part("software", git_commit="cccc"), "of which commit"),
}  # fmt: skip


@pytest.mark.parametrize(("record", "said"), UNWELCOME.values(), ids=UNWELCOME)
def test_what_does_not_belong_on_the_board_says_why(record, said):
    found = objections(record)
    assert len(found) == 1 and said in found[0], found


@pytest.mark.parametrize(("dirty", "expected"), [(False, False), (True, True), (None, True)])
def test_code_that_nobody_else_can_see_is_known(dirty, expected):
    assert is_dirty(in_part("software", git_dirty=dirty)) is expected
