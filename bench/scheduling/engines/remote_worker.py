"""The end of a worker that is on another machine; the driver holds its handle, which is the engine's."""

from __future__ import annotations

import platform
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.errors import best_effort
from bench.results import checkpoint_content, checkpoint_path, put_checkpoint, remove_checkpoint, weights_path
from bench.scheduling.messages import Job, Message, NewCheckpoint, RunFinished
from bench.scheduling.worker import Worker


class RemoteWorker(Worker):
    """A worker whose results folder is its own: plugins, checkpoints and weights come and go by message."""

    def __init__(self) -> None:
        """Raises BenchError: the system starts no more processes or threads."""
        self._folder = tempfile.TemporaryDirectory(prefix="equiscale-")
        self.results = Path(self._folder.name)
        super().__init__()
        self._run_id = ""
        self._sent: tuple[int, int] | None = None

    def address(self) -> str:
        """The name of this machine."""
        return platform.node()

    def begin_from(self, job: Job, files: dict[str, bytes], state: bytes | None) -> None:
        """As `begin`, with the plugin's files, by their names in its folder, and the newest checkpoint's content."""
        folder = Path(tempfile.mkdtemp(prefix="plugin-", dir=self.results))
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._run_id = job.run_id
        remove_checkpoint(self.results, job.run_id)
        if state is not None:
            put_checkpoint(self.results, job.run_id, state)
        self._sent = self._checkpoint_version()
        plugin = str(folder / Path(job.plugin).name) if job.plugin else ""
        self.begin(replace(job, results=str(self.results), plugin=plugin))

    def receive(self) -> list[Message]:
        """As a worker's; with the weights at the end, and whenever there is a new checkpoint, its content."""
        said = super().receive()
        if said and isinstance(said[-1], RunFinished):
            path = weights_path(self.results, self._run_id)
            said[-1] = replace(said[-1], weights=best_effort(path.read_bytes))  # a large network's are not kept
            path.unlink(missing_ok=True)
        now = self._checkpoint_version()
        if now is not None and now != self._sent:
            self._sent, state = now, checkpoint_content(self.results, self._run_id)
            if state is not None:
                said.insert(0, NewCheckpoint(state))
        return said

    def close(self) -> None:
        super().close()
        self._folder.cleanup()

    def _checkpoint_version(self) -> tuple[int, int] | None:
        """Which file the newest checkpoint is; it is replaced, never changed."""
        status = best_effort(checkpoint_path(self.results, self._run_id).stat)
        return status and (status.st_ino, status.st_mtime_ns)
