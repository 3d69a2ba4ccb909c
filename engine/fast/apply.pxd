"""One command: the checks that all have in common, who carries it out, and the stops that fire after it."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.fast.auction cimport clear
from engine.fast.checks cimport is_malformed
from engine.fast.changes cimport amend, cancel, cancel_all, mass_cancel, move_window, owned, reduce
from engine.fast.core cimport ARMED, BARE, STOPS_WAIT, BookCore, likely, unlikely
from engine.fast.deltas cimport reserve_changes
from engine.fast.eligibility cimport RATING_SHIFT
from engine.fast.entry cimport NO_MEMORY, enter_new, fire_stop, say_session
from engine.fast.lanes cimport goes_at_once, moves_at_once, rests_at_once
from engine.fast.maps cimport reserve_pair, set_value
from engine.fast.owners cimport drop_owners
from engine.fast.pool cimport terms_of
from engine.fast.records cimport (
    OP_AMEND, OP_CANCEL, OP_FIRE, OP_MASS_CANCEL, OP_MOVE_WINDOW, OP_NEW, OP_REDUCE, OP_SET_BARON,
    OP_SET_SESSION, OP_TICK, REASON_INSTRUMENT_EXPIRED, REASON_MALFORMED_RECORD, REASON_SESSION_CLOSED,
    REASON_TIME_WENT_BACK, REASON_UNKNOWN_ORDER, SESSION_CONTINUOUS, SESSION_EXPIRED, CommandRecord,
    EventRecord, Sink,
)
from engine.fast.sink cimport emit_rejected, reserve_events

cdef enum:
    # What any command may say beside fills, cancels of many and what stops do.
    EVENTS_AT_LEAST = 8
    ALL_SIDES = 3
    # Beside NO_MEMORY.
    STOPS_STARVED = -2
    # A Baron that was told is in the map even with nothing to offer.
    TOLD = 0x80000000


cdef inline bint _lets_in(BookCore *core, const CommandRecord *command) noexcept nogil:
    """Check 3: what an instrument that expired takes, and one in the middle of its clearing."""
    cdef uint8_t op = command.op
    if core.session == SESSION_EXPIRED:
        return op == OP_TICK or op == OP_SET_BARON
    if core.clearing_price == 0:
        return True
    if op == OP_SET_SESSION:
        return command.shape == SESSION_CONTINUOUS
    return op != OP_NEW and op != OP_AMEND and op != OP_FIRE


cdef inline int _set_session(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    if command.shape == SESSION_CONTINUOUS and core.session != SESSION_CONTINUOUS:
        return clear(core, sink, command.reason)
    if command.shape == SESSION_EXPIRED:
        if cancel_all(core, sink, ALL_SIDES, 0, 0, REASON_INSTRUMENT_EXPIRED) < 0:
            return NO_MEMORY
        drop_owners(core)
    core.session = command.shape
    say_session(core, sink, command.reason, 0)
    return 0


cdef inline int _fire_one(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """FIRE: one triggered stop, at its caller's word."""
    cdef uint32_t index
    if core.session != SESSION_CONTINUOUS:
        return REASON_SESSION_CLOSED
    index = owned(core, command)
    if index == 0 or not core.nodes[index].place & ARMED or not terms_of(core, index).triggered:
        return REASON_UNKNOWN_ORDER
    return fire_stop(core, sink, index)


cdef inline int _carry_out(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """0, the reason of a refusal, or NO_MEMORY with nothing changed."""
    cdef uint8_t op = command.op
    if likely(op == OP_NEW):
        return enter_new(core, sink, command)
    if likely(op == OP_CANCEL):
        return cancel(core, sink, command)
    if op == OP_AMEND:
        return amend(core, sink, command)
    if op == OP_REDUCE:
        return reduce(core, sink, command)
    if op == OP_MASS_CANCEL:
        return mass_cancel(core, sink, command)
    if BARE:
        return REASON_MALFORMED_RECORD
    if op == OP_MOVE_WINDOW:
        return move_window(core, sink, command)
    if op == OP_SET_SESSION:
        return _set_session(core, sink, command)
    if op == OP_FIRE:
        return _fire_one(core, sink, command)
    if op == OP_SET_BARON:
        if reserve_pair(&core.barons) < 0:
            return NO_MEMORY
        set_value(
            &core.barons, command.baron,
            TOLD | <uint32_t>command.min_rating << RATING_SHIFT | command.features,
        )
        return 0
    if core.clearing_price:
        return clear(core, sink, 0)
    return 0


cdef inline int _fire_due(BookCore *core, Sink *sink, uint64_t left) noexcept nogil:
    """The triggered stops fire in order of entry, those among them that a firing triggers, so many; 0, or
    STOPS_STARVED.
    """
    while core.due.count and core.session == SESSION_CONTINUOUS and left:
        if fire_stop(core, sink, core.due.nodes[0]) < 0:
            # They belong to this command: were anything else done before, a replay would tell another story.
            core.stops_left = left
            core.held |= STOPS_WAIT
            return STOPS_STARVED
        left -= 1
    return 0


cdef inline int _check_and_carry_out(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """A command without the stops after it: 0, the reason of its refusal, or NO_MEMORY."""
    cdef int64_t before_ns = core.now_ns
    cdef int reason
    core.referenced = False
    if unlikely(is_malformed(core, command)):
        reason = REASON_MALFORMED_RECORD
    elif unlikely(command.ts_ns < core.now_ns):
        reason = REASON_TIME_WENT_BACK
    else:
        core.now_ns = command.ts_ns
        if unlikely(core.session == SESSION_EXPIRED or core.clearing_price != 0) and (
            not _lets_in(core, command)
        ):
            reason = REASON_SESSION_CLOSED
        else:
            reason = _carry_out(core, sink, command)
            if likely(reason == 0):
                return 0
            if reason == NO_MEMORY:
                core.now_ns = before_ns
                return NO_MEMORY
    emit_rejected(core, sink, command.order_id, <uint8_t>reason)
    return reason


cdef inline int apply_at_length(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """The long way of `apply_command`, for which room for the least of events was reserved; without a command
    (NULL), what was left of the last one's stops.
    """
    cdef CommandRecord record
    cdef uint64_t left
    cdef int reason
    if likely(command != NULL):
        # Another thread may write over the caller's meanwhile: what was checked is what is done.
        record = command[0]
        reason = _check_and_carry_out(core, sink, &record)
        if unlikely(reason != 0):
            return reason
        left = core.limits.max_stops if core.limits.max_stops else <uint64_t>-1
    else:
        left = core.stops_left
        core.held &= ~<uint8_t>STOPS_WAIT
    if not BARE and unlikely(core.due.count != 0) and core.limits.fires:
        return _fire_due(core, sink, left)
    return 0


cdef inline int finish_stops(BookCore *core) noexcept nogil:
    """Before anything else: the last command's stops that found no memory. 0, or STOPS_STARVED again.

    What they say waits like all that found no room, with their command's index.
    """
    cdef EventRecord nowhere[1]
    cdef Sink sink
    if likely(not core.held & STOPS_WAIT):
        return 0
    sink.next = &nowhere[0]
    sink.end = &nowhere[0]
    sink.command = core.command
    return core.at_length(core, &sink, NULL)


cdef inline int apply_command(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil:
    """Apply one command: 0, the reason of its refusal, NO_MEMORY with nothing changed and nothing said, or
    STOPS_STARVED: applied, but stops that it made fire found no memory.

    Not while stops are starved; `finish_stops` comes first.
    """
    cdef Py_ssize_t room = <char *>sink.end - <char *>sink.next
    core.command = sink.command
    if unlikely(room < <Py_ssize_t>(EVENTS_AT_LEAST * sizeof(EventRecord))) and (
        reserve_events(core, sink, EVENTS_AT_LEAST) < 0
    ):
        return NO_MEMORY
    if unlikely(core.tracking) and reserve_changes(core) < 0:
        return NO_MEMORY
    if likely(command.op == OP_NEW):
        if likely(rests_at_once(core, sink, command)):
            return 0
    elif command.op == OP_CANCEL:
        if likely(goes_at_once(core, sink, command)):
            return 0
    elif command.op == OP_AMEND and likely(moves_at_once(core, sink, command)):
        return 0
    return core.at_length(core, sink, command)
