"""The fast book for compiled code: drive it record by record, with no Python object and no interpreter lock.
The contract stands in docs/book.md, "The compiled door"; this is its natural use:

    cdef EventRecord events[256]
    cdef Sink sink
    book.enter()                                    # with the interpreter lock; RuntimeError if it is in use
    with nogil:
        for place in range(count):
            sink.next, sink.end = &events[0], &events[256]
            sink.command = place
            answer = book.apply(&commands[place], &sink)
            tell(&events[0], sink.next)             # first what waited, then this command's
            if answer == -1:                        # no memory: it was not applied; give it again later
                break
        waits = 1
        while waits > 0:                            # what found no room
            sink.next = &events[0]
            waits = book.drain(&sink)
            tell(&events[0], sink.next)
    book.leave()
"""

from libc.stdint cimport int64_t, uint64_t

from engine.fast.core cimport BookCore
from engine.fast.records cimport CommandRecord, DeltaRecord, EventRecord, Sink


cdef class FastBook:
    cdef BookCore core
    cdef object limits

    cdef int enter(self) except -1
    cdef void leave(self) noexcept nogil
    cdef int apply(self, const CommandRecord *command, Sink *sink) noexcept nogil
    cdef int64_t drain(self, Sink *sink) noexcept nogil
    cdef int keep_changes(self, bint keep) noexcept nogil
    cdef uint64_t tell_changes(self, DeltaRecord *deltas, uint64_t room) noexcept nogil
    cdef uint64_t _run(
        self, const CommandRecord *commands, uint64_t count, Sink *sink, bint *starved
    ) noexcept nogil
    cdef int _free_to_use(self) except -1
    cdef unsigned int _find(self, object order_id) except? 0xFFFFFFFF
    cdef int _read(self, object order, CommandRecord *record) except -1
    cdef int _trim(self) except -1
    cdef bytes _told(self, const EventRecord *events, uint64_t count)
