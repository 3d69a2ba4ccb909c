"""Short ways for what a book is asked most: a plain limit order that rests, the cancel and the move of one.

Each does what the long way does, or nothing at all: then the long way answers. What is used again is read
once, since another thread may write over a caller's buffer meanwhile: what was checked is what is done.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from engine.fast.core cimport (
    FLAGS, HEIGHTS, MODE_SHIFT, PLACE_SHIFT, POSTED, RARE, SELLS, BookCore, Ladder, Level, Node, unlikely,
)
from engine.fast.deltas cimport touch
from engine.fast.ids cimport find_order, insert_order, is_live, remove_order
from engine.fast.levels cimport (
    close_if_empty, join_level, key_of, leave_level, link_node, open_level, unlink_node,
)
from engine.fast.pool cimport give_node, take_node
from engine.fast.records cimport (
    KIND_ACCEPTED, KIND_AMENDED, KIND_CANCELED, OP_CANCEL, OP_NEW, REASON_REQUESTED, SESSION_CONTINUOUS,
    CommandRecord, Sink,
)
from engine.fast.sink cimport emit_plain

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
    # Where shape, flags and the self-trade mode in the shape begin in the word.
    SHAPE_SHIFT = 8
    FLAGS_SHIFT = 16
    MODE_BITS = 13


cdef inline uint32_t _word(const CommandRecord *command) noexcept nogil:
    """Op, shape, flags and reserved at once."""
    cdef uint32_t word
    memcpy(&word, &command.op, 4)
    return word


cdef inline bint _is_quiet(BookCore *core, int64_t ts_ns, uint64_t order_id) noexcept nogil:
    """Whether the time is right, the session continuous, and no stop waits to fire."""
    return (
        ts_ns >= core.now_ns and core.session == SESSION_CONTINUOUS and core.due.count == 0
        and order_id != 0
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
    cdef uint32_t word = _word(command)
    cdef uint32_t sells = word >> SHAPE_SHIFT & 1
    cdef uint64_t order_id = command.order_id
    cdef int64_t ts_ns = command.ts_ns
    cdef int32_t price = command.price
    cdef uint32_t quantity = command.quantity
    cdef Ladder *ladder = &core.sides[sells]
    cdef Ladder *other = &core.sides[1 - sells]
    cdef Node *node
    cdef uint32_t index, flags
    if (word & ~<uint32_t>NEW_FREE) != OP_NEW or not _is_plain(command):
        return False
    if not _is_quiet(core, ts_ns, order_id):
        return False
    if price < 1 or price > core.limits.price_max:
        return False
    if quantity == 0 or quantity > core.limits.quantity_max:
        return False
    if other.best_key <= key_of(other, price):
        return False
    if unlikely(
        core.node_spare == 0 or core.ids.count >= core.ids.grow_at or ladder.block_spare == 0
        or core.branch_spare < HEIGHTS
    ):
        return False
    if unlikely(is_live(core, order_id)):
        return False
    core.now_ns = ts_ns
    emit_plain(
        core, sink, KIND_ACCEPTED | (sells + 1) << 8, order_id, price, quantity,
        quantity,
    )
    index = take_node(core)
    insert_order(core, order_id, index)
    node = &core.nodes[index]
    node.order_id = order_id
    node.account = command.account
    node.leaves = quantity
    node.quantity = quantity
    flags = sells * SELLS | (word >> FLAGS_SHIFT) * POSTED | (word >> MODE_BITS & 3) << MODE_SHIFT
    join_level(core, ladder, open_level(core, ladder, price), index, flags, quantity)
    return True


cdef inline uint32_t _plain_order(BookCore *core, uint64_t order_id, uint32_t account) noexcept nogil:
    """The live order that a command names, if nothing about it is rare and its account may; or 0."""
    cdef uint32_t index = find_order(core, order_id)
    cdef Node *node = &core.nodes[index]
    if unlikely(index == 0) or unlikely(node.place & RARE):
        return 0
    if unlikely(account != 0 and account != node.account):
        return 0
    return index


cdef inline bint goes_at_once(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """CANCEL: of an order with nothing rare about it, by request."""
    cdef uint64_t order_id = command.order_id
    cdef int64_t ts_ns = command.ts_ns
    cdef uint32_t index, sells, leaves
    cdef Node *node
    cdef Ladder *ladder
    cdef Level *level
    if (_word(command) & ~<uint32_t>CANCEL_FREE) != OP_CANCEL or command.reason:
        return False
    if not _is_quiet(core, ts_ns, order_id):
        return False
    index = _plain_order(core, order_id, command.account)
    if unlikely(index == 0):
        return False
    node = &core.nodes[index]
    leaves = node.leaves
    sells = (node.place & SELLS) // SELLS
    ladder = &core.sides[sells]
    level = &ladder.levels[node.place >> PLACE_SHIFT]
    core.now_ns = ts_ns
    emit_plain(
        core, sink, KIND_CANCELED | (sells + 1) << 8 | <uint32_t>REASON_REQUESTED << 16, order_id,
        <int32_t>level.price, leaves, 0,
    )
    leave_level(core, ladder, index, leaves)
    remove_order(core, order_id, index)
    give_node(core, index)
    return True


cdef inline bint moves_at_once(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """AMEND: a new price for an order with nothing rare about it, at which it meets nobody."""
    cdef uint32_t index, sells, leaves, before, after
    cdef uint64_t order_id = command.order_id
    cdef int64_t ts_ns = command.ts_ns
    cdef int32_t price = command.price
    cdef Node *node
    cdef Ladder *ladder
    cdef Ladder *other
    cdef Level *level
    if (_word(command) & ~<uint32_t>AMEND_FREE) != AMEND_PRICE or not _is_quiet(core, ts_ns, order_id):
        return False
    if price < 1 or price > core.limits.price_max:
        return False
    index = _plain_order(core, order_id, command.account)
    if unlikely(index == 0):
        return False
    node = &core.nodes[index]
    sells = (node.place & SELLS) // SELLS
    ladder = &core.sides[sells]
    other = &core.sides[1 - sells]
    if other.best_key <= key_of(other, price):
        return False
    if unlikely(ladder.block_spare == 0 or core.branch_spare < HEIGHTS):
        return False
    core.now_ns = ts_ns
    leaves = node.leaves
    emit_plain(
        core, sink, KIND_AMENDED | (sells + 1) << 8, order_id, price, node.quantity, leaves
    )
    # As `leave_level` and `join_level`, without the side's counts: it neither wins nor loses an order.
    before = node.place >> PLACE_SHIFT
    level = &ladder.levels[before]
    unlink_node(core.nodes, level, index)
    level.orders -= 1
    level.unconditional -= leaves
    touch(core, ladder, before)
    close_if_empty(core, ladder, before)
    after = open_level(core, ladder, price)
    level = &ladder.levels[after]
    node.place = after << PLACE_SHIFT | (node.place & FLAGS)
    link_node(core.nodes, level, index)
    level.orders += 1
    level.unconditional += leaves
    touch(core, ladder, after)
    return True
