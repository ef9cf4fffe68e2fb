"""The one error of this package."""


class DataError(ValueError):
    """Data that cannot be had as asked. Its message is one line: what was given, what is allowed, what to do."""
