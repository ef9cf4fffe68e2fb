"""A folder with the tiny protocol and networks; the suite as a wheel."""

import pytest
from built_wheel import build, copy_of_the_files
from tiny import PLUGIN, TINY

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def workplace(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "my_net.py").write_text(PLUGIN)
    return tmp_path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The suite's wheel, of the commit COMMIT."""
    return build(copy_of_the_files(tmp_path_factory.mktemp("source")), "wheel", BENCH_COMMIT=COMMIT)[".whl"]
