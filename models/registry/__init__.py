"""The registry: which models there are, and how a name becomes a network."""

from models.registry.lookup import register

__all__ = ["register"]
