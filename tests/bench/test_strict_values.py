"""A value means what it says, or one line says how to write it: YAML's numbers and keys, ranges, what is typed."""

import math

import pytest
from command_line import call
from hypothesis import given
from hypothesis import strategies as st
from tiny import RECIPE

import datasets
from bench.compatibility import check_runs, incompatibilities
from bench.errors import BenchError
from bench.plan import PlanPart, parse_realizations, plan_runs
from bench.protocol import built_in_protocols, load_protocol
from bench.scheduling.stop import parse_duration
from bench.settings import read_yaml

BASE = {  # a whole protocol of its own, one recipe each for the digits and the photographs
    "mnist-scale-*": RECIPE,
    "stl10+": """
    epochs: 1
    batch_size: 4
    optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
    learning_rate_steps: {factor: 0.2, after_epochs: []}
    augmentation: {pad: 12, cutout: 32}
    select: last
    precision: float32
    data: {test_size: 8000, train_images: 8, test_images: 16}
""",
}


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "mine.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return path

    return write


def text_of(*changes, task="mnist-scale-*", head=""):
    """The protocol as text with (old, new) replaced in one of its recipes."""
    recipe = BASE[task]
    for old, new in changes:
        assert old in recipe
        recipe = recipe.replace(old, new)
    return f"name: mine\nsummary: words\nrealizations: [0]\n{head}recipes:\n  {task}:{recipe}"


def refusal(call, *arguments, **keywords):
    with pytest.raises(BenchError) as caught:
        call(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------- YAML


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        *[(text, float(text)) for text in ("1e-3", "1E5", "1.0e-8", "0.01", ".5", "1.", "+0.5", "-2.5e+3", "00.5")],
        *[(text, int(text)) for text in ("0", "7", "+7", "-7", "60")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        *[(text, None) for text in ("null", "Null", "NULL", "~", "")],
        (".inf", math.inf),
        ("-.INF", -math.inf),
        # Text in YAML 1.2, and what YAML 1.1 takes for 1000, 8, 750, 31, 5, false, true and a date.
        *[(text, text) for text in ["1_000", "010", "12:30", "0x1f", "0b101", "no", "off", "yes", "on", "2027-01-01"]],
        *[(text, text) for text in ["0o10", "y", "1,5", "٣", "1e3x", "--1", "1e", "=", "infinity", "nan", "2fast", "01e3"]],
    ],
)
def test_plain_yaml_is_what_a_person_reads(write, plain, value):
    found = read_yaml(write(f"a: {plain}\n"))["a"]
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_read_as_such(write):
    assert math.isnan(read_yaml(write("a: .nan\n"))["a"])


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_a_number_as_python_writes_it_is_read_as_that_number(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("number") / "a.yaml"
    written = (
        {True: "true", False: "false", None: "null"}.get(value, repr(value)) if isinstance(value, bool | None) else repr(value)
    )
    path.write_text(f"a: {written.replace('inf', '.inf')}\n")
    found = read_yaml(path)["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "`a` stands there already in line 1"),
        ("x:\n  a: 1\n  a: 1\n", "in line 3: `a` stands there already in line 2"),
        ("{a: 1, a: 1}", "in line 1: `a` stands there already in line 1"),
        ("a: 1\n'a': 2\n", "stands there already"),
        ("x: {<<: {a: 1}, <<: {b: 1}}", "`<<` stands there already"),
        ("a: 1\n---\na: 2\n", "another document"),
        ("a:\n\tb: 1\n", "in line 2"),
        ("a: !!int 010\n", "010 is no number"),
        ("a: " + "9" * 5000, "is no number"),
        ("? [a]\n: 1\n", "unhashable"),
        ("a: *nowhere\n", "undefined alias"),
        ("[" * 5000, "recursion"),
        (b"a: \xff\n", "not valid YAML"),
        (b"\xff\xfea\x00:\x00 \x00\x01\xd8\x00\x00", "not valid YAML"),
        ("a: \x00\n", "not valid YAML"),
    ],
)
def test_what_is_not_strictly_yaml_gets_one_line(write, content, said):
    assert said in refusal(read_yaml, write(content))


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: é\n".encode("utf-16"), {"a": "é"}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("x: &x {a: 1, b: 1}\ny: {<<: *x, b: 2}\n", {"x": {"a": 1, "b": 1}, "y": {"a": 1, "b": 2}}),
        ("x: &x {a: 1}\ny: &y {<<: *x, a: 2}\nz: {<<: *y, a: 3}\n", {"x": {"a": 1}, "y": {"a": 2}, "z": {"a": 3}}),
        ("x: &x {a: 1}\ny: {<<: [*x, {a: 2, b: 2}]}\n", {"x": {"a": 1}, "y": {"a": 1, "b": 2}}),
        ("x: &x [1]\ny: *x\n", {"x": [1], "y": [1]}),
        ("{x: {a: 1}, y: {a: 1}}", {"x": {"a": 1}, "y": {"a": 1}}),
    ],
)
def test_what_is_yaml_is_read(write, content, value):
    assert read_yaml(write(content)) == value


# ------------------------------------------------------------------------------------------------- values and ranges

DIGITS = [
    # kinds: text, truth values and numbers are three things
    ("epochs: 3", "epochs: true", "plain digits, such as 60"),
    ("epochs: 3", "epochs: '3'", "plain digits, such as 60"),
    ("epochs: 3", "epochs: 3.0", "plain digits, such as 60"),
    ("epochs: 3", "epochs: 1_000", "given: '1_000'"),
    ("epochs: 3", "epochs: 010", "given: '010'"),
    ("epochs: 3", "epochs: 12:30", "given: '12:30'"),
    ("epochs: 3", "epochs: 1" + "0" * 30, "less than or equal to 2147483647"),
    ("lr: 0.01", "lr: '0,01'", "given: '0,01'"),
    ("lr: 0.01", "lr: '0.01'", "plain digits, such as 0.01"),
    ("lr: 0.01", "lr: true", "plain digits, such as 0.01"),
    ("lr: 0.01", "lr: 1e400", "finite"),
    ("lr: 0.01", "lr: .inf", "infinity and NaN are none"),
    ("lr: 0.01", "lr: .nan", "infinity and NaN are none"),
    ("lr: 0.01", "lr: 0", "greater than 0"),
    ("lr: 0.01", "lr: 1e-400", "greater than 0"),
    ("eps: 1.0e-8", "eps: .nan", "infinity and NaN are none"),
    ("eps: 1.0e-8", "eps: 0", "greater than 0"),
    ("eps: 1.0e-8", "eps: 1e-40", "nothing but 0 in float32"),
    ("lr: 0.01", "lr: 1e-46", "nothing but 0 in float32"),
    ("eps: 1.0e-8", "eps: -1e-8", "greater than 0"),
    ("eps: 1.0e-8", "eps: .inf", "infinity and NaN are none"),
    ("[0.9, 0.999]", "[0.9, 1.0]", "less than 1"),
    ("[0.9, 0.999]", "[-0.1, 0.9]", "greater than or equal to 0"),
    ("[0.9, 0.999]", "[0.9]", "betas.1"),
    ("[0.9, 0.999]", "[0.9, .nan]", "infinity and NaN are none"),
    ("weight_decay: 0.0", "weight_decay: .inf", "infinity and NaN are none"),
    ("weight_decay: 0.0", "weight_decay: -1", "greater than or equal to 0"),
    ("factor: 0.1", "factor: .inf", "infinity and NaN are none"),
    ("factor: 0.1", "factor: 0", "greater than 0"),
    ("factor: 0.1", "factor: 1e-300", "the last learning rate"),
    ("factor: 0.1", "factor: 1e300", "the last learning rate"),
    ("learning_rate_steps: {factor: 0.1, after_epochs: [2]}", "learning_rate_steps: null", "either learning_rate_steps or"),
    ("epochs: 3", "epochs: 3\n    learning_rate_cosine: true", "leave that out with `learning_rate_steps: null`"),
    ("epochs: 3", "epochs: 3\n    learning_rate_cosine: yes", "write true or false"),
    ("epochs: 3", "epochs: 3\n    learning_rate_cosine: null", "write true or false"),
    ("learning_rate_steps: {factor: 0.1, after_epochs: [2]}", "learning_rate_cosine: false", "either learning_rate_steps or"),
    ("[2]", "[1, 2, 1]", "write [1, 2]"),
    ("[2]", "[2, 2]", "write [2]"),
    ("[2]", "[0]", "greater than or equal to 1"),
    ("[2]", "[-1]", "greater than or equal to 1"),
    ("[2]", "2", "valid list"),
    ("[0.5, 2.0]", "[0, 2.0]", "greater than or equal to 0.01"),
    ("[0.5, 2.0]", "[-1, 2.0]", "greater than or equal to 0.01"),
    ("[0.5, 2.0]", "[2.0, 0.5]", "the smaller factor comes first, [0.5, 2]"),
    ("[0.5, 2.0]", "[0.5, 1e9]", "less than or equal to 100"),
    ("[0.5, 2.0]", "[0.5, .inf]", "infinity and NaN are none"),
    ("centre: 14.5", "centre: .nan", "infinity and NaN are none"),
    ("centre: 14.5", "centre: -1", "greater than or equal to 0"),
    ("{scale: [0.5, 2.0], centre: 14.5}", "off", "augmentation"),
    ("{scale: [0.5, 2.0], centre: 14.5}", "{pad: 2, cutout: 33}", "multiple of 2"),
    ("{scale: [0.5, 2.0], centre: 14.5}", "{pad: -1, cutout: 32}", "augmentation.pad"),
    ("train_images: 80", "train_images: 0", "greater than 0"),
    ("train_images: 80", "train_images: yes", "plain digits"),
    ("data: {", "data: {central_pixels: 23, ", "greater than or equal to 24"),
    ("data: {", "data: {test_size: true, ", "50000, 48000 or 8000"),
    ("precision: float32", "precision: 32", "precision"),
    ("precision: float32", "network: {k: .nan}\n    precision: float32", "a finite number is needed"),
    ("precision: float32", "network: {k: true}\n    precision: float32", "a finite number is needed"),
    ("precision: float32", "network: {k: '3'}\n    precision: float32", "a finite number is needed"),
    ("precision: float32", "network: {k: 1e300}\n    precision: float32", "a finite number is needed"),
    ("precision: float32", "network: {k: 1" + "0" * 400 + "}\n    precision: float32", "a finite number is needed"),
    ("precision: float32", "network: {1: 2}\n    precision: float32", "valid string"),
    ("precision: float32", "channels_last: yes\n    precision: float32", "write true or false"),
    ("precision: float32", "compile: 1\n    precision: float32", "write true or false"),
    ("precision: float32", "cuda_graph: off\n    precision: float32", "write true or false"),
    ("precision: float32", "batch_split: 1" + "0" * 30 + "\n    precision: float32", "less than or equal to"),
    ("precision: float32", "evaluation_batch: 2.5\n    precision: float32", "plain digits"),
    ("epochs: 3", "epochs: 3\n    epochs: 500", "`epochs` stands there already in line 6"),
    ("epochs: 3", "epochs: 3\n    Epochs: 3", "unknown key"),
]


@pytest.mark.parametrize(("old", "new", "said"), DIGITS, ids=[new[:40] for _, new, _ in DIGITS])
def test_a_value_that_is_none_is_refused_when_the_file_is_read(write, old, new, said):
    assert said in refusal(load_protocol, str(write(text_of((old, new)))))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("momentum: 0.9", "momentum: 1.0", "less than 1"),
        ("momentum: 0.9", "momentum: .nan", "infinity and NaN are none"),
        ("momentum: 0.9", "momentum: 0", "nesterov: true needs a momentum"),
        ("nesterov: true", "nesterov: yes", "write true or false"),
        ("name: sgd", "name: adagrad", "'adam', 'adamw', 'sgd'"),
        ("name: sgd", "name: adamw", "optimizer.betas`: Field required"),
        ("{pad: 12, cutout: 32}", "{pad: 1.5, cutout: 32}", "augmentation.pad"),
    ],
)
def test_the_photographs_recipe_too(write, old, new, said):
    assert said in refusal(load_protocol, str(write(text_of((old, new), task="stl10+"))))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("realizations: [0]", "`realizations` stands there already"),
        ("smoke: yes", "write true or false"),
        ("smoke: 1", "write true or false"),
    ],
)
def test_keys_of_the_whole_protocol(write, head, said):
    assert said in refusal(load_protocol, str(write(text_of(head=head + "\n"))))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a..b", "no '..'"),
        ("a/b", "a/b')"),
        (".a", ".a')"),
        ("12", "in quotes"),
        ("true", "in quotes"),
        ("a" * 201, "at most 200"),
        ("weights", "something else that results"),
        ("Weights", "something else that results"),
        ("LEADERBOARD.md", "something else that results"),
        ("profiles", "something else that results"),
        ("Timings", "folder of measurements"),
        ("quick", "taken by a built-in"),
        ('"a\\u200bb"', "only letters"),
        ('"\\ud800"', "name"),
    ],
)
def test_names_of_protocols(write, name, said):
    assert said in refusal(load_protocol, str(write(text_of().replace("name: mine", f"name: {name}"))))


@pytest.mark.parametrize("numbers", ["[0, 0]", "[6]", "[-1]", "[true]", "['0']", "[0.0]", "[]", "0-5", "null"])
def test_realizations_of_a_protocol_are_some_of_the_six_each_once(write, numbers):
    assert "realizations" in refusal(load_protocol, str(write(text_of().replace("[0]", numbers, 1))))


@pytest.mark.parametrize(
    ("recipes", "said"),
    [
        ("mnist-scale-82: {epochs: 1}", "is for no task (did you mean 'mnist-scale-28'?)"),
        ("mnist-scale-28: {epochs: 1}", "is never used, as `mnist-scale-*` before it"),
        ("'*': {epochs: 1}", "is never used"),
        ("28: {epochs: 1}", "valid string"),
        ("mnist-scale-*: null\n  mnist-scale-28: {epochs: 1}", "not inherited"),
    ],
)
def test_a_recipe_that_no_run_would_use_is_refused(write, recipes, said):
    text = f"extends: paper\nname: mine\nsummary: words\nrecipes:\n  {recipes}\n"
    assert said in refusal(load_protocol, str(write(text)))


def test_the_summary_is_one_line_of_visible_text(write):
    text = text_of().replace("summary: words", 'summary: "two\\nlines \\u202e\\e[31m red \\ud800"')
    assert load_protocol(str(write(text))).summary.isprintable()


def test_a_file_that_grows_when_it_is_written_out_costs_no_memory(write):
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
        for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
    )
    assert "mine.yaml" in refusal(load_protocol, str(write(laughs + "name: *l\n")))
    assert len(refusal(load_protocol, str(write(text_of().replace("summary: words", "summary: [*l]") + laughs)))) < 1000


def test_minus_nothing_is_nothing(write):
    plain, minus = (load_protocol(str(write(text_of(("weight_decay: 0.0", f"weight_decay: {n}"))))) for n in ("0", "-0.0"))
    assert plain.recipe("mnist-scale-28").digest == minus.recipe("mnist-scale-28").digest


def test_a_number_in_short_is_the_number(write):
    short = load_protocol(str(write(text_of(("lr: 0.01", "lr: 1e-2"), ("eps: 1.0e-8", "eps: 1e-8")))))
    assert short.recipe("mnist-scale-28") == load_protocol(str(write(text_of()))).recipe("mnist-scale-28")


# --------------------------------------------------------------------------------------- what the images do not have


@pytest.mark.parametrize(
    ("task", "old", "new", "said"),
    [
        ("mnist-scale-28", "data: {", "data: {central_pixels: 64, ", "64 of 28 pixels"),
        ("mnist-scale-56", "data: {", "data: {central_pixels: 30, ", "30 of 28 pixels"),  # 56 pixels are made in the network
        ("mnist-scale-28", "data: {", "data: {central_pixels: 25, ", "an even number up to 28"),
        ("mnist-scale-28", "train_images: 80", "train_images: 10001", "10001 are more than the 10000"),
        ("mnist-scale-28", "validation_images: 50", "validation_images: 2001", "2001 are more than the 2000"),
        ("mnist-scale-28", "test_images: 60", "test_images: 50001", "50001 are more than the 50000"),
        ("mnist-scale-28", "data: {", "data: {test_size: 48000, ", None),
        ("mnist-scale-28", "test_images: 60", "test_size: 48000, test_images: 48001", "48001 are more than the 48000"),
        ("mnist-scale-28", "batch_size: 32", "batch_size: 81", None),  # one batch of all 80 images
        ("mnist-scale-28+", "centre: 14.5", "centre: 28.5", "beyond the 28 pixels"),
        ("mnist-scale-28+", "{scale: [0.5, 2.0], centre: 14.5}", "{pad: 29, cutout: 8}", "more than an image's 28"),
        ("mnist-scale-28+", "{scale: [0.5, 2.0], centre: 14.5}", "{pad: 2, cutout: 8}", None),
        ("mnist-scale-28", "centre: 14.5", "centre: 28.5", None),  # only '+' tasks are augmented
        ("stl10+", "data: {", "data: {central_pixels: 200, ", "200 of 96 pixels"),
        ("stl10+", "data: {", "data: {central_pixels: 64, ", None),
        ("stl10+", "train_images: 8", "train_images: 5001", "5001 are more than the 5000"),
        ("stl10+", "data: {", "data: {validation_images: 1, ", "1 are more than the 0"),
        ("stl10+", "test_images: 16", "test_images: 8001", "8001 are more than the 8000"),
        ("stl10+", "select: last", "select: best-validation", "write select: last"),
        ("stl10+", "{pad: 12, cutout: 32}", "{pad: 12, cutout: 98}", "more than an image's 96"),
        ("stl10+", "{pad: 12, cutout: 32}", "{scale: [0.5, 2.0], centre: 14.5}", "pad and cutout"),
    ],
)
def test_what_the_images_do_not_have_is_refused_before_training(write, task, old, new, said):
    pattern = "stl10+" if task == "stl10+" else "mnist-scale-*"
    protocol = load_protocol(str(write(text_of((old, new), task=pattern))))
    runs = plan_runs([PlanPart(models=["cnn"], tasks=[task])], [0], protocol)
    if said is None:
        check_runs(runs, on_cuda=False)
    else:
        message = refusal(check_runs, runs, on_cuda=False)
        assert said in message
        assert task in message


@pytest.mark.parametrize("name", built_in_protocols())
def test_the_protocols_of_the_suite_fit_every_task_that_they_are_for(name):
    protocol = load_protocol(name)
    recipes = [(task, recipe) for task in datasets.TASKS if (recipe := protocol.recipe(task)) is not None]
    assert [(task, list(incompatibilities(recipe, task))) for task, recipe in recipes] == [(task, []) for task, _ in recipes]


def one(protocol, model, task):
    return plan_runs([PlanPart(models=[model], tasks=[task])], [0], protocol)


def test_arguments_of_the_network_are_those_that_its_builder_takes(write):
    def network(text):
        return load_protocol(str(write(text_of(("precision: float32", f"precision: float32\n    network: {{{text}}}")))))

    stl = load_protocol(str(write(text_of(("select: last", "select: last\n    network: {widen: 2}"), task="stl10+"))))
    message = refusal(check_runs, one(stl, "cnn", "stl10+"), on_cuda=False)
    assert "network.widen: cnn takes no such argument; it takes: depth, widen_factor, classes, dropout" in message
    check_runs(one(load_protocol("stl-narrow"), "cnn", "stl10+"), on_cuda=False)
    for key in ("name", "task", "body"):
        assert f"network.{key}" in refusal(check_runs, one(network(f"{key}: 1"), "cnn", "mnist-scale-28"), on_cuda=False)
    message = refusal(check_runs, one(network("config: 28"), "sesn-scalar", "mnist-scale-28"), on_cuda=False)
    assert "--model sesn-scalar@config=" in message


def test_how_a_run_is_computed_fits_the_device_and_the_batch():
    paper = load_protocol("paper")
    tf32 = one(paper.with_settings(precision="tf32"), "cnn", "stl10+")
    assert "write precision: float32" in refusal(check_runs, tf32, on_cuda=False)
    assert "write precision: float32" in refusal(check_runs, tf32, on_cuda=True, tf32=False)
    check_runs(tf32, on_cuda=True)
    message = refusal(check_runs, one(paper.with_settings(batch_split=129), "cnn", "stl10+"), on_cuda=False)
    assert "allowed: 1 to 128" in message


# ------------------------------------------------------------------------------------------------------ what is typed


@pytest.mark.parametrize(
    "text", ["٣", "0-٣", "5-0", "3,5-0", "0..5", "-0", "0-", "+1", "1.0", "1e0", "0x1", "²", "0-5-", "0 1", "9" * 5000, "0-6"]
)
def test_realizations_that_are_none(text):
    assert "0-5" in refusal(parse_realizations, text)


@pytest.mark.parametrize(("text", "numbers"), [("0-0", [0]), ("0,0", [0]), (" 1 , 2 ", [1, 2]), ("0-5,3", [0, 1, 2, 3, 4, 5])])
def test_realizations_that_are_some(text, numbers):
    assert parse_realizations(text) == numbers


@pytest.mark.parametrize(
    "text", ["1e3s", "٣m", "-1m", "+1m", "0s", "0.0h", "m", "1", "1 m", "1m1s", "nanm", "infd", "1_0s", "1,5h"]
)
def test_times_that_are_none(text):
    assert "90s, 9m or 1.5h" in refusal(parse_duration, text)


@given(st.text(alphabet="0123456789٣-,. e+x", max_size=12))
def test_any_realizations_are_some_of_the_six_or_one_line(text):
    try:
        numbers = parse_realizations(text)
    except BenchError as error:
        assert "\n" not in str(error)
    else:
        assert numbers == sorted(set(numbers)) and set(numbers) <= set(range(6)) and text.isascii()


@pytest.mark.parametrize(
    "typed",
    [
        ["--realizations", "٣"],
        ["--realizations", "5-0"],
        ["--time-budget", "1e3s"],
        ["--batch-split", "0"],
        ["--batch-split", "1" + "0" * 30],
        ["--batch-split", "1.5"],
        ["--batch-split", "129", "--task", "stl10+", "--protocol", "paper"],
        ["--evaluation-batch", "1" + "0" * 30],
        ["--jobs", "0"],
        ["--jobs", "٣"],
        ["--jobs", "1e3"],
        ["--jobs", "99999"],
        ["--engine", "ray", "--gpus-per-run", "nan"],
        ["--engine", "ray", "--gpus-per-run", "inf"],
        ["--engine", "ray", "--gpus-per-run", "1e9"],
        ["--engine", "ray", "--gpus-per-run", "-1"],
        ["--protocol", ""],
        ["--plan", ""],
    ],
)
def test_numbers_out_of_range_on_the_command_line_get_one_line(tmp_path, capsys, typed):
    asked = ["--model", "cnn"] if "--plan" not in typed else []
    code, _, errors = call(capsys, "run", *asked, "--dry-run", "--device", "cpu", "--results", tmp_path, *typed)
    assert (code, len(errors), errors[0][:7]) == (2, 1, "bench: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "typed",
    [
        ["equivariance", "--model", "cnn", "--seed", str(2**63)],
        ["equivariance", "--model", "cnn", "--seed", "-1"],
        ["equivariance", "--model", "cnn", "--images", "1" + "0" * 30],
        ["scale-sweep", "run", "--images", "50001"],
        ["time", "--model", "cnn", "--batch-size", "1" + "0" * 30],
        ["time", "--model", "cnn", "--device", "cpu", "--precision", "tf32"],
        ["profile", "cnn", "--batch-size", "1" + "0" * 30],
        ["profile", "cnn", "--device", "cpu", "--precision", "tf32"],
        ["data", "--realizations", "٣"],
        ["pack", "folder", "--realizations", "5-0"],
        ["sprint", "--budget", "1e3s"],
    ],
)
def test_numbers_of_the_measuring_verbs_too(tmp_path, monkeypatch, capsys, typed):
    monkeypatch.chdir(tmp_path)
    code, _, errors = call(capsys, *typed)
    assert (code, len(errors), errors[0][:7]) == (2, 1, "bench: ")
    assert not list(tmp_path.iterdir())
