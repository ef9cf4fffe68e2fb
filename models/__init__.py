"""Networks and their layers: one file per method, and the registry that finds them.

    import models
    network = models.create("sesn-vector", task="mnist-scale-28+")      # torch.nn.Module, (N, 1, 28, 28) -> (N, 10)

Importing this package imports no torch; the first question about a model imports all method files, and torch with them.
"""

from models.compared_layer import ComparedLayer
from models.errors import ModelError
from models.parameter_group import ParameterGroup
from models.registry.catalogue import info, infos, list_models, register
from models.registry.creation import canonical_name, create
from models.registry.plugins import load_plugin
from models.registry.registration import ModelInfo

__all__ = [
    "ComparedLayer",
    "ModelError",
    "ModelInfo",
    "ParameterGroup",
    "canonical_name",
    "create",
    "info",
    "infos",
    "list_models",
    "load_plugin",
    "register",
]
