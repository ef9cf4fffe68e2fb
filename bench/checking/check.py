"""All checks of some models, each with a time limit, in a process that has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from bench.checking.beside import compared, references
from bench.checking.finding import Finding
from bench.checking.names import CHECKS, NEEDED
from bench.checking.process import STARTING, Gone, Worker
from bench.errors import BenchError
from bench.measure.equivariance import Errors

FINDING, ERRORS = TypeAdapter(Finding), TypeAdapter(Errors)


@dataclass(frozen=True)
class Checked:
    """A finding, and of what."""

    model: str
    task: str
    check: str
    finding: Finding


class Checker:
    """Checks the networks of `names`, or of all that a plugin registers, on the tasks of some globs."""

    def __init__(self, plugins: Sequence[str], names: Sequence[str], tasks: Sequence[str], limit: float | None) -> None:
        """`limit`: seconds for each check. Raises BenchError: there is no such model or task, or a file cannot be loaded."""
        self.limit = limit
        self.worker, self.clean = Worker([*plugins]), Worker([])  # the latter runs no stranger's code
        self.known: dict[str, dict[str, Errors]] = {}  # of the networks to compare with, by task
        try:
            registered = self.worker.ask(STARTING, do="load", plugins=[*plugins]) if not names else []
            wanted = [*names] or registered
            self.pairs = [(model, task) for model, task in self.worker.ask(STARTING, do="pairs", names=wanted, tasks=[*tasks])]
        except Gone as gone:
            self.close()
            raise BenchError(f"{' and '.join(plugins) or 'the model'} cannot be loaded: {gone}") from None

    def close(self) -> None:
        """End the processes."""
        self.worker.close()
        self.clean.close()

    def _limit(self, task: str) -> float:
        return self.limit or (600 if task.startswith("stl10") else 120)

    def findings(self) -> Iterator[Checked]:
        """One by one, as they are made."""
        for model, task in self.pairs:
            base = task.removesuffix("+")
            if (model, base) in self.pairs and base != task and self._is_same(model, task, base):
                yield Checked(
                    model, task, "network", Finding("pass", f"to the bit the network of {base}, which is checked there")
                )
                continue
            for check in CHECKS:
                finding = self._check(model, task, check)
                yield Checked(model, task, check, finding)
                if finding.verdict == "fail" and check in NEEDED:
                    break
            else:
                yield Checked(model, task, "equivariance", self._equivariance(model, task))

    def _is_same(self, model: str, task: str, base: str) -> bool:
        try:
            return bool(self.worker.ask(self._limit(task), do="same", model=model, task=task, base=base))
        except (Gone, BenchError):  # which the checks themselves will say
            return False

    def _check(self, model: str, task: str, check: str) -> Finding:
        try:
            return FINDING.validate_python(self.worker.ask(self._limit(task), do="check", name=check, model=model, task=task))
        except (Gone, BenchError) as error:
            return Finding("fail", str(error), CHECKS[check][2])

    def _equivariance(self, model: str, task: str) -> Finding:
        try:
            said = self.worker.ask(self._limit(task), do="errors", model=model, task=task)
        except (Gone, BenchError) as error:
            return Finding("fail", str(error))
        if "finding" in said:
            return FINDING.validate_python(said["finding"])
        own = ERRORS.validate_python(said["errors"])
        if task not in self.known:
            self.known[task] = {name: self._reference(name, task) for name in references(task)}
        return compared(own, {name: it for name, it in self.known[task].items() if name != model}, model, said["pictures"])

    def _reference(self, name: str, task: str) -> Errors:
        try:
            said = self.clean.ask(self._limit(task), do="errors", model=name, task=task)
        except Gone as gone:
            raise BenchError(f"measuring {name} on {task} failed: {gone}") from None
        return ERRORS.validate_python(said["errors"])
