"""For programs that run under the pretended runtime: what it has counted so far."""

import ctypes

LOADED = ctypes.CDLL(None)  # everything that is preloaded


def is_pretended():
    """Whether this process runs under it."""
    return hasattr(LOADED, "fake_count")


def count(quantity, device=-1):
    """So many on a device (-1: on all); the quantities are those of runtime/counters.cpp."""
    LOADED.fake_count.restype = ctypes.c_long
    number = LOADED.fake_count(quantity.encode(), device)
    assert number >= 0, quantity
    return number


def reset():
    """Count from 0 again."""
    LOADED.fake_reset()


def report(top=0):
    """What is not 0, one quantity and device a line, and the kernels that were launched most often."""
    LOADED.fake_report.restype = ctypes.c_char_p
    return LOADED.fake_report(top).decode()
