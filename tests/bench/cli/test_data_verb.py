"""`bench data`, and cutting out the middle of images: what is asked for is done, or one line says why not."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import datasets
from bench.cli.main import main


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the verb asks for; nothing is fetched."""
    calls: list[tuple[Any, ...]] = []

    def load(task: str, realization: int, split: str, *, test_size: int | None) -> None:
        calls.append((task, realization, split))

    monkeypatch.setattr(datasets, "prepare", lambda tasks, numbers, test_size: calls.append((tasks, numbers, test_size)))
    monkeypatch.setattr(datasets, "load", load)
    return calls


def bench(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["data", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize(
    ("arguments", "prepared"),
    [
        ([], [(["mnist-scale-28"], [0, 1, 2, 3, 4, 5], None), (["stl10+"], [0], None)]),
        (["--realizations", "2,0-1, 2"], [(["mnist-scale-28"], [0, 1, 2], None), (["stl10+"], [0], None)]),
        (["--task", "mnist-scale-5*"], [(["mnist-scale-56"], [0, 1, 2, 3, 4, 5], None)]),
        (["--test-size", "48000", "--realizations", "1"], [(["mnist-scale-28"], [1], 48_000), (["stl10+"], [0], None)]),
        (["--task", "stl10+", "--realizations", "3"], [(["stl10+"], [0], None)]),
        (["--task", "stl10+", "--test-size", "8000"], [(["stl10+"], [0], 8000)]),
    ],
)
def test_what_is_asked_for(arguments: list[str], prepared: list[Any], asked: list[Any]) -> None:
    assert bench(*arguments) == 0
    assert [call for call in asked if isinstance(call[0], list)] == prepared


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--realizations", ""], "--realizations is empty"),
        (["--realizations", "6"], "allowed: 0-5"),
        (["--realizations", "-1"], "realizations '-1'"),
        (["--realizations", "5-0"], "realizations '5-0'"),
        (["--realizations", "0-"], "such as 0-5"),
        (["--realizations", "0;1"], "realizations '0;1'"),
        (["--realizations", "1e0"], "realizations '1e0'"),
        (["--realizations", "9" * 5000], "allowed: 0-5"),
        (["--task", "mnist"], "unknown task 'mnist'"),
        (["--task", ""], "--task is empty"),
        (["--task", "["], "unknown task '['"),
        (["--test-size", "7"], "test_size 7 does not exist"),
        (["--test-size", "0"], "test_size 0 does not exist"),
        (["--test-size", "many"], "--test-size"),
        (["--task", "stl10+", "--test-size", "50000"], "test_size 50000 does not exist for stl10+; allowed: 8000"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str], said: str, asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*arguments) == 2 and asked == []
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_one_that_cannot_be_had_does_not_keep_the_other(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare = datasets.prepare

    def offline(tasks: list[str], numbers: list[int], test_size: int | None) -> None:
        if tasks != ["stl10+"]:
            raise datasets.DataError("no MNIST")
        prepare(tasks, numbers, test_size=test_size)

    monkeypatch.setattr(datasets, "prepare", offline)
    assert bench() == 2
    output = capsys.readouterr()
    assert output.err == "bench: no MNIST\n" and "stl10+ test: 8000 images, MD5 as published" in output.out


def test_interrupted_it_says_one_line_and_keeps_what_is_there(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import os
    import signal

    monkeypatch.setattr(datasets, "prepare", lambda *_, **__: (os.kill(os.getpid(), signal.SIGINT), threading.Event().wait(20)))
    assert bench() == 75
    assert capsys.readouterr().err.count("\n") == 1
