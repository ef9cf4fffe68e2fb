"""torch against the driver, and the cards that it sees: what a process of its own was told, judged."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bench.doctor.finding import Finding
from bench.doctor.software import TRAIN
from bench.errors import best_effort
from bench.machine.processes import child_environment, ended_by, python

SECONDS = 180.0  # for importing torch from a slow disk, too
DRIVER = Path("/proc/driver/nvidia/version")
WHAT_TO_DO = {  # of what taints a timing, by words of it
    "other processes": "wait for them, or choose another card with --device cuda:N; nvidia-smi lists them",
    "power cap": "as root: nvidia-smi -pl WATTS; else timings made now are in no table",
    "held back": "let it cool down and look again; timings made now are in no table",
    "does not say": "install nvidia-ml-py (`pip install 'equiscale[train]'`); timings made without it are in no table",
}


@cache
def probed() -> Mapping[str, Any]:
    """What `bench.doctor.torch_probe` says; {"error": ...}: it did not come to that. Asked once per process."""
    call = python("bench.doctor.torch_probe")
    try:
        done = subprocess.run(
            call, env=child_environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"importing torch, or asking it for its cards, took more than {SECONDS:g} s"}
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        how = ended_by(done.returncode) or f"exit code {done.returncode}"
        return {"error": f"importing torch, or asking it for its cards, ended a process ({how}): {said[-1] if said else ''}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def torch() -> Iterator[Finding]:
    """Whether torch works, and whether its build and the driver fit each other."""
    found = probed()
    torch = found.get("torch", found)
    if torch.get("missing") == "torch":
        yield Finding("look", "torch", "is not installed; what reads records works, nothing can be trained or measured", TRAIN)
    elif "error" in torch:
        yield Finding("fail", "torch", f"does not work: {torch['error']}", f"install it again: {TRAIN}")
    elif torch["cards"]:
        cards = ", ".join(f"cuda:{card['index']} {card.get('name', '')}" for card in found["cards"])
        version = found["driver"].get("version")
        yield Finding("ok", "torch", f"{torch['version']}, driver {version or 'unknown'}, {cards}")
    else:
        yield _without_cards(torch, found["driver"])


def _without_cards(torch: Mapping[str, Any], driver: Mapping[str, Any]) -> Finding:
    """Why torch sees no card: there is none, its build has no CUDA, they are hidden, or the driver does not do."""
    here = f"driver {driver['version']}" if driver.get("version") else "an NVIDIA driver" if DRIVER.exists() else ""
    hidden, built = os.environ.get("CUDA_VISIBLE_DEVICES"), f"{torch['version']}, built for CUDA {torch['cuda']}"
    if not here:
        return Finding("ok", "torch", f"{torch['version']}; no NVIDIA driver here, runs are done on the processors")
    if torch["cuda"] is None:
        text = f"{torch['version']} is built without CUDA, and there is {here}: runs are done on the processors"
        return Finding("look", "torch", text, f"install a build for CUDA: {TRAIN}")
    if hidden is not None:
        text = f"{built}, {here}, and CUDA_VISIBLE_DEVICES={hidden!r} hides the cards: runs are done on the processors"
        return Finding("look", "torch", text, "unset CUDA_VISIBLE_DEVICES, or give it a card's number or UUID")
    highest = driver.get("cuda")
    if highest is not None and highest // 1000 < int(float(torch["cuda"])):
        text = f"{built}, and {here} is too old for it, up to CUDA {highest // 1000}.{highest % 1000 // 10}"
        return Finding("fail", "torch", text, "install a newer driver, or a build of torch for that CUDA")
    text = f"{built}, {here}, yet it sees no card: {torch['why_not'] or 'no reason is given'}"
    return Finding("fail", "torch", text, "nvidia-smi tells more; after an update of the driver, start the machine again")


def cards() -> Iterator[Finding]:
    """The state of each card."""
    architectures = best_effort(lambda: probed()["torch"]["architectures"], otherwise=[])
    for card in probed().get("cards", ()):
        subject = f"cuda:{card['index']}"
        if "error" in card:
            remedy = "nvidia-smi tells more; a card that broke needs its driver loaded again"
            yield Finding("fail", subject, f"does not answer: {card['error']}", remedy)
            continue
        wrong = [*_wrong_with(card, architectures)]
        yield from (Finding(level, subject, text, remedy) for level, text, remedy in wrong)
        if not wrong:
            part = ", an instance of a card (MIG)" if card["instance"] else ""
            memory = f"{card['memory'] / 1e9:.0f} GB"
            yield Finding("ok", subject, f"{card['name']}{part}, {memory}; nobody else is on it, nothing holds it back")


def _wrong_with(card: Mapping[str, Any], architectures: list[str]) -> Iterator[tuple[Any, str, str]]:
    major, minor = card["capability"]
    if architectures and not any(_runs_on(name, major, minor) for name in architectures):
        known = f"{card['name']} is sm_{major}{minor}, and torch has kernels for {', '.join(architectures)}"
        yield "fail", known, "install a build of torch for this card, or use --device cpu"
    if card["memory_errors"]:
        text = f"{card['memory_errors']} errors of its memory could not be corrected: results may be wrong"
        yield "fail", text, "start the machine again; should they come back, the card is to be replaced"
    for line in card["taints"]:
        yield "look", line, next((remedy for words, remedy in WHAT_TO_DO.items() if words in line), "")
    if card["persistence"] is False:
        text = "the driver is unloaded whenever nobody uses the card: starts are slow, the first timings, too"
        yield "look", text, "as root: nvidia-smi -pm 1"


def _runs_on(architecture: str, major: int, minor: int) -> bool:
    """Whether kernels for sm_80 or compute_80 run on a card: those of its own generation, or compiled when they are loaded."""
    kind, _, number = architecture.partition("_")
    digits = "".join(sign for sign in number if sign.isdigit())
    if not digits:
        return True
    theirs = (int(digits[:-1]), int(digits[-1]))
    return theirs <= (major, minor) and (kind == "compute" or theirs[0] == major)
