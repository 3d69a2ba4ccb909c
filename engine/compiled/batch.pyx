# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Commands as the log carries them, in; the events' records, out. It knows which rooms are compiled, and no
rule.
"""

from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.ahead cimport CHUNK, Ahead, Coming, look_ahead, sort_in, two_lines
from engine.compiled.commands cimport (
    AMEND_ORDER, CANCEL_ORDER, END_LEASE, LEASE_ACTIVE, NOT_PLAIN, PLACE_ORDER, TICK, PlainCommand,
    read_command,
)
from engine.compiled.entry cimport cancel, place
from engine.compiled.following cimport follow
from engine.compiled.leasing cimport end_lease, lease_active, lease_wiped
from engine.compiled.state cimport Core
from engine.compiled.ticks cimport tick
from engine.compiled.wire cimport WireSink, record_of

from engine.codec import decode_command, encode_events

cdef extern from *:
    """
    #ifndef HOURBOOK_GUIDED
    #define HOURBOOK_GUIDED 0
    #endif
    """
    bint IS_GUIDED "HOURBOOK_GUIDED"

cdef extern from "Python.h":
    # Borrowed, as they are declared here: a record that is only read stays unwritten, its count of
    # references too.
    PyObject *item_of "PyTuple_GET_ITEM"(PyObject *items, Py_ssize_t place) noexcept
    bint is_bytes "PyBytes_CheckExact"(PyObject *record) noexcept
    const char *bytes_of "PyBytes_AS_STRING"(PyObject *record) noexcept
    Py_ssize_t size_of "PyBytes_GET_SIZE"(PyObject *record) noexcept

cdef enum:
    # Times beyond are left to the law's rooms, so that none of ours runs over.
    TIME_MOST_NS = 0x4000000000000000

# Whether it was compiled by what a market's day was seen to take (`make guided`).
GUIDED = bool(IS_GUIDED)


def play(Core state not None, uint64_t seq, bytes record not None):
    """Play a record whole; False, and nothing changed, where the law's rooms must: its events are in
    `state.events`.
    """
    cdef PlainCommand command
    cdef uint8_t tag = tag_of(<PyObject *>record, &command)
    return is_played(state, seq, tag, &command)


cdef bint play_plain(Core state, uint64_t seq, uint8_t tag, const PlainCommand *command) except -1:
    cdef uint64_t last_seq = state.last_seq
    cdef int64_t last_ts_ns = state.last_ts_ns
    cdef bint played
    if seq <= last_seq or command.ts_ns < last_ts_ns or command.ts_ns > <int64_t>TIME_MOST_NS:
        return False
    state.clean()
    state.last_seq, state.last_ts_ns = seq, command.ts_ns
    if tag == PLACE_ORDER:
        played = place(state, command)
    elif tag == CANCEL_ORDER:
        played = cancel(state, command)
    else:
        played = play_lease(state, tag, command)
        if played:
            follow(state)
    if not played:
        state.last_seq, state.last_ts_ns = last_seq, last_ts_ns
    return played


cdef bint play_lease(Core state, uint8_t tag, const PlainCommand *command) except -1:
    """A command of a lease, or a Tick, but for what follows of it."""
    if tag == TICK:
        tick(state)
        return True
    if command.lease_id < 0 or command.account < 0:
        return False
    if tag == LEASE_ACTIVE:
        return lease_active(state, <uint64_t>command.lease_id, &command.access)
    if tag == END_LEASE:
        return end_lease(state, command.account, <uint64_t>command.lease_id)
    return lease_wiped(state, <uint64_t>command.lease_id)


def batch(machine, records, uint64_t first_seq):
    """Play records one after the other, numbered from `first_seq` on; the events' record of each, empty where
    there are none.

    What isn't plain goes to the law's rooms; `engine.codec.DecodeError` for what is no command, with all
    before it played. A tuple of records is read where it is, all else is made one: nobody may change it
    meanwhile.
    """
    cdef Core state = machine.state
    cdef tuple given = tuple(records)
    cdef list told = PyList_New(len(given))
    cdef bytes record
    cdef Ahead ahead
    cdef Py_ssize_t count = len(given)
    cdef Py_ssize_t first = 0
    cdef Py_ssize_t last, nth
    cdef Coming *one
    cdef WireSink *sink
    cdef uint64_t seq = first_seq
    ask_records(given, 0, count)
    # What lies ahead is read while what it will need is on its way.
    while first < count:
        last = min(first + CHUNK, count)
        ahead.order_count = ahead.cancel_count = ahead.lease_count = 0
        for nth in range(first, last):
            one = &ahead.coming[nth - first]
            one.tag = tag_of(item_of(<PyObject *>given, nth), &one.command)
            sort_in(state, &ahead, <uint32_t>(nth - first))
        look_ahead(state, seq, &ahead)
        ask_records(given, last, count)
        for nth in range(first, last):
            one = &ahead.coming[nth - first]
            if is_played(state, seq, one.tag, &one.command):
                sink = &state.events.sink
                record = record_of(sink, one.command.ts_ns) if sink.events else b""
            else:
                record = played_by_law(machine, seq, given[nth])
            # The list takes a reference of its own, and has no other item there.
            Py_INCREF(record)
            PyList_SET_ITEM(told, nth, record)
            seq += 1
        first = last
    return told


cdef inline void ask_records(tuple given, Py_ssize_t first, Py_ssize_t count) noexcept:
    """The records that are read next."""
    cdef Py_ssize_t nth
    for nth in range(first, min(first + CHUNK, count)):
        two_lines(item_of(<PyObject *>given, nth))


cdef inline uint8_t tag_of(PyObject *record, PlainCommand *command) noexcept:
    """Which plain command a record holds."""
    if not is_bytes(record):
        return NOT_PLAIN
    return read_command(<const uint8_t *>bytes_of(record), <size_t>size_of(record), command)


cdef inline bint is_played(Core state, uint64_t seq, uint8_t tag, const PlainCommand *command) except -1:
    return tag not in (NOT_PLAIN, AMEND_ORDER) and play_plain(state, seq, tag, command)


cdef bytes played_by_law(object machine, uint64_t seq, bytes record):
    ts_ns, command = decode_command(record)
    events = machine.apply_law(seq, ts_ns, command)
    return encode_events(ts_ns, events) if events else b""
