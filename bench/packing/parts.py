"""A large file in parts, for whatever carries files only up to some size; `cat NAME.part*` joins them."""

from __future__ import annotations

from pathlib import Path

BLOCK = 1 << 20


def split_file(source: Path, folder: Path, part_bytes: int) -> list[Path]:
    """Copy a file into `folder` in parts NAME.part00, .part01, … of at most `part_bytes` bytes; their paths. Raises OSError."""
    parts: list[Path] = []
    with source.open("rb") as file:
        while block := file.read(min(BLOCK, part_bytes)):
            parts.append(folder / f"{source.name}.part{len(parts):02}")
            with parts[-1].open("wb") as part:
                part.write(block)
                while part.tell() < part_bytes and (block := file.read(min(BLOCK, part_bytes - part.tell()))):
                    part.write(block)
    return parts
