"""Where events go: into the caller's buffer, and what finds no room there into the book's own, to be told
first.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort
from libc.string cimport memcpy, memmove

from engine.fast.core cimport BookCore, likely, unlikely
from engine.fast.memory cimport grown_by_half, resize
from engine.fast.records cimport (
    EVENT_KEPT_PRIORITY, KIND_AMENDED, KIND_CANCELED, KIND_REJECTED, EventRecord, Sink,
)


cdef inline int reserve_events(BookCore *core, Sink *sink, uint64_t events) noexcept nogil:
    """Room for so many events, in the caller's buffer and the book's own together; 0, or -1 when there is no
    memory.
    """
    cdef uint64_t room = <uint64_t>(sink.end - sink.next)
    cdef uint64_t capacity
    if likely(events <= room):
        return 0
    events += core.pending_count - room
    if events <= core.pending_capacity:
        return 0
    capacity = grown_by_half(core.pending_capacity, events)
    if resize(<void **>&core.pending, core.pending_capacity, capacity, sizeof(EventRecord), False) < 0:
        return -1
    core.pending_capacity = capacity
    return 0


cdef inline EventRecord *_pending_event(BookCore *core, Sink *sink) noexcept nogil:
    cdef EventRecord *event
    if unlikely(core.pending_count == core.pending_capacity) and reserve_events(core, sink, 1) < 0:
        # Each command reserves what it can need, so that none comes here; an event lost would be a fill lost.
        abort()
    event = &core.pending[core.pending_count]
    core.pending_count += 1
    return event


cdef inline EventRecord *next_event(BookCore *core, Sink *sink) noexcept nogil:
    cdef EventRecord *event = sink.next
    if unlikely(event >= sink.end):
        return _pending_event(core, sink)
    sink.next = event + 1
    return event


cdef inline void emit_plain(
    BookCore *core, Sink *sink, uint32_t word, uint64_t order_id, int32_t price, uint32_t quantity,
    uint32_t leaves
) noexcept nogil:
    """An event about one order, for the short ways; kind, side, reason and flags are bytes of the word.

    Few enough arguments for registers, so that the compiler inlines it: `emit` took a quarter of a move.
    """
    cdef EventRecord *event = next_event(core, sink)
    event.order_id = order_id
    event.other_id = 0
    event.command = sink.command
    event.price = price
    event.quantity = quantity
    event.leaves = leaves
    event.other_leaves = 0
    memcpy(&event.kind, &word, 4)


cdef inline void emit(
    BookCore *core, Sink *sink, uint8_t kind, uint64_t order_id, uint64_t other_id, int32_t price,
    uint32_t quantity,
    uint32_t leaves, uint32_t other_leaves, uint8_t side, uint8_t reason, uint8_t flags,
) noexcept nogil:
    cdef EventRecord *event = next_event(core, sink)
    cdef uint32_t word
    event.order_id = order_id
    event.other_id = other_id
    event.command = sink.command
    event.price = price
    event.quantity = quantity
    event.leaves = leaves
    event.other_leaves = other_leaves
    # The last four bytes at once: kind, side, reason, flags.
    word = kind | <uint32_t>side << 8 | <uint32_t>reason << 16 | <uint32_t>flags << 24
    memcpy(&event.kind, &word, 4)


cdef inline void emit_rejected(BookCore *core, Sink *sink, uint64_t order_id, uint8_t reason) noexcept nogil:
    emit(core, sink, KIND_REJECTED, order_id, 0, 0, 0, 0, 0, 0, reason, 0)


cdef inline void emit_canceled(
    BookCore *core, Sink *sink, uint64_t order_id, bint sells, int32_t price, uint32_t unfilled,
    uint8_t reason
) noexcept nogil:
    emit(core, sink, KIND_CANCELED, order_id, 0, price, unfilled, 0, 0, sells + 1, reason, 0)


cdef inline void emit_amended(
    BookCore *core, Sink *sink, uint64_t order_id, bint sells, int32_t price, uint32_t quantity,
    uint32_t leaves,
    uint8_t reason, bint kept,
) noexcept nogil:
    emit(
        core, sink, KIND_AMENDED, order_id, 0, price, quantity, leaves, 0, sells + 1, reason,
        EVENT_KEPT_PRIORITY if kept else 0,
    )


cdef inline void drain(BookCore *core, Sink *sink) noexcept nogil:
    """Tell what waited, as far as there is room."""
    cdef uint64_t room = <uint64_t>(sink.end - sink.next)
    cdef uint64_t count = core.pending_count - core.pending_first
    if count > room:
        count = room
    if count:
        memcpy(sink.next, &core.pending[core.pending_first], <size_t>(count * sizeof(EventRecord)))
        sink.next += count
        core.pending_first += count
    if core.pending_first == core.pending_count:
        core.pending_first = 0
        core.pending_count = 0


cdef inline int put_back(BookCore *core, const EventRecord *events, uint64_t count) noexcept nogil:
    """Events that couldn't be told wait before all that wait; 0, or -1 when there is no memory."""
    cdef EventRecord nowhere[1]
    cdef Sink sink
    cdef EventRecord *first
    sink.next = &nowhere[0]
    sink.end = &nowhere[0]
    if reserve_events(core, &sink, count) < 0:
        return -1
    if count:
        first = &core.pending[core.pending_first]
        memmove(
            first + count, first, <size_t>((core.pending_count - core.pending_first) * sizeof(EventRecord))
        )
        memcpy(first, events, <size_t>(count * sizeof(EventRecord)))
        core.pending_count += count
    return 0
