"""Events of leases as bytes: that one came to be, what it is now, and what it pays.

Fields come in the law's order (`engine.events` says what each means), a tag first. It knows nothing of
orders and of money.
"""

from libc.stdint cimport int64_t, uint8_t

from engine.compiled.wire cimport (
    ARRAY_16, FIX_ARRAY, LENGTH_BYTES, NUMBER_BYTES, View, WireSink, put_blob, put_code, put_flag,
    put_long, put_number, put_text, room, written,
)

cdef enum:
    TAG_LEASE_SCHEDULED = 13
    TAG_LEASE_CHANGED = 14
    TAG_LEASE_PRICED = 26

    LEASE_SCHEDULED_FIELDS = 20
    LEASE_CHANGED_FIELDS = 18


cdef struct LeaseScheduledEvent:
    int64_t lease_id
    int64_t obligation_id
    int64_t order_id
    int64_t renter
    int64_t provider
    int64_t baron
    int64_t instrument
    int64_t quantity
    int64_t price_ticks
    int64_t start_ns
    int64_t term_end_ns
    int64_t minimum_s
    int64_t renter_fee_ppm
    int64_t provider_fee_ppm
    int64_t limit_ticks
    View delivery
    uint8_t kind
    uint8_t state
    bint auto_extend


cdef struct LeaseChangedEvent:
    int64_t lease_id
    int64_t renter
    int64_t provider
    int64_t baron
    int64_t active_ns
    int64_t ended_ns
    int64_t charged_micros
    int64_t ends_ns
    int64_t quantity
    View access
    View detail
    View delivery
    uint8_t state
    uint8_t reason
    bint wiped
    bint auto_extend
    bint overdue


cdef inline int write_lease_scheduled(WireSink *sink, const LeaseScheduledEvent *event) except -1 nogil:
    cdef uint8_t *at = room(sink, 7 + 15 * NUMBER_BYTES + LENGTH_BYTES + event.delivery.size)
    at[0] = ARRAY_16
    at[1] = 0
    at[2] = LEASE_SCHEDULED_FIELDS
    at[3] = TAG_LEASE_SCHEDULED
    at = put_long(at + 4, event.lease_id)
    at = put_long(at, event.obligation_id)
    at = put_long(at, event.order_id)
    at = put_number(at, event.renter)
    at = put_number(at, event.provider)
    at = put_number(at, event.baron)
    at = put_number(at, event.instrument)
    at = put_code(at, event.kind)
    at = put_number(at, event.quantity)
    at = put_number(at, event.price_ticks)
    at = put_long(at, event.start_ns)
    at = put_long(at, event.term_end_ns)
    at = put_number(at, event.minimum_s)
    at = put_number(at, event.renter_fee_ppm)
    at = put_number(at, event.provider_fee_ppm)
    at = put_code(at, event.state)
    at = put_blob(at, &event.delivery)
    at = put_number(at, event.limit_ticks)
    at = put_flag(at, event.auto_extend)
    written(sink, at)
    return 0


cdef inline int write_lease_changed(WireSink *sink, const LeaseChangedEvent *event) except -1 nogil:
    cdef uint8_t *at = room(
        sink,
        9 + 9 * NUMBER_BYTES + 3 * LENGTH_BYTES + event.access.size + event.detail.size + event.delivery.size,
    )
    at[0] = ARRAY_16
    at[1] = 0
    at[2] = LEASE_CHANGED_FIELDS
    at[3] = TAG_LEASE_CHANGED
    at = put_long(at + 4, event.lease_id)
    at = put_number(at, event.renter)
    at = put_number(at, event.provider)
    at = put_number(at, event.baron)
    at = put_code(at, event.state)
    at = put_code(at, event.reason)
    at = put_long(at, event.active_ns)
    at = put_number(at, event.ended_ns)
    at = put_number(at, event.charged_micros)
    at = put_flag(at, event.wiped)
    at = put_blob(at, &event.access)
    at = put_text(at, &event.detail)
    at = put_number(at, event.ends_ns)
    at = put_flag(at, event.auto_extend)
    at = put_flag(at, event.overdue)
    at = put_blob(at, &event.delivery)
    at = put_number(at, event.quantity)
    written(sink, at)
    return 0


cdef inline int write_lease_priced(
    WireSink *sink, int64_t lease_id, int64_t price_ticks, int64_t from_ns, int64_t term_end_ns
) except -1 nogil:
    cdef uint8_t *at = room(sink, 2 + 4 * NUMBER_BYTES)
    at[0] = FIX_ARRAY | 5
    at[1] = TAG_LEASE_PRICED
    at = put_long(at + 2, lease_id)
    at = put_number(at, price_ticks)
    at = put_long(at, from_ns)
    at = put_number(at, term_end_ns)
    written(sink, at)
    return 0
