"""What must hold of SESN with learned scales: the lists, the basis that is made of them in two ways, the networks."""

import math

import pytest
import torch
from properties import EXACT, noise
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

import models
from models.layers.steerable import LiftingConv, ScaleConv
from models.reference import plain_layers
from models.sesn import hermite_filters
from models.sesn_learned import LONGEST, LearnedFilters, LearnedScales, half_widths, starting_parameter

LISTS = {  # of three scales, away from steps of the filters' sizes; the last ones' filters are larger than the maps
    "isr": ([0.5], [0.55], [1.9]),
    "spacing": ([0.5, -0.3], [0.6, 0.45], [1.2, 1.5]),
    "direct": ([1.4, 1.9, 2.6], [1.6, 1.72, 1.85], [1.2, 4.0, 7.1]),
    "single_ratio": ([0.3], [-0.3], [1.7]),  # the second descends
    "ratios": ([0.25, -0.1], [0.4, 0.4], [0.9, 1.4]),
}
EVERY = [(mode, numbers) for mode, lists in LISTS.items() for numbers in lists]


def scales_of(mode, numbers, finest=1.1, learn=True):
    learned = LearnedScales(mode, numbers, 3, finest, learn_min_scale=learn and mode != "direct").double()
    with torch.no_grad():
        learned.parameter.copy_(torch.tensor(numbers, dtype=torch.float64))
        if mode != "direct":
            learned.basis_min_scale.fill_(finest)
    return learned


def layers_of(learned, **basis):
    """A lifting convolution and one over scale and translation, of four functions of both orders on two levels and a bit."""
    filters = LearnedFilters(learned, **{"effective_size": 3, "max_order": 2, "mult": 1.4, "support": 2.0} | basis)
    torch.manual_seed(0)
    return LiftingConv(2, 3, filters, bias=True).double(), ScaleConv(3, 2, filters, extent=2).double()


def responses(learned, layers, images):
    """And the gradients of something that depends on all of them."""
    maps = layers[0](images)
    found = layers[1](maps)
    wanted = [images, layers[0].weight, layers[1].weight, *learned.parameters()]
    return [maps, found, *torch.autograd.grad((found * noise(*found.shape, seed=4)).sum(), wanted)]


@pytest.fixture
def static(monkeypatch):
    """static(): from here on as on a GPU, where the host does not know the sizes."""
    return lambda: monkeypatch.setattr(LearnedFilters, "may_read", lambda filters: False)


# --------------------------------------------------------------------------------------------------------------- scales


@pytest.mark.parametrize("mode", ["isr", "spacing"])
def test_lists_ascend_whatever_the_numbers(mode):
    """LS3."""
    for seed in range(20):
        numbers = (3 * noise(1 if mode == "isr" else 2, seed=seed)).tolist()
        scales = scales_of(mode, numbers)()
        assert (scales.diff() > 0).all()
        assert scales[0].item() == 1.1


@pytest.mark.parametrize("mode", ["isr", "spacing"])
def test_zero_is_a_stationary_point_where_nobody_may_start(mode):
    """LS3."""
    learned = scales_of(mode, [0.0] * (1 if mode == "isr" else 2))
    _, _, _, _, _, of_parameter, of_finest = responses(learned, layers_of(learned), noise(1, 2, 9, 8).requires_grad_())
    assert not of_parameter.any()
    assert of_finest.any()
    with pytest.raises(models.ModelError, match="0 has no gradient and stays"):
        models.create("sesn-learned", "mnist-scale-56", mode=mode, parameter=[0.0] * (1 if mode == "isr" else 3))


@pytest.mark.parametrize("mode", LISTS)
@pytest.mark.parametrize(("scales", "factor", "finest"), [(4, 2.0, 1.5), (3, 3.0, 0.7), (2, 1.5, 1.0)])
def test_a_start_spans_its_range_in_equal_ratios(mode, scales, factor, finest):
    numbers = starting_parameter(mode, scales, factor, finest)
    learned = LearnedScales(mode, numbers, scales, finest).double()
    with torch.no_grad():
        learned.parameter.copy_(torch.tensor(numbers, dtype=torch.float64))
    expected = finest * factor ** (torch.arange(scales, dtype=torch.float64) / (scales - 1))
    torch.testing.assert_close(learned(), expected, **EXACT)


@pytest.mark.parametrize(("mode", "in_float32"), [("isr", 27), ("spacing", 27), ("direct", 25)])
def test_at_a_step_rounding_decides_about_the_size(mode, in_float32):
    """LS4: where one octave from 1.5 ends, at 3."""
    numbers = starting_parameter(mode, 4, 2.0, 1.5)
    learned = LearnedScales(mode, numbers, 4, 1.5)
    sizes = [int(2 * half_widths(learned()).max() + 1)]
    learned.double()
    with torch.no_grad():
        learned.parameter.copy_(torch.tensor(numbers, dtype=torch.float64))
    sizes.append(int(2 * half_widths(learned()).max() + 1))
    assert sizes == [in_float32, 25]
    assert learned()[-1].item() == 3.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sizes_are_those_of_the_formula(dtype):
    """Whole numbers, one step after the other, and none for what is no number."""
    for step in range(200):
        scales = torch.tensor([1.5, 1.0 + step / 64, 2.0], dtype=dtype)
        largest = scales.max().item()
        size = max(3, 2 * math.ceil(4 * largest) + 1)
        expected = [math.floor(math.floor(size * scale / largest) / 2) for scale in scales.tolist()]
        assert half_widths(scales).tolist() == expected
    assert half_widths(torch.tensor([0.1, 0.2])).tolist() == [0, 1]  # K is 3 at least
    assert half_widths(torch.tensor([math.nan, 1.0])).tolist() == [0, 0]
    assert half_widths(torch.tensor([-1.0, 2.0])).tolist() == [0, 8]
    assert half_widths(torch.tensor([-1.0, -2.0])).tolist() == [1, 3]
    assert half_widths(torch.tensor([1.0, 1e9])).tolist() == [4, LONGEST]


# ---------------------------------------------------------------------------------------------------------------- basis


@pytest.mark.parametrize("way", ["read", "static"])
@pytest.mark.parametrize(("support", "size"), [(2.0, 13), (4.0, 25)])
def test_with_constant_scales_it_is_sesn(way, support, size, static):
    """LS1."""
    if way == "static":
        static()
    numbers = [1.5, 1.89, 2.38, 3.0]
    learned = LearnedScales("direct", numbers, 4, 1.5).double()
    with torch.no_grad():
        learned.parameter.copy_(torch.tensor(numbers, dtype=torch.float64))
    here, there = LearnedFilters(learned, support=support), hermite_filters(size, numbers, 7, 4, 1.4)
    for kind, inputs in ((LiftingConv, noise(2, 2, 14, 12)), (ScaleConv, noise(2, 2, 4, 14, 12))):
        layer, expected = (kind(2, 3, filters, bias=True).double() for filters in (here, there))
        with torch.no_grad():
            expected.weight.copy_(layer.weight)
        torch.testing.assert_close(layer(inputs), expected(inputs), **EXACT)
    for found, wanted in zip(here(layer.weight), there(layer.weight), strict=True):
        torch.testing.assert_close(found, wanted, **EXACT)


def test_the_control_is_the_network_that_stays_where_the_others_start():
    torch.manual_seed(0)
    fixed = models.create("sesn-learned@mode=fixed", "mnist-scale-56").double().eval()
    direct = models.create("sesn-learned@mode=direct", "mnist-scale-56").double().eval()
    assert sum(parameter.numel() for parameter in fixed.parameters()) == 494_549
    assert not hasattr(fixed, "parameter_groups")
    scales, *rest = direct.parameters()
    with torch.no_grad():
        scales.copy_(torch.tensor(starting_parameter("direct", 4, 2.0, 1.5), dtype=torch.float64))
        for own, other in zip(rest, fixed.parameters(), strict=True):
            own.copy_(other)
    assert [filters.shape[-1] for filters in fixed[1].filters(fixed[1].weight)] == [13, 15, 19, 25]
    images = noise(2, 1, 28, 28)
    torch.testing.assert_close(direct(images), fixed(images), **EXACT)


@pytest.mark.parametrize("factor", [2, 3])
def test_wider_scales_magnify_the_filters(factor):
    """LS5: B'(c t) = B(t) / c, up to sampling, if all scales and the size are c times as large."""
    banks = []
    for magnified in (1, factor):
        learned = scales_of("direct", [magnified * scale for scale in (2.0, 2.5, 3.25)])
        filters = LearnedFilters(learned, effective_size=3, max_order=2).double()
        banks.append(filters(torch.eye(9, dtype=torch.float64)))
    for small, large in zip(*banks, strict=True):
        half = min(small.shape[-1] // 2, large.shape[-1] // 2 // factor)
        centre, middle = small.shape[-1] // 2, large.shape[-1] // 2
        inner = small[:, centre - half : centre + half + 1, centre - half : centre + half + 1]
        wide = slice(middle - factor * half, middle + factor * half + 1, factor)
        assert half >= 5
        torch.testing.assert_close(factor * large[:, wide, wide], inner, rtol=0, atol=2e-4)


@pytest.mark.parametrize("way", ["read", "static"])
@pytest.mark.parametrize(("mode", "numbers"), EVERY)
def test_gradients_of_scales_are_finite_differences(mode, numbers, way, static):
    """LS2, of the filters, the norm at the finest scale included."""
    if way == "static":
        static()
    learned = scales_of(mode, numbers)
    lifting, over_scales = layers_of(learned)
    images = noise(1, 2, 7, 6)
    names = [name for name, _ in learned.named_parameters()]
    assert torch.equal(half_widths(learned() * (1 + 1e-5), 2.0), half_widths(learned() * (1 - 1e-5), 2.0)), "at a step"

    def of_scales(*values):
        given = {f"filters.learned.{name}": value for name, value in zip(names, values, strict=True)}
        return functional_call(over_scales, given, (functional_call(lifting, given, (images,)),))

    values = [parameter.detach().clone().requires_grad_() for parameter in learned.parameters()]
    assert torch.autograd.gradcheck(of_scales, values, eps=1e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("shape", [(9, 9), (9, 14), (14, 5)])
@pytest.mark.parametrize(("mode", "numbers"), EVERY)
def test_sizes_that_the_host_does_not_know_change_nothing(mode, numbers, shape, static):
    learned = scales_of(mode, numbers)
    layers, images = layers_of(learned), noise(2, 2, *shape).requires_grad_()
    read = responses(learned, layers, images)
    with plain_layers(torch.nn.ModuleList(layers)):
        plain = responses(learned, layers, images)
    static()
    for found, expected, slow in zip(responses(learned, layers, images), read, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(expected, slow, rtol=1e-11, atol=1e-11)


def test_norms_are_exact_up_to_scales_of_64_pixels():
    """Beyond, both ways leave out the same taps."""
    for scale in (64.0, 100.0):
        learned = scales_of("direct", [scale, 0.9 * scale, 0.5 * scale])
        layers, images = layers_of(learned, support=4.0), noise(1, 2, 5, 5).requires_grad_()
        read = responses(learned, layers, images)
        widest = layers[0].filters.made(read=True)
        assert widest.halves[0] == min(LONGEST, math.ceil(4 * scale))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(LearnedFilters, "may_read", lambda filters: False)
            for found, expected in zip(responses(learned, layers, images), read, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
        if scale <= 64:
            with plain_layers(torch.nn.ModuleList(layers)):
                torch.testing.assert_close(responses(learned, layers, images)[0], read[0], **EXACT)


def test_a_replayed_step_follows_the_scales_as_the_filters_grow(static):
    """What a CUDA graph is: the operators of one step, again and again on other numbers. Here those that torch has recorded."""
    static()
    learned = scales_of("isr", [0.5])
    layers, images = layers_of(learned), noise(2, 2, 9, 8)
    names, sizes = [name for name, _ in learned.named_parameters()], set()

    def step(*values):
        given = {f"filters.learned.{name}": value for name, value in zip(names, values, strict=True)}
        found = functional_call(layers[1], given, (functional_call(layers[0], given, (images,)),))
        return found, *torch.autograd.grad(found.square().sum(), values)

    def at(number):
        return [torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (number, 1.1)]

    recorded = make_fx(step)(*at(0.5))
    for number in (0.5, 0.7, 0.9, 1.3, 2.5):
        with torch.no_grad():
            learned.parameter.fill_(number)
        sizes.add(layers[0].filters.made(read=True).halves[-1])
        for found, expected in zip(recorded(*at(number)), step(*at(number)), strict=True):
            torch.testing.assert_close(found, expected, **EXACT)
    assert len(sizes) == 5


# ------------------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("learn_min_scale", [False, True])
def test_the_scales_are_one_set_that_comes_first_and_learns_at_a_rate_of_its_own(learn_min_scale):
    network = models.create("sesn-learned", "mnist-scale-56+", mode="spacing", learn_min_scale=learn_min_scale)
    parameters, buffers = list(network.parameters()), dict(network.named_buffers())
    shapes = [tuple(parameter.shape) for parameter in parameters]
    assert shapes[: 2 + learn_min_scale] == [(3,), *([(1,)] if learn_min_scale else []), (32, 1, 49)]
    (group,) = network.parameter_groups()
    assert [id(one) for one in group.parameters] == [id(one) for one in parameters[: 1 + learn_min_scale]]
    assert (group.lr_factor, group.warm_up) == (0.5, 1 / 6)
    assert all(value.dtype in (torch.float64, torch.int64) for name, value in buffers.items() if "filters" in name)
    assert network(torch.zeros(2, 1, 28, 28)).dtype == torch.float32
    assert network.double()(torch.zeros(2, 1, 28, 28, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("gradients", [True, False])
def test_the_basis_is_made_once_per_forward_pass(gradients, monkeypatch):
    network, made = models.create("sesn-learned", "mnist-scale-56").eval(), []
    monkeypatch.setattr(LearnedScales, "forward", lambda scales, own=LearnedScales.forward: made.append(0) or own(scales))
    with torch.set_grad_enabled(gradients):
        for count in (1, 2, 3):
            network(torch.zeros(1, 1, 28, 28))
            assert len(made) == count
    assert network.filters.table is None  # nothing of the graph is kept, also after an error
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 3, 28, 28))
    assert network.filters.table is None


def test_both_ways_give_the_network_the_same_logits_and_gradients(static):
    torch.manual_seed(0)
    network, images = (
        models.create("sesn-learned@relu=True", "mnist-scale-56", parameter=0.56).double().eval(),
        noise(2, 1, 28, 28),
    )
    parameters, results = list(network.parameters()), []
    for _ in range(2):
        logits = network(images)
        results.append([logits, *torch.autograd.grad(logits.square().sum(), parameters)])
        static()
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_scales_that_are_no_numbers_give_logits_that_are_none():
    """For the one who watches a run to find."""
    network = models.create("sesn-learned", "mnist-scale-56").eval()
    with torch.no_grad():
        network.filters.learned.parameter.fill_(math.nan)
        assert network(torch.zeros(1, 1, 28, 28)).isnan().all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"mode": "irs"},
            "there is no mode 'irs' (did you mean 'isr'?); allowed: isr, spacing, direct, single_ratio, ratios, fixed",
        ),
        ({"mode": 3}, "there is no mode 3; allowed: isr"),
        ({"relu": "True"}, "relu='True'; allowed: False, True"),
        ({"learn_min_scale": 1}, "learn_min_scale=1; allowed: False, True"),
        (
            {"mode": "direct", "learn_min_scale": True},
            "mode=direct has no finest scale of its own to learn; leave out learn_min",
        ),
        ({"mode": "fixed", "learn_min_scale": True}, "mode=fixed has no finest scale of its own to learn"),
        ({"mode": "fixed", "parameter": [0.5]}, "mode=fixed learns no scales; leave out parameter=[0.5] or take another mode"),
        ({"parameter": [0.5, 0.5]}, "parameter=[0.5, 0.5]; give 1 for mode=isr, such as [0.51]"),
        ({"mode": "spacing", "parameter": 0.5}, "parameter=0.5; give 3 for mode=spacing, such as [0.51, 0.51, 0.51]"),
        (
            {"mode": "direct", "parameter": [1, 2, 3]},
            "parameter=[1, 2, 3]; give 4 for mode=direct, such as [1.5, 1.89, 2.38, 3.0]",
        ),
        ({"parameter": math.nan}, "parameter=nan; give 1 for mode=isr"),
        ({"parameter": [math.inf]}, "parameter=[inf]; give 1"),
        ({"parameter": "wide"}, "parameter='wide'; give 1"),
        ({"basis_min_scale": math.nan}, "basis_min_scale=nan; give a width in pixels, such as 1.5"),
        ({"basis_min_scale": None}, "basis_min_scale=None; give a width"),
        ({"basis_min_scale": -1.5}, "with basis_min_scale=-1.5 gives the scales [-1.5, -1.89, -2.38, -3.0]; allowed: above 0"),
        ({"mode": "fixed", "basis_min_scale": 0}, "gives the scales [0.0, 0.0, 0.0, 0.0]; allowed: above 0, up to 64"),
        ({"mode": "ratios", "parameter": [0.1, -1.2, 0.1]}, "gives the scales [1.5, 1.65, -0.33, -0.36]; allowed: above 0"),
        ({"mode": "direct", "parameter": [1, 2, 3, 65]}, "gives the scales [1.0, 2.0, 3.0, 65.0]; allowed: above 0, up to 64"),
        ({"mode": "direct", "parameter": [0.1, 1, 2, 3]}, "its filters have less than 3 pixels"),
    ],
)
def test_what_cannot_be_is_said_on_one_line(settings, said):
    with pytest.raises(models.ModelError) as caught:
        models.create("sesn-learned", "mnist-scale-56", **settings)
    message = str(caught.value)
    assert message.startswith("model 'sesn-learned': ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("mode", [*LISTS, "fixed"])
def test_networks_are_built_on_any_device(mode):
    with torch.device("meta"):
        network = models.create("sesn-learned", "mnist-scale-56", mode=mode)
    assert {tensor.device.type for tensor in (*network.parameters(), *network.buffers())} == {"meta"}


def test_numbers_may_come_as_they_are_at_hand():
    for given in (0.5, [0.5], (0.5,), torch.tensor(0.5), torch.nn.Parameter(torch.tensor([0.5]))):
        network = models.create("sesn-learned", "mnist-scale-56", parameter=given)
        assert network.filters.learned.parameter.tolist() == [0.5]
    fixed = models.create("sesn-learned", "mnist-scale-56", mode="fixed", basis_min_scale=1.0)
    assert [filters.shape[-1] for filters in fixed[1].filters(fixed[1].weight)] == [9, 11, 13, 17]
