# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Money in C: transfers, holds, and what a hold is made of; `engine.money` is the law. It knows no order's
fate.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from engine.compiled.arithmetic cimport (
    NS_PER_HOUR, forward_ask_hold_micros, needed_micros, ondemand_bond_micros,
)
from engine.compiled.codes cimport (
    CODE_RELEASE, KIND_FORWARD, KIND_ONDEMAND, POT_AVAILABLE, POT_HELD, SIDE_BUY, SIDE_SELL,
)
from engine.compiled.lookups cimport baron_of
from engine.compiled.records cimport Account
from engine.compiled.slots cimport OrderSlot
from engine.compiled.state cimport Core, Listed
from engine.compiled.transfers cimport transfer


cdef int change_hold(
    Core state, Account account, int64_t delta_micros, uint64_t ref, uint8_t code
) except -1:
    if delta_micros > 0:
        return transfer(state, account, POT_AVAILABLE, account, POT_HELD, delta_micros, code, ref)
    return transfer(state, account, POT_HELD, account, POT_AVAILABLE, -delta_micros, CODE_RELEASE, ref)


cdef int64_t higher_fee_ppm(Account account) noexcept:
    if account.maker_fee_ppm > account.taker_fee_ppm:
        return account.maker_fee_ppm
    return account.taker_fee_ppm


cdef int64_t order_hold(Core state, Account account, const OrderSlot *order, int64_t leaves) noexcept:
    if order.side == SIDE_SELL and baron_of(state, order.baron).provider != order.account:
        # Bought hours need no bond: the first provider's stands.
        return 0
    if order.kind == KIND_FORWARD:
        return forward_hold(state, account, order, leaves)
    if order.side == SIDE_BUY:
        return needed_micros(order.price_ticks, leaves, state.prefund_ns, higher_fee_ppm(account))
    if order.kind == KIND_ONDEMAND:
        return ondemand_bond_micros(order.hold_ticks * leaves, state.ondemand_bond_ns)
    return 0


cdef int64_t forward_hold(Core state, Account account, const OrderSlot *order, int64_t leaves) noexcept:
    cdef Listed listed = <Listed>state.listed.find(order.instrument)
    cdef int64_t hours = <int64_t>listed.end_h - listed.start_h
    cdef int64_t fee_ppm = higher_fee_ppm(account)
    if order.side == SIDE_BUY:
        return needed_micros(order.price_ticks, leaves, hours * NS_PER_HOUR, fee_ppm)
    return forward_ask_hold_micros(order.hold_ticks * leaves, hours, state.forward_bond_ppm, fee_ppm)
