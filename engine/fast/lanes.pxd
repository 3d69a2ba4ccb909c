"""Short ways for what a book is asked most: a plain limit order that rests, the cancel and the move of one.

Each does what the long way does, or nothing at all: then the long way answers.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from engine.fast.core cimport (
    HEIGHTS, MODE_SHIFT, PLACE_SHIFT, POSTED, RARE, SELLS, BookCore, Ladder, Node, unlikely,
)
from engine.fast.ids cimport find_order, insert_order, remove_order
from engine.fast.levels cimport join_level, key_of, leave_level, open_level
from engine.fast.pool cimport give_node, take_node
from engine.fast.records cimport (
    KIND_ACCEPTED, KIND_AMENDED, KIND_CANCELED, OP_CANCEL, OP_NEW, REASON_REQUESTED,
    SESSION_CONTINUOUS, CommandRecord, Sink,
)
from engine.fast.sink cimport emit

cdef enum:
    # The record's last four bytes are op, shape, flags and reserved. Free in the short way of a NEW: the
    # side, the self-trade mode, post-only.
    NEW_FREE = 0x00016100
    # Of CANCEL and AMEND the shape isn't looked at; of CANCEL the flags neither.
    CANCEL_FREE = 0x00FFFF00
    AMEND_FREE = 0x0000FF00
    AMEND_PRICE = 0x00010003
    # The reason among lot, min_rating and reason, which NEW doesn't use.
    REASON_BITS = 0xFF000000


cdef inline uint32_t _word(const CommandRecord *command) noexcept nogil:
    """Op, shape, flags and reserved at once."""
    cdef uint32_t word
    memcpy(&word, &command.op, 4)
    return word


cdef inline bint _is_quiet(BookCore *core, const CommandRecord *command) noexcept nogil:
    """Whether the time is right, the session continuous, and no stop waits to fire."""
    return (
        command.ts_ns >= core.now_ns and core.session == SESSION_CONTINUOUS and core.due.count == 0
        and command.order_id != 0
    )


cdef inline bint _is_plain(const CommandRecord *command) noexcept nogil:
    """Whether no field between quantity and reason says anything."""
    cdef uint64_t some, more, most
    cdef uint32_t last
    memcpy(&some, &command.min_quantity, 8)
    memcpy(&more, &command.window_end_h, 8)
    memcpy(&most, &command.tag, 8)
    memcpy(&last, &command.lot, 4)
    return (some | more | most | command.display_quantity | (last & ~<uint32_t>REASON_BITS)) == 0


cdef inline bint rests_at_once(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """NEW: a plain limit order that meets nobody."""
    cdef uint32_t sells = command.shape & 1
    cdef Ladder *ladder = &core.sides[sells]
    cdef Ladder *other = &core.sides[1 - sells]
    cdef Node *node
    cdef uint32_t index
    if (_word(command) & ~<uint32_t>NEW_FREE) != OP_NEW or not _is_plain(command):
        return False
    if not _is_quiet(core, command):
        return False
    if command.price < 1 or command.price > core.limits.price_max:
        return False
    if command.quantity == 0 or command.quantity > core.limits.quantity_max:
        return False
    if other.best_key <= key_of(other, command.price):
        return False
    if unlikely(
        core.node_spare == 0 or core.ids.count >= core.ids.grow_at or ladder.level_spare == 0
        or core.branch_spare < HEIGHTS
    ):
        return False
    if unlikely(find_order(core, command.order_id) != 0):
        return False
    core.now_ns = command.ts_ns
    emit(
        core, sink, KIND_ACCEPTED, command.order_id, 0, command.price, command.quantity, command.quantity, 0,
        <uint8_t>(sells + 1), 0, 0,
    )
    index = take_node(core)
    insert_order(core, command.order_id, index)
    node = &core.nodes[index]
    node.order_id = command.order_id
    node.account = command.account
    node.leaves = command.quantity
    node.quantity = command.quantity
    node.place = sells * SELLS | command.flags * POSTED | <uint32_t>(command.shape >> 5) << MODE_SHIFT
    join_level(core, ladder, open_level(core, ladder, command.price), index, command.quantity)
    return True


cdef inline bint goes_at_once(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """CANCEL: of an order with nothing rare about it, by request."""
    cdef uint32_t index
    cdef Node *node
    cdef Ladder *ladder
    if (_word(command) & ~<uint32_t>CANCEL_FREE) != OP_CANCEL or command.reason:
        return False
    if not _is_quiet(core, command):
        return False
    index = find_order(core, command.order_id)
    if unlikely(index == 0):
        return False
    node = &core.nodes[index]
    if unlikely(node.place & RARE) or unlikely(command.account != 0 and command.account != node.account):
        return False
    core.now_ns = command.ts_ns
    ladder = &core.sides[(node.place & SELLS) != 0]
    emit(
        core, sink, KIND_CANCELED, command.order_id, 0, <int>ladder.levels[node.place >> PLACE_SHIFT].price,
        node.leaves, 0, 0, <uint8_t>(ladder.sells + 1), REASON_REQUESTED, 0,
    )
    leave_level(core, ladder, index, node.leaves)
    remove_order(core, command.order_id, index)
    give_node(core, index)
    return True


cdef inline bint moves_at_once(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """AMEND: a new price for an order with nothing rare about it, at which it meets nobody."""
    cdef uint32_t index
    cdef Node *node
    cdef Ladder *ladder
    cdef Ladder *other
    if (_word(command) & ~<uint32_t>AMEND_FREE) != AMEND_PRICE or not _is_quiet(core, command):
        return False
    if command.price < 1 or command.price > core.limits.price_max:
        return False
    index = find_order(core, command.order_id)
    if unlikely(index == 0):
        return False
    node = &core.nodes[index]
    if unlikely(node.place & RARE) or unlikely(command.account != 0 and command.account != node.account):
        return False
    ladder = &core.sides[(node.place & SELLS) != 0]
    other = &core.sides[(node.place & SELLS) == 0]
    if other.best_key <= key_of(other, command.price):
        return False
    if unlikely(ladder.level_spare == 0 or core.branch_spare < HEIGHTS):
        return False
    core.now_ns = command.ts_ns
    leave_level(core, ladder, index, node.leaves)
    emit(
        core, sink, KIND_AMENDED, command.order_id, 0, command.price, node.quantity, node.leaves, 0,
        <uint8_t>(ladder.sells + 1), 0, 0,
    )
    join_level(core, ladder, open_level(core, ladder, command.price), index, node.leaves)
    return True
