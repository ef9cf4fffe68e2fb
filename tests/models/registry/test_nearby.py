"""Who forgets `--plugin` is told which file he means."""

import pytest

import models
from models.registry.nearby import files_that_register

REGISTERS = 'import models\n\n\n@models.register("my-net", tasks="mnist-scale-*")\ndef my_net(task): ...\n'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (REGISTERS, True),
        ('from models import register\nregister(name="my-net", tasks="stl10+")(print)\n', True),
        ('NAME = "my-net"\nregister(NAME)(print)\n', False),  # its text does not tell
        ('print("my-net")\n', False),
        ('register("my-net-2")(print)\n', False),
        ('register("my-net"\n', False),
        ("\0my-net register", False),
    ],
)
def test_what_a_file_registers(tmp_path, text, found):
    (tmp_path / "a_net.py").write_text(text)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "gone.py").symlink_to("nowhere")
    assert files_that_register("my-net", tmp_path) == (["a_net.py"] if found else [])


def test_a_name_that_a_file_here_registers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(models.ModelError, match=r"unknown model 'my-net'.*a model of your own needs --plugin FILE"):
        models.info("my-net", "mnist-scale-28")
    (tmp_path / "my_net.py").write_text(REGISTERS)
    with pytest.raises(models.ModelError) as raised:
        models.create("my-net", "mnist-scale-28")
    assert str(raised.value) == "model 'my-net' is not registered; my_net.py here registers it: add --plugin my_net.py"
    assert files_that_register("my-net", tmp_path / "nowhere") == []
