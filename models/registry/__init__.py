"""The registry: which models there are, and how a name becomes a network."""

from models.registry.catalogue import register

__all__ = ["register"]
