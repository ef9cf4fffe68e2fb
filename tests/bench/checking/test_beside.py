"""The table of equivariance beside others, and its verdict."""

from bench.checking.beside import compared, references
from bench.measure.equivariance import Errors
from leaderboard.records.equivariance import LayerError


def layer(name, error, shift=0.0):
    return LayerError(name=name, shape=[1, 8, 8], scale=[error] * 3 + [error / 2] * 3, translation=shift)


def errors(*values, shift=0.0, notes=()):
    names = ["image", *(f"layer {n}" for n in range(1, len(values)))]
    layers = [layer(name, value, shift) for name, value in zip(names, values, strict=True)]
    return Errors(layers, layer("logits", 0.2), [0.0] * 6, list(notes))


OTHERS = {"cnn": errors(0.04, 0.8, 0.6), "sesn-vector": errors(0.04, 0.2, 0.2)}


def verdict(own):
    return compared(own, OTHERS, "my-net", "digits")


def test_every_layer_nearer_than_the_plain_networks_passes():
    finding = verdict(errors(0.04, 0.4, 0.15, 0.3))
    assert (finding.verdict, finding.text) == ("pass", "3 layers have 0.25 to 0.50 times cnn's error under scaling")
    first, head, *rows, shift = finding.more
    assert first.startswith("On digits:") and head.split() == ["image", "layer", "1", "layer", "2", "layer", "3", "logits"]
    assert [row.split() for row in rows] == [
        ["my-net", "0.04/0.02", "0.40/0.20", "0.15/0.07", "0.30/0.15", "0.20/0.10"],
        ["cnn", "0.04/0.02", "0.80/0.40", "0.60/0.30", "-", "0.20/0.10"],
        ["sesn-vector", "0.04/0.02", "0.20/0.10", "0.20/0.10", "-", "0.20/0.10"],
    ]
    assert shift.split() == ["shift", "0e+00", "0e+00", "0e+00", "0e+00", "0e+00"]
    assert len(finding.numbers["own"]) == 5 and finding.numbers["cnn"][1]["scale"][0] == 0.8


def test_what_is_to_be_looked_at():
    assert "not every layer is nearer" in verdict(errors(0.04, 0.4, 0.7)).todo
    assert "a shift by whole pixels changes layer 1, layer 2" in verdict(errors(0.04, 0.4, 0.1, shift=0.05)).text
    without = verdict(Errors([], layer("logits", 0.2), [0.0] * 6, ["no layer is seen: why"]))
    assert without.verdict == "look" and "no layer is seen: why" in without.more and "compared_layers()" in without.todo
    assert without.more[2].split() == ["my-net", "-", "-", "-", "0.20/0.10"]


def test_who_stands_beside():
    assert references("mnist-scale-56+") == ["cnn", "sesn-vector"] and references("stl10+") == ["cnn", "sesn-b"]
