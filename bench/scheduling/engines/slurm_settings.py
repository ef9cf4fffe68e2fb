"""The KEY=VALUE settings of `--slurm`, checked as submitit takes them before anything is submitted.

submitit's own settings have types; those of one kind of cluster, slurm_..., are options of sbatch as submitit's
`_make_sbatch_string` names and annotates them, https://github.com/facebookincubator/submitit. Imports submitit where such
a setting is given, and no torch.
"""

from __future__ import annotations

import inspect
import math
import re
import shutil
from collections.abc import Callable, Sequence
from typing import Any

from bench.errors import BenchError, best_effort
from models.errors import suggestion

EXAMPLE = "such as slurm_partition=gpu or timeout_min=60"
LOCAL = "local"
NUMBER = re.compile(r"[0-9]{1,9}")
# What sbatch takes where submitit's annotation says a whole number: 1-12:00:00, 2-4 nodes, a100:2.
OTHER_FORMS = {
    "time": (re.compile(r"[0-9]{1,4}(-[0-9:]+|(:[0-9]{1,2}){1,2})"), "or a time such as 1-12:00:00"),
    "nodes": (re.compile(r"[0-9]{1,6}-[0-9]{1,6}"), "or a range such as 2-4"),
    "gpus_per_node": (re.compile(r"[\w.-]+:[0-9]{1,6}"), "or a kind and number such as a100:2"),
    "gpus_per_task": (re.compile(r"[\w.-]+:[0-9]{1,6}"), "or a kind and number such as a100:2"),
}


def parse_settings(given: Sequence[str]) -> dict[str, Any]:
    """{"timeout_min": 60} from ["timeout_min=60"]. Raises BenchError: a key that there is not, or a value not its own."""
    found: dict[str, Any] = {}
    for setting in given:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not (key and equals and value):
            raise BenchError(f"--slurm {setting!r}: give KEY=VALUE, {EXAMPLE}")
        if key in found:
            raise BenchError(f"--slurm {key} is given twice; leave one out")
        found[key] = _value(key, value)
    return found


def check_cluster(settings: dict[str, Any]) -> None:
    """Raises BenchError: the jobs are Slurm's to run, and there is no Slurm here."""
    if settings.get("cluster", "slurm") == "slurm" and shutil.which("srun") is None:
        raise BenchError(
            "--engine slurm: there is no Slurm here (no srun on PATH); type it on a login node, or add "
            f"--slurm cluster={LOCAL} to run the jobs on this machine"
        )


def _value(key: str, value: str) -> Any:
    if key in OWN:
        return OWN[key](key, value)
    prefix, _, name = key.partition("_")
    known = _of_sbatch()
    if prefix != "slurm" or (known and name not in known):
        names = [*OWN, *(f"slurm_{name}" for name in known or ("partition",))]
        raise BenchError(f"--slurm: there is no setting {key!r}{suggestion(key, names)}; settings: {', '.join(names)}")
    kind = known.get(name, "")
    if "Dict" in kind:
        raise BenchError(f"--slurm {key}: a table cannot be given here; settings: {', '.join(OWN)}, slurm_...")
    if "List" in kind or "Iterable" in kind:
        return [value]
    if "bool" in kind and ("str" not in kind or value.lower() in ("true", "false")):
        return _yes_or_no(key, value)
    return _whole(0, name)(key, value) if "int" in kind else value


def _of_sbatch() -> dict[str, str]:
    """Name and annotation of each option that submitit knows; nothing where it does not tell, and it judges alone."""

    def ask() -> dict[str, str]:
        from submitit.slurm import slurm

        names = slurm.SlurmExecutor._valid_parameters()
        parameters = inspect.signature(slurm._make_sbatch_string).parameters
        return {name: str(parameters[name].annotation) for name in parameters if name in names}

    found: dict[str, str] = best_effort(ask, otherwise={})
    return found


def _whole(least: int, name: str = "") -> Callable[[str, str], int | str]:
    def parse(key: str, value: str) -> int | str:
        form, words = OTHER_FORMS.get(name, (None, ""))
        if form is not None and form.fullmatch(value):
            return value
        if not NUMBER.fullmatch(value) or int(value) < least:
            raise BenchError(f"--slurm {key}={value}: give a whole number from {least}{' ' * bool(words)}{words}")
        return int(value)

    return parse


def _gigabytes(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise BenchError(f"--slurm {key}={value}: give a number of gigabytes above 0, such as 16 or 7.5")
    return number


def _yes_or_no(key: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BenchError(f"--slurm {key}={value}: give true or false")
    return value.lower() == "true"


def _cluster(key: str, value: str) -> str:
    if value not in ("slurm", LOCAL):
        raise BenchError(f"--slurm {key}={value}: give slurm, or {LOCAL} to run the jobs on this machine")
    return value


OWN: dict[str, Callable[[str, str], Any]] = {
    "cluster": _cluster,
    "name": lambda _, value: value,
    "timeout_min": _whole(1),
    "mem_gb": _gigabytes,
    "nodes": _whole(1),
    "cpus_per_task": _whole(1),
    "gpus_per_node": _whole(0),
    "tasks_per_node": _whole(1),
    "stderr_to_stdout": _yes_or_no,
}
