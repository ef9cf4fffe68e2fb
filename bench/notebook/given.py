"""What is given in Python and not as a file, a model in a notebook's cell or a protocol as a dictionary, made a file.

So the process that trains can load it, its content is part of the run's identity like any plugin's, and the command in the
record repeats the run. The files lie in the results folder, `given/NAME-DIGEST.py` and `.yaml`, each named after its content.
"""

from __future__ import annotations

import hashlib
import linecache
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import models
from bench.errors import BenchError
from leaderboard.errors import one_line
from leaderboard.records.atomic import write_atomically
from models.registry.content import content_hash, files_of

FOLDER = "given"  # in a results folder; no protocol may be called so (bench/protocol.py)


@dataclass(frozen=True)
class GivenFile:
    """A text that becomes a file. `name`: without the digest of the text, which comes before its ending."""

    name: str
    text: str

    def path(self, results: Path) -> Path:
        """Where it lies."""
        stem, dot, ending = self.name.rpartition(".")
        return results / FOLDER / f"{stem}-{hashlib.sha256(self.text.encode()).hexdigest()[:10]}{dot}{ending}"

    def write(self, results: Path) -> Path:
        """Write it, unless it is there already. Raises RecordError: the folder cannot be written."""
        path = self.path(results)
        if not path.exists():
            write_atomically(path, self.text.encode())
        return path

    @property
    def source(self) -> str:
        """Its identity as a plugin, wherever it lies: the SHA-256 that `ModelInfo.source` would be."""
        with tempfile.TemporaryDirectory(prefix="equiscale-") as folder:
            return content_hash(files_of(self.write(Path(folder))))


def cell_of(model: models.ModelInfo) -> GivenFile | None:
    """The whole cell that registers a model; None: it is no model of a notebook's or of Python's prompt.

    Raises BenchError: its text cannot be had, or it stands in a script.
    """
    if model.module != "__main__" or model.source:
        return None
    instead = "write it to a file of its own (in a notebook: %%writefile my_net.py) and models.load_plugin('my_net.py')"
    if Path(model.file).is_file():
        raise BenchError(f"{model.name} is registered by the script that is running ({model.origin}); {instead}")
    text = "".join(linecache.getlines(model.file))
    if not text.strip():
        raise BenchError(f"the text of what registers {model.name} ({model.origin}) cannot be read back; {instead}")
    return GivenFile(f"{model.name}.py", text if text.endswith("\n") else text + "\n")


def protocol_file(protocol: Mapping[str, Any]) -> GivenFile:
    """A protocol as the YAML file that says the same. Raises BenchError: a value is nothing that YAML has."""
    try:
        text = yaml.safe_dump(dict(protocol), sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise BenchError(f"protocol: {one_line(error)}; use texts, numbers, lists and dictionaries") from error
    name = str(protocol.get("name", ""))
    return GivenFile(f"{name if re.fullmatch('[A-Za-z0-9][A-Za-z0-9._-]{0,80}', name) else 'protocol'}.yaml", text)


def build(model: str, task: str) -> str:
    """The class of a model's network, which is built: in another process, to see whether a cell holds all that it needs."""
    return type(models.create(model, task)).__name__
