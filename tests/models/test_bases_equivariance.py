"""How far bases are from scale equivariance: benchmarks/bases.py against the specification, docs/bases.md against both."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from properties import EXACT

from benchmarks.bases import (
    COARSE,
    FINE,
    STL_STEP,
    THIRD,
    between,
    errors,
    hermite,
    images,
    mnist_bases,
    shape_differences,
    stl_bases,
    tables,
)
from models.sesn_basis import fourier_bessel_basis

# DC5, measured on one image: the three steps, or two on STL-10, and the range.
ONE_IMAGE = {
    (FINE, "DISCO"): (0.011, 0.006, 0.011, 0),
    (FINE, "sesn-vector"): (0.078, 0.023, 0.046, 0.096),
    (FINE, "sesn-basis"): (0.127, 0.025, 0.029, 0.143),
    (FINE, "sesn-learned"): (0.129, 0.019, 0.001, 0.143),
    (FINE, "B-spline"): (0.111, 0.038, 0.263, 0.367),
    (FINE, "log-radial"): (0.437, 0.271, 0.272, 0.882),
    (FINE, "Fourier-Bessel"): (0.044, 0.065, 0.154, 0.155),
    (FINE, "STL DISCO"): (0.035, 0.039, 0.002),
    (FINE, "STL Hermite"): (0.192, 0.016, 0.177),
    (COARSE, "DISCO"): (0.005, 0.003, 0.005, 0),
    (COARSE, "sesn-vector"): (0.036, 0.025, 0.056, 0.067),
    (COARSE, "sesn-basis"): (0.055, 0.021, 0.040, 0.070),
    (COARSE, "sesn-learned"): (0.056, 0.007, 0.001, 0.062),
    (COARSE, "B-spline"): (0.109, 0.039, 0.268, 0.359),
    (COARSE, "log-radial"): (0.395, 0.256, 0.257, 0.788),
    (COARSE, "Fourier-Bessel"): (0.044, 0.067, 0.160, 0.156),
    (COARSE, "STL DISCO"): (0.019, 0.024, 0.001),
    (COARSE, "STL Hermite"): (0.210, 0.017, 0.195),
}


def equivariance_errors(detail, words):
    """The means of benchmarks/bases.py: the steps, and the range."""
    bases, step = (stl_bases(), STL_STEP) if words.startswith("STL") else (mnist_bases(), THIRD)
    found = next(tables for name, tables in bases.items() if words.removeprefix("STL ") in name)
    return errors(found, [step] * (len(found) - 1), images(detail)).mean(dim=1).tolist()


@pytest.mark.parametrize("detail", [FINE, COARSE])
def test_disco_is_nearer_to_equivariance_than_sesn(detail):
    """DC5."""
    *steps, whole = equivariance_errors(detail, "DISCO")
    assert max(steps) < 0.02 and max(steps) < equivariance_errors(detail, "sesn-vector")[0] and whole < 1e-12
    *steps, _ = equivariance_errors(detail, "STL DISCO")
    assert max(steps) < 0.05 and max(steps) < equivariance_errors(detail, "STL Hermite")[0]


@pytest.mark.parametrize(("detail", "words"), ONE_IMAGE)
def test_errors_are_those_measured_on_one_image(detail, words):
    """O3. One image with 20 filters scatters about the means here: by a quarter or so, log-radial functions by a half."""
    expected = ONE_IMAGE[detail, words]
    tolerance = 0.5 if words == "log-radial" else 0.25
    assert equivariance_errors(detail, words) == pytest.approx(expected, rel=tolerance, abs=0.0025)


def test_what_makes_the_errors():
    """Hermite functions narrower than 3/4 of a pixel; splines whose supports grow by another ratio; discs that are cut off."""
    seen = images(FINE)
    narrow, wide = (errors(hermite(1.5, mult, 31), [THIRD] * 3, seen).mean(dim=1) for mult in (1.4, 1.25))
    assert narrow[0] > 0.09 and wide.max() < 0.002
    splines = mnist_bases()["B-spline"]
    own = [(coarse.shape[-1] - 1) / (fine.shape[-1] - 1) for fine, coarse in pairwise(splines)]
    assert own == [8 / 6, 10 / 8, 14 / 10]
    assert errors(splines, own, seen, shape_differences).max() < 0.02
    assert errors(splines, own, seen).max() > 0.2
    uncut = fourier_bessel_basis(31, [2 ** (i / 3 - 1) for i in range(4)], 7)[1]
    assert errors(uncut, [THIRD] * 3, seen).mean(dim=1).max() < 0.006


def test_half_a_step_costs_the_more_the_larger_the_step_whatever_the_basis():
    found = [between(hermite(1.5, 1.25, 25, scales), 2 ** (1 / (scales - 1)), images(FINE)).mean() for scales in (5, 4, 3, 2)]
    assert all(fine < 0.8 * coarse for fine, coarse in pairwise(found))
    assert between(mnist_bases()["DISCO"], THIRD, images(FINE)).mean().item() == pytest.approx(found[1].item(), rel=0.1)


def test_an_image_and_its_magnification_are_the_same_function():
    """Every third pixel of an image three times as large; and filters of one pixel see no difference."""
    seen = images(FINE, 1)
    torch.testing.assert_close(seen.pixels(31, 3.0)[:, ::3, ::3], seen.pixels(11, 1.0), **EXACT)
    assert errors([torch.ones(1, 1, 1).double()] * 2, [1.7], seen).max() < 1e-12
    assert errors([torch.ones(1, 3, 3).double()] * 2, [1.7], seen).min() > 0.01


def test_documented_tables_are_what_is_measured():
    """docs/bases.md, but for the rows of the published tables where these are not at hand."""
    text = (Path(__file__).parents[2] / "docs" / "bases.md").read_text(encoding="utf-8").splitlines()
    measured = [line for lines in tables() for line in lines]
    assert [line for line in measured if line not in text] == []
    first, last = text.index(measured[0]), text.index(measured[-1])
    rest = [line for line in text[first : last + 1] if line.startswith("|") and line not in measured]
    assert [line for line in rest if "published table" not in line] == []
