"""The one error of this package."""


class DataError(ValueError):
    """Data that are unavailable as asked. Its message is one line: what was given, what is allowed, what to do."""
