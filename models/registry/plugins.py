"""Plugins: a user's own file that registers models, imported from wherever it lies, with the files beside it.

A file beside the plugin is found under its plain name (`import helper`), after whatever is installed under that name: it never
takes the place of torch or of this suite's packages. Two plugins may each have a helper of one name; that of the plugin loaded
or built last is the one in `sys.modules`. The files' text is what is run: bytecode is neither read nor written.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import traceback
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType

from models.errors import ModelError, said
from models.registry import catalogue
from models.registry.content import OURS, content_hash, files_of
from models.registry.guarded_imports import guarded

_helpers: dict[Path, dict[str, ModuleType]] = {}  # by the plugins' folders; those of the folder in use are in sys.modules
_in_use: list[Path] = []  # none or one
_path_before: list[str] = []  # Python's path without it


def load_plugin(path: str | Path) -> list[str]:
    """Import a user's file that registers models and return the names it added.

    Raises ModelError: no such file, the file or one beside it raises on import, or it registers nothing.
    """
    catalogue.known_so_far()  # the built-in names come first: a plugin that takes one is told so
    file = Path(path)
    if not os.path.isfile(file) or file.suffix != ".py":  # noqa: PTH113 - Path.is_file raises for a name that is too long
        raise ModelError(f"plugin {str(path)!r} is not a Python file; give the path of a .py file that registers a model")
    file = file.resolve()
    use_folder(file.parent)
    module = _imported_before(file) or _import_file(file, str(path))
    added = [model.name for model in catalogue.known_so_far() if model.module == module.__name__ or model.plugin == str(file)]
    if not added:
        raise ModelError(f"plugin {str(path)!r} registers no model; put @models.register(NAME, tasks=...) on a builder")
    return added


def use_folder(folder: Path) -> None:
    """Let `import` find the files in a plugin's folder, and no more those of the plugin before it."""
    if _in_use == [folder]:
        return
    for before in _in_use:
        sys.path[:] = [entry for entry in sys.path if entry != str(before) or entry in _path_before]
        names = [name for name, module in sys.modules.items() if _is_helper(module)]
        _helpers[before] = {name: sys.modules.pop(name) for name in names}
    _in_use[:], _path_before[:] = [folder], sys.path
    sys.path.append(str(folder))
    if _finder not in sys.path_hooks:
        sys.path_hooks.insert(0, _finder)
    for entry in [entry for entry in sys.path_importer_cache if Path(entry).is_relative_to(folder)]:
        del sys.path_importer_cache[entry]  # `_finder` is to be asked
    sys.modules.update(_helpers.get(folder, {}))


class _Text(SourceFileLoader):
    """Runs the text of the file as it is now: bytecode kept beside it may be of another text with the same time and size."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


class _Extension(ExtensionFileLoader):
    """Marks what a plugin brings."""


def _is_helper(module: ModuleType) -> bool:
    spec = getattr(module, "__dict__", {}).get("__spec__")
    loader, places = getattr(spec, "loader", None), getattr(spec, "submodule_search_locations", None)
    if isinstance(loader, _Text | _Extension):
        return True
    return places is not None and getattr(spec, "origin", "") is None and any(_finds(str(place)) for place in places)


def _finds(entry: str) -> bool:
    """Whether files in a folder are the plugin's: its own folder, and packages in it that are not installed or the suite's."""
    place, suite = Path(entry), Path(__file__).parents[2]
    others = [*map(Path, sys.path), *(suite / name for name in OURS)]
    return any(
        place.is_relative_to(folder) and not any(place.is_relative_to(other) and folder in other.parents for other in others)
        for folder in _in_use
    )


def _finder(entry: str) -> FileFinder:
    if not _finds(entry):
        raise ImportError  # so a path hook says that it has no finder
    return FileFinder(entry, (_Extension, EXTENSION_SUFFIXES), (_Text, SOURCE_SUFFIXES))


def _imported_before(file: Path) -> ModuleType | None:
    """The plugin's module, if it was loaded before or another plugin beside it imported it."""
    for module in list(sys.modules.values()):
        if _is_helper(module) and getattr(module, "__file__", None) == str(file):
            return module
    return None


def _import_file(file: Path, given: str) -> ModuleType:
    name = "bench_plugin_" + re.sub(r"\W", "_", str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=_Text(name, str(file)))
    assert spec is not None and spec.loader is not None  # it was given both
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    if (plain := _plain_name(file)) is not None:
        sys.modules[plain] = module
    try:
        with (
            guarded(lambda error: f"plugin {given!r} raised on import: {_told(error, file)}"),
            catalogue.registering(content_hash(files_of(file)), str(file)),
        ):
            spec.loader.exec_module(module)
    except BaseException:
        for known in (name, plain or name):
            sys.modules.pop(known, None)
        raise
    return module


def _plain_name(file: Path) -> str | None:
    """The name under which files beside it may import the plugin itself; None: that name is another module's."""
    if file.stem in sys.stdlib_module_names:
        return None
    spec = PathFinder.find_spec(file.stem)
    return file.stem if spec is not None and spec.origin == str(file) else None


def _told(error: BaseException, file: Path) -> str:
    """What was raised, and where in the user's own files."""
    text = said(error)
    own = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(file.parent)]
    if own and not isinstance(error, SyntaxError):
        text += f" ({Path(own[-1].filename).relative_to(file.parent)}:{own[-1].lineno}: {own[-1].line})"
    if isinstance(error, ImportError) and (name := (error.name or "").partition(".")[0]):
        beside = [path.name for path in (file.parent / f"{name}.py", file.parent / name / "__init__.py") if path.is_file()]
        if beside:
            text += f"; the one in {file.parent} is not meant: that name is an installed package's, so give yours another"
    return f"{' '.join(text.split())}; BENCH_DEBUG=1 shows the traceback"
