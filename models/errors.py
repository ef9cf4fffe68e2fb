"""The one error of this package."""


class ModelError(ValueError):
    """A model that cannot be had as asked. Its message is one line: what was given, what is allowed, what to type."""
