# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A Python face of what compiled leases reckon with, for tests against the law: nothing else asks for it."""

from libc.stdint cimport int64_t

from engine.compiled cimport months


def month_end_ns(int64_t ts_ns):
    """When the month is over that holds a time after the epoch."""
    return months.month_end_ns(ts_ns)
