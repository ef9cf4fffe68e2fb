"""The registry: names, options, plugins, and what is said without torch."""

import subprocess
import sys
import textwrap

import pytest

import models
from models import load_plugin


@pytest.mark.parametrize("call", ["list_models()", "infos()", "info('cnn', 'stl10+')", "load_plugin('my_net.py')"])
def test_without_torch_there_is_one_clear_line(call):
    code = (
        f"import sys; sys.modules['torch'] = None; import models\ntry: models.{call}\nexcept models.ModelError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("models need torch, which cannot be imported") and not done.stderr


def test_names_are_listed_in_order():
    names = models.list_models("mnist-scale-28")
    assert {"cnn", "sesn-scalar", "sesn-vector"} <= set(names)
    assert names == sorted(names)
    assert models.info("sesn-scalar", "mnist-scale-56").origin.startswith("models/sesn.py:")


@pytest.mark.parametrize(
    ("name", "task", "canonical"),
    [
        ("sesn-scalar@config=28p", "mnist-scale-28+", "sesn-scalar"),
        ("sesn-scalar@config=28", "mnist-scale-28+", "sesn-scalar@config=28"),
        ("sesn-vector@upsample=bilinear,config=56p", "mnist-scale-56", "sesn-vector@config=56p,upsample=bilinear"),
        ("cnn@upsample=nearest", "mnist-scale-56", "cnn"),
    ],
)
def test_canonical_names(name, task, canonical):
    assert models.canonical_name(name, task) == canonical
    assert models.canonical_name(canonical, task) == canonical


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: models.create("sesn-skalar", task="mnist-scale-28"), "did you mean 'sesn-scalar'"),
        (lambda: models.create("cnn", task="mnist-scale-29"), "did you mean 'mnist-scale-28'"),
        (lambda: models.create("sesn-scalar@config=56", task="mnist-scale-28"), "allowed: 28, 28p"),
        (lambda: models.create("sesn-scalar@nonfig=56", task="mnist-scale-28"), "options there: config"),
        (lambda: models.create("cnn", task="mnist-scale-28", upsampel="bilinear"), "did you mean 'upsample'"),
        (lambda: models.list_models("mnist"), "tasks: mnist-scale-28"),
        (lambda: load_plugin("nowhere.py"), "not a Python file"),
    ],
)
def test_wrong_names_get_one_line(call, said):
    with pytest.raises(models.ModelError) as caught:
        call()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def plugin(tmp_path, body):
    path = tmp_path / "my_net.py"
    path.write_text(textwrap.dedent(body))
    return path


def in_new_process(path):
    """Load a plugin in a process of its own, so that its names do not stay registered here."""
    code = f"import models; print(models.load_plugin({str(path)!r})); print(models.create('my-net', 'mnist-scale-28'))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_builder_may_take_whatever_it_is_given(tmp_path):
    anything = GOOD.replace("my_net(task)", "my_net(task, **size)")
    code = f"import models; models.load_plugin({str(plugin(tmp_path, anything))!r}); "
    code += "print(models.create('my-net', 'mnist-scale-28', depth=3))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Linear" in done.stdout, done.stderr


GOOD = """
    import models
    from torch import nn
    @models.register("my-net", tasks="mnist-scale-*")
    def my_net(task):
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
"""


def test_plugin_is_found(tmp_path):
    done = in_new_process(plugin(tmp_path, GOOD))
    assert done.stdout.startswith("['my-net']"), done.stderr
    assert "Linear" in done.stdout


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('two\\nlines')", "raised on import: RuntimeError"),
        ("import sys; sys.exit(3)", "raised on import: SystemExit"),
        ("x = (", "raised on import: SyntaxError"),
        ("x = 1", "registers no model"),
        (GOOD.replace("my-net", "cnn"), "registered twice for mnist-scale-28: models/cnn.py"),
        (GOOD.replace("my-net", "../evil"), "use letters, digits"),
    ],
)
def test_bad_plugins_get_one_error(tmp_path, body, said):
    done = in_new_process(plugin(tmp_path, body))
    assert done.returncode == 1
    assert "ModelError" in done.stderr
    assert said in done.stderr
