# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What a command sets off, in C; `engine.machine.follow` is the law.

Mostly that is nothing, or the leases of what it traded. All else that may follow, the law's room does: here
is only known whether there is any. It knows no rule of the market.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

from engine.compiled.fills cimport open_leases
from engine.compiled.records cimport Baron
from engine.compiled.standing cimport find_baron
from engine.compiled.state cimport Core, Listed, dict_size, list_size, listed_of, set_size

from engine import machine


cdef int follow(Core state) except -1:
    if needs_law(state):
        machine.follow(state)
        return 0
    state.near_books.count = 0
    if dict_size(<PyObject *>state.far_books):
        state.far_books = {}
    if state.drafts.first != state.drafts.count:
        open_leases(state)
    return 0


cdef bint needs_law(Core state) except -1:
    """Whether anything follows but leases: covers, stops, offers, spent quotes, spot leases without GPUs."""
    cdef uint32_t place
    if (
        list_size(<PyObject *>state.covers) | set_size(<PyObject *>state.waiting)
        | dict_size(<PyObject *>state.spent_quotes) | dict_size(<PyObject *>state.short_rows)
    ):
        return True
    for place in range(state.near_books.count):
        if is_due(<Listed>state.near_books.items[place]):
            return True
    for place in range(state.near_barons.count):
        if has_offers(<Baron>state.near_barons.items[place]):
            return True
    if dict_size(<PyObject *>state.far_books) | dict_size(<PyObject *>state.far_barons):
        return needs_law_far(state)
    return False


cdef bint needs_law_far(Core state) except -1:
    """The same of what Python rooms touched."""
    cdef Listed listed
    for number in state.far_books:
        listed = listed_of(state, number)
        if listed is None or is_due(listed):
            return True
    for number in state.far_barons:
        if has_offers(find_baron(state, number)):
            return True
    return False


cdef inline bint has_offers(Baron baron) noexcept:
    return baron.own_row.listed is not None


cdef bint is_due(Listed listed) noexcept:
    """Whether stops may fire, or an auction's price is told."""
    return listed.book.core.due.count != 0 or listed.book.core.clearing_price != 0
