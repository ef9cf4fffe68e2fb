"""What makes a timing tainted."""

import re
import time

import pynvml
import pytest

from bench.machine.background_load import BackgroundLoad, taints
from bench.machine.nvml import throttle_reasons
from leaderboard.records.timing import DeviceState


def a_state(**changes):
    quiet = {
        "when": "busy", "clocks_mhz": {"graphics": 1980}, "temperature_celsius": 60.0, "power_cap_watts": 700.0,
        "default_power_cap_watts": 700.0, "throttle_reasons": ["ApplicationsClocksSetting"], "other_processes": 0,
    }  # fmt: skip
    return DeviceState.model_validate(quiet | changes)


def test_a_quiet_device_taints_nothing():
    assert taints([a_state(), a_state(throttle_reasons=["GpuIdle"])], None) == []
    assert taints([], 0.03) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"other_processes": 2}, "busy: 2 other processes"),
        ({"throttle_reasons": ["GpuIdle", "SwThermalSlowdown"]}, r"held back \(SwThermalSlowdown\)"),
        ({"power_cap_watts": 350.0}, "power cap 350 W"),
        ({"other_processes": None}, "does not say"),
        ({"throttle_reasons": None}, "does not say"),
    ],
)
def test_what_taints_a_card(changes, said):
    (reason,) = taints([a_state(), a_state(**changes)], None)
    assert re.search(said, reason)


def test_other_processes_on_the_processors_taint():
    assert taints([], 0.4) == ["other processes used 40% of the processors"]


def test_throttle_reasons_by_the_drivers_names():
    bits = pynvml.nvmlClocksThrottleReasonGpuIdle | pynvml.nvmlClocksThrottleReasonSwPowerCap
    assert throttle_reasons(bits) == ["GpuIdle", "SwPowerCap"]
    assert throttle_reasons(0) == []


def test_others_are_a_share():
    others = BackgroundLoad()
    time.sleep(0.1)
    assert 0 <= others.share() <= 1


def test_a_system_that_does_not_tell_is_unknown(monkeypatch):
    def refuses():
        raise PermissionError("/proc/stat")

    monkeypatch.setattr("psutil.cpu_times", refuses)
    assert BackgroundLoad().share() is None
