"""What the site needs beyond the Markdown of docs/, which reads on the repository's page as it is (mkdocs.yml).

Links that leave docs/ lead to the repository, whose address has one home, pyproject.toml. Some files of its top become pages.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
TOP = {"README.md": "overview.md", "LEADERBOARD.md": "leaderboard.md", "CONTRIBUTING.md": "contributing.md"}  # and their pages
FOLDERS = {"docs/board": "docs/board/leaderboard.html"}  # what a link to a folder shows there: the page in it
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
CODE = re.compile(r"^(```.*?^```[^\n]*|(?: {4}|\t)[^\n]*)$|(`+)(?!`).*?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL)


def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name, description and addresses; the repository is a link at the foot, for a `repo_url` asks its host at every visit."""
    urls = project()["urls"]
    config.site_url = urls["Homepage"]
    config.site_description = project()["description"]
    config.extra["social"] = [{"icon": "fontawesome/brands/github", "link": urls["Repository"], "name": "The repository"}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Files of the repository's top among the pages."""
    for name, page in TOP.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they have to be here, and Markdown within <details> as the repository's page reads it."""
    source = next((name for name, its in TOP.items() if its == page.file.src_uri), f"docs/{page.file.src_uri}")
    there = {f"docs/{file.src_uri}" for file in files if not file.inclusion.is_excluded()}
    return rewritten(markdown, source, there).replace("<details>", '<details markdown="1">')


def rewritten(markdown: str, source: str, there: set[str]) -> str:
    """Its links, code left alone; `source` and `there`, the files of the site, as the repository names them."""
    pieces, end = [], 0
    for code in CODE.finditer(markdown):
        pieces += [_rewrite(markdown[end : code.start()], source, there), code[0]]
        end = code.end()
    return "".join([*pieces, _rewrite(markdown[end:], source, there)])


def _rewrite(text: str, source: str, there: set[str]) -> str:
    return LINK.sub(lambda link: f"{link[1]}{target(link[2], source, there)}{link[3]}", text)


def target(link: str, source: str, there: set[str]) -> str:
    """Where a link of the file `source` leads on the site. Raises PluginError: it leads nowhere."""
    path, hash_sign, anchor = link.partition("#")
    if not path or re.match(r"[a-z]+:", link):
        return link
    meant = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    meant = FOLDERS.get(meant, meant)
    if not (ROOT / meant).exists():
        raise PluginError(f"{source}: the link {link} leads nowhere")
    if meant in TOP:
        return TOP[meant] + hash_sign + anchor
    if meant in there:
        return posixpath.relpath(meant, "docs" if source in TOP else posixpath.dirname(source)) + hash_sign + anchor
    kind = "tree" if (ROOT / meant).is_dir() else "blob"
    return f"{project()['urls']['Repository']}/{kind}/HEAD/{meant}{hash_sign}{anchor}"
