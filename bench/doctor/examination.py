"""All that is examined, in the order in which it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from bench.doctor import cards, folders, processors, software
from bench.doctor.finding import Finding, examine


def examination(results: Path) -> list[Finding]:
    """Everything that may keep runs from being done, or make them slow or wrong. Writes nothing, fetches nothing."""
    asked: dict[str, list[Callable[[], Iterable[Finding]]]] = {
        "Python": [software.python],
        "code": [software.code],
        "packages": [software.packages],
        "names": [software.names],
        "torch": [cards.torch],
        "cards": [cards.cards],
        "processors": [processors.threads, processors.others],
        "results": [partial(folders.results, results)],
        "temporary files": [folders.temporary],
        "cache": [folders.cache],
        "data": [folders.data],
    }
    return [finding for subject, questions in asked.items() for ask in questions for finding in examine(subject, ask)]
