# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The fast order book: what `engine.resting_plain` says, on C arrays, no Python object for an order or a level.

Orders are nodes of one pool, linked by 32-bit indices into a queue for each price; each side is an array
of its levels, searched by halves, with the best price at its end; an open-addressing table finds a node by
its order's id. Freed slots are used again, and memory goes back when the book does. The plain book is the
law: each call gives the same answer and raises the same errors, and a value beyond the fields' widths
(quantity and hours 32 bits, all else 64) is an OverflowError that changes nothing. It never knows money,
capacity or time in force.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memmove

from engine.resting import Fill, Level, Resting, Stop, Walk
from engine.kinds import Side
from engine.units import NS_PER_HOUR

cdef extern from *:
    """
    typedef __int128 hourbook_int128;
    """
    ctypedef long long int128_t "hourbook_int128"

cdef enum:
    NONE = -1
    FIRST_BITS = 6
    # Half of the table is the pool, so 2**30 orders is what 32-bit indices and 31 bits of table carry.
    TABLE_BITS_MAX = 31

# The golden ratio's 64 bits: ids that differ in a few low bits spread over the whole table.
cdef uint64_t SPREAD = 0x9E3779B97F4A7C15
cdef int64_t HOUR_NS = NS_PER_HOUR
cdef object BUY = Side.BUY
cdef object SELL = Side.SELL
cdef object DONE = Stop.DONE
cdef object SELF_TRADE = Stop.SELF_TRADE
cdef object WALK_LIMIT = Stop.WALK_LIMIT


cdef inline bint _ends_inside(int64_t now_ns, int64_t hours, int64_t window_end_ns) noexcept nogil:
    """The bid's hours end inside the ask's fixed hours; no window meets every bid (rulebook §5)."""
    # 128 bits hold the sum of any hours and any time.
    cdef int128_t end_ns = <int128_t>now_ns + <int128_t>hours * <int128_t>HOUR_NS
    return window_end_ns == 0 or end_ns <= <int128_t>window_end_ns


@cython.final
cdef class FastBook:
    """One instrument's resting orders; implements `engine.resting.Book`."""

    def __cinit__(self):
        self._free_node = NONE
        self._free_level = NONE
        self._table_bits = FIRST_BITS
        self._grow_nodes()

    def __dealloc__(self):
        PyMem_Free(self._nodes)
        PyMem_Free(self._levels)
        PyMem_Free(self._table)
        PyMem_Free(self._ladders[0].levels)
        PyMem_Free(self._ladders[1].levels)

    # ---- the table of ids

    cdef int32_t _slot(self, int64_t order_id) noexcept nogil:
        """Where in the table the id stands, or the empty place where it would."""
        cdef int32_t mask = <int32_t>((<uint64_t>1 << self._table_bits) - 1)
        cdef int32_t slot = <int32_t>((<uint64_t>order_id * SPREAD) >> (64 - self._table_bits))
        while self._table[slot] != NONE and self._nodes[self._table[slot]].order_id != order_id:
            slot = (slot + 1) & mask
        return slot

    cdef int32_t _find(self, object order_id) except -2:
        """The node of an order, or NONE; an id that no 64 bits hold is one that isn't there."""
        cdef int64_t key
        try:
            key = order_id
        except OverflowError:
            return NONE
        return self._table[self._slot(key)]

    cdef int32_t _rested(self, object order_id) except -2:
        """The node of an order that must be there: KeyError."""
        cdef int32_t index = self._find(order_id)
        if index == NONE:
            raise KeyError(order_id)
        return index

    cdef void _enter(self, int32_t index) noexcept nogil:
        self._table[self._slot(self._nodes[index].order_id)] = index

    cdef void _leave(self, int32_t slot) noexcept nogil:
        """Empty a place, and let those behind it close the gap, so that every search still ends right."""
        cdef int32_t mask = <int32_t>((<uint64_t>1 << self._table_bits) - 1)
        cdef int32_t other = slot
        cdef int32_t home
        while True:
            other = (other + 1) & mask
            if self._table[other] == NONE:
                break
            home = <int32_t>(
                (<uint64_t>self._nodes[self._table[other]].order_id * SPREAD) >> (64 - self._table_bits)
            )
            if ((other - home) & mask) >= ((other - slot) & mask):
                self._table[slot] = self._table[other]
                slot = other
        self._table[slot] = NONE

    # ---- memory: each grows before anything changes, so that an order enters whole or not at all

    cdef int _grow_nodes(self) except -1:
        """Twice the nodes (none is free now), and the table that is twice as large as they are."""
        cdef int32_t capacity = self._node_capacity
        cdef int bits = self._table_bits + 1
        cdef int32_t *table
        cdef Node *nodes
        cdef int64_t place
        cdef int32_t index
        if bits > TABLE_BITS_MAX:
            raise MemoryError("a book rests no more than 2**30 orders")
        table = <int32_t *>PyMem_Malloc((<size_t>1 << bits) * sizeof(int32_t))
        if table == NULL:
            raise MemoryError("no memory for the book's table of ids")
        nodes = <Node *>PyMem_Realloc(self._nodes, (<size_t>1 << (bits - 1)) * sizeof(Node))
        if nodes == NULL:
            PyMem_Free(table)
            raise MemoryError("no memory for the book's orders")
        PyMem_Free(self._table)
        self._table = table
        self._table_bits = bits
        for place in range(<int64_t>1 << bits):
            table[place] = NONE
        self._nodes = nodes
        self._node_capacity = <int32_t>1 << (bits - 1)
        for index in range(capacity):
            self._enter(index)
        for index in range(self._node_capacity - 1, capacity - 1, -1):
            nodes[index].behind = self._free_node
            self._free_node = index
        return 0

    cdef int _grow_levels(self) except -1:
        cdef int32_t capacity = self._level_capacity
        cdef int32_t wanted = capacity * 2 if capacity else 1 << FIRST_BITS
        cdef PriceLevel *levels
        cdef int32_t index
        levels = <PriceLevel *>PyMem_Realloc(self._levels, <size_t>wanted * sizeof(PriceLevel))
        if levels == NULL:
            raise MemoryError("no memory for the book's price levels")
        self._levels = levels
        self._level_capacity = wanted
        for index in range(wanted - 1, capacity - 1, -1):
            levels[index].first = self._free_level
            self._free_level = index
        return 0

    cdef int _grow_ladder(self, Ladder *ladder) except -1:
        cdef int32_t wanted = ladder.capacity * 2 if ladder.capacity else 1 << FIRST_BITS
        cdef int32_t *levels = <int32_t *>PyMem_Realloc(ladder.levels, <size_t>wanted * sizeof(int32_t))
        if levels == NULL:
            raise MemoryError("no memory for the prices of a side of the book")
        ladder.levels = levels
        ladder.capacity = wanted
        return 0

    # ---- prices and queues

    cdef int32_t _position(self, Ladder *ladder, bint sell, int64_t price_ticks) noexcept nogil:
        """Where on the ladder the price stands or would stand: behind all that are worse."""
        cdef int32_t low = 0
        cdef int32_t high = ladder.count
        cdef int32_t middle
        cdef int64_t there_ticks
        while low < high:
            middle = low + (high - low) // 2
            there_ticks = self._levels[ladder.levels[middle]].price_ticks
            if (there_ticks > price_ticks) if sell else (there_ticks < price_ticks):
                low = middle + 1
            else:
                high = middle
        return low

    cdef int32_t _open_level(
        self, Ladder *ladder, int32_t position, bint sell, int64_t price_ticks
    ) noexcept nogil:
        """A new level at its place; the pool and the ladder have room."""
        cdef int32_t index = self._free_level
        cdef PriceLevel *level = &self._levels[index]
        self._free_level = level.first
        level.price_ticks = price_ticks
        level.unconditional_quantity = level.conditional_quantity = 0
        level.first = level.last = NONE
        level.orders = 0
        level.sell = sell
        memmove(
            &ladder.levels[position + 1],
            &ladder.levels[position],
            <size_t>(ladder.count - position) * sizeof(int32_t),
        )
        ladder.levels[position] = index
        ladder.count += 1
        return index

    cdef void _close_level(self, int32_t index) noexcept nogil:
        cdef PriceLevel *level = &self._levels[index]
        cdef Ladder *ladder = &self._ladders[level.sell]
        cdef int32_t position = self._position(ladder, level.sell, level.price_ticks)
        ladder.count -= 1
        memmove(
            &ladder.levels[position],
            &ladder.levels[position + 1],
            <size_t>(ladder.count - position) * sizeof(int32_t),
        )
        level.first = self._free_level
        self._free_level = index

    cdef void _shrink(self, int32_t index, int32_t quantity) noexcept nogil:
        """Take a quantity off an order and off its level's sums."""
        cdef Node *node = &self._nodes[index]
        cdef PriceLevel *level = &self._levels[node.level]
        node.leaves_quantity -= quantity
        if node.hours > 1:
            level.conditional_quantity -= quantity
        else:
            level.unconditional_quantity -= quantity

    cdef void _take_out(self, int32_t index) noexcept nogil:
        """An order leaves the table, its level's sums and queue, and with the last one goes the level."""
        cdef Node *node = &self._nodes[index]
        cdef PriceLevel *level = &self._levels[node.level]
        self._leave(self._slot(node.order_id))
        self._shrink(index, node.leaves_quantity)
        if node.ahead == NONE:
            level.first = node.behind
        else:
            self._nodes[node.ahead].behind = node.behind
        if node.behind == NONE:
            level.last = node.ahead
        else:
            self._nodes[node.behind].ahead = node.ahead
        level.orders -= 1
        if level.orders == 0:
            self._close_level(node.level)
        node.behind = self._free_node
        self._free_node = index
        self._count -= 1

    cdef object _resting(self, int32_t index):
        cdef Node *node = &self._nodes[index]
        cdef PriceLevel *level = &self._levels[node.level]
        return Resting(
            node.order_id,
            node.account,
            SELL if level.sell else BUY,
            level.price_ticks,
            node.leaves_quantity,
            node.hours,
            node.window_end_ns,
        )

    # ---- the book's protocol

    def walk(self, taker, int64_t now_ns, int64_t max_looked):
        """What the taker would take now, looking at up to `max_looked` resting orders. Changes nothing."""
        cdef bint buys = taker.side is BUY
        cdef int64_t account = taker.account
        cdef int64_t limit_ticks = taker.price_ticks
        cdef int64_t leaves = taker.quantity
        cdef int64_t hours = taker.hours
        cdef int64_t window_end_ns = taker.window_end_ns
        cdef Ladder *ladder = &self._ladders[buys]
        cdef int64_t looked = 0
        cdef int32_t position = ladder.count
        cdef int32_t index
        cdef int64_t quantity
        cdef PriceLevel *level
        cdef Node *node
        cdef list fills = []
        while position > 0 and leaves != 0:
            position -= 1
            level = &self._levels[ladder.levels[position]]
            if (level.price_ticks > limit_ticks) if buys else (level.price_ticks < limit_ticks):
                break
            index = level.first
            while index != NONE and leaves != 0:
                if looked >= max_looked:
                    return Walk(fills, leaves, WALK_LIMIT)
                looked += 1
                node = &self._nodes[index]
                index = node.behind
                if buys:
                    window_end_ns = node.window_end_ns
                else:
                    hours = node.hours
                if not _ends_inside(now_ns, hours, window_end_ns):
                    continue
                if node.account == account:
                    return Walk(fills, leaves, SELF_TRADE)
                quantity = min(leaves, <int64_t>node.leaves_quantity)
                fills.append(Fill(node.order_id, level.price_ticks, quantity))
                leaves -= quantity
        return Walk(fills, leaves, DONE)

    def best_price(self, taker, int64_t now_ns, int64_t max_looked):
        """Price of the first order of another account that it may take, whatever its limit; 0 if none."""
        cdef bint buys = taker.side is BUY
        cdef int64_t account = taker.account
        cdef int64_t hours = taker.hours
        cdef int64_t window_end_ns = taker.window_end_ns
        cdef Ladder *ladder = &self._ladders[buys]
        cdef int64_t looked = 0
        cdef int32_t position = ladder.count
        cdef int32_t index
        cdef PriceLevel *level
        cdef Node *node
        while position > 0:
            position -= 1
            level = &self._levels[ladder.levels[position]]
            index = level.first
            while index != NONE:
                if looked >= max_looked:
                    return 0
                looked += 1
                node = &self._nodes[index]
                index = node.behind
                if buys:
                    window_end_ns = node.window_end_ns
                else:
                    hours = node.hours
                if node.account != account and _ends_inside(now_ns, hours, window_end_ns):
                    return level.price_ticks
        return 0

    def add(self, order):
        """Rest an order at the back of its level; ValueError when its id rests or it leaves nothing."""
        cdef int64_t order_id = order.order_id
        cdef int64_t account = order.account
        cdef int64_t price_ticks = order.price_ticks
        cdef int64_t window_end_ns = order.window_end_ns
        cdef int32_t leaves = order.leaves_quantity
        cdef int32_t hours = order.hours
        cdef bint sell = order.side is SELL
        cdef Ladder *ladder = &self._ladders[sell]
        cdef int32_t position, index, level_index
        cdef PriceLevel *level
        cdef Node *node
        if self._table[self._slot(order_id)] != NONE:
            raise ValueError(f"order {order_id} rests already")
        if leaves < 1:
            raise ValueError(f"order {order_id} leaves {leaves}: nothing to rest")
        if self._free_node == NONE:
            self._grow_nodes()
        if self._free_level == NONE:
            self._grow_levels()
        if ladder.count == ladder.capacity:
            self._grow_ladder(ladder)
        position = self._position(ladder, sell, price_ticks)
        if position < ladder.count and self._levels[ladder.levels[position]].price_ticks == price_ticks:
            level_index = ladder.levels[position]
        else:
            level_index = self._open_level(ladder, position, sell, price_ticks)
        level = &self._levels[level_index]
        index = self._free_node
        node = &self._nodes[index]
        self._free_node = node.behind
        node.order_id, node.account, node.window_end_ns = order_id, account, window_end_ns
        node.leaves_quantity, node.hours, node.level = leaves, hours, level_index
        node.ahead, node.behind = level.last, NONE
        if level.last == NONE:
            level.first = index
        else:
            self._nodes[level.last].behind = index
        level.last = index
        level.orders += 1
        # The same sums that `_shrink` takes from, the other way.
        if hours > 1:
            level.conditional_quantity += leaves
        else:
            level.unconditional_quantity += leaves
        self._enter(index)
        self._count += 1

    def reduce(self, order_id, quantity):
        """Take `quantity` (1 to its leaves) off an order; at zero it is gone. Returns what it leaves."""
        cdef int32_t index = self._rested(order_id)
        cdef int32_t leaves = self._nodes[index].leaves_quantity
        # Compared as Python integers: a quantity of any size is answered, none wraps around.
        if quantity < 1 or quantity > leaves:
            raise ValueError(f"order {order_id} leaves {leaves}: it can't be reduced by {quantity}")
        leaves -= <int32_t>quantity
        if leaves == 0:
            self._take_out(index)
        else:
            self._shrink(index, <int32_t>quantity)
        return leaves

    def move_window(self, order_id, int64_t window_end_ns):
        """Change an ask's window in place; its priority stays."""
        self._nodes[self._rested(order_id)].window_end_ns = window_end_ns

    def remove(self, order_id):
        """Take an order off the book; returns its leaves."""
        cdef int32_t index = self._rested(order_id)
        cdef int32_t leaves = self._nodes[index].leaves_quantity
        self._take_out(index)
        return leaves

    def get(self, order_id):
        """The order as it rests now."""
        return self._resting(self._rested(order_id))

    def __contains__(self, order_id):
        return self._find(order_id) != NONE

    def __len__(self):
        return self._count

    def depth(self, side, int64_t max_levels):
        """The best levels of a side, best first; ValueError for a negative number of them."""
        cdef Ladder *ladder = &self._ladders[side is SELL]
        cdef int32_t position = ladder.count
        cdef PriceLevel *level
        cdef list levels = []
        if max_levels < 0:
            raise ValueError("a depth has no negative number of levels")
        while position > 0 and max_levels > 0:
            position -= 1
            max_levels -= 1
            level = &self._levels[ladder.levels[position]]
            levels.append(
                Level(
                    level.price_ticks,
                    level.unconditional_quantity,
                    level.conditional_quantity,
                    level.orders,
                )
            )
        return levels

    def resting(self, side):
        """All orders of a side in priority order: `add` in this order makes an equal book."""
        cdef Ladder *ladder = &self._ladders[side is SELL]
        cdef int32_t position = ladder.count
        cdef int32_t index
        cdef list orders = []
        while position > 0:
            position -= 1
            index = self._levels[ladder.levels[position]].first
            while index != NONE:
                orders.append(self._resting(index))
                index = self._nodes[index].behind
        return iter(orders)
