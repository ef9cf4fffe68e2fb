"""Which runs are asked for. A run is (model, task, realization, protocol); its id is a pure function of those and the data."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import datasets
import models
from bench.errors import BenchError
from bench.protocol import Protocol, Realization
from bench.recipe import Recipe
from bench.settings import Settings, read_yaml
from models.errors import suggestion

PLANS = Path(__file__).parent / "plans"


@dataclass(frozen=True)
class Run:
    """The unit of work. `source` is the hash of the code of a model that is not the suite's, `plugin` its file, if any.

    `arguments`: further command-line arguments that it takes to repeat the run (--protocol, --plugin).
    """

    model: str
    task: str
    realization: int
    protocol: Protocol
    recipe: Recipe
    fingerprint: str
    arguments: tuple[str, ...] = ()
    source: str = ""
    plugin: str = ""

    @cached_property
    def id(self) -> str:
        """Stable and readable, e.g. cnn_mnist-scale-28_r0_quick_1f2e3d4c5b."""
        parts = [self.model, self.task, self.realization, self.protocol.name, self.recipe.digest, self.fingerprint]
        parts += [self.source] if self.source else []
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:10]
        return f"{self.model}_{self.task}_r{self.realization}_{self.protocol.name}_{digest}"

    def seed(self, *purpose: object) -> int:
        """A 63-bit seed, derived from the run's id; another `purpose` (an epoch, say) gives an independent one."""
        text = json.dumps([self.id, *map(str, purpose)])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, for another process."""
        plain = {name: getattr(self, name) for name in ("model", "task", "realization", "arguments", "source", "plugin")}
        return {**plain, "protocol": self.protocol.model_dump(mode="json")}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Run:
        """The same run again."""
        protocol = Protocol.model_validate(plain["protocol"])
        what = plain["model"], plain["task"], plain["realization"], protocol
        return make_run(*what, tuple(plain["arguments"]), plain["source"], plain["plugin"])

    @property
    def command(self) -> str:
        """What to type to do this run alone."""
        chosen = ["--model", self.model, "--task", self.task, "--realizations", str(self.realization)]
        return shlex.join(["bench", "run", *chosen, *self.arguments])


class PlanPart(Settings):
    """Some models on some tasks."""

    models: list[str]
    tasks: list[str]


class Plan(Settings):
    """A named study: bench/plans/*.yaml."""

    summary: str
    realizations: list[Realization]
    runs: list[PlanPart]


def known_plans() -> list[str]:
    """Names of the plans that come with the suite."""
    return sorted(path.stem for path in PLANS.glob("*.yaml"))


def load_plan(name: str) -> Plan:
    """Load a named plan. Raises BenchError: unknown name."""
    if name not in known_plans():
        raise BenchError(f"unknown plan {name!r}{suggestion(name, known_plans())}; plans: {', '.join(known_plans())}")
    try:
        return Plan.model_validate(read_yaml(PLANS / f"{name}.yaml"))
    except ValidationError as error:
        raise BenchError(f"plan {name}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from error


def parse_realizations(text: str) -> list[int]:
    """'0-5' or '0,2,4' -> sorted numbers. Raises BenchError: not numbers, or beyond the published six."""
    allowed = f"0-{datasets.REALIZATIONS - 1}"
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not re.fullmatch("[0-9]+", first) or (dash and not re.fullmatch("[0-9]+", last)):
            raise BenchError(f"realizations {text!r}: give numbers and ranges such as {allowed} or 0,2,4")
        found = set(range(int(first), int(last or first) + 1)) if len(first + last) < 6 else {10**6}
        if not found:
            raise BenchError(f"realizations {text!r}: a range goes from the smaller to the larger number, such as {allowed}")
        numbers |= found
    if max(numbers) >= datasets.REALIZATIONS:
        raise BenchError(f"realizations {text!r}: there are {datasets.REALIZATIONS}; allowed: {allowed}")
    return sorted(numbers)


def match_tasks(patterns: Iterable[str]) -> list[str]:
    """Tasks that match any glob, in the order of the board. Raises BenchError: a glob that matches none."""
    chosen: list[str] = []
    for pattern in patterns:
        matched = [task for task in datasets.TASKS if fnmatchcase(task, pattern)]
        if not matched:
            known = ", ".join(datasets.TASKS)
            raise BenchError(f"unknown task {pattern!r}{suggestion(pattern, datasets.TASKS)}; tasks: {known}")
        chosen += matched
    return [task for task in datasets.TASKS if task in chosen]


def match_models(patterns: Iterable[str], tasks: Sequence[str]) -> list[tuple[str, str]]:
    """(canonical model name, task) for every model that matches a glob on every task that it knows.

    A name with options (`sesn-scalar@config=28p`) is taken on those of the tasks where it exists.
    Raises ModelError: a glob that matches no model, or no model of it knows one of the tasks; ImportError: no torch.
    """
    import torch  # noqa: F401 - as models need it; the command line tells best what is wrong with it

    known = {task: set(models.list_models(task)) for task in tasks}
    chosen: set[tuple[str, str]] = set()
    for pattern in patterns:
        base, at, options = pattern.partition("@")
        names = [name for name in models.list_models() if fnmatchcase(name, base)] or [base]
        found, problem = set(), None
        for name in names:
            for task in [task for task in tasks if name in known[task]] or tasks:
                try:
                    found.add((models.canonical_name(name + at + options, task), task))
                except models.ModelError as error:
                    problem = problem or error
        if problem is not None and not found:
            raise problem
        chosen |= found
    return sorted(chosen)


def make_run(
    model: str, task: str, realization: int, protocol: Protocol, arguments: tuple[str, ...], source: str, plugin: str
) -> Run:
    """One run. Raises BenchError: the protocol has no recipe for the task."""
    recipe = protocol.recipe(task)
    if recipe is None:
        raise BenchError(f"protocol {protocol.name!r} has no recipe for {task}; it covers {list(protocol.recipes)}")
    fingerprint = datasets.fingerprint(task, realization, test_size=recipe.data.test_size)
    return Run(model, task, realization, protocol, recipe, fingerprint, arguments, source, plugin)


def plan_runs(
    parts: Iterable[PlanPart], realizations: Sequence[int], protocol: Protocol, arguments: tuple[str, ...] = ()
) -> list[Run]:
    """All runs asked for, each once: realization by realization, task by task, model by model.

    Raises BenchError or ModelError: an unknown task or model, or nothing to do under this protocol.
    """
    pairs = {pair for part in parts for pair in match_models(part.models, match_tasks(part.tasks))}
    runs = []
    for realization in realizations:
        for task in datasets.TASKS:
            if protocol.recipe(task) is None:
                continue
            for model in sorted(model for model, on in pairs if on == task):
                code = models.info(model, task)
                runs.append(make_run(model, task, realization, protocol, arguments, code.source, code.plugin))
    if not runs:
        raise BenchError(
            f"protocol {protocol.name!r} has no recipe for the tasks asked for; it covers {list(protocol.recipes)}"
        )
    return runs
