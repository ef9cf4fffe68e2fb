"""`bench doctor`: whatever is broken is a line with its remedy, nothing is written, and nothing is a traceback."""

import json
import os
import shutil
import sys
from types import SimpleNamespace

import psutil
import pytest
import torch
from command_line import ROOT, bench, call
from fake_nvml import UUIDS, FakeNvml, NVMLError, card

from bench.doctor import cards, folders, processors, software, torch_probe
from bench.doctor.examination import examination
from bench.doctor.finding import Finding, examine
from bench.machine import source

DRIVER = {"version": "580.82", "cuda": 13000, "cards": 1}
TORCH = {
    "version": "2.15.0+cu130",
    "cuda": "13.0",
    "threads": 2,
    "why_not": "",
    "cards": 1,
    "architectures": ["sm_80", "sm_90"],
}
NONE = TORCH | {"cards": 0, "why_not": "RuntimeError: no"}
CARD = {
    "index": 0, "name": "NVIDIA H100", "capability": [9, 0], "memory": 80_000_000_000, "taints": [], "instance": False,
    "persistence": True, "memory_errors": 0,
}  # fmt: skip


@pytest.fixture
def probe(monkeypatch):
    """probe(...): what the process of its own is to have said. No driver of this machine's is seen, and no variable."""
    monkeypatch.setattr(cards, "DRIVER", ROOT / "no such file")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda **said: monkeypatch.setattr(cards, "probed", lambda: {"driver": {}, "torch": {}, "cards": []} | said)


def lines(questions):
    return [(one.level, one.text, one.remedy) for one in questions()]


TORCHES = {  # what was said, the level, words of the text, words of the remedy
    "fits": ({"driver": DRIVER, "torch": TORCH, "cards": [CARD]}, "ok", "driver 580.82, cuda:0 NVIDIA H100", ""),
    "missing": ({"torch": {"error": "x", "missing": "torch"}}, "look", "is not installed", "equiscale[train]"),
    "broken": ({"torch": {"error": "OSError: libcudart.so"}}, "fail", "OSError: libcudart.so", "equiscale[train]"),
    "a part missing": ({"torch": {"error": "no sympy", "missing": "sympy"}}, "fail", "no sympy", "install it again"),
    "no driver": ({"torch": NONE, "driver": {"error": "NVMLError"}}, "ok", "no NVIDIA driver here", ""),
    "built without": ({"torch": NONE | {"cuda": None}, "driver": DRIVER}, "look", "built without CUDA", "build for CUDA"),
    "driver too old": (
        {"torch": NONE, "driver": DRIVER | {"version": "535.5", "cuda": 12020}}, "fail",
        "driver 535.5 is too old for it, up to CUDA 12.2", "newer driver",
    ),
    "no reason": ({"torch": NONE, "driver": DRIVER}, "fail", "sees no card: RuntimeError: no", "nvidia-smi"),
    "driver of an unknown version": ({"torch": NONE, "driver": DRIVER | {"cuda": None}}, "fail", "sees no card", "nvidia-smi"),
}  # fmt: skip


@pytest.mark.parametrize("what", TORCHES)
def test_torch_against_the_driver(probe, what):
    said, level, text, remedy = TORCHES[what]
    probe(**said)
    ((found, words, to_do),) = lines(cards.torch)
    assert found == level and text in words and remedy in to_do
    assert bool(to_do) is (level != "ok")


def test_a_probe_that_came_to_nothing_is_torch_that_does_not_work(monkeypatch):
    monkeypatch.setattr(cards, "probed", lambda: {"error": "ended a process (SIGSEGV)"})
    ((level, text, _),) = lines(cards.torch)
    assert level == "fail" and "SIGSEGV" in text
    assert lines(cards.cards) == []


def test_hidden_cards(probe, monkeypatch):
    probe(torch=NONE, driver=DRIVER)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    ((level, text, remedy),) = lines(cards.torch)
    assert level == "look" and "CUDA_VISIBLE_DEVICES='7' hides the cards" in text and "unset" in remedy


def test_a_driver_that_nvml_does_not_tell_of(probe, monkeypatch, tmp_path):
    (tmp_path / "version").touch()
    monkeypatch.setattr(cards, "DRIVER", tmp_path / "version")
    probe(torch=NONE, driver={"error": "ModuleNotFoundError", "missing": "pynvml"})
    ((level, text, _),) = lines(cards.torch)
    assert level == "fail" and "an NVIDIA driver, yet it sees no card" in text


CARDS = {
    "well": ({}, "ok", "nobody else is on it", ""),
    "an instance": (
        {"instance": True, "persistence": None, "memory_errors": None},
        "ok",
        "instance of a card (MIG), 80 GB",
        "",
    ),
    "older than torch knows": ({"capability": [7, 0]}, "fail", "is sm_70", "--device cpu"),
    "newer than torch knows": ({"capability": [10, 0]}, "fail", "is sm_100", "build of torch"),
    "newer of the same generation": ({"capability": [8, 6]}, "ok", "nobody", ""),
    "memory errors": ({"memory_errors": 3}, "fail", "3 errors of its memory", "start the machine again"),
    "others": ({"taints": ["2 other processes on the card"]}, "look", "2 other processes", "nvidia-smi lists them"),
    "power": ({"taints": ["power cap 650 W, the card's own is 700 W"]}, "look", "650 W", "nvidia-smi -pl"),
    "heat": ({"taints": ["the card was held back (HwSlowdown)"]}, "look", "HwSlowdown", "cool"),
    "silence": (
        {"taints": ["the driver does not say who else is on the card, or ..."]},
        "look",
        "does not say",
        "nvidia-ml-py",
    ),
    "persistence": ({"persistence": False}, "look", "unloaded", "nvidia-smi -pm 1"),
    "broken": ({"error": "RuntimeError: unspecified launch failure"}, "fail", "does not answer", "nvidia-smi"),
}


@pytest.mark.parametrize("what", CARDS)
def test_cards(probe, what):
    changes, level, text, remedy = CARDS[what]
    probe(torch=TORCH, driver=DRIVER, cards=[CARD | changes])
    ((found, words, to_do),) = lines(cards.cards)
    assert found == level and text in words and remedy in to_do
    assert next(cards.cards()).subject == "cuda:0"


def test_kernels_compiled_on_loading_run_on_newer_cards(probe):
    probe(torch=TORCH | {"architectures": ["sm_80", "compute_90"]}, cards=[CARD | {"capability": [12, 0]}])
    assert [level for level, *_ in lines(cards.cards)] == ["ok"]


def test_what_the_driver_tells_is_what_is_judged(monkeypatch):
    """The probe itself, beside a pretended driver: one card well, one with a neighbour, capped and with bad memory."""
    nvml = FakeNvml([card(0), card(1, pids=[1, 2], persistence=False, memory_errors=5)])
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    of = [SimpleNamespace(uuid=uuid, total_memory=80 << 30) for uuid in UUIDS]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda which: of[which if isinstance(which, int) else which.index])
    for name, value in {
        "is_available": True,
        "device_count": 2,
        "get_device_name": "H100",
        "get_device_capability": (9, 0),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch._C, "_cuda_hasPrimaryContext", lambda _: False, raising=False)
    found = json.loads(json.dumps(torch_probe.probe()))
    assert found["driver"] == {"version": "580.82", "cuda": 13000, "cards": 2}
    assert [one["memory_errors"] for one in found["cards"]] == [0, 5]
    assert [one["persistence"] for one in found["cards"]] == [True, False]
    assert not any("other processes" in line for line in found["cards"][0]["taints"])
    assert "2 other processes on the card" in found["cards"][1]["taints"]
    assert any(line.startswith("power cap 650 W") for line in found["cards"][0]["taints"])


def test_a_driver_that_refuses_everything(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml([], {"nvmlInit": NVMLError("no")}))
    assert "no" in torch_probe.probe()["driver"]["error"]
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert torch_probe.probe()["driver"]["missing"] == "pynvml"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise OSError('libcudart.so.13: cannot open')", "does not work: OSError: libcudart.so.13"),
        ("import os; os.kill(os.getpid(), 11)", "ended a process (SIGSEGV)"),
        ("raise SystemExit('no')", "does not work: SystemExit: no"),
        ("import time; time.sleep(60)", "took more than 2 s"),
        ("print('noise'); cuda = 1", "does not work: AttributeError"),
    ],
)
def test_a_torch_that_breaks_the_process(tmp_path, monkeypatch, code, said):
    (tmp_path / "torch.py").write_text(code + "\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(cards, "SECONDS", 2.0)
    cards.probed.cache_clear()
    ((level, text, remedy),) = lines(cards.torch)
    cards.probed.cache_clear()
    assert level == "fail" and said in text and "equiscale[train]" in remedy


# ------------------------------------------------------------------------------------------------------------------ software


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"a": "2", "b": "1.5"}, [("ok", "2 that")]),
        ({"a": "0.9", "b": "1.5"}, [("fail", "a 0.9 is too old, >=1"), ("ok", "1 that")]),
        ({"b": "1.5"}, [("fail", "a is not installed; the suite needs it"), ("ok", "1 that")]),
        ({"a": "1"}, [("look", "b is not installed; what reads records works"), ("ok", "1 that")]),
        ({"a": "1.1.dev1", "b": "0"}, [("ok", "2 that")]),
    ],
)
@pytest.mark.parametrize("wheel", [False, True])
def test_packages(tmp_path, monkeypatch, there, expected, wheel):
    if wheel:
        listed = ["a>=1", 'b; extra == "train"', "c>9; extra == 'dev'"]
        monkeypatch.setattr(software.importlib.metadata, "requires", lambda name: listed)
    else:
        text = '[project]\ndependencies = ["a>=1"]\noptional-dependencies = {train = ["b"], dev = ["c>9"]}\n'
        (tmp_path / "pyproject.toml").write_text(text)
    monkeypatch.setattr(software, "ROOT", tmp_path)
    monkeypatch.setattr(software.importlib.metadata, "version", lambda name: there[name])
    found = lines(software.packages)
    assert [level for level, *_ in found] == [level for level, _ in expected]
    assert all(words in text for (_, text, _), (_, words) in zip(found, expected, strict=True))
    assert all(bool(remedy) is (level != "ok") for level, _, remedy in found)


def test_other_packages_of_the_same_names(tmp_path, monkeypatch):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(software.HOME), str(tmp_path)])
    found = [line for line in lines(software.names) if "datasets" in line[1]]
    ((level, text, remedy),) = found
    assert level == "look" and str(tmp_path / "datasets" / "__init__.py") in text and "uvx equiscale" in remedy
    monkeypatch.setattr(software, "shadowed", lambda: "theirs was imported in place of the suite's own")
    assert [level for level, *_ in lines(software.names)] == ["fail"]


@pytest.mark.parametrize(("said", "level"), [(("a" * 40, False), "ok"), (("a" * 40, True), "look"), ((None, None), "look")])
def test_the_commit(monkeypatch, said, level):
    monkeypatch.setattr(software, "commit", lambda: said)
    ((found, text, remedy),) = lines(software.code)
    assert found == level and source.version() in text and bool(remedy) is (level == "look")


# ------------------------------------------------------------------------------------------------------------------- machine


@pytest.mark.parametrize(
    ("variables", "used", "level", "words"),
    [
        ({}, 8, "ok", "8 of 64 for this process, 8 threads"),
        ({"OMP_NUM_THREADS": "1"}, 1, "look", "takes 1 threads (OMP_NUM_THREADS=1) of the 8 of 64"),
        ({}, 32, "look", "takes 32 threads, and this process may use 8 of 64"),
        ({"MKL_NUM_THREADS": "16"}, 16, "look", "slower than with 8"),
        ({}, 4, "ok", "8 of 64 for this process, 4 threads"),
        ({}, None, "ok", "8 of 64 for this process"),
    ],
)
def test_threads(probe, monkeypatch, variables, used, level, words):
    probe(torch={} if used is None else TORCH | {"threads": used})
    for name in processors.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(processors, "usable_processors", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    ((found, text, remedy),) = lines(processors.threads)
    assert found == level and words in text and bool(remedy) is (level == "look")


@pytest.mark.parametrize(("text", "expected"), [("250000 100000", 2), ("max 100000", 16), ("50000 100000", 1), ("", 16)])
def test_a_containers_quota(tmp_path, monkeypatch, text, expected):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(processors, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16))
    assert processors.usable_processors() == expected


def test_who_else_is_there(monkeypatch):
    for busy, free, levels in ((1.0, 8e9, ["ok"]), (40.0, 1e9, ["look", "look"])):
        monkeypatch.setattr(psutil, "cpu_percent", lambda _, busy=busy: busy)
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: SimpleNamespace(available=free))
        assert [level for level, *_ in lines(processors.others)] == levels


@pytest.mark.parametrize(
    ("free", "files", "may_be_written", "level", "words"),
    [
        (1e12, 100, True, "ok", "1000.0 GB free"),
        (9e8, 100, True, "look", "which is little"),
        (1e6, 100, True, "fail", "0.05 GB are needed"),
        (1e12, 0, True, "fail", "takes no more files"),
        (1e12, 100, False, "fail", "cannot be written"),
    ],
)
def test_room(tmp_path, monkeypatch, free, files, may_be_written, level, words):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=100, f_favail=files))
    monkeypatch.setattr(os, "access", lambda *_: may_be_written)
    ((found, text, remedy),) = lines(lambda: folders.results(tmp_path / "not" / "yet"))
    assert found == level and words in text
    assert level == "ok" or "--results" in remedy
    assert not (tmp_path / "not").exists()


def test_a_file_where_the_results_are_to_go(tmp_path):
    (tmp_path / "results").touch()
    ((level, text, _),) = lines(lambda: folders.results(tmp_path / "results"))
    assert level == "fail" and "is no folder" in text


def test_data(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    assert [level for level, *_ in lines(folders.data)] == ["fail", "look", "look"]
    assert not [*tmp_path.iterdir()]
    (tmp_path / "data").mkdir()
    (tmp_path / "cache" / "stl10_binary").mkdir(parents=True)
    for name in ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"):
        (tmp_path / "cache" / "stl10_binary" / name).touch()
    for number in range(5):
        (tmp_path / "cache" / f"mnist-scale_10k-2k-50k_{number}.npz").touch()
    (tmp_path / "data" / "mnist.npz").touch()
    mnist, stl10 = lines(folders.data)
    assert (
        mnist[0] == "look"
        and f"5 of 6 realizations are here, the others are built, when they are needed, from {tmp_path}" in mnist[1]
    )
    assert stl10[:2] == ("ok", f"stl10+: {tmp_path / 'cache' / 'stl10_binary'}")
    (tmp_path / "data" / "mnist-scale_10k-2k-50k_5.npz").touch()
    assert [level for level, *_ in lines(folders.data)] == ["ok", "ok"]


# ----------------------------------------------------------------------------------------------------------------- the verb


def test_a_question_that_fails_is_a_line():
    def broken():
        yield Finding("ok", "a", "b")
        raise SystemExit("two\nlines \x1b[31m")

    (found,) = examine("subject", broken)
    assert (found.level, found.subject) == ("look", "subject")
    assert found.text == "cannot be told: SystemExit: two lines [31m"


def test_what_is_printed_and_the_exit_code(capsys, monkeypatch):
    said = [Finding("ok", "a", "well"), Finding("look", "b", "hm", "do this")]
    monkeypatch.setattr("bench.doctor.examination.examination", lambda results: said)
    code, out, _ = call(capsys, "doctor")
    assert code == 0 and out.splitlines() == [
        "ok    a                well",
        "look  b                hm",
        "                       -> do this",
        "1 ok, 1 look, 0 fail",
    ]
    said.append(Finding("fail", "c", "not at all", "do that"))
    code, out, _ = call(capsys, "doctor", "--json")
    document = json.loads(out)
    assert code == 1 and document["fail"] == 1
    assert document["findings"][2] == {"level": "fail", "subject": "c", "text": "not at all", "remedy": "do that"}


def test_everything_broken_at_once(tmp_path):
    """No torch, no home, no cache, no git, no temporary folder, data that are not there: lines, and nothing is left behind."""
    here = tmp_path / "here"
    for name in ("torch", "pynvml", "psutil"):
        (here / "site" / name).mkdir(parents=True)
        (here / "site" / name / "__init__.py").write_text(f"raise ModuleNotFoundError('no', name={name!r})\n")
    (here / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    broken = {
        "BENCH_CACHE": f"{here / 'file'}/cache",
        "BENCH_DATA": "/does/not/exist",
        "TMPDIR": "/does/not/exist",
        "HOME": "",
        "PATH": "",
        "CUDA_VISIBLE_DEVICES": "garbage",
        "PYTHONPATH": f"{here / 'site'}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = bench(here, "doctor", "--results", here / "file", **broken)
    assert (done.returncode, done.stderr) == (1, "")
    assert "Traceback" not in done.stdout
    for words in (
        "look  torch            is not installed",
        f"fail  results          {here / 'file'}: {here / 'file'} is no folder",
        "fail  cache",
        "fail  data             BENCH_DATA=/does/not/exist: there is nothing",
        "look  temporary files  /does/not/exist is not there",
        "look  processors       cannot be told: ModuleNotFoundError",
    ):
        assert words in done.stdout, done.stdout
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("home", [None, "~nobody", "/dev/null"])
def test_no_home(monkeypatch, tmp_path, home):
    for name in ("BENCH_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(cards, "probed", lambda: {"error": "not asked"})
    found = examination(tmp_path)
    assert {one.level for one in found if one.subject == "cache"} <= {"ok", "fail", "look"}
    assert all(one.remedy for one in found if one.level != "ok")
