"""Money in C: a pot changes here, by a Transfer, as in `engine.money`."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from engine.compiled.arithmetic cimport needed_micros, ondemand_bond_micros
from engine.compiled.codes cimport (
    CODE_RELEASE, KIND_FORWARD, KIND_ONDEMAND, POT_AVAILABLE, POT_HELD, SIDE_BUY, SIDE_SELL,
)
from engine.compiled.lookups cimport at
from engine.compiled.records cimport Account, Baron
from engine.compiled.slots cimport OrderSlot
from engine.compiled.state cimport Core
from engine.compiled.transfers cimport transfer


# The hold of an order on a forward.
cdef int64_t forward_hold(Core state, Account account, const OrderSlot *order, int64_t leaves) noexcept


cdef inline int change_hold(
    Core state, Account account, int64_t delta_micros, uint64_t ref, uint8_t code
) except -1:
    """Hold more of an account's available money, with a code, or release (a negative delta)."""
    if delta_micros > 0:
        return transfer(state, account, POT_AVAILABLE, account, POT_HELD, delta_micros, code, ref)
    return transfer(state, account, POT_HELD, account, POT_AVAILABLE, -delta_micros, CODE_RELEASE, ref)


cdef inline int64_t higher_fee_ppm(Account account) noexcept:
    return account.maker_fee_ppm if account.maker_fee_ppm > account.taker_fee_ppm else account.taker_fee_ppm


cdef inline int64_t order_hold(
    Core state, Account account, const OrderSlot *order, int64_t leaves
) noexcept:
    """The hold of a bid that leaves so much, or of an ask of its Baron's own provider."""
    if order.kind == KIND_FORWARD:
        return forward_hold(state, account, order, leaves)
    if order.side == SIDE_BUY:
        return needed_micros(order.price_ticks, leaves, state.prefund_ns, higher_fee_ppm(account))
    if order.kind != KIND_ONDEMAND or (<Baron>at(&state.barons.ring, order.baron)).provider != order.account:
        # Bought hours need no bond: the first provider's stands.
        return 0
    return ondemand_bond_micros(order.hold_ticks * leaves, state.ondemand_bond_ns)
