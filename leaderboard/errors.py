"""The errors of this package, and the one-line form of any text that a message or a table repeats."""

import re

# Control characters, and the marks that turn the direction of text: either could make a line say what it does not say.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")


class RecordError(ValueError):
    """A record, or a set of them, that cannot be used. Its message is one line: what, where, and what to do next."""


class NewerRecord(RecordError):
    """A record of a newer schema than this equiscale reads: nothing is wrong with it."""


def clean(text: object) -> object:
    """A string as UTF-8 can hold it (a file name's undecodable bytes become ``\\udc..``); anything else as it is."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(text, str) else text


def one_line(text: object, limit: int = 300) -> str:
    """``text`` on one line, without invisible characters, at most ``limit`` characters long."""
    line = " ".join(_INVISIBLE.sub(" ", str(clean(str(text)))).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def reason(error: OSError) -> str:
    """What the system says of a file operation that failed, on one line and without the file's name."""
    return one_line(error.strerror or type(error).__name__)
