"""The levels of a side: blocks of eight neighbouring prices, and the tree of sixteen children a branch that
finds them.

Each block has a bit for each level with orders, each branch one for each child with such below it, so that
the next price is a few instructions away wherever it is: a trending price, a crash or a wide book costs what
a quiet one does. A level comes and goes with a bit; blocks and branches come and go with their levels.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from engine.fast.core cimport (
    BLOCK, BLOCK_BITS, BRANCH, BRANCH_BITS, CONDITIONAL, FLAGS, HEIGHTS, NEAR, NO_KEY, PLACE_SHIFT, BookCore,
    Block, Branch, Ladder, Level, Near, Node, first_bit, likely, unlikely, zeros_above,
)
from engine.fast.deltas cimport touch
from engine.fast.memory cimport grown_by_eighth, grown_by_half, resize

cdef enum:
    # A node's place has 24 bits for its level.
    BLOCKS_MAX = 1 << 21


cdef inline int _reserve_branches(BookCore *core) noexcept nogil:
    cdef uint32_t capacity = <uint32_t>grown_by_half(core.branch_capacity, 1 + HEIGHTS)
    if resize(<void **>&core.branches, core.branch_capacity, capacity, sizeof(Branch), True) < 0:
        return -1
    # Branch 0 stays empty: a search that finds no branch finds it, and nothing in it.
    if core.branch_used == 0:
        core.branch_used = 1
        core.branch_capacity = 1
    core.branch_spare += capacity - core.branch_capacity
    core.branch_capacity = capacity
    return 0


cdef inline int _reserve_block(BookCore *core, Ladder *ladder) noexcept nogil:
    cdef uint32_t before = ladder.block_capacity
    # The first two are nobody's, and one that will do for a book of a few orders.
    cdef uint64_t capacity = grown_by_eighth(before, 2)
    if capacity > BLOCKS_MAX:
        capacity = BLOCKS_MAX
    if capacity <= before:
        return -1
    if (core.tracking or ladder.marks != NULL) and resize(
        <void **>&ladder.marks, before * BLOCK, capacity * BLOCK, sizeof(uint32_t), True
    ) < 0:
        return -1
    if resize(<void **>&ladder.blocks, before, capacity, sizeof(Block), True) < 0:
        return -1
    if resize(<void **>&ladder.levels, before * BLOCK, capacity * BLOCK, sizeof(Level), True) < 0:
        return -1
    # Block 0 stays empty, as branch 0 does.
    if ladder.block_used == 0:
        ladder.block_used = 1
        before = 1
    ladder.block_spare += <uint32_t>capacity - before
    ladder.block_capacity = <uint32_t>capacity
    return 0


cdef inline int reserve_level(BookCore *core, Ladder *ladder) noexcept nogil:
    """Room for one more level of the side, and what leads to it; 0, or -1 when there is no memory."""
    if unlikely(core.branch_spare < HEIGHTS) and _reserve_branches(core) < 0:
        return -1
    if unlikely(ladder.block_spare == 0):
        return _reserve_block(core, ladder)
    return 0


cdef inline int64_t key_of(Ladder *ladder, int64_t price) noexcept nogil:
    """What a price is found by: smaller is better, on either side."""
    return (price ^ ladder.flip) + ladder.offset


cdef inline int64_t price_of_key(Ladder *ladder, int64_t key) noexcept nogil:
    return (key - ladder.offset) ^ ladder.flip


cdef inline int64_t price_end(int height) noexcept nogil:
    """The first price beyond a tree of so many branches above the lowest."""
    return <int64_t>1 << (BLOCK_BITS + BRANCH_BITS * (height + 1))


cdef inline void clear_ladder(Ladder *ladder, bint sells, int height) noexcept nogil:
    """An empty side of a book whose prices need so many branches above the lowest."""
    ladder.sells = sells
    ladder.flip = 0 if sells else -1
    ladder.offset = 0 if sells else price_end(height)
    ladder.best_key = NO_KEY


cdef inline uint32_t _place(uint32_t high, int height) noexcept nogil:
    """Which child of a branch at this height leads to a block."""
    return (high >> (BRANCH_BITS * height)) & (BRANCH - 1)


cdef inline uint32_t _block_at(BookCore *core, Ladder *ladder, uint32_t high) noexcept nogil:
    """The block of these keys, or 0."""
    cdef Near *near = &ladder.near[high % NEAR]
    cdef int height = core.height
    cdef uint32_t index
    if likely(near.high == high):
        return near.block
    if ladder.root == 0:
        return 0
    index = ladder.root
    while height >= 0:
        index = core.branches[index].child[_place(high, height)]
        height -= 1
    near.high = high
    near.block = index
    return index


cdef inline uint32_t level_at(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The level of a key, or 0; it may have no orders."""
    cdef uint32_t block = _block_at(core, ladder, <uint32_t>(key >> BLOCK_BITS))
    return block << BLOCK_BITS | <uint32_t>(key & (BLOCK - 1)) if block else 0


cdef inline uint32_t _take_branch(BookCore *core) noexcept nogil:
    cdef uint32_t index = core.branch_free
    core.branch_spare -= 1
    if index:
        core.branch_free = core.branches[index].child[0]
        core.branches[index].child[0] = 0
        return index
    index = core.branch_used
    core.branch_used = index + 1
    return index


cdef inline void _give_branch(BookCore *core, uint32_t index) noexcept nogil:
    core.branches[index].child[0] = core.branch_free
    core.branch_free = index
    core.branch_spare += 1


cdef inline uint32_t _make_block(BookCore *core, Ladder *ladder, uint32_t high) noexcept nogil:
    """A new block for these keys, and what leads to it."""
    cdef uint32_t block = ladder.block_free
    cdef uint32_t branch, child, place
    cdef int height = core.height
    if block:
        ladder.block_free = ladder.blocks[block].high
    else:
        block = ladder.block_used
        ladder.block_used = block + 1
    ladder.block_spare -= 1
    # Its levels are as empty as they were left; their prices are new.
    for place in range(<uint32_t>BLOCK):
        ladder.levels[block << BLOCK_BITS | place].price = <uint32_t>price_of_key(
            ladder, <int64_t>high << BLOCK_BITS | place
        )
    if ladder.root == 0:
        ladder.root = _take_branch(core)
    branch = ladder.root
    while height:
        place = _place(high, height)
        child = core.branches[branch].child[place]
        if child == 0:
            child = _take_branch(core)
            core.branches[branch].child[place] = child
            core.branches[branch].kept |= <uint32_t>1 << place
        branch = child
        height -= 1
    place = _place(high, 0)
    core.branches[branch].child[place] = block
    core.branches[branch].kept |= <uint32_t>1 << place
    ladder.blocks[block].high = high
    ladder.blocks[block].branch = branch
    ladder.near[high % NEAR].high = high
    ladder.near[high % NEAR].block = block
    return block


cdef inline void _find_path(BookCore *core, Ladder *ladder, uint32_t high, uint32_t *path) noexcept nogil:
    """The branches that lead to a block, by height; 0 where there is none."""
    cdef int height = core.height
    path[height] = ladder.root
    while height:
        path[height - 1] = core.branches[path[height]].child[_place(high, height)]
        height -= 1


cdef inline void _revive(BookCore *core, Ladder *ladder, uint32_t high) noexcept nogil:
    """A block has orders again: so have the branches above."""
    cdef uint32_t path[HEIGHTS]
    cdef int height
    _find_path(core, ladder, high, path)
    for height in range(core.height + 1):
        core.branches[path[height]].live |= <uint32_t>1 << _place(high, height)


cdef inline void _wither(BookCore *core, Ladder *ladder, uint32_t high) noexcept nogil:
    """A block has no orders any more."""
    cdef uint32_t path[HEIGHTS]
    cdef int height
    _find_path(core, ladder, high, path)
    for height in range(core.height + 1):
        core.branches[path[height]].live &= ~(<uint32_t>1 << _place(high, height))
        if core.branches[path[height]].live:
            return


cdef inline void _free_block(BookCore *core, Ladder *ladder, uint32_t block) noexcept nogil:
    """Give back a block without orders, and each branch that holds nothing without it."""
    cdef uint32_t path[HEIGHTS]
    cdef uint32_t high = ladder.blocks[block].high
    cdef int height = 0
    _find_path(core, ladder, high, path)
    ladder.blocks[block].high = ladder.block_free
    ladder.block_free = block
    ladder.block_spare += 1
    if ladder.near[high % NEAR].high == high:
        ladder.near[high % NEAR].block = 0
    while True:
        core.branches[path[height]].child[_place(high, height)] = 0
        core.branches[path[height]].kept &= ~(<uint32_t>1 << _place(high, height))
        if core.branches[path[height]].kept:
            return
        _give_branch(core, path[height])
        if height == core.height:
            ladder.root = 0
            return
        height += 1


cdef inline int64_t _first_below(
    BookCore *core, Ladder *ladder, uint32_t branch, uint32_t bits, uint32_t high, int height
) noexcept nogil:
    """The best key below these children of a branch. high: what leads to the branch."""
    cdef uint32_t place
    while True:
        place = first_bit(bits)
        high = high << BRANCH_BITS | place
        branch = core.branches[branch].child[place]
        if height == 0:
            return <int64_t>high << BLOCK_BITS | first_bit(ladder.blocks[branch].live)
        bits = core.branches[branch].live
        height -= 1


cdef inline int64_t _key_further(BookCore *core, Ladder *ladder, uint32_t high) noexcept nogil:
    """The best key with orders behind a block's, which may not be there; or NO_KEY."""
    cdef uint32_t path[HEIGHTS]
    cdef uint32_t bits
    cdef int height = 0
    if ladder.root == 0:
        return NO_KEY
    _find_path(core, ladder, high, path)
    while True:
        bits = core.branches[path[height]].live & (<uint32_t>-2 << _place(high, height))
        if bits:
            return _first_below(
                core, ladder, path[height], bits,
                <uint32_t>(<uint64_t>high >> (BRANCH_BITS * (height + 1))), height
            )
        if height == core.height:
            return NO_KEY
        height += 1


cdef inline int64_t key_behind(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The next worse key with orders, or NO_KEY."""
    cdef uint32_t high = <uint32_t>(key >> BLOCK_BITS)
    cdef uint32_t block = _block_at(core, ladder, high)
    cdef uint32_t bits
    if likely(block != 0):
        bits = ladder.blocks[block].live & (<uint32_t>-2 << (key & (BLOCK - 1)))
        if bits:
            return (key & ~<int64_t>(BLOCK - 1)) | first_bit(bits)
        bits = core.branches[ladder.blocks[block].branch].live & (<uint32_t>-2 << _place(high, 0))
        if bits:
            return _first_below(core, ladder, ladder.blocks[block].branch, bits, high >> BRANCH_BITS, 0)
    return _key_further(core, ladder, high)


cdef inline int64_t key_before(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The next better key with orders, or NO_KEY."""
    cdef uint32_t path[HEIGHTS]
    cdef uint32_t high = <uint32_t>(key >> BLOCK_BITS)
    cdef uint32_t block = _block_at(core, ladder, high)
    cdef uint32_t bits, branch, place
    cdef int height = 0
    bits = ladder.blocks[block].live & ((<uint32_t>1 << (key & (BLOCK - 1))) - 1) if block else 0
    if bits:
        return (key & ~<int64_t>(BLOCK - 1)) | (63 - zeros_above(bits))
    if ladder.root == 0:
        return NO_KEY
    _find_path(core, ladder, high, path)
    while True:
        bits = core.branches[path[height]].live & ((<uint32_t>1 << _place(high, height)) - 1)
        if bits:
            break
        if height == core.height:
            return NO_KEY
        height += 1
    branch = path[height]
    high = <uint32_t>(<uint64_t>high >> (BRANCH_BITS * (height + 1)))
    while True:
        place = 63 - zeros_above(bits)
        high = high << BRANCH_BITS | place
        branch = core.branches[branch].child[place]
        if height == 0:
            return <int64_t>high << BLOCK_BITS | (63 - zeros_above(ladder.blocks[branch].live))
        bits = core.branches[branch].live
        height -= 1


cdef inline uint32_t begin_level(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The level of a key, ready to take an order, whatever is there of it."""
    cdef uint32_t high = <uint32_t>(key >> BLOCK_BITS)
    cdef uint32_t block = _block_at(core, ladder, high)
    cdef uint32_t index
    if block == 0:
        block = _make_block(core, ladder, high)
    if ladder.blocks[block].live == 0:
        _revive(core, ladder, high)
    ladder.blocks[block].live |= <uint32_t>1 << (key & (BLOCK - 1))
    index = block << BLOCK_BITS | <uint32_t>(key & (BLOCK - 1))
    if key < ladder.best_key:
        ladder.best_key = key
        ladder.best_level = index
    return index


cdef inline uint32_t open_level(BookCore *core, Ladder *ladder, int32_t price) noexcept nogil:
    """The level of a price, ready to take an order; room was reserved."""
    cdef int64_t key = key_of(ladder, price)
    cdef uint32_t high = <uint32_t>(key >> BLOCK_BITS)
    cdef Near *near = &ladder.near[high % NEAR]
    cdef Block *block = &ladder.blocks[near.block]
    # Block 0 has nothing live; in one that has, a level needs but its bit.
    if unlikely(near.high != high or block.live == 0 or key < ladder.best_key):
        return core.begin_level(core, ladder, key)
    block.live |= <uint32_t>1 << (key & (BLOCK - 1))
    return near.block << BLOCK_BITS | <uint32_t>(key & (BLOCK - 1))


cdef inline void release_level(BookCore *core, Ladder *ladder, uint32_t index) noexcept nogil:
    """The change of a level without orders was told; its block may go once nothing waits to be told of it."""
    cdef uint32_t block = index >> BLOCK_BITS
    cdef uint32_t place
    if ladder.blocks[block].live:
        return
    for place in range(<uint32_t>BLOCK):
        if ladder.marks[block << BLOCK_BITS | place]:
            return
    _free_block(core, ladder, block)


cdef inline void end_level(BookCore *core, Ladder *ladder, uint32_t index) noexcept nogil:
    """A level has no orders any more, and it was the best, or the last of its block."""
    cdef Block *block = &ladder.blocks[index >> BLOCK_BITS]
    cdef uint32_t high = block.high
    if block.live == 0:
        _wither(core, ladder, high)
    if index == ladder.best_level:
        ladder.best_key = key_behind(core, ladder, ladder.best_key)
        ladder.best_level = level_at(core, ladder, ladder.best_key) if ladder.best_key != NO_KEY else 0
    if block.live == 0 and likely(not core.tracking):
        _free_block(core, ladder, index >> BLOCK_BITS)


cdef inline void close_if_empty(BookCore *core, Ladder *ladder, uint32_t index) noexcept nogil:
    """An order left a level: without orders its bit goes, which no branch has to guess."""
    cdef Block *block = &ladder.blocks[index >> BLOCK_BITS]
    cdef uint32_t empty = ladder.levels[index].orders == 0
    cdef uint32_t live = block.live & ~(empty << (index & (BLOCK - 1)))
    block.live = live
    if unlikely(live == 0 or (empty & (index == ladder.best_level))):
        core.end_level(core, ladder, index)


cdef inline void link_node(Node *nodes, Level *level, uint32_t index) noexcept nogil:
    """A node goes to the back of a queue."""
    cdef uint32_t last = level.last
    cdef uint32_t first = level.first
    nodes[index].next = 0
    nodes[index].prev = last
    # Without a neighbour nobody's links take the write: a branch that is guessed wrong costs more.
    nodes[last].next = index
    level.first = first if first else index
    level.last = index


cdef inline void unlink_node(Node *nodes, Level *level, uint32_t index) noexcept nogil:
    """A node leaves its queue, from wherever it stands; as in `link_node`, nobody may be its neighbour."""
    cdef uint32_t next = nodes[index].next
    cdef uint32_t prev = nodes[index].prev
    cdef uint32_t first = level.first
    cdef uint32_t last = level.last
    nodes[prev].next = next
    nodes[next].prev = prev
    level.first = first if prev else next
    level.last = last if next else prev


cdef inline void join_level(
    BookCore *core, Ladder *ladder, uint32_t level_index, uint32_t index, uint32_t flags, uint32_t shown
) noexcept nogil:
    """An order with these flags comes to the back of a level's queue."""
    cdef Level *level = &ladder.levels[level_index]
    core.nodes[index].place = level_index << PLACE_SHIFT | (flags & FLAGS)
    link_node(core.nodes, level, index)
    level.orders += 1
    ladder.orders += 1
    if unlikely(flags & CONDITIONAL):
        level.conditional += shown
        ladder.conditional += 1
    else:
        level.unconditional += shown
    touch(core, ladder, level_index)


cdef inline void shrink_level(
    BookCore *core, Ladder *ladder, uint32_t level_index, uint32_t flags, uint32_t shown
) noexcept nogil:
    """An order of the level shows less."""
    if flags & CONDITIONAL:
        ladder.levels[level_index].conditional -= shown
    else:
        ladder.levels[level_index].unconditional -= shown
    touch(core, ladder, level_index)


cdef inline void leave_level(BookCore *core, Ladder *ladder, uint32_t index, uint32_t shown) noexcept nogil:
    """An order leaves its level, from wherever it stands in the queue."""
    cdef uint32_t place = core.nodes[index].place
    cdef uint32_t level_index = place >> PLACE_SHIFT
    cdef Level *level = &ladder.levels[level_index]
    unlink_node(core.nodes, level, index)
    level.orders -= 1
    ladder.orders -= 1
    if unlikely(place & CONDITIONAL):
        level.conditional -= shown
        ladder.conditional -= 1
    else:
        level.unconditional -= shown
    touch(core, ladder, level_index)
    close_if_empty(core, ladder, level_index)


cdef inline void requeue(
    BookCore *core, Ladder *ladder, uint32_t index, uint32_t shown, uint32_t shows_now
) noexcept nogil:
    """An order that showed so much goes to the back of its level and shows anew."""
    cdef Node *node = &core.nodes[index]
    cdef uint32_t level_index = node.place >> PLACE_SHIFT
    cdef Level *level = &ladder.levels[level_index]
    if level.last != index:
        if node.prev:
            core.nodes[node.prev].next = node.next
        else:
            level.first = node.next
        core.nodes[node.next].prev = node.prev
        core.nodes[level.last].next = index
        node.prev = level.last
        node.next = 0
        level.last = index
    if node.place & CONDITIONAL:
        level.conditional += <uint64_t>shows_now - shown
    else:
        level.unconditional += <uint64_t>shows_now - shown
    touch(core, ladder, level_index)
