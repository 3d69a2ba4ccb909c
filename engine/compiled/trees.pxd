"""A sorted set of small keys in C: a B+-tree.

A key goes in or out by one search of each level and one move of some hundred bytes; the least key stands
ready. A set of a few keys is one small leaf. What a key means is its owner's; nothing here knows Python.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove

from engine.compiled.nodes cimport (
    FAN, FEW, FIRST_LEAF, LEAF, MERGED, Branch, Key, Leaf, Path, add_child, add_key, approach, child_of,
    drop_child, is_equal, is_less, leaf_bytes, less_than,
)


cdef enum:
    # A tree of so few levels is near enough.
    NEAR_HEIGHT = 1


cdef struct Tree:
    void *root
    # Levels of branches over the leaves.
    uint32_t height
    uint64_t count
    # Goes up with every change: who walks the leaves looks whether they still are what they were.
    uint64_t changes
    uint64_t bytes
    # The least key, while there is one.
    Key least


cdef inline Leaf *leaf_of(const Tree *tree, const Key *key) noexcept nogil:
    """The leaf in which a key stands or would; the tree isn't empty."""
    cdef void *node = tree.root
    cdef uint32_t _level
    for _level in range(tree.height):
        node = (<Branch *>node).children[child_of(<Branch *>node, key)]
        if tree.height > NEAR_HEIGHT:
            approach(node)
    return <Leaf *>node


cdef inline Leaf *leaf_on(const Tree *tree, const Key *key, Path *path) noexcept nogil:
    """The same, and the way to it."""
    cdef void *node = tree.root
    cdef Branch *branch
    cdef uint32_t level
    path.at_first = path.at_last = True
    for level in range(tree.height):
        branch = <Branch *>node
        path.branches[level] = branch
        path.places[level] = <uint16_t>child_of(branch, key)
        path.at_first &= path.places[level] == 0
        path.at_last &= path.places[level] == branch.count - 1
        node = branch.children[path.places[level]]
        if tree.height > NEAR_HEIGHT:
            approach(node)
    return <Leaf *>node


cdef inline bint tree_has(const Tree *tree, const Key *key) noexcept nogil:
    cdef Leaf *leaf
    cdef uint32_t place
    if tree.count == 0:
        return False
    leaf = leaf_of(tree, key)
    place = less_than(leaf.keys, leaf.count, key)
    return place < leaf.count and is_equal(&leaf.keys[place], key)


cdef inline Leaf *tree_seek(const Tree *tree, const Key *key, bint behind, uint32_t *place) noexcept nogil:
    """Where the least key from this one on stands, with `behind` the least behind it; NULL for nowhere."""
    cdef Leaf *leaf
    if tree.count == 0:
        return NULL
    leaf = leaf_of(tree, key)
    place[0] = less_than(leaf.keys, leaf.count, key)
    if behind and place[0] < leaf.count and is_equal(&leaf.keys[place[0]], key):
        place[0] += 1
    if place[0] < leaf.count:
        return leaf
    # No leaf of a tree is empty.
    place[0] = 0
    return leaf.behind


cdef inline void free_nodes(void *node, uint32_t height) noexcept nogil:
    """A node and all below it."""
    cdef uint32_t place
    if height:
        for place in range((<Branch *>node).count):
            free_nodes((<Branch *>node).children[place], height - 1)
    free(node)


cdef inline void tree_clear(Tree *tree) noexcept nogil:
    """Give all back."""
    if tree.root != NULL:
        free_nodes(tree.root, tree.height)
    tree.root = NULL
    tree.height = 0
    tree.count = tree.bytes = 0
    tree.changes += 1


# ---- in


cdef struct Spare:
    # What a key needs of new nodes, got before anything is changed.
    Leaf *leaf
    Branch *branches[12]
    uint32_t used


cdef inline int reserve_nodes(const Tree *tree, const Path *path, Spare *spare) noexcept nogil:
    """A new one for a full leaf and each full branch right above it, and a new root if all are full.

    0, or -1: there is no memory, and nothing changed.
    """
    cdef uint32_t level = tree.height
    cdef uint32_t wanted = 1
    cdef uint32_t made = 0
    spare.used = 0
    while level and path.branches[level - 1].count == FAN:
        level -= 1
        wanted += 1
    if level:
        # One has room: it takes the new node of the last full one.
        wanted -= 1
    spare.leaf = <Leaf *>malloc(sizeof(Leaf))
    while made < wanted and spare.leaf != NULL:
        spare.branches[made] = <Branch *>malloc(sizeof(Branch))
        if spare.branches[made] == NULL:
            break
        made += 1
    if spare.leaf != NULL and made == wanted:
        return 0
    free(spare.leaf)
    while made:
        made -= 1
        free(spare.branches[made])
    return -1


cdef inline Branch *new_branch(Tree *tree, Spare *spare) noexcept nogil:
    spare.used += 1
    tree.bytes += sizeof(Branch)
    return spare.branches[spare.used - 1]


cdef inline Branch *split_branch(Tree *tree, Branch *branch, uint32_t stay, Spare *spare) noexcept nogil:
    """All but so many children go to a new branch behind it."""
    cdef Branch *behind = new_branch(tree, spare)
    behind.count = <uint16_t>(branch.count - stay)
    memcpy(behind.keys, &branch.keys[stay], behind.count * sizeof(Key))
    memcpy(behind.children, &branch.children[stay], behind.count * sizeof(void *))
    branch.count = <uint16_t>stay
    return behind


cdef inline void put_behind(Tree *tree, Path *path, Key begin, void *child, Spare *spare) noexcept nogil:
    """A new node takes its place right behind the one that the way led to; what is full is split."""
    cdef uint32_t level = tree.height
    cdef uint32_t place, stay
    cdef Branch *branch
    cdef Branch *behind
    while level:
        level -= 1
        branch = path.branches[level]
        place = path.places[level] + 1
        if branch.count < FAN:
            add_child(branch, place, &begin, child)
            return
        # Where keys come in order, all but the last node stay full. No branch has less than two children.
        stay = FAN - 1 if path.at_last else 2 if path.at_first else FAN // 2
        behind = split_branch(tree, branch, stay, spare)
        if place < stay:
            add_child(branch, place, &begin, child)
        else:
            add_child(behind, place - stay, &begin, child)
        begin = behind.keys[0]
        child = behind
    branch = new_branch(tree, spare)
    branch.count = 1
    branch.keys[0] = begin
    branch.children[0] = tree.root
    add_child(branch, 1, &begin, child)
    tree.root = branch
    tree.height += 1


cdef inline int split_leaf(Tree *tree, Leaf *leaf, uint32_t place, const Key *key, Path *path) noexcept nogil:
    """A key finds its place in a full leaf, which gives part of its own to a new one; 0, or -1: no memory."""
    cdef Spare spare
    cdef Leaf *behind
    cdef uint32_t stay = LEAF // 2
    if reserve_nodes(tree, path, &spare) < 0:
        return -1
    if path.at_last and place == LEAF:
        stay = LEAF
    elif path.at_first and place == 0:
        stay = 1
    behind = spare.leaf
    tree.bytes += sizeof(Leaf)
    behind.capacity = LEAF
    behind.count = <uint16_t>(LEAF - stay)
    memcpy(behind.keys, &leaf.keys[stay], behind.count * sizeof(Key))
    leaf.count = <uint16_t>stay
    behind.before = leaf
    behind.behind = leaf.behind
    leaf.behind = behind
    if behind.behind != NULL:
        behind.behind.before = behind
    if place < stay:
        add_key(leaf, place, key)
    else:
        add_key(behind, place - stay, key)
    put_behind(tree, path, behind.keys[0], behind, &spare)
    return 0


cdef inline Leaf *grown_leaf(Tree *tree, Leaf *leaf) noexcept nogil:
    """The tree's only leaf, with room for one more; NULL: no memory."""
    cdef uint32_t capacity = FIRST_LEAF if leaf == NULL else leaf.capacity * 2
    cdef Leaf *grown = <Leaf *>realloc(leaf, leaf_bytes(capacity))
    if grown == NULL:
        return NULL
    if leaf == NULL:
        grown.count = 0
        grown.before = grown.behind = NULL
    grown.capacity = <uint16_t>capacity
    tree.root = grown
    tree.bytes = leaf_bytes(capacity)
    return grown


cdef inline int tree_insert(Tree *tree, const Key *key) noexcept nogil:
    """1: it is in now; 0: it was; -1: there is no memory, and nothing changed."""
    cdef Path path
    cdef Leaf *leaf = NULL
    cdef uint32_t place = 0
    path.at_first = path.at_last = True
    if tree.root != NULL:
        leaf = leaf_on(tree, key, &path)
        place = less_than(leaf.keys, leaf.count, key)
        if place < leaf.count and is_equal(&leaf.keys[place], key):
            return 0
    if leaf == NULL or (leaf.count == leaf.capacity and leaf.capacity < LEAF):
        leaf = grown_leaf(tree, leaf)
        if leaf == NULL:
            return -1
    if leaf.count < LEAF:
        add_key(leaf, place, key)
    elif split_leaf(tree, leaf, place, key, &path) < 0:
        return -1
    if tree.count == 0 or is_less(key, &tree.least):
        tree.least = key[0]
    tree.count += 1
    tree.changes += 1
    return 1


# ---- out


cdef inline void even_leaves(Tree *tree, Branch *above, uint32_t place) noexcept nogil:
    """Two neighbours, of which one has few keys, become one, or have as many each."""
    cdef Leaf *left = <Leaf *>above.children[place]
    cdef Leaf *right = <Leaf *>above.children[place + 1]
    cdef uint32_t total = left.count + right.count
    cdef uint32_t moved = right.count if total <= MERGED else total // 2
    if total > MERGED and left.count > moved:
        moved = left.count - moved
        memmove(&right.keys[moved], right.keys, right.count * sizeof(Key))
        memcpy(right.keys, &left.keys[left.count - moved], moved * sizeof(Key))
        left.count -= moved
        right.count += moved
        above.keys[place + 1] = right.keys[0]
        return
    if total > MERGED:
        moved -= left.count
    memcpy(&left.keys[left.count], right.keys, moved * sizeof(Key))
    left.count += moved
    right.count -= moved
    if right.count:
        memmove(right.keys, &right.keys[moved], right.count * sizeof(Key))
        above.keys[place + 1] = right.keys[0]
        return
    left.behind = right.behind
    if left.behind != NULL:
        left.behind.before = left
    free(right)
    tree.bytes -= sizeof(Leaf)
    drop_child(above, place + 1)


cdef inline void even_branches(Tree *tree, Branch *above, uint32_t place) noexcept nogil:
    """The same of branches: the key above the right one is where its first child begins."""
    cdef Branch *left = <Branch *>above.children[place]
    cdef Branch *right = <Branch *>above.children[place + 1]
    cdef uint32_t total = left.count + right.count
    cdef uint32_t moved = right.count if total <= MERGED else total // 2
    right.keys[0] = above.keys[place + 1]
    if total > MERGED and left.count > moved:
        moved = left.count - moved
        memmove(&right.keys[moved], right.keys, right.count * sizeof(Key))
        memmove(&right.children[moved], right.children, right.count * sizeof(void *))
        memcpy(right.keys, &left.keys[left.count - moved], moved * sizeof(Key))
        memcpy(right.children, &left.children[left.count - moved], moved * sizeof(void *))
        left.count -= moved
        right.count += moved
        above.keys[place + 1] = right.keys[0]
        return
    if total > MERGED:
        moved -= left.count
    memcpy(&left.keys[left.count], right.keys, moved * sizeof(Key))
    memcpy(&left.children[left.count], right.children, moved * sizeof(void *))
    left.count += moved
    right.count -= moved
    if right.count:
        memmove(right.keys, &right.keys[moved], right.count * sizeof(Key))
        memmove(right.children, &right.children[moved], right.count * sizeof(void *))
        above.keys[place + 1] = right.keys[0]
        return
    free(right)
    tree.bytes -= sizeof(Branch)
    drop_child(above, place + 1)


cdef inline void fill_up(Tree *tree, Path *path) noexcept nogil:
    """The leaf at the end of this way has few keys: it and the branches above it get more, or go."""
    cdef uint32_t level = tree.height
    cdef uint32_t place
    cdef Branch *above
    while level:
        level -= 1
        above = path.branches[level]
        place = path.places[level] if path.places[level] + 1 < above.count else path.places[level] - 1
        if level + 1 == tree.height:
            even_leaves(tree, above, place)
        else:
            even_branches(tree, above, place)
        if above.count >= FEW:
            return
    above = <Branch *>tree.root
    if above.count == 1:
        tree.root = above.children[0]
        tree.height -= 1
        tree.bytes -= sizeof(Branch)
        free(above)


cdef inline bint tree_drop(Tree *tree, const Key *key) noexcept nogil:
    """Whether it was in."""
    cdef Path path
    cdef Leaf *leaf
    cdef uint32_t place
    if tree.count == 0:
        return False
    leaf = leaf_on(tree, key, &path)
    place = less_than(leaf.keys, leaf.count, key)
    if place == leaf.count or not is_equal(&leaf.keys[place], key):
        return False
    leaf.count -= 1
    memmove(&leaf.keys[place], &leaf.keys[place + 1], (leaf.count - place) * sizeof(Key))
    tree.count -= 1
    tree.changes += 1
    if tree.height and leaf.count < FEW:
        fill_up(tree, &path)
    if path.at_first and place == 0 and tree.count:
        tree.least = first_leaf(tree).keys[0]
    return True


cdef inline Leaf *first_leaf(const Tree *tree) noexcept nogil:
    """The leaf with the least keys; the tree isn't empty."""
    cdef void *node = tree.root
    cdef uint32_t _level
    for _level in range(tree.height):
        node = (<Branch *>node).children[0]
    return <Leaf *>node
