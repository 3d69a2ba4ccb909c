# cython: cdivision=False
"""Doors for tests: the arithmetic that only Cython rooms call, as Python functions.

Nothing else may use them; Python rooms have `engine.units` and `engine.money`. Division is Python's here on
purpose: whatever a caller's own way of dividing is, the numbers must be the same.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free

from engine.compiled cimport arithmetic
from engine.compiled.arithmetic cimport PriceStep, int128_t


cdef int128_t wide(object number) except? -1:
    """A Python int of up to 127 bits."""
    return (<int128_t><int64_t>(number >> 64) * <int128_t>0x100000000 * <int128_t>0x100000000
            + <int128_t><uint64_t>(number & 0xFFFFFFFFFFFFFFFF))


cdef object narrow(int128_t number):
    cdef int64_t high = <int64_t>(number >> 64)
    cdef uint64_t low = <uint64_t>number
    return (<object>high << 64) + low


def usage_micros(int64_t price_ticks, int64_t quantity, duration_ns):
    return arithmetic.usage_micros(price_ticks, quantity, wide(duration_ns))


def usage_micros_up(int64_t price_ticks, int64_t quantity, duration_ns):
    return arithmetic.usage_micros_up(price_ticks, quantity, wide(duration_ns))


def fee_micros(int64_t usage, int64_t fee_ppm):
    return arithmetic.fee_micros(usage, fee_ppm)


def fee_micros_up(int64_t usage, int64_t fee_ppm):
    return arithmetic.fee_micros_up(usage, fee_ppm)


def needed_micros(int64_t price_ticks, int64_t quantity, duration_ns, int64_t fee_ppm):
    return arithmetic.needed_micros(price_ticks, quantity, wide(duration_ns), fee_ppm)


def ondemand_bond_micros(int64_t ticks, int64_t bond_ns):
    return arithmetic.ondemand_bond_micros(ticks, bond_ns)


def forward_bond_micros(int64_t notional_micros, int64_t bond_ppm):
    return arithmetic.forward_bond_micros(notional_micros, bond_ppm)


def forward_ask_hold_micros(int64_t ticks, int64_t hours, int64_t bond_ppm, int64_t fee_ppm):
    return arithmetic.forward_ask_hold_micros(ticks, hours, bond_ppm, fee_ppm)


def tick_ns(int64_t price_ticks, prices, int64_t from_ns, int64_t until_ns):
    cdef PriceStep *steps = <PriceStep *>calloc(len(prices) + 1, sizeof(PriceStep))
    cdef int128_t total
    if steps == NULL:
        raise MemoryError("no memory for prices")
    for place, (since_ns, ticks) in enumerate(prices):
        steps[place].from_ns = since_ns
        steps[place].price_ticks = ticks
    total = arithmetic.tick_ns(price_ticks, steps, len(prices), from_ns, until_ns)
    free(steps)
    return narrow(total)
