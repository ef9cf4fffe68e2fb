"""Whatever is given to `register`: it works, or one line says what is allowed; and what works can be run and recorded."""

import functools
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import nn

import models
from leaderboard.errors import one_line
from leaderboard.records.schema import Name
from models.registry.registration import LONGEST, TASKS, checked

TASK, MNIST = "mnist-scale-28", "mnist-scale-*"
NAME = TypeAdapter(Name)


@pytest.fixture(autouse=True)
def _a_registry_of_its_own(own_registry):
    """For each test."""


def network(outputs=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, outputs))


class Net(nn.Module):
    def __init__(self, task, width="8"):
        super().__init__()
        self.task, self.width = task, width


class Builder:
    def __call__(self, task, width="8"):
        return Net(task, width)

    def method(self, task, width="8"):
        return Net(task, width)

    @classmethod
    def of_the_class(cls, task, width="8"):
        return Net(task, width)

    @staticmethod
    def alone(task, width="8"):
        return Net(task, width)


def decorated(function):
    @functools.wraps(function)
    def inner(*arguments, **options):
        return function(*arguments, **options)

    return inner


def with_default(task, depth, width="8"):
    assert depth == 3
    return Net(task, width)


NAMESPACE = {"Net": Net}
exec("def executed(task, width='8'):\n    return Net(task, width)", NAMESPACE)
CALLABLES = {
    "a function": lambda: Builder.alone,
    "a lambda": lambda: lambda task, width="8": Net(task, width=width),
    "a class": lambda: Net,
    "a partial": lambda: functools.partial(with_default, depth=3),
    "an object with __call__": Builder,
    "a bound method": lambda: Builder().method,
    "a class method": lambda: Builder.of_the_class,
    "a decorated function": lambda: decorated(Builder.alone),
    "a cached function": lambda: functools.lru_cache(Builder.alone),
    "from exec": lambda: NAMESPACE["executed"],
    "whatever it is given": lambda: lambda task, **options: Net(task, **{"width": "8", **options}),
}


@pytest.mark.parametrize("make", CALLABLES.values(), ids=CALLABLES)
def test_any_callable_is_a_builder(make):
    builder = make()
    assert models.register("any-net", tasks=MNIST, options={"width": {"*": ("8", "16")}})(builder) is builder
    known = models.info("any-net", TASK)
    assert known.origin.startswith("test_registration_forms.py:")
    assert known.module == __name__
    assert models.create("any-net@width=16", TASK).width == "16"
    assert models.create("any-net", TASK).task == TASK
    assert models.create("any-net", TASK, width="8").width == "8"


def test_a_builder_may_have_several_names_and_a_name_several_builders():
    @models.register("one-name", tasks="stl10+")
    @models.register("one-name", tasks=MNIST)
    @models.register("another", tasks=["mnist-scale-28", "stl10+"])
    def build(task):
        return Net(task)

    assert models.info("one-name", "stl10+") is not models.info("one-name", TASK)
    for name, task in product(("one-name", "another"), (TASK, "stl10+")):
        assert models.create(name, task).task == task


def refused(call):
    with pytest.raises(models.ModelError) as caught:
        call()
    assert str(caught.value) == one_line(caught.value, 1000)
    assert "test_registration_forms.py:" in str(caught.value)
    return str(caught.value)


def build(task):
    return network()


def build_wide(task, width):
    return network(int(width))


WRONG_ARGUMENTS = {
    "no call": (lambda: models.register(build), "where a model's name belongs; the form: @models.register("),
    "no name": (lambda: models.register(None, tasks=MNIST), "register was given None"),
    "a number": (lambda: models.register(7, tasks=MNIST), "register was given 7"),
    "no tasks": (lambda: models.register("x"), "it is for no task"),
    "an empty list": (lambda: models.register("x", tasks=[]), "it is for no task"),
    "no task": (lambda: models.register("x", tasks=None), "tasks=None is no task"),
    "nothing": (lambda: models.register("x", tasks=""), "tasks='' is no task"),
    "bytes": (lambda: models.register("x", tasks=b"stl10+"), "is no task"),
    "a mistyped task": (lambda: models.register("x", tasks="mnist-scale-29"), "did you mean 'mnist-scale-28'?"),
    "a mistyped glob": (lambda: models.register("x", tasks=[MNIST, "stl-*"]), "tasks='stl-*' is no task"),
    "tasks in one text": (lambda: models.register("x", tasks="mnist-scale-28, stl10+"), "is no task"),
    "a paper that is none": (lambda: models.register("x", tasks=MNIST, paper=2027), 'write paper="You, 2027"'),
}
WRONG_OPTIONS = {
    "a list": ["width"],
    "a text": "width",
    "a bare text": {"width": "8"},
    "a bare text of a task": {"width": {"*": "8"}},
    "a bare number": {"width": {"*": 8}},
    "no value": {"width": ()},
    "no value of a task": {"width": {"*": ()}},
    "no task": {"width": {}},
    "None": {"width": None},
    "a value None": {"width": {"*": (None,)}},
    "values in values": {"width": {"*": (("8",), ("16",))}},
    "a value with a comma": {"width": {"*": ("8,16",)}},
    "a value with =": {"width": {"*": ("a=b",)}},
    "a value with @": {"width": {"*": ("a@b",)}},
    "a value with a slash": {"width": {"*": ("a/b",)}},
    "a value of two dots": {"width": {"*": ("a..b",)}},
    "a value that ends in a dot": {"width": {"*": ("8.",)}},
    "an empty value": {"width": {"*": ("",)}},
    "a value with a line break": {"width": {"*": ("8\n",)}},
    "a value twice": {"width": {"*": ("8", 8)}},
    "values that differ in capitals": {"width": {"*": ("a", "A")}},
    "another task's": {"width": {"stl10+": ("8", "16")}},
    "two lists for a task": {"width": {"*": ("8", "16"), "mnist-scale-28": ("8", "32")}},
    "a name with a dash": {"my-width": {"*": ("8", "16")}},
    "a name of Python's": {"lambda": {"*": ("8", "16")}},
    "the task's name": {"task": {"*": ("8", "16")}},
    "a number as a name": {8: {"*": ("8", "16")}},
    "names that differ in capitals": {"width": ("8", "16"), "Width": ("8", "16")},
}
WRONG_BUILDERS = {
    "None": (None, "cannot be called"),
    "a text": ("build", "cannot be called"),
    "a network": (network(), "a network was registered, not what builds it"),
    "no task": (lambda: Net(TASK), "its builder cannot be called as builder(task)"),
    "too many arguments": (lambda task, width: network(), "missing a required argument: 'width'"),
    "a class without a task": (type("Bare", (), {}), "its builder cannot be called as builder(task)"),
}


@pytest.mark.parametrize(("call", "said"), WRONG_ARGUMENTS.values(), ids=WRONG_ARGUMENTS)
def test_wrong_arguments_are_one_line_that_shows_the_form(call, said):
    message = refused(call)
    assert said in message
    assert "paper=" in message or "@models.register(" in message


@pytest.mark.parametrize("options", WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_wrong_options_are_one_line(options):
    message = refused(lambda: models.register("x", tasks=MNIST, options=options))
    assert "option" in message
    assert "x" not in models.list_models()


@pytest.mark.parametrize(("builder", "said"), WRONG_BUILDERS.values(), ids=WRONG_BUILDERS)
def test_what_builds_nothing_is_one_line(builder, said):
    assert said in refused(lambda: models.register("x", tasks=MNIST)(builder))
    assert "x" not in models.list_models()


def test_a_builder_must_take_each_tasks_own_options():
    options = {"width": {"mnist-scale-56*": ("8", "16")}}
    assert "missing a required argument: 'width'" in refused(lambda: models.register("x", MNIST, options=options)(build_wide))
    models.register("x", "mnist-scale-56*", options=options)(build_wide)
    assert "unexpected keyword argument 'width'" in refused(lambda: models.register("y", MNIST, options=options)(build))


@pytest.mark.parametrize(
    ("values", "texts"), [((8, 16), "8 16"), ([0.5, 1e-05], "0.5 1e-05"), ((False, True), "False True"), (("a", 3), "a 3")]
)
def test_values_stand_in_the_name_as_text_and_the_builder_gets_them_as_they_were_given(values, texts):
    given_to = []
    models.register("x", tasks=MNIST, options={"o": values})(lambda task, o: given_to.append(o) or network())
    assert models.info("x", TASK).choices(TASK) == {"o": tuple(texts.split())}
    for text in texts.split():
        models.create(f"x@o={text}", TASK)
    models.create("x", TASK)
    assert given_to == [*values, values[0]]
    assert [type(one) for one in given_to] == [type(one) for one in [*values, values[0]]]


@pytest.mark.parametrize("result", [None, Net, (network(), network()), "network", iter(())])
def test_what_is_built_must_be_a_network(result):
    models.register("x", tasks=MNIST)(lambda task: result)
    with pytest.raises(
        models.ModelError, match=r"model 'x' \(test_registration_forms.py:\d+\): its builder returned .* no torch"
    ):
        models.create("x", TASK)


def test_a_name_is_registered_once_whatever_its_capitals():
    models.register("My-net", tasks=MNIST)(build)
    for name in ("My-net", "my-net", "CNN"):
        assert "is registered twice for mnist-scale-28" in refused(lambda name=name: models.register(name, MNIST)(build))
    for _ in range(2):
        models.register("same-line", tasks="stl10+" if _ else MNIST)(build)
    with pytest.raises(models.ModelError, match="twice"):
        for _ in range(2):
            models.register("in-a-loop", tasks=MNIST)(build)


def test_an_option_is_given_once():
    with pytest.raises(models.ModelError, match="option 'config' is '28p' and '28'; give it once"):
        models.canonical_name("sesn-scalar@config=28p,config=28", TASK)


@pytest.mark.parametrize(
    "name",
    ["net..v2", "net.", "con", "NUL", "com1", "lpt9.net", "aux.v2", "-net", ".net", "_net", "a/b", "a\\b", "a b", "a\n", "é",
     "a@b", "a=b", "a,b", "a+b", "*", "", "n" * (LONGEST + 1), "a\u202eb", "\ud800"],
)  # fmt: skip
def test_names_that_could_not_be_files_or_recorded_are_refused(name):
    refused(lambda: models.register(name, tasks=MNIST))


@pytest.mark.parametrize("name", ["a", "7", "net.v2", "Net_2-b", "console", "com10", "n" * LONGEST, "nul-net", "auxiliary.v1"])
def test_other_names_are_taken(name):
    models.register(name, tasks=MNIST)(build)
    assert models.canonical_name(name, TASK) == name


SIGNS = st.text(st.one_of(st.sampled_from("abAB019._-+@=, /"), st.characters()), max_size=LONGEST + 2)
VALUES = st.lists(st.one_of(SIGNS, st.integers(), st.floats(), st.booleans()), min_size=1, max_size=3)


@given(name=SIGNS, options=st.dictionaries(st.sampled_from(["width", "Depth", "x"]), VALUES, max_size=3))
def test_what_is_registered_can_be_recorded_with_any_options(name, options):
    try:
        found = checked(name, tasks="*", options=options, origin="my_net.py:7")
    except models.ModelError as error:
        assert "".join(str(error).split(" ")) == one_line(error, 10_000).replace(" ", "")
        return
    for chosen in product(*([(option, text) for text in by_task["*"]] for option, by_task in found.options.items())):
        whole = "@".join(filter(None, [name, ",".join(f"{option}={text}" for option, text in sorted(chosen))]))
        assert NAME.validate_python(whole) == whole
        assert len(whole) <= LONGEST
        assert not whole.endswith(".")


@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", fullmatch=True),
    value=st.from_regex(r"[A-Za-z0-9+-]{1,9}", fullmatch=True),
)
def test_plain_names_and_values_are_never_refused(name, value):
    assume(name.lower() not in {"con", "prn", "aux", "nul"} and not name.lower().startswith(("com", "lpt")))
    assert checked(name, tasks=TASKS, options={"o": [value]}, origin="").options == {"o": {"*": {value: value}}}


@pytest.mark.parametrize("how", ["-c", "stdin"])
def test_in_a_session_without_a_file_a_model_may_be_registered_again(how, tmp_path):
    code = (
        "import models; from torch import nn\n"
        "for width in (1, 2):\n"
        "    models.register('my-net', tasks='mnist-scale-*')(lambda task, width=width: nn.Linear(width, 10))\n"
        "print(models.create('my-net', 'mnist-scale-28').in_features, models.info('my-net', 'mnist-scale-28').origin)\n"
    )
    call, given_in = ([sys.executable, "-c", code], None) if how == "-c" else ([sys.executable, "-"], code)
    env = {**os.environ, "PYTHONPATH": str(Path(models.__file__).parents[1])}
    done = subprocess.run(call, input=given_in, capture_output=True, text=True, check=False, cwd=tmp_path, env=env)
    assert done.stdout.split() == ["2", "<string>:3" if how == "-c" else "<stdin>:3"], done.stderr
