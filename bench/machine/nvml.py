"""What NVIDIA's driver tells of a card through NVML, value by value: what it refuses is None, and the rest stays.

The functions here never raise: no driver, no library, a card that cannot be found, a refusal of any kind all mean "unknown".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from bench.errors import best_effort


@dataclass(frozen=True)
class Card:
    """NVML's handles of a CUDA device: ``handle`` may be a MIG instance, part of the card ``whole``; else they are the same."""

    handle: Any
    whole: Any


def card_state(device: torch.device) -> dict[str, Any]:
    """The card's state now, by name; None where the driver does not say.

    name, driver (text); memory_bytes; clocks_mhz {graphics, graphics_highest, memory: MHz}, without those refused;
    temperature_celsius; power_cap_watts, default_power_cap_watts; throttle_reasons (names); other_processes (their number,
    this process not among them). Of a MIG instance, what only the whole card knows is the whole card's.
    """
    index = best_effort(torch.cuda.current_device, otherwise=0) if device.index is None else device.index
    nvml = best_effort(library)
    card = best_effort(find, nvml, index)
    state = {name: best_effort(_read, read, card) for name, read in _readers(nvml).items()}
    clocks = {name: state.pop(name) for name in ("graphics", "graphics_highest", "memory")}
    state["clocks_mhz"] = {name: clock for name, clock in clocks.items() if clock is not None} or None
    # An instance's own processes: the whole card's are those of its neighbours too. By number and not by process id: in a
    # container the driver tells ids that nobody inside knows.
    running = best_effort(lambda: len(nvml.nvmlDeviceGetComputeRunningProcesses(card.handle)))
    state["other_processes"] = None if running is None else max(0, running - has_context(index))
    return {**state, "driver": best_effort(lambda: str(nvml.nvmlSystemGetDriverVersion()))}


def has_context(index: int) -> bool:
    """Whether this process has its context on CUDA device ``index``, and so is one of those that the driver counts there.

    Having initialised CUDA is not enough: a question for a card's name does that, and makes no context on any.
    """
    return torch.cuda.is_initialized() and bool(best_effort(lambda: torch._C._cuda_hasPrimaryContext(index), otherwise=True))


def throttle_reasons(bits: int) -> list[str]:
    """The driver's names of the reasons for which clocks are not at their highest."""
    import pynvml

    prefix = "nvmlClocksThrottleReason"
    names = {name.removeprefix(prefix): getattr(pynvml, name) for name in dir(pynvml) if name.startswith(prefix)}
    return sorted(name for name, bit in names.items() if bit & bits and name not in ("All", "None"))


def find(nvml: Any, index: int) -> Card | None:
    """The card that CUDA calls ``index``: by its UUID, its place on the bus, or else what CUDA_VISIBLE_DEVICES says.

    None: NVML knows no such card, or several of which it may be any.
    """
    properties = best_effort(torch.cuda.get_device_properties, index)
    looks: list[Callable[[], Any]] = [
        lambda: nvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}"),
        lambda: nvml.nvmlDeviceGetHandleByUUID(f"MIG-{properties.uuid}"),
        lambda: nvml.nvmlDeviceGetHandleByPciBusId(_bus_id(properties)),
        lambda: _visible(nvml, _entry(index)),
    ]
    handle = next((found for look in looks if (found := best_effort(look)) is not None), None)
    return None if handle is None else _card(nvml, handle, index)


def persistence(whole: Any) -> bool | None:
    """Whether the driver stays loaded while nobody uses a card. None: it does not say."""
    found: bool | None = best_effort(lambda: bool(library().nvmlDeviceGetPersistenceMode(whole)))
    return found


def memory_errors(whole: Any) -> int | None:
    """How many errors of a card's memory could not be corrected since the driver was loaded. None: that is not known."""
    nvml = best_effort(library)
    found: int | None = best_effort(
        lambda: int(nvml.nvmlDeviceGetTotalEccErrors(whole, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC))
    )
    return found


def library() -> Any:
    """NVIDIA's library, started. Raises ImportError, and whatever pynvml raises where there is no driver."""
    import pynvml

    pynvml.nvmlInit()
    return pynvml


def _bus_id(properties: Any) -> str:
    return f"{properties.pci_domain_id:08x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"


def _card(nvml: Any, handle: Any, index: int) -> Card:
    """Of a card in MIG mode CUDA shows one instance: the one asked for, else the first."""
    whole = best_effort(lambda: nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle))
    if whole is not None:
        return Card(handle, whole)
    instances = _instances(nvml, handle)
    named = [one for one in instances if _named(nvml, one, _entry(index))]
    return Card((named or instances or [handle])[0], handle)


def _instances(nvml: Any, whole: Any) -> list[Any]:
    numbers = range(best_effort(lambda: int(nvml.nvmlDeviceGetMaxMigDeviceCount(whole)), otherwise=0))
    found = [best_effort(nvml.nvmlDeviceGetMigDeviceHandleByIndex, whole, number) for number in numbers]
    return [handle for handle in found if handle is not None]  # numbers may be free


def _entry(index: int) -> str:
    """What CUDA_VISIBLE_DEVICES has in the place of a device: a number, or the beginning of a UUID. Empty: nothing."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return str(index)
    return dict(enumerate(entry.strip() for entry in given.split(","))).get(index, "")


def _visible(nvml: Any, entry: str) -> Any:
    """The handle of the only card or instance that an entry of CUDA_VISIBLE_DEVICES means; None: there is none, or several."""
    cards = [best_effort(nvml.nvmlDeviceGetHandleByIndex, i) for i in range(nvml.nvmlDeviceGetCount())]
    present = [card for card in cards if card is not None]
    if number := re.match(r"\d+", entry):
        # NVML counts in the order of the bus, and so does CUDA among equal cards; of others it counts the fastest first.
        alike = len({best_effort(nvml.nvmlDeviceGetName, card) for card in present}) == 1
        return cards[int(number[0])] if alike or os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" else None
    handles = [*present, *(one for card in present for one in _instances(nvml, card))]
    (handle,) = (one for one in handles if _named(nvml, one, entry))
    return handle


def _named(nvml: Any, handle: Any, entry: str) -> bool:
    """Whether an entry is the beginning of the card's or instance's UUID."""
    known: bool = best_effort(lambda: str(nvml.nvmlDeviceGetUUID(handle)).startswith(entry), otherwise=False)
    return known and entry.startswith(("GPU-", "MIG-"))


def _read(read: Callable[[Any], Any], card: Any) -> Any:
    own = best_effort(lambda: read(card.handle))
    return read(card.whole) if own is None else own


def _readers(nvml: Any) -> dict[str, Callable[[Any], Any]]:
    return {
        "name": lambda handle: str(nvml.nvmlDeviceGetName(handle)),
        "memory_bytes": lambda handle: int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        "graphics": lambda handle: int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
        "graphics_highest": lambda handle: int(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)),
        "memory": lambda handle: int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
        "temperature_celsius": lambda handle: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        "power_cap_watts": lambda handle: nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1000,
        "default_power_cap_watts": lambda handle: nvml.nvmlDeviceGetPowerManagementDefaultLimit(handle) / 1000,
        "throttle_reasons": lambda handle: throttle_reasons(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
    }
