"""`bench new`: a file with a working scale-equivariant layer, its network and its registration, to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def new(
    name: Annotated[str, Argument(help="The model's name, such as my-net.")],
    task: Annotated[str, Option(help="The tasks that it is for, a glob: mnist-scale-*, stl10+ or *.")] = "mnist-scale-*",
    output: Annotated[Path | None, Option(help="The file. Default: the name with '_', here.")] = None,
) -> None:
    """Write a commented file with a working scale-equivariant layer, its network and its registration. Never overwrites."""
    from bench.checking.new_model import check_name, text_for, write_new
    from bench.errors import BenchError

    module = check_name(name)
    path = Path(f"{module}.py") if output is None else output
    if path.suffix != ".py":
        raise BenchError(f"--output {str(path)!r} is no Python file; give a name that ends in .py")
    write_new(path, text_for(name, module, task, path.name))
    print(f"{path}: a working scale-equivariant layer, its network and its registration as {name!r}")
    print(f"next: bench check {path}")
