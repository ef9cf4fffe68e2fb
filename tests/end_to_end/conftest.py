"""A folder with the tiny protocol and networks."""

import pytest
from tiny import PLUGIN, TINY


@pytest.fixture
def workplace(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "my_net.py").write_text(PLUGIN)
    return tmp_path
