"""What several folders of tests need: how much is fuzzed, and a tiny STL-10 in the official format."""

import hashlib
import sys

import numpy as np
import pytest
from hypothesis import settings

import models
from datasets import stl10
from models.registry import catalogue, plugins

settings.register_profile("few", max_examples=300, deadline=None)
settings.register_profile("many", max_examples=10_000, deadline=None)  # pytest --hypothesis-profile many
settings.load_profile("few")


@pytest.fixture
def stl10_of(monkeypatch):
    """stl10_of(train=3, test=2): for one test, so many random images are STL-10. Returns {file name: content}."""

    def make(train, test):
        generator, files = np.random.default_rng(0), {}
        for split, count in (("train", train), ("test", test)):
            files[f"{split}_X.bin"] = generator.integers(256, size=count * stl10.IMAGE_BYTES, dtype=np.uint8).tobytes()
            files[f"{split}_y.bin"] = bytes((10, 1, 7)[i % 3] for i in range(count))
        monkeypatch.setattr(stl10, "IMAGES", {"train": train, "test": test})
        monkeypatch.setattr(stl10, "MD5", {name: hashlib.md5(data).hexdigest() for name, data in files.items()})
        stl10._check.cache_clear()
        return files

    return make


def pytest_runtest_setup(item):
    """`pytest -m gpu` where there is no GPU says so, test by test."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.fixture
def own_registry():
    """For one test: the plugins that it loads are known to it alone."""
    models.infos()
    state = [(kept, list(kept)) for kept in (catalogue._models, plugins._in_use, plugins._path_before, sys.path)]
    helpers = dict(plugins._helpers)
    here = {name: module for name, module in sys.modules.items() if plugins._is_helper(module)}
    yield
    for name in [name for name, module in sys.modules.items() if plugins._is_helper(module)]:
        del sys.modules[name]
    sys.modules.update(here)
    plugins._helpers.clear()
    plugins._helpers.update(helpers)
    for kept, before in state:
        kept[:] = before


@pytest.fixture
def no_plugins(own_registry):
    """For one test: it knows of the suite's models alone, as a new process does, whatever others have loaded or registered."""
    for name in [name for name, module in sys.modules.items() if plugins._is_helper(module)]:
        del sys.modules[name]
    catalogue._models[:] = [model for model in catalogue._models if model.module.startswith("models.")]
    sys.path[:] = [entry for entry in sys.path if entry not in map(str, plugins._in_use)]
    plugins._in_use.clear()
    plugins._helpers.clear()
