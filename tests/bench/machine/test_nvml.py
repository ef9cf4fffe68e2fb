"""What a driver tells of a card, pretended: every refusal by itself, MIG, several cards, CUDA_VISIBLE_DEVICES, no driver."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fake_nvml import UUIDS, FakeNvml, NVMLError, NVMLLibraryMismatchError, card

from bench.machine.background_load import gpu_state, taints
from bench.machine.hardware import describe_hardware
from bench.machine.nvml import card_state

ROOT = Path(__file__).resolve().parents[3]
KNOWN = {
    "name": "NVIDIA H100", "driver": "580.82", "memory_bytes": 80, "temperature_celsius": 60.0, "power_cap_watts": 650.0,
    "clocks_mhz": {"graphics": 1000, "graphics_highest": 1001, "memory": 1600}, "default_power_cap_watts": 700.0,
    "throttle_reasons": ["SwPowerCap"], "other_processes": 0,
}  # fmt: skip
REFUSALS = {  # which function is refused -> what is unknown then
    "nvmlSystemGetDriverVersion": "driver",
    "nvmlDeviceGetName": "name",
    "nvmlDeviceGetMemoryInfo": "memory_bytes",
    "nvmlDeviceGetTemperature": "temperature_celsius",
    "nvmlDeviceGetPowerManagementLimit": "power_cap_watts",
    "nvmlDeviceGetPowerManagementDefaultLimit": "default_power_cap_watts",
    "nvmlDeviceGetCurrentClocksThrottleReasons": "throttle_reasons",
    "nvmlDeviceGetComputeRunningProcesses": "other_processes",
}
KINDS = [NVMLError("no"), NVMLLibraryMismatchError("older"), AttributeError("unknown"), OSError("lost")]


@pytest.fixture
def machine(monkeypatch):
    """machine(cards, ...): NVML shows these cards. `cuda`: what torch knows of each of its own; `contexts`: where we are."""
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)

    def make(cards, *, visible=None, order=None, cuda=None, contexts=(), refused=()):
        nvml = FakeNvml(cards, refused)
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        known = [SimpleNamespace(uuid=uuid) for uuid in UUIDS] if cuda is None else cuda
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda which: known[torch.device("cuda", index(which)).index])
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # as it is once torch told the properties
        monkeypatch.setattr(torch._C, "_cuda_hasPrimaryContext", lambda i: i in contexts, raising=False)
        return nvml

    return make


def index(which):
    return which if isinstance(which, int) else which.index or 0


def state(number=0):
    return card_state(torch.device("cuda", number))


def test_everything_told(machine):
    machine([card(0)])
    assert state() == card_state(torch.device("cuda")) == KNOWN


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("function", "name"), REFUSALS.items())
def test_one_refusal_costs_one_value(machine, function, name, error):
    machine([card(0)], refused={function: error})
    assert state() == KNOWN | {name: None}
    found = gpu_state(torch.device("cuda:0"), "busy")
    assert found.model_dump() == {"when": "busy"} | {name: state()[name] for name in found.model_dump() if name != "when"}
    hardware = describe_hardware(torch.device("cuda:0"))
    told = {name: getattr(hardware, name) for name in ("driver", "power_cap_watts", "other_processes")}
    assert told == {name: state()[name] for name in told}
    assert hardware.clocks_mhz == {"graphics": 1000, "memory": 1600}


def test_a_refused_clock_leaves_the_others(machine):
    machine([card(0)], refused={"nvmlDeviceGetMaxClockInfo": NVMLError()})
    assert state()["clocks_mhz"] == {"graphics": 1000, "memory": 1600}
    machine([card(0)], refused={"nvmlDeviceGetClockInfo": NVMLError()})
    assert state()["clocks_mhz"] == {"graphics_highest": 1001}
    assert describe_hardware(torch.device("cuda:0")).clocks_mhz is None


def test_a_driver_that_refuses_all(machine):
    names = [name for name in dir(FakeNvml) if name.startswith("nvmlDevice")]
    machine([card(0)], refused=dict.fromkeys(names, NVMLError()))
    assert state() == dict.fromkeys(KNOWN) | {"driver": "580.82"}
    assert taints([gpu_state(torch.device("cuda:0"), "busy")], None) == [
        "busy: the driver does not say who else is on the card, or whether it is held back"
    ]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_no_driver(machine, error):
    machine([card(0)], refused={"nvmlInit": error})
    assert state() == dict.fromkeys(KNOWN)


def test_no_pynvml(machine, monkeypatch):
    machine([card(0)])
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert state() == dict.fromkeys(KNOWN)
    assert gpu_state(torch.device("cuda:0"), "after").throttle_reasons is None


def test_the_real_pynvml_on_a_machine_without_a_card_or_with():
    """Whatever this machine is: nothing raises, and what is told is of the right kinds."""
    found = state()
    assert set(found) == set(KNOWN)
    assert all(value is None or isinstance(value, type(KNOWN[name])) for name, value in found.items())


@pytest.mark.parametrize("by", ["uuid", "bus"])
def test_several_cards_by_what_torch_knows_whatever_their_order(machine, by):
    order = [2, 0, 1]
    bus = {"pci_domain_id": 0, "pci_device_id": 0}
    known = {
        "uuid": [SimpleNamespace(uuid=UUIDS[number]) for number in order],
        "bus": [SimpleNamespace(uuid="0" * 8, pci_bus_id=number + 1, **bus) for number in order],
    }
    machine([card(0), card(1), card(2)], visible="0,1,2", cuda=known[by])
    assert [state(i)["clocks_mhz"]["graphics"] for i in range(3)] == [1002, 1000, 1001]


@pytest.mark.parametrize(
    ("visible", "clocks"),
    [
        (None, [1000, 1001, 1002]),
        ("0,1,2", [1000, 1001, 1002]),
        ("2, 0", [1002, 1000, None]),
        ("1", [1001, None, None]),
        ("", [None, None, None]),
        ("-1", [None, None, None]),
        ("7", [None, None, None]),
        (f"GPU-{UUIDS[1]}", [1001, None, None]),
        (f"GPU-{UUIDS[2]},GPU-{UUIDS[0]}", [1002, 1000, None]),
        ("GPU-b,GPU-a", [1001, 1000, None]),
        ("GPU-", [None, None, None]),  # any of them
        ("GPU-f,GPU-a", [None, 1000, None]),
        ("bbbbbbbb", [None, None, None]),
    ],
)
def test_cuda_visible_devices_where_torch_knows_nothing(machine, visible, clocks):
    machine([card(0), card(1), card(2)], visible=visible, cuda=[])
    found = [(state(i)["clocks_mhz"] or {}).get("graphics") for i in range(3)]
    assert found == clocks
    assert state(2)["driver"] == "580.82"


def test_a_number_means_nothing_among_unequal_cards_unless_cuda_counts_as_the_driver_does(machine):
    cards = [card(0), card(1, name="NVIDIA T4")]
    machine(cards, visible="1", cuda=[])
    assert state()["name"] is None
    machine(cards, visible="1", order="PCI_BUS_ID", cuda=[])
    assert state()["name"] == "NVIDIA T4"


def test_cards_that_may_not_be_seen_are_passed_over(machine):
    machine([card(0, may_be_seen=False), card(1)], visible="1", cuda=[])
    assert state()["clocks_mhz"]["graphics"] == 1001


INSTANCES = ["MIG-11111111-1", None, "MIG-22222222-2"]
NEW, OLD = INSTANCES, [f"MIG-GPU-{UUIDS[1]}/{number}/0" for number in (1, 2)]


@pytest.mark.parametrize(
    ("names", "uuid", "visible", "expected"),
    [
        (NEW, "22222222-2", None, "MIG-22222222-2"),  # torch knows the instance's own UUID
        (NEW, "11111111-1", "MIG-11111111-1", "MIG-11111111-1"),
        (NEW, UUIDS[1], "MIG-22222222-2", "MIG-22222222-2"),  # torch knows the whole card's
        (NEW, UUIDS[1], "MIG-2", "MIG-22222222-2"),
        (NEW, UUIDS[1], "1", "MIG-11111111-1"),  # CUDA shows the first instance only
        (NEW, None, "1", "MIG-11111111-1"),
        (NEW, None, "MIG-2", "MIG-22222222-2"),
        (OLD, None, OLD[1], OLD[1]),
        (OLD, UUIDS[1], OLD[1], OLD[1]),
    ],
)
def test_mig(machine, names, uuid, visible, expected):
    """Name, memory and neighbours are the instance's own, the rest is the whole card's."""
    whole = card(1, names, pids=[1, 2, 3, 4, 5])
    for number, instance in enumerate(filter(None, whole.instances)):
        instance.pids = list(range(number + 1))
        instance.memory = 10 + number
    machine([card(0), whole], visible=visible, cuda=[SimpleNamespace(uuid=uuid)] if uuid else [], contexts=[0])
    number = [name for name in names if name].index(expected)
    assert state() == KNOWN | {
        "name": "NVIDIA H100 MIG 1g.10gb", "memory_bytes": 10 + number, "other_processes": number,
        "clocks_mhz": {"graphics": 1001, "graphics_highest": 1002, "memory": 1601},
    }  # fmt: skip


def test_an_instance_that_hides_its_processes_is_not_given_those_of_the_whole_card(machine):
    machine([card(0, NEW, pids=[1, 2])], refused={"nvmlDeviceGetComputeRunningProcesses": NVMLError()})
    assert state()["other_processes"] is None
    assert state()["clocks_mhz"]["graphics"] == 1000


@pytest.mark.parametrize("pids", [[os.getpid()], [4_000_001], [4_000_001, 4_000_002]])  # a container's driver tells outer ids
def test_this_process_is_no_neighbour_of_its_own(machine, pids):
    machine([card(0, pids=pids), card(1, pids=pids)], contexts=[1])
    neighbours = [describe_hardware(torch.device("cuda", i)).other_processes for i in range(2)]
    assert neighbours == [len(pids), len(pids) - 1]  # it has its context on the second card alone


def test_before_cuda_is_begun_this_process_is_on_no_card(machine, monkeypatch):
    machine([card(0, pids=[7])], contexts=[0])
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert state()["other_processes"] == 1


def test_a_list_that_leaves_this_process_out(machine):
    machine([card(0)], contexts=[0])
    assert state()["other_processes"] == 0


def test_a_card_that_does_not_answer_cuda_any_more_is_described_by_its_driver(machine):
    machine([card(0)], cuda=[])
    found = describe_hardware(torch.device("cuda:0"))
    assert (found.name, found.memory_bytes, found.driver) == ("NVIDIA H100", 80, "580.82")
    machine([], cuda=[])
    found = describe_hardware(torch.device("cuda:0"))
    assert (found.device, found.name, found.memory_bytes, found.driver) == ("cuda", "unknown", 0, "580.82")


ON_A_CARD = """
import torch
from bench.machine.nvml import card_state, has_context
last = torch.device("cuda", torch.cuda.device_count() - 1)
properties, before = torch.cuda.get_device_properties(last), card_state(last)
asked = [has_context(index) for index in range(torch.cuda.device_count())]
kept = torch.zeros(1, device=last)
after = card_state(last)
assert has_context(last.index)
assert before["driver"] is None or before["name"] == properties.name, (before, properties)
print("no NVML here" if before["driver"] is None else "found")
print(f"contexts made by a question: {asked}", before, after, sep="\\n")
"""


@pytest.mark.gpu
def test_a_real_card_is_found_by_its_driver():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    done = subprocess.run([sys.executable, "-c", ON_A_CARD], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    if done.stdout.startswith("no NVML"):
        pytest.skip("no NVML here")
