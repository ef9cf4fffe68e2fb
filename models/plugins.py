"""Plugins: a user's own file that registers models, imported from wherever it lies."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

from models import registry
from models.errors import ModelError


def load_plugin(path: str | Path) -> list[str]:
    """Import a user's file that registers models and return the names it added.

    Raises ModelError: no such file, the file raises on import, or it registers nothing.
    """
    registry.infos()  # the built-in names come first: a plugin that takes one is told so
    file = Path(path)
    if not file.is_file() or file.suffix != ".py":
        raise ModelError(f"plugin {str(path)!r} is not a Python file; give the path of a .py file that registers a model")
    name = "bench_plugin_" + re.sub(r"\W", "_", str(file.resolve()))
    if name not in sys.modules:
        _import_file(name, file)
    added = [model.name for model in registry.infos() if model.module == name]
    if not added:
        raise ModelError(f"plugin {str(path)!r} registers no model; put @models.register(NAME, tasks=...) on a builder")
    return added


def _import_file(name: str, file: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (KeyboardInterrupt, ModelError):
        del sys.modules[name]
        raise
    except BaseException as error:  # SystemExit in a plugin is the plugin's failure, not the suite's end
        del sys.modules[name]
        raise ModelError(
            f"plugin {str(file)!r} raised on import: {type(error).__name__}: {error}; to see where: python {file}"
        ) from error
