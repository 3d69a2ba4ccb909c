# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Money in C: transfers, holds, and what a hold is made of; `engine.money` is the law. It knows no order's
fate.
"""

from libc.stdint cimport int64_t

from engine.compiled.arithmetic cimport NS_PER_HOUR, forward_ask_hold_micros, needed_micros
from engine.compiled.codes cimport SIDE_BUY
from engine.compiled.lookups cimport baron_of
from engine.compiled.records cimport Account
from engine.compiled.slots cimport OrderSlot
from engine.compiled.state cimport Core, Listed, listed_of


cdef int64_t forward_hold(Core state, Account account, const OrderSlot *order, int64_t leaves) noexcept:
    cdef Listed listed = listed_of(state, order.instrument)
    cdef int64_t hours = <int64_t>listed.end_h - listed.start_h
    cdef int64_t fee_ppm = higher_fee_ppm(account)
    if order.side == SIDE_BUY:
        return needed_micros(order.price_ticks, leaves, hours * NS_PER_HOUR, fee_ppm)
    if baron_of(state, order.baron).provider != order.account:
        return 0
    return forward_ask_hold_micros(order.hold_ticks * leaves, hours, state.forward_bond_ppm, fee_ppm)
