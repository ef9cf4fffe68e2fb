"""What a wheel and a source archive hold beside the files: the commit that they are of, and a README whose links work anywhere.

Nothing of the suite's is installed where this runs, so it takes from it only what needs the standard library alone.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)(\[[^\]]*\]\()(?![a-z]+:|#)([^)\s]+)\)")  # Markdown's; (!) [text]( path, within the repository )
SOURCE = re.compile(r'(<img [^>]*?src="|<source [^>]*?srcset=")(?![a-z]+:)([^"]+)"')


class Commit(BuildHookInterface[Any]):
    """Puts the file COMMIT beside the packages, where `bench.machine.source.commit` finds it. An editable one asks git."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from bench.machine.source import COMMIT_FILE, commit

        found, changed = commit(Path(self.root))
        if found is None:
            self.app.display_warning("no commit is known here, so records made from this build will name none")
            return
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name, COMMIT_FILE)
        file.write_text(f"{found}{'-dirty' if changed else ''}\n", encoding="ascii")
        build_data["force_include"][str(file)] = f"equiscale/{COMMIT_FILE}" if self.target_name == "wheel" else COMMIT_FILE


class Readme(MetadataHookInterface):
    """README.md as the long description: its links into the repository become addresses."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute_links(text, metadata["urls"]["Repository"])}


def absolute_links(text: str, repository: str) -> str:
    """Markdown with the addresses of the files that it links to and of the pictures that it shows."""
    text = LINK.sub(lambda at: f"{at[1]}{at[2]}{repository}/{'raw' if at[1] else 'blob'}/HEAD/{at[3]})", text)
    return SOURCE.sub(lambda at: f'{at[1]}{repository}/raw/HEAD/{at[2]}"', text)
