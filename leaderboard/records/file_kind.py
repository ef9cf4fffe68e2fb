"""What a JSON file is, told by its content: the record of a run, a measurement of some kind, or somebody else's file.

Other tools' files may lie among the records, and ours at any depth in folders copied from elsewhere: a path says little.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePath

from leaderboard.records.schema import MEASUREMENTS, Record

RUN = "run"
HEAD = 4096  # bytes, in which a file as we write it says what it is
_FIRST_KEYS = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"schema_version"\s*:\s*\d+\s*,\s*"(?:run_id"|kind"\s*:\s*"(\w+)")')
_KIND = re.compile(rb'"kind"\s*:\s*"(' + "|".join(MEASUREMENTS).encode() + rb')"')
_RUN_ID = re.compile(r".+_.+_r\d+_.+_[0-9a-f]{10}")


def kind_of_head(head: bytes) -> str | None:
    """``"run"`` or a measurement's kind, from the first bytes of a file with its keys in our order; None: look at it all."""
    found = _FIRST_KEYS.match(head)
    return None if found is None else found[1].decode() if found[1] else RUN


def kind_of(content: bytes, path: PurePath) -> str | None:
    """``"run"``, a measurement's kind, or None: not ours. ``content`` is UTF-8.

    A damaged file is ours if it still names our keys, or if it is called as ours are.
    """
    if b'"run_id"' not in content and b'"schema_version"' not in content:
        return _kind_by_name(path)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        kind = _KIND.search(content[:HEAD])
        return kind[1].decode() if kind else RUN if b'"run_id"' in content[:HEAD] else _kind_by_name(path)
    return (_kind_by_keys(data) if isinstance(data, dict) else None) or _kind_by_name(path)


def _kind_by_keys(data: dict[str, object]) -> str | None:
    """By the keys that any version of a record has; or by half of this version's, should one of those be missing."""
    kind = data.get("kind")
    if isinstance(kind, str) and kind in MEASUREMENTS and len({"schema_version", "model", "task"} & data.keys()) > 1:
        return kind
    if "kind" not in data and {"schema_version", "run_id"} <= data.keys():
        return RUN
    return RUN if 2 * len(Record.model_fields.keys() & data.keys()) > len(Record.model_fields) else None


def _kind_by_name(path: PurePath) -> str | None:
    """``KIND/TASK/MODEL/NAME.json`` is where measurements are written, and a run's record is called after its id."""
    if len(path.parts) > 3 and path.parts[-4] in MEASUREMENTS:
        return path.parts[-4]
    return RUN if _RUN_ID.fullmatch(path.stem) else None
