"""What happens: command line -> plan -> engine -> training -> record. Importing this package imports nothing heavy.

For notebooks and scripts (docs/python.md):

    import bench
    result = bench.train("sesn-vector", task="mnist-scale-28", protocol="short")     # result.test_error, .curves, .network
    network = bench.load(result.record.run_id)                                       # torch.nn.Module, as it was tested
"""

from typing import TYPE_CHECKING, Any

from bench.own_packages import put_first

if TYPE_CHECKING:
    from bench.notebook.api import Result, load, predict, train

put_first()

__all__ = ["Result", "load", "predict", "train"]


def __getattr__(name: str) -> Any:
    """What is for notebooks, once it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bench.notebook import api

    return getattr(api, name)


def __dir__() -> list[str]:
    """With what is there once it is asked for, for completion."""
    return sorted({*globals(), *__all__})
