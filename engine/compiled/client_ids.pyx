# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Client ids in C; `engine.client_ids` is the law.

The digest is of the bytes that the law's encoder makes of the command, whatever form its record had.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp

from engine.compiled.blake2b cimport DIGEST_BYTES, digest_16
from engine.compiled.commands cimport PLACE_ORDER, PLACE_ORDER_FIELDS, PlainCommand
from engine.compiled.order_events cimport write_duplicate, write_rejected
from engine.compiled.records cimport Account
from engine.compiled.remembered cimport Entry, text_at
from engine.compiled.slots cimport find_slot
from engine.compiled.state cimport Core
from engine.compiled.wire cimport (
    LENGTH_BYTES, NUMBER_BYTES, View, put_array, put_blob, put_code, put_flag, put_number, put_text,
    view_bytes,
)

from engine.reasons import Reason

cdef enum:
    # Bytes of a client id and a tag together, beyond which a command is the law's.
    TEXTS_MOST = 512
    ORDER_BYTES = PLACE_ORDER_FIELDS * NUMBER_BYTES + 4 * LENGTH_BYTES + TEXTS_MOST

cdef int DUPLICATE_CLIENT_ORDER_ID = Reason.DUPLICATE_CLIENT_ORDER_ID
cdef bytes CLIENT_ORDER_ID = b"client_order_id"


cdef bint is_valid(Core state, const View *text) noexcept nogil:
    cdef size_t place
    cdef uint8_t char
    if <int64_t>text.size > state.max_client_id_chars:
        return False
    for place in range(text.size):
        char = text.data[place]
        if not (
            c"a" <= char <= c"z" or c"0" <= char <= c"9" or c"A" <= char <= c"Z"
            or char == c"-" or char == c"_"
        ):
            return False
    return True


cdef const Entry *found(Account account, const View *client_id) noexcept:
    """What a client id stood for, or NULL."""
    cdef const Entry *entry = account.client_ids.find(client_id)
    return account.older_live_ids.find(client_id) if entry == NULL else entry


cdef uint64_t order_named(Account account, const View *client_id) noexcept:
    cdef const Entry *entry = found(account, client_id)
    return 0 if entry == NULL else entry.order_id


cdef Repeat repeated(Core state, Account account, const PlainCommand *command, uint8_t *digest) except *:
    cdef const Entry *entry
    cdef View field
    if not is_valid(state, &command.client_order_id) or not digest_order(command, digest):
        return IS_NOT_PLAIN
    entry = found(account, &command.client_order_id)
    if entry == NULL:
        return IS_NEW
    if memcmp(entry.digest, digest, DIGEST_BYTES) != 0:
        view_bytes(&field, CLIENT_ORDER_ID)
        write_rejected(
            &state.events.sink, command.account, <uint8_t>DUPLICATE_CLIENT_ORDER_ID, &field,
            &command.client_order_id, 0, 0, 0, 0
        )
        return IS_REFUSED
    write_duplicate(
        &state.events.sink, command.account, &command.client_order_id, <int64_t>entry.seq,
        <int64_t>entry.order_id
    )
    return IS_REPEATED


cdef int remember(
    Core state, Account account, const View *client_id, const uint8_t *digest, uint64_t order_id
) except -1:
    cdef const Entry *oldest
    cdef View text
    account.client_ids.put(client_id, digest, state.last_seq, order_id)
    if <int64_t>account.client_ids.count > state.max_client_ids:
        oldest = account.client_ids.oldest()
        text = text_at(oldest)
        if find_slot(&state.orders.slots, oldest.order_id) != NULL:
            account.older_live_ids.put(&text, oldest.digest, oldest.seq, oldest.order_id)
        account.client_ids.drop(&text)
    return 0


cdef bint digest_order(const PlainCommand *command, uint8_t *digest) noexcept nogil:
    cdef uint8_t order[ORDER_BYTES]
    cdef uint8_t *at
    cdef View nothing
    if command.client_order_id.size + command.tag.size > <size_t>TEXTS_MOST:
        return False
    nothing.data, nothing.size = NULL, 0
    at = put_array(order, PLACE_ORDER_FIELDS)
    at = put_code(at, PLACE_ORDER)
    at = put_number(at, command.account)
    at = put_number(at, command.instrument)
    at = put_code(at, command.side)
    at = put_code(at, command.order_type)
    at = put_code(at, command.time_in_force)
    at = put_number(at, command.price_ticks)
    at = put_number(at, command.quantity)
    at = put_flag(at, command.post_only)
    at = put_text(at, &command.client_order_id)
    at = put_number(at, command.hours)
    at = put_number(at, command.baron)
    at = put_number(at, command.max_hours)
    at = put_blob(at, &nothing)
    at = put_number(at, command.stop_price_ticks)
    at = put_number(at, command.display_quantity)
    at = put_number(at, command.min_quantity)
    at = put_code(at, command.self_trade)
    at = put_number(at, command.features)
    at = put_flag(at, command.same_baron)
    at = put_number(at, command.lot)
    at = put_number(at, command.min_hours)
    at = put_text(at, &command.tag)
    at = put_number(at, command.expire_ns)
    at = put_number(at, 0)
    at = put_number(at, command.min_rating)
    at = put_flag(at, command.reduce_only)
    digest_16(order, <size_t>(at - order), digest)
    return True
