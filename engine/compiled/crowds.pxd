"""A crowd: timers that are due within the same few minutes, in an open-addressed table and in no order.

Most timers are taken out long before they are due, and nobody asks for the order among those. What goes in
or out of a crowd costs the same however many there are, whoever chose them: none stands farther from its home
than FARTHEST. When it is a crowd's turn, its timers go into the tree; `agenda` knows when that is.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort

from engine.compiled.nodes cimport Key, key_of

cdef enum:
    # A window is so many bits of nanoseconds, 275 s: what is sorted at once when its turn comes isn't much.
    WINDOW_BITS = 38
    # The window of a crowd that isn't there; no time is in it.
    NOWHERE = 1 << 26
    KIND_BITS = 8
    # In `rest`: no member, and a place that one has left.
    EMPTY = 0
    LEFT = 1
    LEAST_CAPACITY = 64
    FEW_MEMBERS = 1 << 15
    # Chance puts nobody so far from home; where a table would, it isn't made.
    FARTHEST = 256
    # What an insert says when there is no place near enough.
    NO_PLACE = -2
    HALF_WORD = 32

cdef extern from *:
    """
    #define HOURBOOK_TAKEN 0x8000000000000000ULL
    /* The bits of a time within a window. */
    #define HOURBOOK_WITHIN 0x3FFFFFFFFFULL
    /* The golden ratio's multiple, and another number without a pattern. */
    #define HOURBOOK_GOLDEN 0x9E3779B97F4A7C15ULL
    #define HOURBOOK_ODD 0xD6E8FEB86659FD93ULL
    """
    const uint64_t TAKEN "HOURBOOK_TAKEN"
    const uint64_t WITHIN "HOURBOOK_WITHIN"
    const uint64_t GOLDEN "HOURBOOK_GOLDEN"
    const uint64_t ODD "HOURBOOK_ODD"


cdef struct Member:
    uint64_t id
    # TAKEN, when it is due within the window, and its kind.
    uint64_t rest


cdef struct Crowd:
    int64_t window
    # A window whose timers stay in the tree; NOWHERE: none.
    int64_t opened
    Member *members
    uint32_t capacity
    uint32_t count
    # Places that aren't empty; at `most` of them the table is made anew, and below `fewest` members too.
    uint32_t used
    uint32_t most
    uint32_t fewest
    # How far the farthest is from home.
    uint32_t reach


cdef inline int64_t window_of(int64_t due_ns) noexcept nogil:
    return due_ns >> WINDOW_BITS


cdef inline Member member_of(int64_t due_ns, uint8_t kind, uint64_t id) noexcept nogil:
    cdef Member member
    member.id = id
    member.rest = TAKEN | (<uint64_t>due_ns & WITHIN) << KIND_BITS | kind
    return member


cdef inline Key key_in(const Crowd *crowd, const Member *member) noexcept nogil:
    """The timer as a key of a tree."""
    cdef uint64_t due_ns = <uint64_t>crowd.window << WINDOW_BITS | (member.rest >> KIND_BITS & WITHIN)
    return key_of(<int64_t>due_ns, <uint8_t>member.rest, member.id)


cdef inline uint32_t home_of(const Member *member, uint32_t capacity) noexcept nogil:
    """Ids follow each other in their middle bits, of which one multiplication leaves too little above."""
    cdef uint64_t mixed = (member.id ^ member.rest * ODD) * GOLDEN
    mixed = (mixed ^ mixed >> HALF_WORD) * ODD
    return <uint32_t>((mixed >> HALF_WORD) * capacity >> HALF_WORD)


cdef inline uint32_t next_place(const Crowd *crowd, uint32_t place) noexcept nogil:
    place += 1
    return place if place < crowd.capacity else 0


cdef inline bint is_at(const Crowd *crowd, uint32_t place, const Member *member) noexcept nogil:
    return crowd.members[place].rest == member.rest and crowd.members[place].id == member.id


cdef inline int64_t crowd_find(const Crowd *crowd, const Member *member) noexcept nogil:
    """Its place; -1: it isn't in."""
    cdef uint32_t place = home_of(member, crowd.capacity)
    cdef uint32_t _far
    for _far in range(crowd.reach + 1):
        if is_at(crowd, place, member):
            return place
        if crowd.members[place].rest == EMPTY:
            return -1
        place = next_place(crowd, place)
    return -1


cdef inline int crowd_insert(Crowd *crowd, const Member *member) noexcept nogil:
    """1: it is in now; 0: it was; NO_PLACE: the table must be made anew first, and nothing changed."""
    cdef uint32_t place = home_of(member, crowd.capacity)
    cdef uint32_t left_place = 0
    cdef uint32_t left_far = FARTHEST
    cdef uint32_t far = 0
    while crowd.members[place].rest != EMPTY:
        if is_at(crowd, place, member):
            return 0
        if crowd.members[place].rest == LEFT and left_far == FARTHEST:
            left_far, left_place = far, place
        place = next_place(crowd, place)
        far += 1
        if far == FARTHEST:
            break
    if left_far < FARTHEST:
        far, place = left_far, left_place
    elif far == FARTHEST or crowd.used == crowd.most:
        return NO_PLACE
    else:
        crowd.used += 1
    crowd.members[place] = member[0]
    crowd.count += 1
    if far > crowd.reach:
        crowd.reach = far
    return 1


cdef inline bint crowd_drop(Crowd *crowd, const Member *member) noexcept nogil:
    """Whether it was in."""
    cdef int64_t place = crowd_find(crowd, member)
    if place < 0:
        return False
    crowd.count -= 1
    if crowd.members[next_place(crowd, <uint32_t>place)].rest == EMPTY:
        # Nobody was moved on from here.
        crowd.members[place].rest = EMPTY
        crowd.used -= 1
    else:
        crowd.members[place].rest = LEFT
    return True


cdef inline bint crowd_make(Crowd *crowd, int64_t window, uint64_t count) noexcept nogil:
    """An empty table for so many and half as many more; False: there is no memory for it."""
    # Where they are many, a timer is 38 bytes at most; where they are few, a table is seldom made anew.
    cdef uint64_t capacity = count * 3 if count < FEW_MEMBERS else count * 12 // 5
    capacity = max(capacity, <uint64_t>LEAST_CAPACITY)
    crowd.members = <Member *>calloc(capacity, sizeof(Member)) if capacity >> HALF_WORD == 0 else NULL
    if crowd.members == NULL:
        return False
    crowd.window = window
    crowd.capacity = <uint32_t>capacity
    crowd.count = crowd.used = crowd.reach = 0
    crowd.most = <uint32_t>(capacity * 5 // 8)
    crowd.fewest = <uint32_t>(capacity // 5) if capacity > LEAST_CAPACITY else 0
    return True


cdef inline bint move_over(Crowd *crowd, const Member *member) noexcept nogil:
    """Into a table that has room, and not this member; False: it would stand too far from home."""
    cdef uint32_t place = home_of(member, crowd.capacity)
    cdef uint32_t far = 0
    while crowd.members[place].rest != EMPTY:
        place = next_place(crowd, place)
        far += 1
    if far >= FARTHEST:
        return False
    crowd.members[place] = member[0]
    if far > crowd.reach:
        crowd.reach = far
    return True


cdef inline int crowd_fit(Crowd *crowd, uint64_t more) noexcept nogil:
    """A new table for those who are in and so many more; 0, NO_PLACE: some would stand too far from home, or
    -1: there is no memory. But for 0 nothing changed.
    """
    cdef Crowd fit = crowd[0]
    cdef uint32_t place
    if not crowd_make(&fit, crowd.window, crowd.count + more):
        return -1
    for place in range(crowd.capacity):
        if crowd.members[place].rest & TAKEN and not move_over(&fit, &crowd.members[place]):
            free(fit.members)
            return NO_PLACE
    fit.count = fit.used = crowd.count
    free(crowd.members)
    crowd[0] = fit
    return 0


cdef inline int in_order(const void *one, const void *other) noexcept nogil:
    """For qsort: by when they are due, their kind and id. No two are equal."""
    cdef const Member *left = <const Member *>one
    cdef const Member *right = <const Member *>other
    if left.rest != right.rest:
        return 1 if left.rest > right.rest else -1
    return 1 if left.id > right.id else -1


cdef inline Member *sorted_members(const Crowd *crowd) noexcept nogil:
    """All who are in, in their order, for the caller to free; NULL: there is no memory for it."""
    cdef Member *members = <Member *>malloc((crowd.count + 1) * sizeof(Member))
    cdef uint32_t count = 0
    cdef uint32_t place
    if members == NULL:
        return NULL
    for place in range(crowd.capacity):
        if crowd.members[place].rest & TAKEN:
            members[count] = crowd.members[place]
            count += 1
    qsort(members, count, sizeof(Member), in_order)
    return members


cdef inline uint64_t crowd_bytes(const Crowd *crowd) noexcept nogil:
    return crowd.capacity * sizeof(Member) if crowd.window != NOWHERE else 0
