# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A Tick, compiled: due timers in their order, each played by the room that knows it, here or the law's."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.arithmetic cimport NS_PER_HOUR
from engine.compiled.codes cimport TIMER_LEASE_HOUR, TIMER_LOOK_AHEAD, TIMER_NOTICE_END, TIMER_TERM_END
from engine.compiled.leasing cimport full_hour, notice_end, term_end
from engine.compiled.lookups cimport ROW_BITS, lease_of, rearm, row_of
from engine.compiled.ordered cimport Timer
from engine.compiled.records cimport Baron, Row
from engine.compiled.standing cimport baron_of, deliverable_to_spot, hour_of, settle
from engine.compiled.state cimport Core, note_baron

from engine import machine, rows, units

# Later than this not all hours are known any more, and the law's room says what counts.
cdef int64_t KEPT_NS = (rows.KEPT_MOST_H - 1) * units.NS_PER_HOUR
cdef uint32_t EVENTS_ENOUGH = machine.EVENTS_ENOUGH


cdef int tick(Core core) except -1:
    """Fire due timers in order, at most so many."""
    cdef int64_t left = core.limits.max_timers
    cdef Timer timer
    if core.yielding or core.covers or core.shutting or core.expiring or core.waiting:
        # What a command before left to be gone on with is the law's.
        machine.tick(core, fire)
        return 0
    while left and core.timers.due(core.last_ts_ns, &timer):
        # What was traded in this Tick is settled before anything else happens.
        if core.events.sink.events >= EVENTS_ENOUGH or core.fills_left < core.max_looked:
            return 0
        _fire(core, timer.kind, timer.id)
        left -= 1
    return 0


cdef int _fire(Core core, uint8_t kind, uint64_t number) except -1:
    """What happens when a timer is due."""
    cdef bint played = False
    if kind == TIMER_LEASE_HOUR:
        played = full_hour(core, lease_of(core, number))
    elif kind == TIMER_TERM_END:
        played = term_end(core, lease_of(core, number))
    elif kind == TIMER_NOTICE_END:
        played = notice_end(core, lease_of(core, number))
    elif kind == TIMER_LOOK_AHEAD:
        played = _look_ahead(core, number)
    if not played:
        machine.fire(core, kind, number)
    return 0


cdef bint _look_ahead(Core core, uint64_t number) except -1:
    """Two minutes before a full hour: what that hour's firm sales leave to spot counts from then on."""
    cdef Baron baron = baron_of(core, <uint32_t>number)
    cdef Row row = row_of(core, baron, <uint32_t>(number >> ROW_BITS))
    cdef int64_t due_ns = row.look_ahead_ns
    cdef int64_t next_ns = due_ns + NS_PER_HOUR
    if row.spot_gpus == 0:
        # What is asked is looked at as of now.
        next_ns = <int64_t>(hour_of(core.last_ts_ns + core.notice_ns) + 1) * NS_PER_HOUR - core.notice_ns
    elif (
        core.last_ts_ns - due_ns > KEPT_NS
        or row.spot_gpus - row.leaving_gpus > deliverable_to_spot(core, baron, row, due_ns)
    ):
        # Leases yield.
        return False
    rearm(core, TIMER_LOOK_AHEAD, number, due_ns, next_ns)
    row.look_ahead_ns = next_ns
    note_baron(core, baron)
    settle(core, baron, row)
    return True


def fire(Core core not None, uint8_t kind, uint64_t number):
    """What happens when a timer is due, for the law's Tick."""
    _fire(core, kind, number)


def play_tick(Core core not None, _command):
    """A Tick as a message; it is always played."""
    tick(core)
    return True
