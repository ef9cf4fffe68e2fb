"""Records and measurements as JSON: the text that is written, and strictly back."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from leaderboard.errors import NewerRecord, RecordError, one_line

M = TypeVar("M", bound=BaseModel)


def to_json(item: BaseModel) -> str:
    """One line per field and per field's field: a change shows as a line, and a long curve stays on one."""
    lines = []
    for name, value in item.model_dump(mode="json", by_alias=True).items():
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if isinstance(value, dict) and value:
            inner = (f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False, allow_nan=False)}" for k, v in value.items())
            text = "{\n" + ",\n".join(inner) + "\n }"
        lines.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def as_utf8(content: bytes) -> bytes:
    """JSON as an editor may have saved it, with a byte order mark or in UTF-16, in plain UTF-8; what is neither as it is."""
    encoding = json.detect_encoding(content)
    try:
        return content if encoding == "utf-8" else content.decode(encoding).encode()
    except UnicodeError:
        return content


def parse(content: bytes, kind: type[M]) -> M:
    """The record or measurement in a file's content in UTF-8. Raises RecordError; NewerRecord if of a newer schema."""
    try:
        found = kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise _error(content, error, kind.model_fields["schema_version"].default) from None
    if "schema_version" not in found.model_fields_set:
        raise RecordError("it has no schema_version")
    return found


def _error(content: bytes, error: ValidationError, version_read: int) -> RecordError:
    """What to say of content that does not validate: damaged, of another schema, or else its first wrong field."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as problem:
        return RecordError(f"truncated or damaged JSON ({one_line(problem, 120)})")
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version is not None and version != version_read:
        software = data.get("software")
        writer = software.get("scalebench") if isinstance(software, dict) else None
        use = f"use equiscale {one_line(writer, 40)} or newer" if writer else "use the one that wrote it"
        newer = isinstance(version, int) and version > version_read
        text = f"schema version {one_line(repr(version), 40)}; this equiscale reads {version_read}, {use}"
        return NewerRecord(text) if newer else RecordError(text)
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    where = ".".join(str(part) for part in problems[0]["loc"]) or "record"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return RecordError(one_line(f"{one_line(where, 80)}: {problems[0]['msg']}") + more)
