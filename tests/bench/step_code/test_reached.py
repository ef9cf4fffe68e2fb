"""What a definition reaches: by name, across modules, and what of a text does not count."""

from collections.abc import Callable

import pytest

from bench.step_code.reached import Definition, Module, Relations

LAYER = '''
"""A module."""
import math
from torch import nn
from pkg import helper
from pkg.helper import used as other, SIZE

WIDTH = SIZE + 1
UNUSED = 5

class Layer(nn.Module):
    """Words."""
    def forward(self, maps):
        # a comment
        return other(maps) * helper.by_attribute(WIDTH)

def unused():
    return UNUSED
'''
HELPER = """
SIZE = 3
def used(maps): return _inner(maps)
def _inner(maps):
    if maps is None:
        raise ValueError(words())
    return maps
def words(): return "no"
def by_attribute(width): return math.sqrt(width)
def never(): return 0
"""


def reached(roots: list[Definition], look: Callable[[str], Module | None]) -> list[str]:
    return Relations(look).reached(roots)


def hashed(layer: str = LAYER, helper: str = HELPER, root: str = "Layer") -> list[str]:
    texts = {"layer": layer, "pkg": "", "pkg.helper": helper}
    modules = {name: Module(text) for name, text in texts.items()}
    return reached([("layer", root)], modules.get)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another"),
        ('"""Words."""', '"""Other words."""'),
        ('"""A module."""', ""),
        ("forward(self, maps)", "forward(self, maps: object) -> object"),
        ("UNUSED = 5", "UNUSED = 6"),
        ("return UNUSED", "return 2 * UNUSED"),
        ("other(maps) * helper", "(other(maps)\n            * helper"),
        ("import math\n", ""),  # unused here
    ],
)
def test_what_does_not_count(old: str, new: str) -> None:
    text = LAYER.replace(old, new)
    if "\n            * " in new:
        text = text.replace("(WIDTH)", "(WIDTH))")
    assert text != LAYER and hashed(text) == hashed()


@pytest.mark.parametrize(
    ("old", "new"), [('"no"', '"yes"'), ("words())", '"other")'), ("never(): return 0", "never(): return 1")]
)
def test_errors_and_strangers_do_not_count(old: str, new: str) -> None:
    assert HELPER.replace(old, new) != HELPER and hashed(helper=HELPER.replace(old, new)) == hashed()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return maps\n", "return maps + 1\n"),  # through two functions
        ("SIZE = 3", "SIZE = 4"),  # through a constant
        ("math.sqrt(width)", "math.cbrt(width)"),  # through an attribute of a module
        ("if maps is None", "if maps is 0"),
    ],
)
def test_what_is_reached_in_another_module_counts(old: str, new: str) -> None:
    assert HELPER.replace(old, new) != HELPER and hashed(helper=HELPER.replace(old, new)) != hashed()


def test_what_counts_in_the_module_itself() -> None:
    for old, new in (
        ("SIZE + 1", "SIZE + 2"),
        ("(nn.Module)", "(nn.Identity)"),
        ("from torch import nn", "from other import nn"),
    ):
        assert hashed(LAYER.replace(old, new)) != hashed(), old


def test_a_definition_that_moves_is_the_same() -> None:
    moved = LAYER.replace("WIDTH = SIZE + 1\n", "").replace("SIZE\n\n", "SIZE, WIDTH\n\n", 1)
    assert "WIDTH" in moved and hashed(moved, HELPER + "WIDTH = SIZE + 1\n") == hashed()


def test_a_statement_that_changes_a_name_counts_and_so_does_what_registers_with_it() -> None:
    for more in (
        "\nWIDTH += 1\n",
        "\nTABLE[WIDTH] = 2\nWIDTH = 9\n",
        "\n@WIDTH.register\ndef _(x): return 7\n",
        "\nprint('on import')\n",
    ):
        assert hashed(LAYER + more) != hashed(), more


def test_a_decorator_of_others_relates_nothing() -> None:
    text = "from functools import cache\n@cache\ndef f(): return 1\n@cache\ndef g(): return 2"
    assert len(reached([("a", "f")], {"a": Module(text)}.get)) == 2  # with the import


def test_a_relation_in_a_circle_ends() -> None:
    modules = {"a": Module("from b import g\ndef f(): return g()"), "b": Module("from a import f\ndef g(): return f()")}
    assert len(reached([("a", "f")], modules.get)) == 2


def test_imports_within_functions_and_of_whole_modules() -> None:
    inner = {"a": "def f():\n    from b import g\n    return g()", "b": "def g(): return 1\ndef h(): return 2"}
    whole = {"a": "import b\ndef f(): return [b]", "b": inner["b"]}
    for texts, count in ((inner, 2), (whole, 3)):
        assert len(reached([("a", "f")], {name: Module(text) for name, text in texts.items()}.get)) == count


def test_options_of_a_registration_count_and_its_paper_does_not() -> None:
    text = '@register("net", tasks="*", paper="A 2020", options=OPTIONS)\ndef net(task): return 1\nOPTIONS = 1\n'

    def code(changed: str) -> list[str]:
        return reached([("a", "net")], {"a": Module(changed)}.get)

    assert code(text.replace("A 2020", "B 2021")) == code(text)
    assert (
        code(text.replace("OPTIONS = 1", "OPTIONS = 2")) != code(text) != code(text.replace("options=OPTIONS", "options=None"))
    )
