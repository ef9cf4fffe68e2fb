"""Protocol files: what they say, and that a wrong one gets one clear line."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.protocol import load_protocol
from bench.recipe import EXECUTION, Recipe
from bench.settings import Settings


def test_paper_is_the_published_recipe():
    paper = load_protocol("paper")
    recipe = paper.recipe("mnist-scale-28")
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer.weight_decay) == (60, 128, 0)
    rates = [recipe.learning_rate(epoch) for epoch in (0, 19, 20, 39, 40, 59)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])
    assert recipe.data.variant == "10k-2k-50k"
    assert paper.realizations == [0, 1, 2, 3, 4, 5]


def test_only_plus_tasks_are_augmented():
    paper = load_protocol("paper")
    assert paper.recipe("mnist-scale-56").augmentation is None
    assert paper.recipe("mnist-scale-56+").augmentation.scale == (0.5, 2.0)


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_extends_changes_only_what_it_says(tmp_path):
    mine = load_protocol(write(tmp_path, "extends: paper\nname: mine\nrecipes: {mnist-scale-*: {data: {test_size: 48000}}}\n"))
    ours, paper = mine.recipe("mnist-scale-28"), load_protocol("paper").recipe("mnist-scale-28")
    assert ours.data.variant == "10k-2k-48k"
    assert ours.model_copy(update={"data": paper.data}) == paper
    assert ours.digest != paper.digest


# For every setting another value: a new one has to be added here, and so it is decided whether a digest depends on it.
OTHERWISE = {
    "epochs": 101,
    "batch_size": 64,
    "optimizer.name": None,  # goes with all the other settings of the optimizer
    "optimizer.lr": 0.5,
    "optimizer.betas": [0.5, 0.9],
    "optimizer.eps": 0.5,
    "optimizer.momentum": 0.5,
    "optimizer.nesterov": False,
    "optimizer.weight_decay": 0.5,
    "learning_rate_cosine": None,  # goes without steps
    "learning_rate_steps.factor": 0.5,
    "learning_rate_steps.after_epochs": [3],
    "augmentation.scale": [0.9, 1.1],
    "augmentation.centre": 13.5,
    "augmentation.pad": 1,
    "augmentation.cutout": 2,
    "select": {"best-validation": "last", "last": "best-validation"},
    "precision": "tf32",
    "data.test_size": 48_000,
    "data.train_images": 100,
    "data.validation_images": 100,
    "data.test_images": 100,
    "data.central_pixels": 24,
    "network": {"depth": 10},
    "batch_split": 4,
    "channels_last": {False: True, True: False},
    "compile": True,
    "cuda_graph": False,
    "evaluation_batch": 123,
}


def changes(settings, path=()):
    """Each place of a setting in a recipe."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        yield from changes(value, (*path, name)) if isinstance(value, Settings) else [(*path, name)]


def changed(recipe, path, value):
    plain = recipe.model_dump(mode="json")
    part = plain
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value[part[path[-1]]] if path != ("network",) and isinstance(value, dict) else value
    return Recipe.model_validate(plain)


@pytest.mark.parametrize(("protocol", "task"), [("paper", "mnist-scale-28+"), ("stl-100", "stl10+")])
def test_a_digest_depends_on_every_setting_but_those_of_execution(protocol, task):
    recipe = load_protocol(protocol).recipe(task)
    digests = {recipe.digest}
    for path in changes(recipe):
        value = OTHERWISE[".".join(path)]
        if value is None:
            continue
        other = changed(recipe, path, value)
        assert other != recipe, path
        if path[0] in EXECUTION:
            assert other.digest == recipe.digest, path
        else:
            assert other.digest not in digests, path
            digests.add(other.digest)


def test_nothing_is_execution_that_is_no_setting_and_every_setting_is_tried():
    assert set(EXECUTION) < set(Recipe.model_fields)
    recipes = [load_protocol("paper").recipe("mnist-scale-28+"), load_protocol("paper").recipe("stl10+")]
    assert {".".join(path) for recipe in recipes for path in changes(recipe)} == set(OTHERWISE)


def test_optimizers_never_share_a_digest():
    recipe = load_protocol("paper").recipe("mnist-scale-28")
    sgd = load_protocol("paper").recipe("stl10+").optimizer
    adamw = recipe.optimizer.model_copy(update={"name": "adamw"})
    assert len({recipe.digest, *(recipe.model_copy(update={"optimizer": other}).digest for other in (sgd, adamw))}) == 3


def test_digests_of_recipes_that_have_records_stay():
    """Of a change that makes them others, every record of theirs would be of a recipe that there is no more."""
    digests = {
        "paper": {"28": "9ba142b93de1", "28+": "398c1ce877b0", "56": "9ba142b93de1", "56+": "398c1ce877b0"},
        "short": {"28": "e8a41521e7e6", "28+": "55d6b32079ad", "56": "e8a41521e7e6", "56+": "55d6b32079ad"},
        "quick": {"28": "f672a544b156", "28+": "0125f64f5352", "56": "fdec040ea368", "56+": "7748d04df7e1"},
    }
    for protocol, expected in digests.items():
        assert {size: load_protocol(protocol).recipe(f"mnist-scale-{size}").digest for size in expected} == expected
    on_stl10 = {"paper": "a46eaf2f777a", "quick": "b8b9cc05c004", "stl-100": "c3a36f163d0c", "stl-narrow": "ff7873ce5a42"}
    assert {name: load_protocol(name).recipe("stl10+").digest for name in on_stl10} == on_stl10


def test_the_cosine_is_torchs_over_all_epochs_and_stands_alone(tmp_path):
    said = "mnist-scale-*: {epochs: 7, learning_rate_steps: null, learning_rate_cosine: true}"
    mine = load_protocol(write(tmp_path, f"extends: paper\nname: mine\nrecipes: {{{said}}}\n"))
    recipe = mine.recipe("mnist-scale-28")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.01)
    schedule, rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7), []
    for _ in range(7):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert [recipe.learning_rate(epoch) for epoch in range(7)] == pytest.approx(rates, rel=1e-12)
    assert recipe.learning_rate(7) == pytest.approx(0, abs=1e-18)
    assert recipe.settings["learning_rate_cosine"] is True and "learning_rate_steps" not in recipe.settings
    assert Recipe.model_validate(recipe.settings) == recipe  # as `bench verify` reads it from a record
    assert "learning_rate_cosine" not in load_protocol("paper").recipe("mnist-scale-28").settings


def test_invariants_is_the_recipe_of_li_et_al():
    protocol = load_protocol("invariants")
    recipe = protocol.recipe("mnist-scale-28")
    assert recipe == protocol.recipe("mnist-scale-56")
    assert [protocol.recipe(f"mnist-scale-{size}+") for size in (28, 56)] == [None, None]
    assert (recipe.epochs, recipe.batch_size, recipe.select, recipe.augmentation) == (60, 32, "last", None)
    optimizer = {"name": "adamw", "lr": 0.002, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-6}
    assert recipe.optimizer.model_dump() == optimizer
    assert [recipe.learning_rate(epoch) for epoch in (0, 30, 60)] == pytest.approx([0.002, 0.001, 0], abs=1e-18)
    assert recipe.data.test_size == 50_000 and protocol.realizations == [0, 1, 2, 3, 4, 5]


def test_disco_is_paper_on_stl10_but_for_three_settings():
    disco, paper = (load_protocol(name).recipe("stl10+") for name in ("disco", "paper"))
    assert load_protocol("disco").recipe("mnist-scale-56") is None
    assert (disco.batch_size, disco.optimizer.lr, disco.optimizer.weight_decay) == (64, 0.05, 1e-3)
    same = {"batch_size": 128, "optimizer": disco.optimizer.model_copy(update={"lr": 0.1, "weight_decay": 5e-4})}
    assert disco.model_copy(update=same) == paper


def test_a_recipe_in_a_file_may_say_how_it_is_computed(tmp_path):
    said = "batch_split: 2, channels_last: true, compile: true, cuda_graph: false, evaluation_batch: 500"
    mine, plain, left = (
        load_protocol(write(tmp_path, f"extends: paper\nname: mine\nrecipes: {{mnist-scale-*: {{{text}}}}}\n"))
        for text in (said, "", "cuda_graph: null, evaluation_batch: null")
    )
    recipe = mine.recipe("mnist-scale-28")
    assert [getattr(recipe, name) for name in EXECUTION] == [2, True, True, False, 500]
    assert recipe.digest == plain.recipe("mnist-scale-28").digest
    assert left.recipe("mnist-scale-28") == plain.recipe("mnist-scale-28")
    # What is typed counts more than what the file says; None is what nobody typed.
    assert mine.with_settings(cuda_graph=True, batch_split=None).recipe("mnist-scale-28").cuda_graph is True
    assert mine.with_settings(cuda_graph=True, batch_split=None).recipe("mnist-scale-28").batch_split == 2
    assert load_protocol("stl-100").recipe("stl10+").channels_last is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: paper\nname: mine\nepochz: 3\n", "unknown key `epochz`"),
        ("extends: paper\nname: mine\nrecipes: {mnist-scale-*: {epochz: 3}}\n", "did you mean 'epochs'"),
        ("extends: paper\nname: mine\nrecipes: {mnist-scale-*: {epochs: -1}}\n", "greater than 0"),
        ("extends: paper\nname: mine\nrecipes: {mnist-scale-*: {batch_split: 0}}\n", "greater than or equal to 1"),
        ("extends: paper\nname: mine\nrecipes: {mnist-scale-*: {evaluation_batch: 0}}\n", "greater than or equal to 1"),
        ("extends: paper\nname: mine\nrecipes: {mnist-scale-*: {channels_last: null}}\n", "valid boolean"),
        ("extends: paper\nname: mine\nrecipes: {mnist-scale-*: {cuda_graph: [1]}}\n", "valid boolean"),
        ("extends: paper\nname: mine\nrecipes: {mnist-scale-*: {data: {test_size: 7}}}\n", "50000, 48000 or 8000"),
        ("extends: paper\nname: paper\n", "taken by a built-in"),
        ("extends: paper\nname: timings\n", "folder of measurements"),
        ("extends: papper\nname: mine\n", "it can extend"),
        ("name: ../../etc\nextends: paper\n", "name"),
        ("- a list\n", "a mapping is needed"),
        ("name: [unclosed\n", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_wrong_files_get_one_line(tmp_path, text, said):
    with pytest.raises(BenchError) as caught:
        load_protocol(write(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_name_suggests():
    with pytest.raises(BenchError, match="did you mean 'quick'"):
        load_protocol("quik")
    with pytest.raises(BenchError, match="No such file"):
        load_protocol("nowhere.yaml")


@given(st.text(max_size=200))
def test_any_text_gives_a_protocol_or_one_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "mine.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BenchError) as caught:
        load_protocol(str(path))
    assert "\n" not in str(caught.value)
