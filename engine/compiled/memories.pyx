# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What accounts remember, as a snapshot carries it: client ids, closed orders and wiped leases, up to ten
thousand each.

The bytes are those that the law's encoder makes of `engine.tables.Account`. What isn't plain is the law's
decoder's to judge. It knows no rule of the market.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from engine.compiled.blake2b cimport DIGEST_BYTES
from engine.compiled.reading cimport (
    Cursor, read_array, read_blob, read_code, read_map, read_nil, read_number, read_text,
)
from engine.compiled.records cimport Account, closed_orders_of
from engine.compiled.remembered cimport Entry, RememberedIds, text_at
from engine.compiled.tables cimport IdMemory
from engine.compiled.wire cimport (
    LENGTH_BYTES, NIL, NUMBER_BYTES, UINT_64, View, WireSink, bytes_of, free_sink, put_array, put_blob,
    put_code, put_map, put_number, put_text, room, swapped_64, written,
)

from msgspec import Raw

from engine.kinds import OrderStatus
from engine.tables import Account as LawAccount

cdef enum:
    # Of `engine.tables.Remembered`.
    REMEMBERED_FIELDS = 3
    # What one of them takes at most beside its text.
    REMEMBERED_BYTES = 2 * LENGTH_BYTES + 1 + DIGEST_BYTES + 2 * NUMBER_BYTES

cdef uint8_t LAST_STATUS = max(OrderStatus)
cdef set MEMORIES = {"client_ids", "older_live_ids", "closed_orders", "wiped_leases"}
cdef tuple PLAIN_FIELDS = tuple(
    name for name in LawAccount.__struct_fields__ if name not in MEMORIES and name != "pots"
)
cdef object NOTHING = Raw(bytes([0x80]))


cdef uint8_t *put_id(uint8_t *at, uint64_t number) noexcept nogil:
    """A number that may have all 64 bits."""
    if number <= <uint64_t>INT64_MAX:
        return put_number(at, <int64_t>number)
    at[0] = UINT_64
    number = swapped_64(number)
    memcpy(at + 1, &number, sizeof(number))
    return at + NUMBER_BYTES


cdef int open_map(WireSink *sink, uint64_t count) except -1:
    memset(sink, 0, sizeof(WireSink))
    written(sink, put_map(room(sink, LENGTH_BYTES), <uint32_t>count))
    return 0


cdef object raw(WireSink *sink):
    cdef View all_of_it
    all_of_it.data, all_of_it.size = sink.data, sink.size
    return Raw(bytes_of(&all_of_it))


cdef object saved_ids(RememberedIds ids):
    """A map of texts to `engine.tables.Remembered`, oldest first."""
    cdef WireSink sink
    cdef View text, digest
    cdef uint64_t turn = 0
    cdef const Entry *entry = ids.walk(&turn)
    cdef uint8_t *at
    if entry == NULL:
        return NOTHING
    digest.size = DIGEST_BYTES
    open_map(&sink, ids.count)
    try:
        while entry != NULL:
            text = text_at(entry)
            digest.data = <const uint8_t *>entry.digest
            at = put_text(room(&sink, REMEMBERED_BYTES + text.size), &text)
            at = put_blob(put_array(at, REMEMBERED_FIELDS), &digest)
            written(&sink, put_id(put_id(at, entry.seq), entry.order_id))
            entry = ids.walk(&turn)
        return raw(&sink)
    finally:
        free_sink(&sink)


cdef object saved_numbers(IdMemory memory, bint tells):
    """A map of ids, oldest first, to the number of each where it tells anything, or to nothing."""
    cdef WireSink sink
    cdef uint64_t turn = 0
    cdef uint64_t key = 0
    cdef uint8_t number = 0
    cdef uint8_t *at
    if memory.ring.count == 0:
        return NOTHING
    open_map(&sink, memory.ring.count)
    try:
        while memory.walk(&turn, &key, &number):
            at = put_id(room(&sink, NUMBER_BYTES + 1), key)
            written(&sink, put_code(at, number if tells else <uint8_t>NIL))
        return raw(&sink)
    finally:
        free_sink(&sink)


cdef object saved_account(Account account):
    return LawAccount(
        pots=list(account.pots),
        client_ids=saved_ids(account.client_ids),
        older_live_ids=saved_ids(account.older_live_ids),
        closed_orders=saved_numbers(closed_orders_of(account), True),
        wiped_leases=saved_numbers(account.wiped_leases, False),
        **{name: getattr(account, name) for name in PLAIN_FIELDS},
    )


# ---------------------------------------------------------------- read


cdef uint32_t open_raw(Cursor *cursor, bytes encoded) noexcept:
    """How many keys a map has that is all of these bytes; none where it is no map, and the cursor stays."""
    cdef uint32_t count = 0
    cursor.at = <const uint8_t *>PyBytes_AS_STRING(encoded)
    cursor.end = cursor.at + PyBytes_GET_SIZE(encoded)
    read_map(cursor, &count)
    return count


cdef bint read_ids(RememberedIds ids, bytes encoded) except -1:
    cdef Cursor cursor
    cdef View text, digest
    cdef int64_t seq = 0
    cdef int64_t order_id = 0
    cdef uint32_t fields = 0
    cdef uint32_t _place
    for _place in range(open_raw(&cursor, encoded)):
        if not (
            read_text(&cursor, &text) and read_array(&cursor, &fields) and fields == REMEMBERED_FIELDS
            and read_blob(&cursor, &digest) and digest.size == DIGEST_BYTES
            and read_number(&cursor, &seq) and seq >= 0 and read_number(&cursor, &order_id) and order_id >= 0
        ):
            return False
        ids.put(&text, digest.data, <uint64_t>seq, <uint64_t>order_id)
    return cursor.at == cursor.end


cdef bint read_numbers(IdMemory memory, bytes encoded, bint tells) except -1:
    cdef Cursor cursor
    cdef int64_t key = 0
    cdef uint8_t number = 0
    cdef uint32_t _place
    for _place in range(open_raw(&cursor, encoded)):
        if not read_number(&cursor, &key) or key < 0:
            return False
        if not (read_code(&cursor, 0, LAST_STATUS, &number) if tells else read_nil(&cursor)):
            return False
        memory.remember(<uint64_t>key, number, UINT64_MAX)
    return cursor.at == cursor.end


cdef Account read_account(object saved):
    cdef Account account = Account(
        pots=saved.pots, **{name: getattr(saved, name) for name in PLAIN_FIELDS}
    )
    if (
        read_ids(account.client_ids, bytes(saved.client_ids))
        and read_ids(account.older_live_ids, bytes(saved.older_live_ids))
        and read_numbers(closed_orders_of(account), bytes(saved.closed_orders), True)
        and read_numbers(account.wiped_leases, bytes(saved.wiped_leases), False)
    ):
        return account
    return None
