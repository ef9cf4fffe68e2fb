"""The tiny protocol and networks as files."""

import pytest
from tiny import PLUGIN, TINY

import models


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("protocol") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "tiny_net.py"
    path.write_text(PLUGIN)
    models.load_plugin(path)
    return path
