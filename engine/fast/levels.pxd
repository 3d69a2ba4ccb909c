"""The levels of a side and the tree that finds them: branches of 64 over a price, four high up to a price of
24 bits.

Each branch has a bit for each child with orders below it, so that the next price is a few instructions away
wherever it is: a trending price, a crash or a wide book costs what a quiet one does. Branches come and go
with their levels.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from engine.fast.core cimport (
    CONDITIONAL, FLAGS, HEIGHTS, LEAVES, NO_KEY, PLACE_SHIFT, BookCore, Branch, Ladder, Leaf, Level, Node,
    first_bit, likely, unlikely, zeros_above,
)
from engine.fast.deltas cimport touch
from engine.fast.memory cimport grown_by_half, grown_by_quarter, resize


cdef inline int reserve_level(BookCore *core, Ladder *ladder) noexcept nogil:
    """Room for one more level of the side, and its branches; 0, or -1 when there is no memory."""
    cdef uint32_t capacity
    if core.branch_spare < HEIGHTS:
        capacity = <uint32_t>grown_by_half(core.branch_capacity, 2 + 2 * HEIGHTS)
        if resize(<void **>&core.branches, core.branch_capacity, capacity, sizeof(Branch), True) < 0:
            return -1
        # Branch 0 stays empty: a search that finds no branch finds it, and nothing in it.
        if core.branch_used == 0:
            core.branch_used = 1
            core.branch_spare = 0
            core.branch_capacity = 1
        core.branch_spare += capacity - core.branch_capacity
        core.branch_capacity = capacity
    if ladder.level_spare == 0:
        capacity = <uint32_t>grown_by_quarter(ladder.level_capacity, 5)
        if (core.tracking or ladder.marks != NULL) and resize(
            <void **>&ladder.marks, ladder.level_capacity, capacity, sizeof(uint32_t), True
        ) < 0:
            return -1
        if resize(<void **>&ladder.levels, ladder.level_capacity, capacity, sizeof(Level), False) < 0:
            return -1
        if ladder.level_used == 0:
            ladder.level_used = 1
            ladder.level_capacity = 1
        ladder.level_spare += capacity - ladder.level_capacity
        ladder.level_capacity = capacity
    return 0


cdef inline int64_t key_of(Ladder *ladder, int64_t price) noexcept nogil:
    """What a price is found by: smaller is better, on either side."""
    return (price ^ ladder.flip) + ladder.offset


cdef inline int64_t price_of_key(Ladder *ladder, int64_t key) noexcept nogil:
    return (key - ladder.offset) ^ ladder.flip


cdef inline void clear_ladder(Ladder *ladder, bint sells, int height) noexcept nogil:
    """An empty side of a book whose prices need so many branches above the leaf."""
    ladder.sells = sells
    ladder.flip = 0 if sells else -1
    ladder.offset = 0 if sells else <int64_t>1 << (6 * height + 6)
    ladder.best_key = NO_KEY


cdef inline uint32_t _leaf_at(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The leaf that holds a key, or 0."""
    cdef uint32_t branch = ladder.root
    cdef int shift = 6 * core.height
    cdef uint32_t high = <uint32_t>(key >> 6)
    cdef Leaf *leaf = &ladder.leaves[high % LEAVES]
    if likely(leaf.branch and leaf.high == high):
        return leaf.branch
    if branch == 0:
        return 0
    while shift:
        branch = core.branches[branch].child[(key >> shift) & 63]
        shift -= 6
    if branch:
        leaf.branch = branch
        leaf.high = high
    return branch


cdef inline uint32_t level_at(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The level of a key, or 0; one that emptied may still be there."""
    cdef uint32_t leaf = _leaf_at(core, ladder, key)
    return core.branches[leaf].child[key & 63] if leaf else 0


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


cdef inline uint32_t _make_leaf(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The leaf that holds a key, and what leads to it."""
    cdef uint32_t branch, child, place
    cdef int shift = 6 * core.height
    if ladder.root == 0:
        ladder.root = _take_branch(core)
    branch = ladder.root
    while shift:
        place = (key >> shift) & 63
        child = core.branches[branch].child[place]
        if child == 0:
            child = _take_branch(core)
            core.branches[branch].child[place] = child
            core.branches[branch].kept |= <uint64_t>1 << place
        branch = child
        shift -= 6
    return branch


cdef inline void _find_path(BookCore *core, Ladder *ladder, int64_t key, uint32_t *path) noexcept nogil:
    """The branches that lead to a key, by height above the leaf; 0 where there is none."""
    cdef int height = core.height
    path[height] = ladder.root
    while height:
        path[height - 1] = core.branches[path[height]].child[(key >> (6 * height)) & 63]
        height -= 1


cdef inline void _revive(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The leaf of a key has orders again: so have the branches above."""
    cdef uint32_t path[HEIGHTS]
    cdef int height
    _find_path(core, ladder, key, path)
    for height in range(1, core.height + 1):
        core.branches[path[height]].live |= <uint64_t>1 << ((key >> (6 * height)) & 63)


cdef inline void _wither(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The leaf of a key has no orders any more."""
    cdef uint32_t path[HEIGHTS]
    cdef int height
    _find_path(core, ladder, key, path)
    for height in range(1, core.height + 1):
        core.branches[path[height]].live &= ~(<uint64_t>1 << ((key >> (6 * height)) & 63))
        if core.branches[path[height]].live:
            return


cdef inline void _cut(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """Give back the leaf of a key, and each branch that holds nothing without it."""
    cdef uint32_t path[HEIGHTS]
    cdef int height = 0
    cdef uint32_t high = <uint32_t>(key >> 6)
    _find_path(core, ladder, key, path)
    if ladder.leaves[high % LEAVES].high == high:
        ladder.leaves[high % LEAVES].branch = 0
    while core.branches[path[height]].kept == 0:
        _give_branch(core, path[height])
        if height == core.height:
            ladder.root = 0
            return
        height += 1
        core.branches[path[height]].child[(key >> (6 * height)) & 63] = 0
        core.branches[path[height]].kept &= ~(<uint64_t>1 << ((key >> (6 * height)) & 63))


cdef inline int64_t key_behind(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The next worse key with orders, or NO_KEY."""
    cdef uint32_t path[HEIGHTS]
    cdef uint32_t branch, place
    cdef uint64_t bits
    cdef int height = 0
    branch = _leaf_at(core, ladder, key)
    if likely(branch != 0):
        bits = core.branches[branch].live & (<uint64_t>-2 << (key & 63))
        if bits:
            return (key & ~<int64_t>63) | first_bit(bits)
    if ladder.root == 0:
        return NO_KEY
    _find_path(core, ladder, key, path)
    while True:
        bits = core.branches[path[height]].live & (<uint64_t>-2 << ((key >> (6 * height)) & 63))
        if bits:
            break
        if height == core.height:
            return NO_KEY
        height += 1
    branch = path[height]
    key = key >> (6 * (height + 1))
    while True:
        place = first_bit(bits)
        key = key << 6 | place
        if height == 0:
            return key
        branch = core.branches[branch].child[place]
        bits = core.branches[branch].live
        height -= 1


cdef inline int64_t key_before(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil:
    """The next better key with orders, or NO_KEY."""
    cdef uint32_t path[HEIGHTS]
    cdef uint32_t branch, place
    cdef uint64_t bits
    cdef int height = 0
    if ladder.root == 0:
        return NO_KEY
    _find_path(core, ladder, key, path)
    while True:
        bits = core.branches[path[height]].live & ((<uint64_t>1 << ((key >> (6 * height)) & 63)) - 1)
        if bits:
            break
        if height == core.height:
            return NO_KEY
        height += 1
    branch = path[height]
    key = key >> (6 * (height + 1))
    while True:
        place = 63 - zeros_above(bits)
        key = key << 6 | place
        if height == 0:
            return key
        branch = core.branches[branch].child[place]
        bits = core.branches[branch].live
        height -= 1


cdef inline uint32_t _new_level(Ladder *ladder, int32_t price) noexcept nogil:
    cdef uint32_t index = ladder.level_free
    cdef Level *level
    if likely(index != 0):
        ladder.level_free = ladder.levels[index].first
    else:
        index = ladder.level_used
        ladder.level_used = index + 1
    ladder.level_spare -= 1
    level = &ladder.levels[index]
    level.unconditional = 0
    level.conditional = 0
    level.first = 0
    level.last = 0
    level.orders = 0
    level.price = <uint32_t>price
    return index


cdef inline uint32_t _begin_level(
    BookCore *core, Ladder *ladder, int32_t price, int64_t key, uint32_t leaf
) noexcept nogil:
    """The level of a key that may not have one, or one without orders; leaf 0: there is none."""
    cdef uint64_t bit = <uint64_t>1 << (key & 63)
    cdef uint32_t index
    cdef Branch *branch
    if unlikely(leaf == 0):
        leaf = _make_leaf(core, ladder, key)
    branch = &core.branches[leaf]
    index = branch.child[key & 63]
    if likely(index == 0):
        index = _new_level(ladder, price)
        core.level_count += 1
        branch.child[key & 63] = index
        branch.kept |= bit
    if unlikely(branch.live == 0):
        _revive(core, ladder, key)
    branch.live |= bit
    if unlikely(key < ladder.best_key):
        ladder.best_key = key
        ladder.best_level = index
    return index


cdef inline uint32_t open_quickly(BookCore *core, Ladder *ladder, int32_t price) noexcept nogil:
    """`open_level` for the short ways: what most orders find, small enough to be inlined there."""
    cdef int64_t key = key_of(ladder, price)
    cdef uint32_t high = <uint32_t>(key >> 6)
    cdef Leaf *leaf = &ladder.leaves[high % LEAVES]
    cdef Branch *branch = &core.branches[leaf.branch]
    # Branch 0 has nothing live.
    if leaf.high == high and (branch.live >> (key & 63)) & 1:
        return branch.child[key & 63]
    return _begin_level(core, ladder, price, key, _leaf_at(core, ladder, key))


cdef inline uint32_t open_level(BookCore *core, Ladder *ladder, int32_t price) noexcept nogil:
    """The level of a price, ready to take an order; room was reserved."""
    cdef int64_t key = key_of(ladder, price)
    return _begin_level(core, ladder, price, key, _leaf_at(core, ladder, key))


cdef inline void _free_level(
    BookCore *core, Ladder *ladder, uint32_t index, int64_t key, uint32_t leaf
) noexcept nogil:
    cdef Branch *branch = &core.branches[leaf]
    branch.child[key & 63] = 0
    branch.kept &= ~(<uint64_t>1 << (key & 63))
    if unlikely(branch.kept == 0):
        _cut(core, ladder, key)
    ladder.levels[index].first = ladder.level_free
    ladder.level_free = index
    ladder.level_spare += 1
    core.level_count -= 1


cdef inline void release_level(BookCore *core, Ladder *ladder, uint32_t index) noexcept nogil:
    """Give back a level without orders whose change was told."""
    cdef int64_t key = key_of(ladder, ladder.levels[index].price)
    _free_level(core, ladder, index, key, _leaf_at(core, ladder, key))


cdef inline void close_level(BookCore *core, Ladder *ladder, uint32_t index) noexcept nogil:
    """A level has no orders any more."""
    cdef int64_t key = key_of(ladder, ladder.levels[index].price)
    cdef uint32_t leaf = _leaf_at(core, ladder, key)
    cdef uint64_t live = core.branches[leaf].live & ~(<uint64_t>1 << (key & 63))
    core.branches[leaf].live = live
    if unlikely(live == 0):
        _wither(core, ladder, key)
    if unlikely(key == ladder.best_key):
        ladder.best_key = key_behind(core, ladder, key)
        ladder.best_level = level_at(core, ladder, ladder.best_key) if ladder.best_key != NO_KEY else 0
    if likely(not core.tracking):
        _free_level(core, ladder, index, key, leaf)


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
    if level.orders == 0:
        close_level(core, ladder, level_index)


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
