"""`bench profile`: where a model's training step goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.options import BatchSize, Device, Plugin, Precision, check_precision, load_plugins


def profile(
    model: Annotated[str, Argument(help="Model name; options as NAME@OPTION=VALUE.")],
    task: Annotated[str, Option(help="Task name.")] = "mnist-scale-28",
    device: Device = "auto",
    batch_size: BatchSize = 128,
    precision: Precision = "float32",
    rows: Annotated[int, Option(min=1, help="Operators to show.")] = 15,
    plugin: Plugin = None,
    output: Annotated[Path, Option(help="Where the trace file goes.")] = Path("results/profiles"),
) -> None:
    """Profile one training step: operators by their own time, kernels, memory; and a trace to look at in a browser."""
    import models
    from bench.errors import BenchError
    from bench.plan import match_models, match_tasks

    load_plugins(plugin)
    check_precision(precision)
    pairs = match_models([model], match_tasks([task]))
    if len(pairs) != 1:
        raise BenchError(
            f"{model!r} on {task!r} are {len(pairs)} networks; profile one at a time, e.g. {pairs[0][0]} --task {pairs[0][1]}"
        )

    from bench.machine.device import check_tf32, choose_device
    from bench.measure.isolated import isolated
    from bench.measure.profiling import Profile
    from bench.results import check_writable

    (name, on), chosen = pairs[0], choose_device(device)
    check_tf32(precision, chosen)
    check_writable(output, "--output")
    trace = output / f"{name}_{on}_{chosen.type}_{precision}_b{batch_size}.json.gz"
    where = models.info(name, on).plugin
    asked = {"model": name, "task": on, "device": str(chosen), "batch_size": batch_size, "precision": precision, "trace": trace}
    found = isolated(Profile, f"profiling {name} on {on}", "bench.measure.profiling:profile_model", where, **asked)
    total = sum(operator.seconds for operator in found.operators)
    print(
        f"{name} on {on}, {chosen}, {precision}, batch {batch_size}: {1000 * found.seconds:.1f} ms a step without the profiler"
    )
    print(f"{'operator':<60} {'self ms':>9} {'share':>6} {'calls':>6}")
    for operator in found.operators[:rows]:
        share = operator.seconds / total
        print(f"{operator.name[:60]:<60} {1000 * operator.seconds:>9.2f} {share:>6.1%} {operator.calls:>6}")
    left = found.operators[rows:]
    if left:
        rest, calls = sum(operator.seconds for operator in left), sum(operator.calls for operator in left)
        print(f"{f'{len(left)} others':<60} {1000 * rest:>9.2f} {rest / total:>6.1%} {calls:>6}")
    kernels = "" if found.kernels is None else f"{found.kernels} kernels; "
    print(f"{kernels}{sum(operator.calls for operator in found.operators)} operator calls; ", end="")
    print(f"memory high-water {found.high_water / 1e6:.0f} MB of tensors beyond what the step began with")
    print(f"trace: {trace} (open it at chrome://tracing or in Perfetto)")
