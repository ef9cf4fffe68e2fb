"""`bench sprint`: the most out of a rented hour."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option


def sprint(
    budget: Annotated[str, Option(help="Time for everything, e.g. 14m.")],
    out: Annotated[Path, Option(help="Where everything goes; the same folder again resumes.")] = Path("sprint"),
    device: Annotated[str, Option(help="auto, cpu or cuda:N.")] = "auto",
    task: Annotated[
        list[str] | None, Option(help="Tasks of the runs; a glob. Repeatable. Default: MNIST-scale, 28 pixels first.")
    ] = None,
    protocol: Annotated[str | None, Option(help="Of the runs. Default: paper, and quick on the CPU.")] = None,
) -> int:
    """Device, GPU tests, plain and graphed, profiles, a trial of jobs, runs, step timings; a summary and files to bring back.

    Each step has its own time limit, its results are on disk at once, and one that fails stops no other. Ctrl-C ends the
    step in hand and still packs what there is. On the CPU it is a rehearsal, for real.
    """
    import datasets
    from bench.errors import BenchError
    from bench.plan import match_tasks
    from bench.protocol import load_protocol
    from bench.scheduling.stop import StopRequest, parse_duration

    seconds, stop = parse_duration(budget), StopRequest()
    tasks = match_tasks(task) if task else []
    given = None if protocol is None else load_protocol(protocol)

    from bench.machine.device import choose_device
    from bench.sprint.schedule import steps_of
    from bench.sprint.sprint import identity_of
    from bench.sprint.sprint import sprint as run

    chosen = choose_device(device)
    name = protocol or ("paper" if chosen.type == "cuda" else "quick")
    covered = [on for on in tasks or datasets.MNIST_SCALE if (given or load_protocol(name)).recipe(on) is not None]
    if not covered:
        raise BenchError(
            f"protocol {name!r} has no recipe for {', '.join(tasks or ['MNIST-scale'])}; give another --protocol or --task"
        )
    folder = out.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"--out {str(out)!r} cannot be made: {error.strerror}; give another folder") from error
    stop.listen()
    stop.poll_only()
    name = str(Path(name).resolve()) if Path(name).suffix in (".yaml", ".yml") else name
    covered = covered if tasks else []
    return run(folder, steps_of(folder, str(chosen), covered, name), seconds, identity_of(chosen, name, covered), stop)
