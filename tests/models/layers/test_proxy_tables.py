"""DISCO's tables: dilated deltas, the loss, its minimum, the files; and the published tables, where they are at hand."""

import numpy as np
import pytest
import torch
from golden import assert_matches, beyond_cases, published_table, tensors
from properties import EXACT, noise
from torch.nn import functional as F

from models import ModelError
from models.layers import proxy_tables
from models.layers.proxy_tables import SHIPPED, dilated_functions, fitted_table, proxy_loss, proxy_table

STL, MNIST = SHIPPED
# of each scale of the published tables
SUMS = {STL: (9, 9.014589, 9), MNIST: (49, 49.001285, 49.001225, 49)}
SQUARES = {STL: (9, 5.808144, 9), MNIST: (49, 31.048620, 28.292176, 49)}
both = pytest.mark.parametrize("configuration", SHIPPED, ids=["3 of 5", "7 of 15"])


@pytest.fixture(autouse=True)
def fresh_cache():
    proxy_tables._table.cache_clear()
    yield
    proxy_tables._table.cache_clear()


def published(configuration):
    """The published table of a configuration, float64."""
    return published_table(*configuration[:2])


def with_free(effective_size, size, scales, free):
    """A table of these free functions, (F, free scales, K, K)."""
    columns = iter(free.unbind(1))
    return torch.stack([next(columns) if s % 1 else dilated_functions(effective_size, size, s) for s in scales], dim=1)


def second_moments_of_noise(side):
    """Images whose sum of x x' is what that of one image of uniform noise is on average: each pixel alone, and a constant."""
    pixels = torch.eye(side**2, dtype=torch.float64).view(-1, 1, side, side) / 12**0.5
    return torch.cat([pixels, torch.full_like(pixels[:1], 1 / 2)])


# ------------------------------------------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize("case", beyond_cases("disco_dilated"), ids=lambda case: case["id"])
def test_dilated_functions_are_golden(case):
    config = case["config"]
    found = dilated_functions(config["effective_size"], config["size"], config["scale"])
    assert_matches(found, case["expect"]["functions"], 0)


@pytest.mark.parametrize(("effective_size", "size", "scale"), [(3, 7, 2), (3, 7, 3), (7, 15, 2), (5, 21, 4)])
def test_dilated_functions_commute_with_subsampling(effective_size, size, scale):
    """To the bit, borders included."""
    image = noise(1, 1, 4 * scale, 7 * scale)
    fine, coarse = (dilated_functions(effective_size, size, s)[:, None] for s in (scale, 1))
    torch.testing.assert_close(
        F.conv2d(image, fine, padding=size // 2)[..., ::scale, ::scale],
        F.conv2d(image[..., ::scale, ::scale], coarse, padding=size // 2),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("case", beyond_cases("disco_loss"), ids=lambda case: case["id"])
def test_loss_and_gradient_are_golden(case):
    given, config = tensors(case), case["config"]
    free = given["free"].requires_grad_()
    table = with_free(config["effective_size"], config["size"], config["scales"], free)
    loss = proxy_loss(table, given["input"], config["scales"])
    loss.backward()
    assert_matches(loss[None], case["expect"]["loss"])
    assert_matches(free.grad, case["expect"]["grad_free"])


def test_dilated_tables_lose_nothing_but_borders():
    """At whole ratios of whole scales shrinking and correlating commute, and the table need not be fitted."""
    table = fitted_table(3, 9, (1, 2, 4))
    torch.testing.assert_close(table, torch.stack([dilated_functions(3, 9, s) for s in (1, 2, 4)], dim=1), rtol=0, atol=0)
    assert proxy_loss(table, noise(2, 1, 48, 52), (1, 2, 4)) < 1e-12


# -------------------------------------------------------------------------------------------------------------------- the fit


@pytest.mark.parametrize(
    ("effective_size", "size", "scales", "side"),
    [(3, 5, (1, 1.41, 2), 20), (3, 7, (1, 1.5, 1.7, 2), 18), (3, 7, (1, 1.3, 2.6), 24), (5, 9, (1, 1.9), 21)],
)
def test_fit_is_the_minimum_on_noise(effective_size, size, scales, side):
    """Its gradient vanishes on images that have the second moments of noise; the loss is convex, so no table does better."""
    images = second_moments_of_noise(side)
    fitted = fitted_table(effective_size, size, scales, side)
    free = fitted[:, [s % 1 > 0 for s in scales]].clone().requires_grad_()
    least = proxy_loss(with_free(effective_size, size, scales, free), images, scales)
    least.backward()
    assert free.grad.abs().max() < 1e-10  # 1e-6 if the functions are moved by 1e-8
    moved = free.detach() + 1e-4 * noise(*free.shape)
    assert proxy_loss(with_free(effective_size, size, scales, moved), images, scales) > least


def test_a_filter_of_one_pixel_is_one_at_every_scale():
    table = fitted_table(1, 3, (1, 1.5))
    torch.testing.assert_close(table, torch.stack([dilated_functions(1, 3, 1)] * 2, dim=1), **EXACT)


def test_noise_images_have_the_moments_that_the_fit_assumes():
    """A pair's mean square over random images tends to the quadratic form: 200 images, and so some percent."""
    scales, table = (1, 1.7), with_free(3, 7, (1, 1.7), 0.3 + noise(9, 1, 7, 7))
    images = torch.rand(200, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    norm = proxy_tables._norm(table.transpose(0, 1).flatten(2).mT, (0, 1), proxy_tables._second_moments(7, 1.7, 32))
    assert proxy_loss(table, images, scales).item() == pytest.approx(norm * 200**0.5, rel=0.01)


def test_larger_tables_are_fitted_to_larger_images(monkeypatch):
    sides = []
    measured = proxy_tables._second_moments
    monkeypatch.setattr(proxy_tables, "_second_moments", lambda *args: sides.append(args[2]) or measured(*args))
    fitted_table(3, 5, (1, 1.41, 2))
    fitted_table(3, 13, (1, 5.5))
    assert sides == [154, 154, 253]  # 253 / 5.5 = 46 pixels, of which 7 are cropped at either end


# ---------------------------------------------------------------------------------------------------------- the shipped tables


@both
def test_files_hold_what_is_fitted_here(configuration):
    """To the half of their last digit."""
    table, fitted = proxy_table(*configuration), fitted_table(*configuration)
    assert table.dtype == torch.float64 and table.shape == fitted.shape
    assert (table - fitted).abs().max() < 0.5e-6 + 1e-9
    assert torch.equal(table, torch.round(table * 1e6) / 1e6)


@both
def test_shipped_tables_are_alike_the_published(configuration):
    """Sums and sums of squares of each scale, and how much of a function the product of a row and a column holds."""
    table = proxy_table(*configuration)
    assert table.sum((0, 2, 3)).tolist() == pytest.approx(SUMS[configuration], rel=1e-3)
    assert table.square().sum((0, 2, 3)).tolist() == pytest.approx(SQUARES[configuration], rel=2e-3)
    energies = torch.linalg.svdvals(table).square()
    held = energies[..., 0] / energies.sum(-1)
    assert held.min() > 0.974 and held.max() < 1 + 1e-12
    torch.testing.assert_close(held[:, [0, -1]], torch.ones_like(held[:, :2]), **EXACT)


@both
def test_shipped_tables_beside_the_published(configuration):
    """Entry by entry, and their losses on the same images, never seen by either fit."""
    ours, theirs = proxy_table(*configuration), published(configuration)
    distance = torch.linalg.vector_norm(ours - theirs, dim=(0, 2, 3)) / torch.linalg.vector_norm(theirs, dim=(0, 2, 3))
    assert (distance < torch.tensor({STL: [1e-9, 0.006, 1e-9], MNIST: [1e-9, 0.014, 0.022, 1e-9]}[configuration])).all()
    count, side = {STL: (4, 154), MNIST: (1, 96)}[configuration]
    images = torch.rand(count, 1, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    losses = [proxy_loss(table, images, configuration[2]).item() for table in (ours, theirs)]
    assert 0.998 * losses[1] < losses[0] <= losses[1]


@both
def test_shipped_tables_beside_others(configuration):
    """On images that neither has seen, moving the free functions at random, by 1 %, makes the loss larger."""
    table, scales = proxy_table(*configuration), configuration[2]
    images = torch.rand(1, 1, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    least = proxy_loss(table, images, scales)
    for seed in range(2):
        moved = table.clone()
        moved[:, 1:-1] += 0.01 * table[:, 1:-1].std() * noise(*table[:, 1:-1].shape, seed=seed)
        assert proxy_loss(moved, images, scales) > least


def test_files_are_made_anew(tmp_path, monkeypatch, capsys):
    shipped = {key: proxy_table(*key) for key in SHIPPED}
    monkeypatch.setattr(proxy_tables, "__file__", str(tmp_path / "proxy_tables.py"))
    proxy_tables.main()
    assert capsys.readouterr().out.count("\n") == len(SHIPPED)
    monkeypatch.setattr(proxy_tables, "SHIPPED", {key: sha256(proxy_tables._file(*key[:2])) for key in SHIPPED})
    proxy_tables._table.cache_clear()
    for key, table in shipped.items():  # the last digit may be another where another BLAS comes near to a half
        assert (proxy_table(*key) - table).abs().max() < 1.5e-6


def sha256(path):
    return proxy_tables.hashlib.sha256(path.read_bytes()).hexdigest()


def test_other_tables_are_fitted_once_and_rounded(monkeypatch):
    fitted = []
    monkeypatch.setattr(proxy_tables, "fitted_table", lambda *args: fitted.append(args) or fitted_table(*args))
    first = proxy_table(3, 7, (1, 1.5))
    expected = first.clone()
    first.zero_()  # of the caller's, not of the cache
    with torch.device("meta"):  # networks are built anywhere
        again = proxy_table(3, 7, [1.0, np.float64(1.5)])
    assert torch.equal(again, expected) and again.device.type == "cpu" and len(fitted) == 1
    assert torch.equal(again, torch.round(again * 1e6) / 1e6) and not torch.equal(again, torch.round(again * 1e5) / 1e5)


# --------------------------------------------------------------------------------------------------------------- what is wrong


def test_another_file_is_refused(tmp_path, monkeypatch):
    content = bytearray(proxy_tables._file(3, 5).read_bytes())
    monkeypatch.setattr(proxy_tables, "__file__", str(tmp_path / "proxy_tables.py"))
    with pytest.raises(ModelError, match=r"^\S*proxy_table_3_5.npy cannot be read \(No such file or directory\); restore it"):
        proxy_table(*STL)
    content[-1] ^= 1
    (tmp_path / "proxy_table_3_5.npy").write_bytes(content)
    with pytest.raises(ModelError, match=r"is not the table of this version \(SHA-256 \w{12}, not \w{12}\); restore it.*$"):
        proxy_table(*STL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 15, (1, 2)), "effective size 4; give an odd number"),
        ((3, 6, (1, 2)), "size 6; give an odd number"),
        ((3, -5, (1, 2)), "size -5; give an odd number"),
        ((3, "5", (1, 2)), "size '5'; give an odd number"),
        ((3, 5, (1.41, 2)), r"scales \(1.41, 2.0\); give them ascending, the first 1"),
        ((3, 5, ()), r"scales \(\); give them ascending, the first 1"),
        ((3, 5, (1, 2, 1.41)), r"scales \(1.0, 2.0, 1.41\); give them ascending"),
        ((3, 5, (1, 1.41, 1.41)), "give them ascending"),
        ((3, 5, (1, "2")), r"scales \(1, '2'\); give numbers"),
        ((3, 5, (1, float("nan"))), "give numbers"),
        ((3, 5, 2), "scales 2; give numbers"),
        ((7, 15, (1, 2, 3)), "size 15 cannot hold 7 x 7 pixels at scale 3; give a size of 19 or more"),
        ((3, 5, (1, 2.5)), "size 5 cannot hold 3 x 3 pixels at scale 2.5; give a size of 7 or more"),
        ((3, 5, (1, 1.9999999999999998)), "scale 1.9999999999999998 is too near to 2 to be fitted; give 2"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message):
    for function in (proxy_table, fitted_table):
        with pytest.raises(ModelError, match=f"^DISCO table: .*{message}") as caught:
            function(*arguments)
        assert "\n" not in str(caught.value)


def test_bad_arguments_of_the_loss_and_of_dilation_are_one_line():
    table, images = proxy_table(*STL), noise(2, 1, 24, 24)
    for arguments, message in [
        ((table, images, (1, 1.41)), r"a table of shape \(9, 3, 5, 5\) for 2 scales; give one of \(E\^2, 2, K, K\)"),
        ((table[0], images, STL[2]), r"a table of shape \(3, 5, 5\) for 3 scales"),
        ((table[:8], images, STL[2]), r"a table of shape \(8, 3, 5, 5\)"),
        ((table, images[0], STL[2]), r"images of shape \(1, 24, 24\); give \(N, 1, H, W\)"),
        ((table, noise(2, 3, 24, 24), STL[2]), r"images of shape \(2, 3, 24, 24\)"),
        ((table, noise(2, 1, 24, 13), STL[2]), r"images of shape \(2, 1, 24, 13\); give .* of at least 14 x 14 pixels"),
    ]:
        with pytest.raises(ModelError, match=f"^DISCO table: {message}"):
            proxy_loss(*arguments)
    assert proxy_loss(table, noise(1, 1, 14, 14), STL[2]) > 0
    for scale in (1.41, 0.5, 3):
        with pytest.raises(ModelError, match=r"^DISCO table: "):
            dilated_functions(3, 5, scale)
