"""Describing the machine and the software never raises, whatever refuses to be read."""

import os
import platform
from pathlib import Path

import psutil
import pytest
import torch

from bench.machine import hardware
from bench.machine.hardware import describe_hardware, describe_software

CPU = torch.device("cpu")
KNOWN = ("name", "memory_bytes", "clocks_mhz", "driver", "power_cap_watts", "other_processes")


def refuse(*_, **__):
    raise PermissionError(1, "Operation not permitted")


def test_this_machine():
    found = describe_hardware(CPU)
    assert (found.device, found.driver, found.other_processes) == ("cpu", None, None)
    assert found.cores == psutil.cpu_count()
    assert found.memory_bytes == psutil.virtual_memory().total
    assert found.name not in ("", "unknown")
    software = describe_software()
    assert (software.torch, software.python) == (torch.__version__, platform.python_version())


@pytest.mark.parametrize("kind", [PermissionError, NotImplementedError, RuntimeError, psutil.AccessDenied])
def test_a_system_that_hides_everything(monkeypatch, kind):
    def hidden(*_, **__):
        raise kind

    for module, name in (
        (psutil, "cpu_count"), (psutil, "virtual_memory"), (Path, "read_text"), (platform, "processor"), (platform, "machine"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, hidden)
    found = describe_hardware(CPU)
    assert (found.name, found.memory_bytes, found.cores) == ("unknown", 0, os.cpu_count() or 1)


@pytest.mark.parametrize("text", ["", "nothing of the kind\n", "model name\t: \xff\xfe\n"])
def test_the_processors_name_comes_from_somewhere(monkeypatch, text):
    monkeypatch.setattr(Path, "read_text", lambda *_: text)
    monkeypatch.setattr(platform, "processor", lambda: "a processor")
    assert describe_hardware(CPU).name == ("\xff\xfe" if "model" in text else "a processor")


def test_a_python_whose_own_file_is_gone(monkeypatch):
    """platform.platform reads it for the version of the C library."""
    monkeypatch.setattr(platform, "platform", refuse)
    assert describe_software().platform == "unknown"


@pytest.mark.parametrize(
    ("version", "expected"),
    [(lambda: 91900, "91900"), (lambda: None, None), (refuse, None)],
)
def test_cudnn_is_told_where_it_can_be_used(monkeypatch, version, expected):
    """torch raises RuntimeError where the library that it finds is another than its own."""
    monkeypatch.setattr(torch.backends.cudnn, "version", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert describe_software().cudnn == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (describe_software().cudnn, describe_software().cuda) == (None, None)


def test_cuda_that_cannot_be_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", refuse)
    assert (describe_software().cuda, describe_software().cudnn) == (None, None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", refuse)
    monkeypatch.setattr(torch.cuda, "current_device", refuse)
    monkeypatch.setattr(hardware, "card_state", lambda device: dict.fromkeys(KNOWN))
    found = describe_hardware(torch.device("cuda:3"))
    assert (found.device, found.name, found.memory_bytes, found.other_processes) == ("cuda", "unknown", 0, None)
