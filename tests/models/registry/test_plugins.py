"""Plugins: the files beside them, what their content is, and what is said of one that cannot be loaded."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import models
from models.registry import plugins
from models.registry.content import content_hash, files_of, package_files

ROOT = Path(models.__file__).parents[1]
TASK = "mnist-scale-28"


def network(name="my-net", width="10", head=""):
    return f"""{head}
import models
from torch import nn
@models.register("{name}", tasks="mnist-scale-*")
def net(task):
    return nn.Linear(4, {width})
"""


def written(folder, **files):
    """Files by their names, "_" for the "/"; `init` is an __init__.py. Returns the folder."""
    for name, text in files.items():
        path = folder / (name.replace("_", "/").replace("init", "__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def width(name="my-net"):
    return models.create(name, TASK).out_features


# How a plugin may come to its helpers: the plugin's head, further files, the expression of its width, the files that count.
IMPORT_LATE = "def late():\n    from one import W\n    return W"
IMPORT_IF = "try:\n    import nowhere\nexcept ImportError:\n    import one"
ONE = {"one": "W = 3"}
PACKAGE = {"deep_init": "", "deep_one": "W = 3"}
RELATIVE = {"deep_init": "from .one import W", "deep_one": "from . import two\nfrom .two import W", "deep_two": "W = 3"}
NOT_MEANT = {"datasets": "1 / 0", "leaderboard_init": "1 / 0", "torch": "1 / 0"}
WAYS = {
    "a file": ("import one", ONE, "one.W", {"one.py"}),
    "a name of it": ("from one import W", ONE, "W", {"one.py"}),
    "a package": ("import deep.one", PACKAGE, "deep.one.W", {"deep/__init__.py", "deep/one.py"}),
    "a module of a package": ("from deep import one", PACKAGE, "one.W", {"deep/__init__.py", "deep/one.py"}),
    "a folder that is no package": ("import deep.one", {"deep_one": "W = 3"}, "deep.one.W", {"deep/one.py"}),
    "by way of another": ("from one import W", {"one": "from two import W", "two": "W = 3"}, "W", {"one.py", "two.py"}),
    "relatively": ("from deep import W", RELATIVE, "W", {"deep/__init__.py", "deep/one.py", "deep/two.py"}),
    "each other": ("import one", {"one": "import two\nW = 3", "two": "import one"}, "one.W", {"one.py", "two.py"}),
    "when it builds": (IMPORT_LATE, ONE, "late()", {"one.py"}),
    "if there is one": (IMPORT_IF, ONE, "one.W", {"one.py"}),
    "by a call": ("import importlib\none = importlib.import_module('one')", ONE, "one.W", {"one.py"}),
    "the plugin itself": ("import one", {"one": "import plugin\nW = 3"}, "one.W", {"one.py"}),
    "not torch, nor the suite's": ("import torch, datasets, leaderboard\nW = 3", NOT_MEANT, "W", set()),
}


@pytest.mark.parametrize(("head", "files", "expression", "counted"), WAYS.values(), ids=WAYS)
def test_files_beside_a_plugin_are_found_and_counted(tmp_path, own_registry, head, files, expression, counted):
    folder = written(tmp_path, plugin=network(width=expression, head=head), **files)
    assert models.load_plugin(folder / "plugin.py") == ["my-net"]
    assert width() == 3
    assert set(files_of(folder / "plugin.py")) == {"plugin.py", *counted}
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_same_plugin_elsewhere_is_the_same_and_any_change_another(tmp_path):
    def source(folder, **files):
        return content_hash(files_of(written(folder, **files) / "plugin.py"))

    files = {"plugin": "import one", "one": "import deep.two", "deep_two": "W = 3"}
    first = source(tmp_path / "a", **files)
    assert source(tmp_path / "b c" / "d-e", **files, beside="W = 4") == first
    others = [source(tmp_path / str(n), **{**files, name: files[name] + " # "}) for n, name in enumerate(files)]
    renamed = source(tmp_path / "r", **{**files, "plugin": "import uno", "uno": files["one"]})
    assert len({first, renamed, *others}) == 5


@pytest.mark.parametrize(
    "content", [b"def (", b"\0", b"# coding: nonsense\n", b"x = '\xff'", b"", b"\xef\xbb\xbfimport one", b"x = " + b"(" * 5000],
    ids=["syntax", "null", "coding", "encoding", "empty", "byte-order mark", "nested"],
)  # fmt: skip
def test_a_file_that_cannot_be_parsed_counts_by_its_content(tmp_path, content):
    (tmp_path / "plugin.py").write_text("import odd")
    (tmp_path / "one.py").write_text("")
    (tmp_path / "odd.py").write_bytes(content)
    before = files_of(tmp_path / "plugin.py")
    assert {"plugin.py", "odd.py"} <= set(before)
    first = content_hash(before)
    (tmp_path / "odd.py").write_bytes(content + b"\n")
    assert content_hash(files_of(tmp_path / "plugin.py")) != first


def test_a_file_that_cannot_be_read_counts_by_its_name(tmp_path):
    (tmp_path / "plugin.py").write_text("import odd")
    (tmp_path / "odd.py").write_text("")
    files = files_of(tmp_path / "plugin.py")
    (tmp_path / "odd.py").unlink()
    (tmp_path / "odd.py").mkdir()  # for root may read any file
    assert content_hash(files) != content_hash({"plugin.py": tmp_path / "plugin.py"})


def test_an_edit_in_the_same_second_of_the_same_length_is_seen(tmp_path):
    folder = written(tmp_path, plugin=network(width="one.W", head="import one\nprint(one.W)"), one="W = 3")
    times = (folder / "one.py").stat()
    subprocess.run([sys.executable, "-m", "compileall", "-q", folder], check=True)  # bytecode as other tools leave it
    (folder / "one.py").write_text("W = 4")
    os.utime(folder / "one.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    call = [sys.executable, "-c", "import models, sys; models.load_plugin(sys.argv[1])", folder / "plugin.py"]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert "4\n" in (done.stdout, done.stderr), done


def test_two_plugins_with_helpers_of_one_name_get_each_its_own(tmp_path, own_registry):
    for name, value in (("a", 3), ("b", 4)):
        head = "import one\ndef late():\n    from one import W\n    import two\n    return (W, two.W)"
        folder = written(tmp_path / name, one=f"W = {value}", two=f"W = {10 * value}")
        written(folder, plugin=network(f"net-{name}", "sum((one.W, *late()))", head))
        models.load_plugin(folder / "plugin.py")
    assert [width(name) for name in ("net-a", "net-b", "net-a")] == [36, 48, 36]
    assert sys.path.count(str(tmp_path / "b")) + sys.path.count(str(tmp_path / "a")) == 1


def test_a_plugin_that_puts_its_folder_in_front_itself_does_not_take_the_next_ones_helper(tmp_path, own_registry):
    head = "import os, sys\nsys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))\nimport one"
    for name, value in (("a", 3), ("b", 4)):
        models.load_plugin(
            written(tmp_path / name, plugin=network(f"net-{name}", "one.W", head), one=f"W = {value}") / "plugin.py"
        )
    assert (width("net-b"), width("net-a")) == (4, 3)


@pytest.mark.parametrize("order", [("base", "variant"), ("variant", "base")])
def test_a_plugin_may_be_another_ones_helper(tmp_path, own_registry, order):
    written(tmp_path, base=network("base-net") + "W = 3\n", variant=network("variant-net", "base.W", "import base"))
    for name in order:
        assert f"{name}-net" in models.load_plugin(tmp_path / f"{name}.py")
    assert width("variant-net") == 3


@pytest.mark.parametrize(
    "name", ["torch.py", "models.py", "numpy.py", "json.py", "my-net.py", "my net.py", "class.py", "ünet.py", "1.py"]
)
def test_a_plugin_may_have_any_name(tmp_path, own_registry, name):
    (tmp_path / f"{name}.py").write_text(network(width="one.W", head="import numpy, json, one"))
    (tmp_path / "one.py").write_text("W = 3")
    before = {known: sys.modules.get(known) for known in ("torch", "models", "numpy", "json")}
    assert models.load_plugin(tmp_path / f"{name}.py") == ["my-net"]
    assert width() == 3
    assert {known: sys.modules.get(known) for known in before} == before


def test_a_plugin_may_lie_anywhere(tmp_path, own_registry, monkeypatch):
    folder = written(tmp_path / "a folder", plugin=network(width="one.W", head="import one"), one="W = 3")
    (tmp_path / "link.py").symlink_to(folder / "plugin.py")
    folder.chmod(0o555)
    monkeypatch.chdir(tmp_path)
    for path in ("a folder/plugin.py", "./a folder/../link.py", tmp_path / "link.py"):
        assert models.load_plugin(path) == ["my-net"]
    monkeypatch.chdir("/")
    assert width() == 3
    assert models.info("my-net", TASK).plugin == str(folder / "plugin.py")
    folder.chmod(0o755)


# What stands in a plugin and its helper, and what has to be said: the cause, and the user's own file and line.
BROKEN = {
    "a package that is missing": ("import nowhere", "", r"No module named 'nowhere' \(plugin.py:1: import nowhere\)"),
    "in a helper": ("import one", "import nowhere", r"No module named 'nowhere' \(one.py:1: import nowhere\)"),
    "a name that is missing": ("from one import W", "", r"cannot import name 'W' from 'one' .*\(plugin.py:1: from one"),
    "in torch, called from here": ("import torch\ntorch.zeros(-1)", "", r"RuntimeError: .* \(plugin.py:2: torch.zeros\(-1\)\)"),
    "a syntax error in a helper": ("import one", "x = (", r"SyntaxError: .*\(one.py, line 1\)"),
    "several lines": ("raise ValueError('a\\nb')", "", r"ValueError: a b \(plugin.py:1: "),
    "an exit": ("import sys\nsys.exit(3)", "", r"SystemExit: 3 \(plugin.py:2: sys.exit\(3\)\)"),
}


@pytest.mark.parametrize(("plugin", "helper", "said"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_one_line_that_says_where(tmp_path, own_registry, plugin, helper, said):
    folder = written(tmp_path, plugin=plugin, one=helper)
    before = set(sys.modules)
    with pytest.raises(models.ModelError, match=said) as raised:
        models.load_plugin(folder / "plugin.py")
    assert "\n" not in str(raised.value)
    assert "BENCH_DEBUG=1 shows the traceback" in str(raised.value)
    assert raised.value.__cause__ is not None
    assert not {name for name in set(sys.modules) - before if "plugin" in name}


def test_a_helper_hidden_by_an_installed_package_is_named(tmp_path, own_registry):
    folder = written(tmp_path, plugin="from yaml import my_own_function", yaml="def my_own_function(): ...")
    with pytest.raises(models.ModelError, match="is not meant: that name is an installed package's, so give yours another"):
        models.load_plugin(folder / "plugin.py")


def test_draws_on_import_are_the_same_in_every_process_and_nobody_elses(tmp_path, own_registry):
    head = "import random, numpy, torch\nDRAWN = [random.random(), float(numpy.random.rand()), torch.rand(1).item()]"
    torch.manual_seed(1)
    random.seed(1)
    expected = (torch.rand(3).tolist(), random.random())
    torch.manual_seed(1)
    random.seed(1)
    models.load_plugin(written(tmp_path / "a", plugin=network("net-a", head=head)) / "plugin.py")
    first = sys.modules[models.info("net-a", TASK).module].DRAWN
    assert (torch.rand(3).tolist(), random.random()) == expected
    models.load_plugin(written(tmp_path / "b", plugin=network("net-b", head=head)) / "plugin.py")
    assert first == sys.modules[models.info("net-b", TASK).module].DRAWN


def test_built_in_models_have_no_source_and_plugins_that_of_their_files(tmp_path, own_registry):
    models.load_plugin(written(tmp_path, plugin=network(head="import models.sesn, models.cnn")) / "plugin.py")
    assert {model.source for model in models.infos() if model.module.startswith("models.")} == {""}
    assert models.info("my-net", TASK).source == content_hash({"plugin.py": tmp_path / "plugin.py"})


def test_a_packages_content_is_its_python_files(tmp_path, monkeypatch):
    written(tmp_path, netpack_init="", netpack_deep_nets="", single="", space_part_init="", space_part_nets="")
    (tmp_path / "netpack" / "weights.bin").write_bytes(b"0")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(package_files("netpack.deep.nets")) == {"__init__.py", "deep/nets.py"}
    assert set(package_files("single")) == {"single.py"}
    assert set(package_files("space.part.nets")) == {"__init__.py", "nets.py"}
    assert package_files("nowhere_at_all") == {}


def test_the_suites_own_folder_is_never_a_plugins(monkeypatch):
    monkeypatch.setattr(plugins, "_in_use", [ROOT])
    assert not plugins._finds(str(ROOT / "bench" / "engines"))
    assert not plugins._finds(next(path for path in sys.path if path.endswith("site-packages")))
