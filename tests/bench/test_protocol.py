"""Protocol files: what they say, and that a wrong one gets one clear line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.protocol import load_protocol
from bench.train import learning_rate


def test_paper_is_the_published_recipe():
    paper = load_protocol("paper")
    recipe = paper.recipe("mnist-scale-28")
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer.weight_decay) == (60, 128, 0)
    rates = [learning_rate(recipe, epoch) for epoch in (0, 19, 20, 39, 40, 59)]
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: paper\nname: mine\nepochz: 3\n", "unknown key `epochz`"),
        ("extends: paper\nname: mine\nrecipes: {mnist-scale-*: {epochz: 3}}\n", "did you mean 'epochs'"),
        ("extends: paper\nname: mine\nrecipes: {mnist-scale-*: {epochs: -1}}\n", "greater than 0"),
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
