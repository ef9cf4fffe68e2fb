"""A run made again from its record, by somebody who says who: what `bench verify --keep DIR --by NAME` leaves behind.

A repeat says how it went, whether the two agree or not. It is the record's of ``run_id`` whose result has the hash
``record_answers``, whatever else bears that id.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, model_validator

from leaderboard.errors import one_line
from leaderboard.records.measurement import Measurement
from leaderboard.records.runs import answers_hash
from leaderboard.records.schema import Count, Hardware, Name, Positive, PositiveCount, Record, Software, Text
from leaderboard.records.serialization import to_json

LONGEST_NAME = 80  # characters of a person's name


def _person(text: str) -> str:
    if not text or text != one_line(text, LONGEST_NAME):
        raise ValueError(f"a name is one line of 1 to {LONGEST_NAME} characters, without blanks at its ends")
    return text


Person = Annotated[Text, AfterValidator(_person)]
Verdict = Literal["bitwise", "within chance", "differs"]


class Repeat(Measurement):
    """One run done again. ``hardware``, ``software`` and ``measured`` are the repeat's.

    ``by``: who repeated it, as they say; nobody checks that. ``record_digest``: SHA-256 of the record's content
    (``digest_of``); ``record_answers`` and ``repeat_answers``: hashes of the wrong answers (``answers_hash``).
    ``different_answers``: test images that the two answer differently. ``difference`` and ``tolerance`` are in percentage
    points, the tolerance None where equal bits were called for. ``judged``: the same in words.
    """

    kind: Literal["repeats"] = "repeats"
    run_id: Name
    realization: Count
    protocol: Name
    protocol_digest: Text
    data_fingerprint: Text
    record_digest: Text
    record_answers: Text
    record_hardware: Hardware
    record_software: Software
    test_count: PositiveCount
    record_wrong: Count
    repeat_wrong: Count
    repeat_answers: Text
    different_answers: Count
    verdict: Verdict
    tolerance: Positive | None
    judged: list[Text]
    by: Person

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if max(self.record_wrong, self.repeat_wrong, self.different_answers) > self.test_count:
            raise ValueError("record_wrong, repeat_wrong and different_answers must not exceed test_count")
        if (self.record_answers == self.repeat_answers) != (self.different_answers == 0):
            raise ValueError("answers are the same where none of them is different, and only there")
        if self.verdict == "bitwise" and self.different_answers:
            raise ValueError("a repeat that agrees to the bit has no different answers")
        return self

    @property
    def agrees(self) -> bool:
        return self.verdict != "differs"

    @property
    def record_error(self) -> float:
        """Test error of the record in percent."""
        return 100 * self.record_wrong / self.test_count

    @property
    def repeat_error(self) -> float:
        """Test error of the repeat in percent."""
        return 100 * self.repeat_wrong / self.test_count

    @property
    def difference(self) -> float:
        """Percentage points by which the repeat's error is larger."""
        return self.repeat_error - self.record_error

    @property
    def on_other_hardware(self) -> bool:
        """Whether its device is known to be another one: of another name, or with another number of cores, other memory."""
        return _device(self.hardware) != _device(self.record_hardware)


def _device(hardware: Hardware) -> tuple[str, str, int, int]:
    return hardware.device, hardware.name, hardware.cores, hardware.memory_bytes


def digest_of(record: Record) -> str:
    """SHA-256 of what a record says, however its file is laid out.

    What is null takes no part, as a field has it that was added to the schema after the record was written.
    """
    return hashlib.sha256(json.dumps(_told(json.loads(to_json(record))), sort_keys=True).encode()).hexdigest()


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _told(inner) for name, inner in value.items() if inner is not None}
    return value


def repeat_of(
    record: Record, again: Record, verdict: Verdict, tolerance: float | None, judged: list[str], *, by: str, command: str
) -> Repeat:
    """The repeat of ``record`` by ``again``, both ok. Raises ValidationError: ``by`` is no name."""
    before, after = record.metrics, again.metrics
    assert before is not None and after is not None  # both are ok
    then, now = dict(before.wrong_answers), dict(after.wrong_answers)
    different = sum(then.get(index) != now.get(index) for index in then.keys() | now.keys())
    digest = digest_of(record)
    told = json.dumps([digest, digest_of(again), by])
    unique = hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()[:10]
    return Repeat(
        name=f"{record.run_id[:180]}_{unique}", model=record.model, task=record.task, hardware=again.hardware,
        software=again.software, measured=again.finished, command=command, run_id=record.run_id,
        realization=record.realization, protocol=record.protocol.name, protocol_digest=record.protocol.digest,
        data_fingerprint=record.data.fingerprint, record_digest=digest, record_hardware=record.hardware,
        record_answers=answers_hash(before.wrong_answers), repeat_answers=answers_hash(after.wrong_answers),
        record_software=record.software, test_count=before.test_count, record_wrong=len(then), repeat_wrong=len(now),
        different_answers=different, verdict=verdict, tolerance=tolerance, judged=judged, by=by,
    )  # fmt: skip
