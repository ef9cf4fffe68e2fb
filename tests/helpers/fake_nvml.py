"""A pretended pynvml: some cards, some of them cut into MIG instances, and a list of what the driver refuses."""

from dataclasses import dataclass, field
from types import SimpleNamespace

UUIDS = [f"{digit * 8}-1111-2222-3333-444444444444" for digit in "abc"]


class NVMLError(Exception):
    """The driver says no."""


class NVMLLibraryMismatchError(Exception):
    """What pynvml raises, and no NVMLError, where the driver is older than itself."""


@dataclass(eq=False)
class Handle:
    """A card, or an instance of one (`whole`): an instance tells its name, memory and processes, and nothing else."""

    uuid: str
    name: str = "NVIDIA H100"
    bus: str = ""
    memory: int = 80
    clock: int = 1980
    pids: list = field(default_factory=list)
    instances: list = field(default_factory=list)
    whole: "Handle | None" = None
    may_be_seen: bool = True
    persistence: bool = True
    memory_errors: int = 0


def card(number, instances=(), **values):
    """Card `number` of a machine, with the instances of these UUIDs (None: a free place)."""
    made = Handle(f"GPU-{UUIDS[number]}", bus=f"00000000:{number + 1:02x}:00.0", clock=1000 + number, **values)
    made.instances = [uuid and Handle(uuid, f"{made.name} MIG 1g.10gb", memory=10, whole=made) for uuid in instances]
    return made


class FakeNvml(SimpleNamespace):
    """The module. `refused`: names of its functions -> the exception they raise."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    nvmlClocksThrottleReasonGpuIdle, nvmlClocksThrottleReasonSwPowerCap = 1, 4
    nvmlClocksThrottleReasonNone, nvmlClocksThrottleReasonAll = 0, 5
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC = 1, 0

    def __init__(self, cards, refused=()):
        super().__init__(cards=cards, refused=dict(refused), started=False)

    def __getattribute__(self, name):
        if name.startswith("nvml") and name in object.__getattribute__(self, "refused"):
            return object.__getattribute__(self, "_refuse")(name)
        if name.startswith(("nvmlDevice", "nvmlSystem")) and not object.__getattribute__(self, "started"):
            raise NVMLError("uninitialized")
        return object.__getattribute__(self, name)

    def _refuse(self, name):
        def refusal(*_):
            raise self.refused[name]

        return refusal

    def nvmlInit(self):
        self.started = True

    def nvmlSystemGetDriverVersion(self):
        return "580.82"

    def nvmlSystemGetCudaDriverVersion(self):
        return 13000

    def nvmlDeviceGetPersistenceMode(self, handle):
        return int(self._whole(handle).persistence)

    def nvmlDeviceGetTotalEccErrors(self, handle, kind, counter):
        assert (kind, counter) == (self.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, self.NVML_VOLATILE_ECC)
        return self._whole(handle).memory_errors

    def nvmlDeviceGetCount(self):
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, number):
        return self._one(handle for i, handle in enumerate(self.cards) if i == number)

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return self._one(handle for handle in self._all() if handle.uuid == uuid)

    def nvmlDeviceGetHandleByPciBusId(self, bus):
        return self._one(handle for handle in self.cards if handle.bus == bus)

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):
        return len(handle.instances)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, number):
        return self._one([handle.instances[number]])

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):
        return self._one([handle.whole])

    def nvmlDeviceGetUUID(self, handle):
        return handle.uuid

    def nvmlDeviceGetName(self, handle):
        return handle.name

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=handle.memory)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [SimpleNamespace(pid=pid) for pid in handle.pids]

    def nvmlDeviceGetClockInfo(self, handle, which):
        return self._whole(handle).clock + 600 * (which == self.NVML_CLOCK_MEM)

    def nvmlDeviceGetMaxClockInfo(self, handle, _):
        return self._whole(handle).clock + 1

    def nvmlDeviceGetTemperature(self, handle, _):
        return 60 if self._whole(handle) else 0

    def nvmlDeviceGetPowerManagementLimit(self, handle):
        return 650_000 if self._whole(handle) else 0

    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle):
        return 700_000 if self._whole(handle) else 0

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        return self.nvmlClocksThrottleReasonSwPowerCap if self._whole(handle) else 0

    def _all(self):
        return [one for handle in self.cards for one in (handle, *filter(None, handle.instances))]

    @staticmethod
    def _one(handles):
        (found,) = [*handles] or [None]
        if found is None or not found.may_be_seen:
            raise NVMLError("not found, or not for you")
        return found

    @staticmethod
    def _whole(handle):
        if handle.whole is not None:
            raise NVMLError("not supported")
        return handle
