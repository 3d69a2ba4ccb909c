"""Events of orders as bytes: what was taken in, refused, changed, shown and closed.

Fields come in the law's order (`engine.events` says what each means), a tag first. It knows nothing of
trades and leases.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from engine.compiled.wire cimport (
    ARRAY_16, FIX_ARRAY, LENGTH_BYTES, NUMBER_BYTES, View, WireSink, put_code, put_flag, put_long,
    put_number, put_text, room, written,
)

cdef enum:
    TAG_ACCEPTED = 6
    TAG_REJECTED = 7
    TAG_DUPLICATE = 8
    TAG_AMENDED = 10
    TAG_CANCELED = 11
    TAG_TRIGGERED = 19
    TAG_REFILLED = 20

    ACCEPTED_FIELDS = 28
    PLAIN_TERMS_BYTES = 13

cdef extern from *:
    """
    /* An order's terms where it has none: 0, 0, 0, 0, 0, false, 0, 0, "", 0, false, "", 0. */
    #define HOURBOOK_PLAIN_TERMS "\\0\\0\\0\\0\\0\\xC2\\0\\0\\xA0\\0\\xC2\\xA0\\0"
    """
    const char *PLAIN_TERMS "HOURBOOK_PLAIN_TERMS"


cdef struct AcceptedTerms:
    # What is rare about an order.
    int64_t stop_price_ticks
    int64_t display_quantity
    int64_t min_quantity
    int64_t features
    int64_t lot
    int64_t min_hours
    int64_t expire_ns
    int64_t min_rating
    View tag
    View quote_set
    uint8_t self_trade
    bint same_baron
    bint armed


cdef struct AcceptedEvent:
    int64_t order_id
    int64_t account
    int64_t instrument
    int64_t price_ticks
    int64_t quantity
    int64_t hours
    int64_t baron
    int64_t window_end_ns
    View client_order_id
    # NULL: it has none of them.
    const AcceptedTerms *terms
    uint8_t side
    uint8_t order_type
    uint8_t time_in_force
    uint8_t origin
    bint post_only


cdef struct AmendedEvent:
    int64_t order_id
    int64_t account
    int64_t instrument
    int64_t price_ticks
    int64_t quantity
    int64_t leaves_quantity
    int64_t window_end_ns
    int64_t expire_ns
    uint8_t reason
    bint kept_priority


cdef inline int write_accepted(WireSink *sink, const AcceptedEvent *event) except -1 nogil:
    cdef const AcceptedTerms *terms = event.terms
    cdef size_t size = 32 + 8 * NUMBER_BYTES + LENGTH_BYTES + event.client_order_id.size
    cdef uint8_t *at
    if terms != NULL:
        size += 8 * NUMBER_BYTES + 2 * LENGTH_BYTES + terms.tag.size + terms.quote_set.size
    at = room(sink, size)
    at[0] = ARRAY_16
    at[1] = 0
    at[2] = ACCEPTED_FIELDS
    at[3] = TAG_ACCEPTED
    at = put_long(at + 4, event.order_id)
    at = put_number(at, event.account)
    at = put_number(at, event.instrument)
    at = put_code(at, event.side)
    at = put_code(at, event.order_type)
    at = put_code(at, event.time_in_force)
    at = put_number(at, event.price_ticks)
    at = put_number(at, event.quantity)
    at = put_code(at, event.origin)
    at = put_flag(at, event.post_only)
    at = put_text(at, &event.client_order_id)
    at = put_number(at, event.hours)
    at = put_number(at, event.baron)
    at = put_long(at, event.window_end_ns)
    if terms == NULL:
        memcpy(at, PLAIN_TERMS, PLAIN_TERMS_BYTES)
        at += PLAIN_TERMS_BYTES
    else:
        at = _put_terms(at, terms)
    written(sink, at)
    return 0


cdef inline uint8_t *_put_terms(uint8_t *at, const AcceptedTerms *terms) noexcept nogil:
    at = put_number(at, terms.stop_price_ticks)
    at = put_number(at, terms.display_quantity)
    at = put_number(at, terms.min_quantity)
    at = put_code(at, terms.self_trade)
    at = put_number(at, terms.features)
    at = put_flag(at, terms.same_baron)
    at = put_number(at, terms.lot)
    at = put_number(at, terms.min_hours)
    at = put_text(at, &terms.tag)
    at = put_number(at, terms.expire_ns)
    at = put_flag(at, terms.armed)
    at = put_text(at, &terms.quote_set)
    return put_number(at, terms.min_rating)


cdef inline int write_rejected(
    WireSink *sink, int64_t account, uint8_t reason, const View *field, const View *client_order_id,
    int64_t order_id, uint8_t order_status, int64_t needed_micros, int64_t available_micros
) except -1 nogil:
    cdef uint8_t *at = room(sink, 4 + 4 * NUMBER_BYTES + 2 * LENGTH_BYTES + field.size + client_order_id.size)
    at[0] = FIX_ARRAY | 9
    at[1] = TAG_REJECTED
    at = put_number(at + 2, account)
    at = put_code(at, reason)
    at = put_text(at, field)
    at = put_text(at, client_order_id)
    at = put_long(at, order_id)
    at = put_code(at, order_status)
    at = put_number(at, needed_micros)
    at = put_number(at, available_micros)
    written(sink, at)
    return 0


cdef inline int write_duplicate(
    WireSink *sink, int64_t account, const View *client_order_id, int64_t first_seq, int64_t order_id
) except -1 nogil:
    cdef uint8_t *at = room(sink, 2 + 3 * NUMBER_BYTES + LENGTH_BYTES + client_order_id.size)
    at[0] = FIX_ARRAY | 5
    at[1] = TAG_DUPLICATE
    at = put_number(at + 2, account)
    at = put_text(at, client_order_id)
    at = put_number(at, first_seq)
    at = put_long(at, order_id)
    written(sink, at)
    return 0


cdef inline int write_amended(WireSink *sink, const AmendedEvent *event) except -1 nogil:
    cdef uint8_t *at = room(sink, 4 + 8 * NUMBER_BYTES)
    at[0] = FIX_ARRAY | 11
    at[1] = TAG_AMENDED
    at = put_long(at + 2, event.order_id)
    at = put_number(at, event.account)
    at = put_number(at, event.instrument)
    at = put_number(at, event.price_ticks)
    at = put_number(at, event.quantity)
    at = put_number(at, event.leaves_quantity)
    at = put_flag(at, event.kept_priority)
    at = put_long(at, event.window_end_ns)
    at = put_code(at, event.reason)
    at = put_number(at, event.expire_ns)
    written(sink, at)
    return 0


cdef inline int write_canceled(
    WireSink *sink, int64_t order_id, int64_t account, int64_t instrument, int64_t quantity, uint8_t reason
) except -1 nogil:
    cdef uint8_t *at = room(sink, 3 + 4 * NUMBER_BYTES)
    at[0] = FIX_ARRAY | 6
    at[1] = TAG_CANCELED
    at = put_long(at + 2, order_id)
    at = put_number(at, account)
    at = put_number(at, instrument)
    at = put_number(at, quantity)
    at = put_code(at, reason)
    written(sink, at)
    return 0


cdef inline int write_triggered(
    WireSink *sink, int64_t order_id, int64_t account, int64_t instrument, int64_t price_ticks,
    int64_t leaves_quantity
) except -1 nogil:
    cdef uint8_t *at = room(sink, 2 + 5 * NUMBER_BYTES)
    at[0] = FIX_ARRAY | 6
    at[1] = TAG_TRIGGERED
    at = put_long(at + 2, order_id)
    at = put_number(at, account)
    at = put_number(at, instrument)
    at = put_number(at, price_ticks)
    at = put_number(at, leaves_quantity)
    written(sink, at)
    return 0


cdef inline int write_refilled(
    WireSink *sink, int64_t order_id, int64_t account, int64_t instrument, int64_t price_ticks,
    int64_t quantity, int64_t leaves_quantity
) except -1 nogil:
    cdef uint8_t *at = room(sink, 2 + 6 * NUMBER_BYTES)
    at[0] = FIX_ARRAY | 7
    at[1] = TAG_REFILLED
    at = put_long(at + 2, order_id)
    at = put_number(at, account)
    at = put_number(at, instrument)
    at = put_number(at, price_ticks)
    at = put_number(at, quantity)
    at = put_number(at, leaves_quantity)
    written(sink, at)
    return 0
