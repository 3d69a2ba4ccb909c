"""Events of trades as bytes: fills, what they oblige to, money moved, capacity taken.

Fields come in the law's order (`engine.events` says what each means), a tag first. It knows nothing of
orders' terms and of leases' lives.
"""

from libc.stdint cimport int64_t, uint8_t

from engine.compiled.wire cimport (
    ARRAY_16, FIX_ARRAY, NUMBER_BYTES, WireSink, put_code, put_flag, put_long, put_number, room,
    written,
)

cdef enum:
    TAG_CAPACITY_CHANGED = 4
    TAG_TRADED = 9
    TAG_OBLIGATION_OPENED = 12
    TAG_TRANSFER = 15
    TAG_OBLIGATION_CHANGED = 30

    TRADED_FIELDS = 16
    OBLIGATION_CHANGED_FIELDS = 17


cdef struct TradedEvent:
    int64_t trade_id
    int64_t instrument
    int64_t price_ticks
    int64_t quantity
    int64_t maker_order_id
    int64_t taker_order_id
    int64_t maker_leaves
    int64_t taker_leaves
    int64_t buyer
    int64_t seller
    int64_t baron
    int64_t lease_id
    int64_t displaced_lease_id
    uint8_t taker_side
    bint auction


cdef struct ObligationOpenedEvent:
    int64_t obligation_id
    int64_t lease_id
    int64_t provider
    int64_t holder
    int64_t baron
    int64_t instrument
    int64_t quantity
    int64_t price_ticks
    int64_t start_ns
    int64_t end_ns


cdef struct ObligationChangedEvent:
    int64_t obligation_id
    int64_t provider
    int64_t holder
    int64_t baron
    int64_t instrument
    int64_t quantity
    int64_t start_h
    int64_t end_h
    int64_t price_ticks
    int64_t escrow_micros
    int64_t bond_micros
    int64_t lease_id
    int64_t other_id
    uint8_t change
    bint addressed
    bint live


cdef inline int write_traded(WireSink *sink, const TradedEvent *event) except -1 nogil:
    cdef uint8_t *at = room(sink, 6 + 13 * NUMBER_BYTES)
    at[0] = ARRAY_16
    at[1] = 0
    at[2] = TRADED_FIELDS
    at[3] = TAG_TRADED
    at = put_long(at + 4, event.trade_id)
    at = put_number(at, event.instrument)
    at = put_number(at, event.price_ticks)
    at = put_number(at, event.quantity)
    at = put_long(at, event.maker_order_id)
    at = put_long(at, event.taker_order_id)
    at = put_number(at, event.maker_leaves)
    at = put_number(at, event.taker_leaves)
    at = put_code(at, event.taker_side)
    at = put_number(at, event.buyer)
    at = put_number(at, event.seller)
    at = put_number(at, event.baron)
    at = put_long(at, event.lease_id)
    at = put_flag(at, event.auction)
    at = put_number(at, event.displaced_lease_id)
    written(sink, at)
    return 0


cdef inline int write_obligation_opened(WireSink *sink, const ObligationOpenedEvent *event) except -1 nogil:
    cdef uint8_t *at = room(sink, 2 + 10 * NUMBER_BYTES)
    at[0] = FIX_ARRAY | 11
    at[1] = TAG_OBLIGATION_OPENED
    at = put_long(at + 2, event.obligation_id)
    at = put_long(at, event.lease_id)
    at = put_number(at, event.provider)
    at = put_number(at, event.holder)
    at = put_number(at, event.baron)
    at = put_number(at, event.instrument)
    at = put_number(at, event.quantity)
    at = put_number(at, event.price_ticks)
    at = put_long(at, event.start_ns)
    at = put_long(at, event.end_ns)
    written(sink, at)
    return 0


cdef inline int write_obligation_changed(WireSink *sink, const ObligationChangedEvent *event) except -1 nogil:
    cdef uint8_t *at = room(sink, 7 + 13 * NUMBER_BYTES)
    at[0] = ARRAY_16
    at[1] = 0
    at[2] = OBLIGATION_CHANGED_FIELDS
    at[3] = TAG_OBLIGATION_CHANGED
    at = put_long(at + 4, event.obligation_id)
    at = put_number(at, event.provider)
    at = put_number(at, event.holder)
    at = put_number(at, event.baron)
    at = put_number(at, event.instrument)
    at = put_number(at, event.quantity)
    at = put_number(at, event.start_h)
    at = put_number(at, event.end_h)
    at = put_number(at, event.price_ticks)
    at = put_number(at, event.escrow_micros)
    at = put_number(at, event.bond_micros)
    at = put_long(at, event.lease_id)
    at = put_flag(at, event.addressed)
    at = put_flag(at, event.live)
    at = put_code(at, event.change)
    at = put_number(at, event.other_id)
    written(sink, at)
    return 0


cdef inline int write_transfer(
    WireSink *sink, int64_t debit_account, uint8_t debit_pot, int64_t credit_account, uint8_t credit_pot,
    int64_t amount_micros, uint8_t code, int64_t ref
) except -1 nogil:
    cdef uint8_t *at = room(sink, 5 + 4 * NUMBER_BYTES)
    at[0] = FIX_ARRAY | 8
    at[1] = TAG_TRANSFER
    at = put_number(at + 2, debit_account)
    at = put_code(at, debit_pot)
    at = put_number(at, credit_account)
    at = put_code(at, credit_pot)
    at = put_number(at, amount_micros)
    at = put_code(at, code)
    at = put_long(at, ref)
    written(sink, at)
    return 0


cdef inline int write_capacity_changed(
    WireSink *sink, int64_t baron, int64_t verified_gpus, int64_t leased_gpus, bint simulated
) except -1 nogil:
    cdef uint8_t *at = room(sink, 3 + 3 * NUMBER_BYTES)
    at[0] = FIX_ARRAY | 5
    at[1] = TAG_CAPACITY_CHANGED
    at = put_number(at + 2, baron)
    at = put_number(at, verified_gpus)
    at = put_number(at, leased_gpus)
    at = put_flag(at, simulated)
    written(sink, at)
    return 0
