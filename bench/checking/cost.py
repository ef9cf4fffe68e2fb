"""What a network costs: its parameters, what a step asks of the host, a step's time beside cnn's, the hours of its runs."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import torch
from torch import nn

import datasets
from bench.checking.finding import Finding, listed, own_lines
from bench.checking.host import META, an_epoch, operators_on_host
from bench.checking.subject import Subject
from bench.errors import BenchError
from bench.machine.background_load import BackgroundLoad
from bench.machine.hardware import describe_hardware
from bench.measure.equivariance_record import CPU
from bench.measure.timed_step import TimedStep, timed_run
from bench.measure.timer import seconds
from bench.plan import Run, make_run
from bench.protocol import load_protocol
from bench.scheduling.estimate import Estimates, clock_text, estimates_from
from bench.training.graphs import StepState
from leaderboard.errors import one_line
from models.errors import said

# The smallest and the largest of the published networks, all made as large as the plain one (docs/methods.md 0.1).
PUBLISHED = {True: (475_475, 496_639), False: (10_846_835, 10_979_802)}  # by whether the task is of MNIST-scale
PLAIN = "cnn"
PAIRS, ENOUGH = 5, 5.0  # pairs of steps, and seconds after which two will do
BATCH = {True: 32, False: 2}
PROTOCOLS = {True: ("paper", "short", "quick"), False: ("paper", "stl-100", "quick")}
RESULTS = Path("results")  # where `bench run` leaves records unless told
SLOW = 20  # times the plain network's step


def parameters(subject: Subject) -> Finding:
    """Count them, beside the budget that all published networks keep."""
    network = subject.build()
    count, frozen = (_count(network, trained) for trained in (True, False))
    plain = _count(subject.build(PLAIN), True)
    low, high = PUBLISHED[datasets.has_scales(subject.task)]
    text = f"{count:,} trained parameters, {count / plain:.2f} times {PLAIN}'s (published networks: {low:,} to {high:,})"
    text += f"; {frozen:,} that are not trained are not counted" if frozen else ""
    numbers: dict[str, object] = {"parameters": count, "times_cnn": count / plain}
    if low <= count <= high:
        return Finding("pass", text, numbers=numbers)
    todo = "say so beside the error: a network of another size is another comparison; channels are the easiest to change"
    return Finding("look", text, todo, numbers=numbers)


def _count(network: nn.Module, trained: bool) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad is trained)


def host(subject: Subject) -> Finding:
    """Whether a step waits for the host, in which case no CUDA graph can be made of it."""
    slow = "on CUDA every step waits for the host, and there is no graph of it: runs are slower, and right all the same"
    try:
        found = operators_on_host(subject.task, subject.build().to(META).train(), an_epoch(subject.task))
    except Exception as error:  # whatever an operator raises that has no values to work on
        message, lines = one_line(said(error)), own_lines(error, subject.folder)
        if "device" in message and "cpu" in message:
            todo = "make constants buffers (register_buffer), which go to a GPU with the network, or make them on maps.device"
            return Finding("fail", f"on another device than the CPU a step fails: {message}", todo, lines)
        return Finding("look", f"a step asks the device for a value: {message}", slow, lines)
    if found:
        todo = f"{slow}; make constants buffers (register_buffer), not tensors of numbers in forward"
        return Finding("look", f"a step brings tensors along from the host: {listed(list(dict.fromkeys(found)))}", todo)
    if (change := _change_on_host(subject)) is not None:
        return Finding("look", f"a CUDA graph would not repeat a step: {change}", slow)
    return Finding("pass", "a step asks the host for nothing: on CUDA it is likely to be captured as a graph")


def _change_on_host(subject: Subject) -> str | None:
    step = TimedStep(subject.run, CPU)
    step()
    state = StepState(step.network, step.optimizer, [], CPU)
    step()
    return state.host_side_change()


def step_time(subject: Subject) -> Finding:
    """Time a step of this network and one of the plain network in turn, several times."""
    few = datasets.has_scales(subject.task)
    own, plain = (TimedStep(timed_run(name, subject.task, BATCH[few], "float32"), CPU) for name in (subject.model, PLAIN))
    own()
    plain()
    load, pairs = BackgroundLoad(), list[tuple[float, float]]()
    while len(pairs) < 2 or (len(pairs) < PAIRS and sum(map(sum, pairs)) < ENOUGH):
        pairs.append((seconds(own, CPU), seconds(plain, CPU)))
    share, ratios = load.share(), sorted(first / second for first, second in pairs)
    ratio, step = statistics.median(ratios), statistics.median(first for first, _ in pairs)
    subject.measured.update(ratio=ratio, step=step / BATCH[few])
    others = "others' work is unknown" if share is None else f"others used {share:.0%} of the processors meanwhile"
    text = (
        f"a step on {BATCH[few]} images takes {1000 * step:.4g} ms, {ratio:.2g} times {PLAIN}'s "
        f"({ratios[0]:.2g} to {ratios[-1]:.2g}; {len(pairs)} pairs in turn, {torch.get_num_threads()} threads; {others}): "
        "an orientation, no timing to quote"
    )
    numbers: dict[str, object] = {"step_seconds": step, "times_cnn": ratio, "pairs": len(pairs), "background_load": share}
    if ratio > SLOW:
        return Finding("look", text, f"`bench profile {subject.model}` shows where a step goes", numbers=numbers)
    return Finding("pass", text, numbers=numbers)


def hours(subject: Subject) -> Finding:
    """What its runs would take here, as records tell of it or of the plain network, or as its step does."""
    device = describe_hardware(CPU).name
    known, lines = estimates_from([RESULTS], [], device), []
    found: dict[str, object] = {}
    for name in PROTOCOLS[datasets.has_scales(subject.task)]:
        protocol = load_protocol(name)
        if protocol.recipe(subject.task) is None:
            continue
        run = make_run(subject.model, subject.task, 0, protocol, (), subject.info.source, subject.info.plugin)
        each, why = _seconds(subject, run, known)
        if each is not None:
            total, count = each * len(protocol.realizations), len(protocol.realizations)
            lines.append(f"{name:<8} {count} x {clock_text(each)} = {clock_text(total)} ({why})")
            found[name] = total
    if not lines:
        raise BenchError("nothing is known of how long a step takes")
    return Finding("pass", f"expected here, on {device}:", more=lines, numbers=found)


def _seconds(subject: Subject, run: Run, known: Estimates) -> tuple[float | None, str]:
    """Of one run, and how that is known."""
    ratio, step = subject.measured.get("ratio"), subject.measured.get("step")
    if (own := known.seconds(run)) is not None:
        return own, "as its records tell"
    if ratio is None or step is None:
        return None, ""
    plain = make_run(PLAIN, run.task, 0, run.protocol, (), "", "")
    if (of_plain := known.seconds(plain)) is not None:
        return ratio * of_plain, f"{ratio:.2g} times what records tell of {PLAIN}"
    recipe, sizes = run.recipe, datasets.sizes(run.task)
    images = min(sizes["train"], recipe.data.train_images or sizes["train"])
    return step * recipe.epochs * math.ceil(images), "its steps alone, as timed above"
