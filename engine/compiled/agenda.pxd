"""What is due when: a tree of timers in their order, and crowds of those whose turn is far.

A timer stands in the crowd of its window where there is one, else in the tree. A crowd is made when a leaf of
the tree is full and its window's timers are many; when it has the least timer, all of it goes into the tree
again, and so does what its window gets from then on. So nobody makes a timer go to and fro.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free

from engine.compiled.crowds cimport (
    NO_PLACE, NOWHERE, WINDOW_BITS, Crowd, Member, crowd_bytes, crowd_drop, crowd_find, crowd_fit,
    crowd_insert, crowd_make, home_of, key_in, member_of, sorted_members, window_of,
)
from engine.compiled.nodes cimport Key, Leaf, key_of, kind_of, last_of
from engine.compiled.trees cimport Tree, tree_clear, tree_drop, tree_has, tree_insert, tree_seek
from engine.fast.core cimport prefetch

cdef enum:
    # By the last bits of their windows: an hour and a quarter of a day ahead fit side by side.
    CROWDS = 256
    # So many of a window are a crowd.
    MANY = 48


cdef struct Agenda:
    Tree tree
    Crowd crowds[256]
    # The one with the earliest window; NULL: there is none.
    Crowd *soonest
    # Timers in crowds.
    uint64_t crowded


cdef inline void agenda_begin(Agenda *agenda) noexcept nogil:
    """An empty one, of zeroed memory."""
    cdef int place
    for place in range(CROWDS):
        agenda.crowds[place].window = agenda.crowds[place].opened = NOWHERE


cdef inline Crowd *crowd_of(Agenda *agenda, int64_t window) noexcept nogil:
    """The crowd of this window, or another's, or the place for one."""
    return &agenda.crowds[window & (CROWDS - 1)]


# ---- crowds come and go


cdef inline void find_soonest(Agenda *agenda) noexcept nogil:
    cdef Crowd *crowd
    cdef int place
    agenda.soonest = NULL
    for place in range(CROWDS):
        crowd = &agenda.crowds[place]
        if crowd.window != NOWHERE and (agenda.soonest == NULL or crowd.window < agenda.soonest.window):
            agenda.soonest = crowd


cdef inline void close_crowd(Agenda *agenda, Crowd *crowd) noexcept nogil:
    """Its timers stand in the tree, or there are none."""
    free(crowd.members)
    agenda.crowded -= crowd.count
    crowd.members = NULL
    crowd.window = NOWHERE
    find_soonest(agenda)


cdef inline int disband(Agenda *agenda, Crowd *crowd, bint for_good) noexcept nogil:
    """All of a crowd go into the tree; 0, or -1: there is no memory, and nothing changed."""
    # In their order: so each finds its place in a leaf that is near.
    cdef Member *members = sorted_members(crowd)
    cdef uint32_t place
    cdef Key key
    if members == NULL:
        return -1
    for place in range(crowd.count):
        key = key_in(crowd, &members[place])
        if tree_insert(&agenda.tree, &key) < 0:
            take_back(agenda, crowd, members, place)
            free(members)
            return -1
    free(members)
    if for_good:
        crowd.opened = crowd.window
    close_crowd(agenda, crowd)
    return 0


cdef inline void take_back(
    Agenda *agenda, const Crowd *crowd, const Member *members, uint32_t end
) noexcept nogil:
    """The first of these leave the tree again."""
    cdef uint32_t place
    cdef Key key
    for place in range(end):
        key = key_in(crowd, &members[place])
        tree_drop(&agenda.tree, &key)


cdef inline bint may_form(Agenda *agenda, const Crowd *crowd, int64_t window) noexcept nogil:
    """Whether this place is free for this window's crowd."""
    if crowd.window != NOWHERE and crowd.count:
        return False
    # What was opened stays in the tree until its time is over: who goes to and fro pays for it each time.
    if crowd.opened == NOWHERE:
        return True
    return crowd.opened != window and crowd.opened < window_of(agenda.tree.least.first)


cdef inline Leaf *window_begin(const Agenda *agenda, int64_t window, uint32_t *place) noexcept nogil:
    """Where the tree's first timer of a window or behind it stands; NULL for nowhere."""
    cdef Key begin = key_of(<int64_t>(<uint64_t>window << WINDOW_BITS), 0, 0)
    return tree_seek(&agenda.tree, &begin, False, place)


cdef inline void form(Agenda *agenda, int64_t window) noexcept nogil:
    """The timers of a window leave the tree for a crowd if they are many, and there is memory for it."""
    cdef Crowd *crowd = crowd_of(agenda, window)
    cdef uint64_t count = 0
    cdef uint32_t place = 0
    cdef Leaf *leaf
    if not may_form(agenda, crowd, window):
        return
    leaf = window_begin(agenda, window, &place)
    while leaf != NULL and window_of(leaf.keys[place].first) == window:
        count += 1
        place += 1
        if place == leaf.count:
            leaf = leaf.behind
            place = 0
    if count < MANY:
        return
    if crowd.window != NOWHERE:
        close_crowd(agenda, crowd)
    if not crowd_make(crowd, window, count):
        crowd.window = NOWHERE
        return
    crowd.opened = NOWHERE
    move_in(agenda, crowd)
    find_soonest(agenda)


cdef inline void move_in(Agenda *agenda, Crowd *crowd) noexcept nogil:
    """The timers of its window leave the tree for a new crowd; where they don't fit, all stay."""
    cdef uint32_t place = 0
    cdef Leaf *leaf = window_begin(agenda, crowd.window, &place)
    cdef Member member
    cdef Key key
    while leaf != NULL and window_of(leaf.keys[place].first) == crowd.window:
        key = leaf.keys[place]
        member = member_of(key.first, kind_of(&key), last_of(&key))
        if crowd_insert(crowd, &member) < 0:
            crowd.count = 0
            crowd.opened = crowd.window
            close_crowd(agenda, crowd)
            return
        place += 1
        if place == leaf.count:
            leaf = leaf.behind
            place = 0
    agenda.crowded += crowd.count
    leaf = window_begin(agenda, crowd.window, &place)
    while leaf != NULL and window_of(leaf.keys[place].first) == crowd.window:
        key = leaf.keys[place]
        tree_drop(&agenda.tree, &key)
        leaf = window_begin(agenda, crowd.window, &place)


# ---- timers come and go


cdef inline int insert_in_tree(Agenda *agenda, int64_t due_ns, uint8_t kind, uint64_t id) noexcept nogil:
    cdef uint64_t before = agenda.tree.bytes
    cdef Key key = key_of(due_ns, kind, id)
    cdef int added = tree_insert(&agenda.tree, &key)
    if agenda.tree.bytes != before:
        form(agenda, window_of(due_ns))
    return added


cdef inline int insert_anew(Agenda *agenda, int64_t due_ns, uint8_t kind, uint64_t id) noexcept nogil:
    """Into a crowd that has no place for it: it gets a new table, or is none from now on."""
    cdef Crowd *crowd = crowd_of(agenda, window_of(due_ns))
    cdef Member member = member_of(due_ns, kind, id)
    cdef int done = crowd_fit(crowd, 1)
    if done == 0:
        done = crowd_insert(crowd, &member)
    if done == NO_PLACE:
        if disband(agenda, crowd, True) < 0:
            return -1
        return insert_in_tree(agenda, due_ns, kind, id)
    if done > 0:
        agenda.crowded += 1
        agenda.tree.changes += 1
    return done


cdef inline int agenda_insert(Agenda *agenda, int64_t due_ns, uint8_t kind, uint64_t id) noexcept nogil:
    """1: it is in now; 0: it was; -1: there is no memory, and nothing changed."""
    cdef int added
    if crowd_of(agenda, window_of(due_ns)).window != window_of(due_ns):
        return insert_in_tree(agenda, due_ns, kind, id)
    added = insert_in_crowd(agenda, due_ns, kind, id)
    return added if added >= 0 else insert_anew(agenda, due_ns, kind, id)


cdef inline int insert_in_crowd(Agenda *agenda, int64_t due_ns, uint8_t kind, uint64_t id) noexcept nogil:
    """1: it is in its crowd now; 0: it was; NO_PLACE: there is none, or it has no place."""
    cdef Crowd *crowd = crowd_of(agenda, window_of(due_ns))
    cdef Member member = member_of(due_ns, kind, id)
    cdef int added
    if crowd.window != window_of(due_ns):
        return NO_PLACE
    added = crowd_insert(crowd, &member)
    if added > 0:
        agenda.crowded += 1
        agenda.tree.changes += 1
    return added


cdef inline bint drop_in_crowd(Agenda *agenda, int64_t due_ns, uint8_t kind, uint64_t id) noexcept nogil:
    """Whether it was in a crowd that stays as large as it is."""
    cdef Crowd *crowd = crowd_of(agenda, window_of(due_ns))
    cdef Member member = member_of(due_ns, kind, id)
    if crowd.window != window_of(due_ns) or crowd.count <= crowd.fewest or not crowd_drop(crowd, &member):
        return False
    agenda.crowded -= 1
    agenda.tree.changes += 1
    return True


cdef inline bint agenda_drop(Agenda *agenda, int64_t due_ns, uint8_t kind, uint64_t id) noexcept nogil:
    """Whether it was in."""
    cdef Crowd *crowd = crowd_of(agenda, window_of(due_ns))
    cdef Member member
    cdef Key key
    if crowd.window != window_of(due_ns):
        key = key_of(due_ns, kind, id)
        return tree_drop(&agenda.tree, &key)
    member = member_of(due_ns, kind, id)
    if not crowd_drop(crowd, &member):
        return False
    agenda.crowded -= 1
    agenda.tree.changes += 1
    if crowd.count < crowd.fewest and crowd_fit(crowd, 0) < 0:
        # The table stays; who takes the next one out shan't try again.
        crowd.fewest = 0
    return True


cdef inline bint agenda_has(Agenda *agenda, int64_t due_ns, uint8_t kind, uint64_t id) noexcept nogil:
    cdef Crowd *crowd = crowd_of(agenda, window_of(due_ns))
    cdef Member member
    cdef Key key
    if crowd.window != window_of(due_ns):
        key = key_of(due_ns, kind, id)
        return tree_has(&agenda.tree, &key)
    member = member_of(due_ns, kind, id)
    return crowd_find(crowd, &member) >= 0


cdef inline void agenda_ask(const Agenda *agenda, int64_t due_ns, uint8_t kind, uint64_t id) noexcept nogil:
    """Soon asked for: its place in its crowd, if it has one."""
    cdef const Crowd *crowd = &agenda.crowds[window_of(due_ns) & (CROWDS - 1)]
    cdef Member member = member_of(due_ns, kind, id)
    if crowd.window == window_of(due_ns):
        prefetch(&crowd.members[home_of(&member, crowd.capacity)])


# ---- in order


cdef inline int settle_first(Agenda *agenda, int64_t window) noexcept nogil:
    """If the least timer is due in this window or before, it stands in the tree; 0, or -1: no memory."""
    cdef Crowd *soonest = agenda.soonest
    while soonest != NULL and soonest.window <= window and (
        agenda.tree.count == 0 or soonest.window <= window_of(agenda.tree.least.first)
    ):
        if disband(agenda, soonest, soonest.count > 0) < 0:
            return -1
        soonest = agenda.soonest
    return 0


cdef inline int settle_all(Agenda *agenda) noexcept nogil:
    """All timers stand in the tree; 0, or -1: there is no memory, and each stands where it can be found."""
    while agenda.soonest != NULL:
        if disband(agenda, agenda.soonest, False) < 0:
            return -1
    return 0


cdef inline void agenda_clear(Agenda *agenda) noexcept nogil:
    """Give all back."""
    cdef int place
    for place in range(CROWDS):
        if agenda.crowds[place].window != NOWHERE:
            free(agenda.crowds[place].members)
        agenda.crowds[place].members = NULL
    agenda_begin(agenda)
    agenda.soonest = NULL
    agenda.crowded = 0
    tree_clear(&agenda.tree)


cdef inline uint64_t agenda_bytes(const Agenda *agenda) noexcept nogil:
    """Of all that it has allocated."""
    cdef uint64_t total = agenda.tree.bytes
    cdef int place
    for place in range(CROWDS):
        total += crowd_bytes(&agenda.crowds[place])
    return total
