"""What must hold of SESN's other bases: O1 to O5 of their specification, and what each basis is by its formula."""

import math

import pytest
import torch
from properties import EXACT, assert_homogeneous, assert_translates, noise, spot
from scipy.special import jv

import models
from models import ModelError
from models.layers.steerable import LiftingConv, ScaleConv, SteerableFilters
from models.reference import plain, plain_layers
from models.sesn_basis import (
    BASES,
    bessel_zeros,
    bspline,
    bspline_basis,
    fourier_bessel_basis,
    log_radial_basis,
)

ALL = [(config, name) for config, bases in BASES.items() for name in bases]
RANKS = {  # of each scale; at most 49
    ("56", "hermite"): [45, 49, 49, 49],
    ("56", "bspline"): [49, 49, 49, 49],
    ("56", "log-radial"): [24, 40, 45, 45],
    ("56", "fourier-bessel"): [46, 49, 49, 49],
    ("56p", "hermite"): [45, 49, 49, 49],
    ("56p", "bspline"): [25, 49, 49, 49],
    ("56p", "log-radial"): [24, 40, 45, 45],
    ("56p", "fourier-bessel"): [46, 49, 49, 49],
}
# Other sizes, scales and settings than the published ones.
OTHERS = {
    "bspline": lambda: bspline_basis(21, [0.8, 1.0, 1.5], 5, mult=1.5, order=3),
    "log-radial": lambda: log_radial_basis(11, [0.4, 0.9], 4, orders=2, rotations=6, width=0.5),
    "fourier-bessel": lambda: fourier_bessel_basis(13, [0.7, 0.9, 1.3], 5),
}


def normalised(config, name):
    return BASES[config][name].tables()[1]


# -------------------------------------------------------------------------------------------------------------- every basis


@pytest.mark.parametrize(("config", "name"), ALL)
def test_shapes_norms_and_ranks(config, name):
    """O1, and the ranks measured from the published code."""
    raw, found = BASES[config][name].tables()
    assert [functions.shape[1:] for functions in found] == [(k, k) for k in (7, 9, 11, 15)]
    assert {(len(functions), functions.dtype) for functions in (*raw, *found)} == {(49, torch.float64)}
    norms = raw[0].flatten(1).norm(dim=1)
    for functions, divided in zip(raw, found, strict=True):
        torch.testing.assert_close(divided * norms[:, None, None], functions, **EXACT)
    torch.testing.assert_close(found[0].flatten(1).norm(dim=1), torch.ones(49).double(), **EXACT)
    assert [int(torch.linalg.matrix_rank(functions.flatten(1))) for functions in found] == RANKS[config, name]


@pytest.mark.parametrize(("config", "name"), ALL)
def test_constant_image(config, name):
    """O2."""
    functions = normalised(config, name)
    layer = LiftingConv(1, 2, SteerableFilters(functions)).double()
    responses = layer(torch.full((1, 1, 17, 17), 1.7, dtype=torch.float64))[0, :, :, 8, 8]
    for s, at_scale in enumerate(functions):
        torch.testing.assert_close(responses[:, s], 1.7 * layer.weight[:, 0] @ at_scale.sum(dim=(1, 2)), **EXACT)


@pytest.mark.parametrize(("config", "name"), ALL)
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_equal_their_equations(config, name, stride):
    functions = normalised(config, name)
    for kind, maps in ((LiftingConv, noise(2, 3, 19, 18)), (ScaleConv, noise(2, 3, 4, 19, 18))):
        for project in (False, True):
            layer = kind(3, 5, SteerableFilters(functions), stride=stride, bias=True, project=project).double()
            torch.nn.init.normal_(layer.bias)
            torch.testing.assert_close(layer(maps), plain(layer, maps), **EXACT)


@pytest.mark.parametrize("name", OTHERS)
def test_other_sizes_and_settings(name):
    """Scales, sizes and settings that no published configuration has: layers, homogeneity, translation."""
    raw, functions = OTHERS[name]()
    torch.testing.assert_close(functions[0].flatten(1).norm(dim=1), torch.ones(len(raw[0])).double(), **EXACT)
    layer = ScaleConv(2, 3, SteerableFilters(functions), extent=2).double()
    maps = noise(2, 2, len(functions), 23, 22)
    torch.testing.assert_close(layer(maps), plain(layer, maps), **EXACT)
    assert_homogeneous(layer, maps)
    assert_translates(layer, spot(2, 2, len(functions), 48, 50, margin=16))


@pytest.mark.parametrize(("config", "name"), ALL)
def test_networks_with_fast_and_with_plain_layers_agree(config, name):
    network, images = (
        models.create(f"sesn-basis@basis={name},config={config}", "mnist-scale-56").double().eval(),
        noise(2, 1, 28, 28),
    )
    assert sum(parameter.numel() for parameter in network.parameters()) == 494_549
    fast = network(images)
    with plain_layers(network):
        torch.testing.assert_close(fast, network(images), **EXACT)


@pytest.mark.parametrize(("config", "name"), ALL)
def test_networks_are_built_on_any_device(config, name):
    with torch.device("meta"):
        network = models.create(f"sesn-basis@basis={name},config={config}", "mnist-scale-56")
    assert {tensor.device.type for tensor in (*network.parameters(), *network.buffers())} == {"meta"}


@pytest.mark.parametrize("upsample", ["nearest", "bilinear"])
def test_the_networks_double_the_image_first(upsample):
    network, images = models.create(f"sesn-basis@upsample={upsample}", "mnist-scale-56").double().eval(), noise(2, 1, 28, 28)
    corners = {} if upsample == "nearest" else {"align_corners": False}
    doubled = torch.nn.functional.interpolate(images, scale_factor=2, mode=upsample, **corners)
    torch.testing.assert_close(network(images), network[1:](doubled), **EXACT)


def test_the_hermite_network_is_the_vector_network_of_these_filters():
    """The default; SESN's own 56+ configuration has the same scales, and smaller filters."""
    assert models.canonical_name("sesn-basis@basis=hermite", "mnist-scale-56+") == "sesn-basis"
    torch.manual_seed(0)
    network = models.create("sesn-basis", "mnist-scale-56").double().eval()
    other = models.create("sesn-vector@config=56p", "mnist-scale-56").double().eval()
    assert [tuple(p.shape) for p in network.parameters()] == [tuple(p.shape) for p in other.parameters()]
    assert BASES["56"]["hermite"].sigmas == [1.5, 1.89, 2.38, 3.0]
    other.load_state_dict(network.state_dict())
    for ours, theirs in zip(network.modules(), other.modules(), strict=True):
        if isinstance(ours, SteerableFilters):  # 15 pixels at the coarsest scale instead of 13; the finer ones are the same
            for s, width in enumerate((7, 9, 11)):
                assert torch.equal(ours.get_buffer(f"basis_{s}"), theirs.get_buffer(f"basis_{s}"))
                assert ours.get_buffer(f"basis_{s}").shape[-1] == width
            cropped = ours.get_buffer("basis_3")[:, 1:-1, 1:-1]
            torch.testing.assert_close(cropped, theirs.get_buffer("basis_3"), **EXACT)


# ----------------------------------------------------------------------------------------------------------------- B-splines


def test_bsplines_are_the_known_polynomials():
    t = torch.linspace(-3, 3, 601, dtype=torch.float64)
    linear = (1 - t.abs()).clamp(min=0)
    quadratic = torch.where(t.abs() <= 0.5, 0.75 - t**2, 0.5 * (1.5 - t.abs()).clamp(min=0) ** 2)
    cubic = torch.where(t.abs() <= 1, 2 / 3 - t**2 + t.abs() ** 3 / 2, (2 - t.abs()).clamp(min=0) ** 3 / 6)
    for degree, expected in enumerate((linear, quadratic, cubic), start=1):
        torch.testing.assert_close(bspline(degree, t), expected, rtol=0, atol=1e-14)
        shifts = torch.arange(-4, 5).double()[:, None]
        torch.testing.assert_close(bspline(degree, t / 3 + shifts).sum(dim=0), torch.ones(601).double(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("config", BASES)
def test_bspline_functions_lie_side_by_side(config):
    """O4 and the rest of the grid's symmetries: function a*E + b lies at column a, row b."""
    for functions in BASES[config]["bspline"].tables()[0]:
        grid = functions.unflatten(0, (7, 7))  # (column, row, k, k)
        centred = functions[24]
        for mirrored in (centred.flip(0), centred.flip(1), centred.mT):
            torch.testing.assert_close(mirrored, centred, **EXACT)
        torch.testing.assert_close(grid.flip(0), grid.flip(3), **EXACT)
        torch.testing.assert_close(grid.flip(1), grid.flip(2), **EXACT)
        torch.testing.assert_close(grid.transpose(0, 1), grid.mT, **EXACT)
        places = torch.arange(functions.shape[-1]).double()
        mass = grid.sum(dim=(2, 3))
        columns = (grid.sum(dim=2) * places).sum(dim=2) / mass
        rows = (grid.sum(dim=3) * places).sum(dim=2) / mass
        assert columns.diff(dim=1).abs().max() < 1e-9 > rows.diff(dim=0).abs().max()
        for along in (columns[:, 0], rows[0]):  # two narrow ones may share the pixels of the finest scale
            assert along.diff().min() > -1e-9 and along[-1] - along[0] > 1


def test_a_bspline_at_every_scale_is_the_same_function():
    """Sampled where both supports have pixels, 7 and 13 wide, a scale differs from another by 1/sigma^2 alone."""
    fine, coarse = bspline_basis(13, [0.6, 1.11], 7, mult=2, order=2)[0]
    assert (fine.shape[-1], coarse.shape[-1]) == (7, 13)
    torch.testing.assert_close(coarse[:, ::2, ::2] * 1.11**2, fine * 0.6**2, **EXACT)


# ------------------------------------------------------------------------------------------------------- log-radial harmonics


@pytest.mark.parametrize("config", BASES)
def test_log_radial_functions_are_even(config):
    """A wedge has its direction and the opposite one, so no combination of them is an edge detector: rank at most 25 of 49."""
    for functions in BASES[config]["log-radial"].tables()[0]:
        torch.testing.assert_close(functions.flip(1, 2), functions, **EXACT)
    rotations = {"56": 11, "56p": 10}[config]
    functions = BASES[config]["log-radial"].tables()[0][3]
    torch.testing.assert_close(functions[2 * rotations - 2 : 2 * rotations], functions[:2], **EXACT)  # directions 0 and pi


def test_log_radial_waves():
    """cos^2 + sin^2 = 1 leaves the envelope: 1 / R along the direction, and the angle's Gaussian beside it."""
    raw = log_radial_basis(15, [0.5], 6, orders=2, rotations=9, width=0.3)[0][0] * 0.5**2
    waves = raw[:18].unflatten(0, (9, 2))  # (direction, cos and sin, k, k): order 0
    envelope = waves.square().sum(dim=1).sqrt()
    radius = torch.arange(1, 8).double() / 0.5
    torch.testing.assert_close(
        envelope[0, 7].flip(0)[7:8], torch.full((1,), 0.5).double(), **EXACT
    )  # the centre: R = 1 / sigma
    torch.testing.assert_close(envelope[0, :7, 7].flip(0), 1 / radius, **EXACT)  # up
    torch.testing.assert_close(envelope[4, 7, 8:], 1 / radius, **EXACT)  # right
    off = math.exp(-((math.pi / 4) ** 2) / (2 * 0.3**2))
    torch.testing.assert_close(envelope[2, 7, 8:], off / radius, **EXACT)
    # Half a turn per grid at q = 1/2: at the corner theta = pi - pi/4, whatever the scale.
    corner = waves[2, :, 0, 14]  # up and right
    assert torch.atan2(corner[1], corner[0]).item() == pytest.approx(0.75 * math.pi)


# ------------------------------------------------------------------------------------------------------------- Fourier-Bessel


def test_bessel_zeros_are_all_of_them():
    """Against changes of sign; of each order all but the last below the limit."""
    zeros = bessel_zeros(40.0)
    values = [zero for zero, _ in zeros]
    assert values == sorted(values)
    assert zeros[:4] == [
        (pytest.approx(j), k) for j, k in ((2.404825558, 0), (3.831705970, 1), (5.135622302, 2), (5.520078110, 0))
    ]
    grid = torch.linspace(0.5, 40, 40_000, dtype=torch.float64).numpy()
    for k in range(50):
        there = [zero for zero, order in zeros if order == k]
        assert abs(jv(k, there)).max(initial=0) < 1e-12
        changes = int((jv(k, grid[1:]) * jv(k, grid[:-1]) < 0).sum())
        assert len(there) == max(0, changes - 1), k


def test_fourier_bessel_functions_are_orthogonal_on_their_disc():
    """Where nothing is cut: on a disc of radius R all have the squared norm pi R^2, but for the sampling."""
    raw = fourier_bessel_basis(101, [1.0], 7)[0][0].flatten(1)
    gram = raw @ raw.T / (math.pi * 50.5**2)
    torch.testing.assert_close(gram, torch.eye(49).double(), rtol=0, atol=4e-3)


@pytest.mark.parametrize("config", BASES)
def test_the_first_fourier_bessel_function_is_radial_and_positive(config):
    """O5: J_0 itself, positive up to its first zero, on the disc's edge."""
    configuration = BASES[config]["fourier-bessel"]
    for sigma, functions in zip(configuration.sigmas, configuration.tables()[0], strict=True):
        size = functions.shape[-1]
        t = torch.arange(size).double() - size // 2
        rho = torch.hypot(t[:, None], t) / (7.5 * sigma)
        zero = 2.404825557695773
        wave = torch.special.bessel_j0(zero * rho) / torch.special.bessel_j1(torch.tensor(zero, dtype=torch.float64))
        torch.testing.assert_close(functions[0], torch.where(rho < 1, wave, 0.0) / sigma**2, rtol=0, atol=1e-11)
        assert ((functions[0] > 0) == (rho < 1)).all()


def test_fourier_bessel_functions_turn_as_their_order_says():
    """A quarter turn mixes the two of order k by an angle of k quarter turns; a mirror changes the sign of one."""
    for config in BASES:
        for functions in BASES[config]["fourier-bessel"].tables()[0]:
            remaining = list(functions)
            for _, k in bessel_zeros(2.7 * math.pi * 7.5):
                if len(remaining) < 2:
                    break
                if k == 0:
                    radial = remaining.pop(0)
                    torch.testing.assert_close(radial.rot90(), radial, rtol=0, atol=1e-12)
                    continue
                cosine, sine = remaining.pop(0), remaining.pop(0)
                turn = k * math.pi / 2
                torch.testing.assert_close(cosine.rot90(), turned(cosine, sine, turn), rtol=0, atol=1e-12)
                torch.testing.assert_close(sine.rot90(), turned(sine, -cosine, turn), rtol=0, atol=1e-12)
                torch.testing.assert_close(cosine.flip(1), cosine, rtol=0, atol=1e-12)
                torch.testing.assert_close(sine.flip(1), -sine, rtol=0, atol=1e-12)


def turned(first, second, angle):
    return math.cos(angle) * first + math.sin(angle) * second


# ------------------------------------------------------------------------------------------------------------------ bad input


def log_radial(size=15, scales=(0.5, 1.0), effective_size=3, **settings):
    return log_radial_basis(size, list(scales), effective_size, **{"orders": 3, "rotations": 5, "width": 0.2} | settings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fourier_bessel_basis(14, [1.0], 7), "size 14, effective size 7: an odd size"),
        (lambda: fourier_bessel_basis(15, [1.0], 1), "effective size 1: an odd size, and two or more"),
        (lambda: fourier_bessel_basis(15, [2.0, 1.0], 7), r"scales \[2.0, 1.0\] must ascend"),
        (lambda: fourier_bessel_basis(15, [0.0, 1.0], 7), r"scales \[0.0, 1.0\] must ascend from above 0"),
        (lambda: fourier_bessel_basis(15, [], 7), r"scales \[\] must ascend"),
        (lambda: fourier_bessel_basis(7, [1.0, 4.0], 3), "7 pixels leave 1 at scale 1 of 4.*a size of 9 or more"),
        (lambda: fourier_bessel_basis(3, [1.0], 7), "3 pixels has .* Fourier-Bessel functions, effective size 7 needs 49"),
        (lambda: fourier_bessel_basis(15, [0.2, 1.0], 7), "of the basis is 0, or not finite, on all 3 x 3 pixels"),
        (lambda: bspline_basis(15, [0.6, 1.2], 7, mult=2, order=0), "B-spline of order 0 is not continuous"),
        (lambda: bspline_basis(15, [0.6, 1.2], 7, mult=9, order=1), "function .* of the basis is 0"),
        (lambda: log_radial(orders=1, rotations=4), "1 orders and 4 rotations make 8 log-radial functions.* needs 9"),
        (lambda: log_radial(scales=(9.0, 12.0)), "of scale 9 on 11 pixels: the corner, 7.07 pixels away"),
        (lambda: models.create("sesn-basis@basis=fourier", "mnist-scale-56"), "basis.*fourier-bessel"),
        (
            lambda: models.create("sesn-basis", "mnist-scale-56", basis="b-spline"),
            "no basis 'b-spline' .did you mean 'bspline'",
        ),
        (lambda: models.create("sesn-basis", "mnist-scale-28"), "mnist-scale-56"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(make, message):
    with pytest.raises(ModelError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
