"""Records of the commands of every day, read in C; any other is not plain, and the law's decoder has it.

Plain is what today's encoder writes: all fields there, none more, each of its kind and inside its
vocabulary. Whether the values make sense is for the rooms to say.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

from engine.compiled.reading cimport (
    Cursor, read_array, read_blob, read_code, read_flag, read_number, read_text,
)
from engine.compiled.wire cimport RECORD_FORMAT, View, unlikely

cdef enum:
    # What a record holds: the command's tag.
    NOT_PLAIN = 0
    PLACE_ORDER = 8
    CANCEL_ORDER = 9
    AMEND_ORDER = 10
    END_LEASE = 12
    LEASE_ACTIVE = 13
    LEASE_WIPED = 15
    TICK = 16

    # Of arrays: the tag, and all fields.
    PLACE_ORDER_FIELDS = 27
    CANCEL_ORDER_FIELDS = 4
    AMEND_ORDER_FIELDS = 7
    END_LEASE_FIELDS = 3
    LEASE_ACTIVE_FIELDS = 3
    LEASE_WIPED_FIELDS = 2
    TICK_FIELDS = 1

    SIDE_MAX = 2
    ORDER_TYPE_MAX = 4
    TIME_IN_FORCE_MAX = 5
    SELF_TRADE_MAX = 3


cdef extern from *:
    """
    /* An order's terms where it has none: 0, 0, 0, 0, 0, false, 0, 0, "", 0, 0, 0, false. */
    #define HOURBOOK_NO_TERMS "\\0\\0\\0\\0\\0\\xC2\\0\\0\\xA0\\0\\0\\0\\xC2"
    """
    const char *NO_TERMS "HOURBOOK_NO_TERMS"

cdef enum:
    NO_TERMS_BYTES = 13


cdef struct PlainCommand:
    # The fields of `engine.commands`: what isn't the command's own holds nothing that means anything, but for
    # account (0) and client_order_id (empty), which a refusal echoes. Views are of the record.
    int64_t ts_ns
    int64_t account
    int64_t order_id
    int64_t lease_id
    int64_t instrument
    int64_t price_ticks
    int64_t quantity
    int64_t hours
    int64_t baron
    int64_t max_hours
    int64_t stop_price_ticks
    int64_t display_quantity
    int64_t min_quantity
    int64_t features
    int64_t lot
    int64_t min_hours
    int64_t expire_ns
    int64_t connection
    int64_t min_rating
    View client_order_id
    View delivery
    View tag
    View access
    uint8_t side
    uint8_t order_type
    uint8_t time_in_force
    uint8_t self_trade
    bint post_only
    bint same_baron
    bint reduce_only


cdef inline uint8_t read_command(const uint8_t *data, size_t size, PlainCommand *command) noexcept nogil:
    """Which command a record holds, with its fields; NOT_PLAIN, and fields of no meaning, for any other."""
    cdef Cursor cursor
    cdef uint32_t fields
    cdef uint8_t tag
    cursor.at = data
    cursor.end = data + size
    if unlikely(size == 0 or data[0] != RECORD_FORMAT):
        return NOT_PLAIN
    cursor.at += 1
    if not (read_array(&cursor, &fields) and fields == 2 and read_number(&cursor, &command.ts_ns)):
        return NOT_PLAIN
    if not (read_array(&cursor, &fields) and read_code(&cursor, PLACE_ORDER, TICK, &tag)):
        return NOT_PLAIN
    command.account = 0
    command.client_order_id.data = NULL
    command.client_order_id.size = 0
    if not _read_fields(&cursor, tag, fields, command) or cursor.at != cursor.end:
        return NOT_PLAIN
    return tag


cdef inline bint _read_fields(
    Cursor *cursor, uint8_t tag, uint32_t fields, PlainCommand *command
) noexcept nogil:
    if tag == PLACE_ORDER:
        return fields == PLACE_ORDER_FIELDS and _read_order(cursor, command) and _read_terms(cursor, command)
    if tag == CANCEL_ORDER:
        return fields == CANCEL_ORDER_FIELDS and _read_named(cursor, command)
    if tag == AMEND_ORDER:
        return fields == AMEND_ORDER_FIELDS and _read_named(cursor, command) and _read_change(cursor, command)
    if tag == END_LEASE:
        return (
            fields == END_LEASE_FIELDS
            and read_number(cursor, &command.account)
            and read_number(cursor, &command.lease_id)
        )
    if tag == LEASE_ACTIVE:
        return (
            fields == LEASE_ACTIVE_FIELDS
            and read_number(cursor, &command.lease_id)
            and read_blob(cursor, &command.access)
        )
    if tag == LEASE_WIPED:
        return fields == LEASE_WIPED_FIELDS and read_number(cursor, &command.lease_id)
    return tag == TICK and fields == TICK_FIELDS


cdef inline bint _read_order(Cursor *cursor, PlainCommand *command) noexcept nogil:
    """What of an order comes before its terms."""
    return (
        read_number(cursor, &command.account)
        and read_number(cursor, &command.instrument)
        and read_code(cursor, 1, SIDE_MAX, &command.side)
        and read_code(cursor, 1, ORDER_TYPE_MAX, &command.order_type)
        and read_code(cursor, 1, TIME_IN_FORCE_MAX, &command.time_in_force)
        and read_number(cursor, &command.price_ticks)
        and read_number(cursor, &command.quantity)
        and read_flag(cursor, &command.post_only)
        and read_text(cursor, &command.client_order_id)
        and read_number(cursor, &command.hours)
        and read_number(cursor, &command.baron)
        and read_number(cursor, &command.max_hours)
        and read_blob(cursor, &command.delivery)
    )


cdef inline bint _read_terms(Cursor *cursor, PlainCommand *command) noexcept nogil:
    if cursor.end - cursor.at == NO_TERMS_BYTES and memcmp(cursor.at, NO_TERMS, NO_TERMS_BYTES) == 0:
        # Most orders have none of them.
        cursor.at = cursor.end
        command.stop_price_ticks = command.display_quantity = command.min_quantity = 0
        command.features = command.lot = command.min_hours = 0
        command.expire_ns = command.connection = command.min_rating = 0
        command.tag.data, command.tag.size = NULL, 0
        command.self_trade, command.same_baron, command.reduce_only = 0, False, False
        return True
    return (
        read_number(cursor, &command.stop_price_ticks)
        and read_number(cursor, &command.display_quantity)
        and read_number(cursor, &command.min_quantity)
        and read_code(cursor, 0, SELF_TRADE_MAX, &command.self_trade)
        and read_number(cursor, &command.features)
        and read_flag(cursor, &command.same_baron)
        and read_number(cursor, &command.lot)
        and read_number(cursor, &command.min_hours)
        and read_text(cursor, &command.tag)
        and read_number(cursor, &command.expire_ns)
        and read_number(cursor, &command.connection)
        and read_number(cursor, &command.min_rating)
        and read_flag(cursor, &command.reduce_only)
    )


cdef inline bint _read_named(Cursor *cursor, PlainCommand *command) noexcept nogil:
    """Whose order, and which."""
    return (
        read_number(cursor, &command.account)
        and read_number(cursor, &command.order_id)
        and read_text(cursor, &command.client_order_id)
    )


cdef inline bint _read_change(Cursor *cursor, PlainCommand *command) noexcept nogil:
    return (
        read_number(cursor, &command.price_ticks)
        and read_number(cursor, &command.quantity)
        and read_number(cursor, &command.expire_ns)
    )
