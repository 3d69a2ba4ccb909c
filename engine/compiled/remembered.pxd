"""What an account's client ids stood for, for compiled callers: the law's dict of texts to
`engine.tables.Remembered`.

It keeps the order of entry, as a dict does. An entry that `find` gives stays until the next change.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.wire cimport View


cdef struct Entry:
    uint64_t seq
    uint64_t order_id
    uint8_t digest[16]
    # The low bits of its text's hash, and how many bytes the text has that stands behind.
    uint32_t hashed
    uint32_t size


cdef class RememberedIds:
    # A ring of entries by their turns, oldest first, NULL where one has gone; a turn modulo the size is a
    # slot.
    cdef Entry **entries
    # Open-addressed by hash: slot + 1 of the entry that is at home here or was moved on; 0: none.
    cdef uint32_t *places
    cdef uint64_t head
    cdef uint64_t tail
    cdef uint64_t count
    cdef uint64_t slots
    # Goes up whenever a text comes or goes.
    cdef uint64_t changes

    # NULL: it isn't here.
    cdef const Entry *find(self, const View *text) noexcept
    # NULL: there is none.
    cdef const Entry *oldest(self) noexcept
    # The next in order of entry, from turn 0 on; NULL at the end. Not while the table changes.
    cdef const Entry *walk(self, uint64_t *turn) noexcept
    # Take one in, or give it another meaning in its old place.
    cdef int put(self, const View *text, const uint8_t *digest, uint64_t seq, uint64_t order_id) except -1
    # Whether it was there.
    cdef bint drop(self, const View *text) noexcept
    # Bytes of all that it has allocated.
    cdef uint64_t size_bytes(self) noexcept

    cdef int64_t place_of(self, const View *text, uint32_t hashed) noexcept
    cdef int make_room(self) except -1
    cdef void leave(self, uint64_t place) noexcept


# The text of an entry.
cdef View text_at(const Entry *entry) noexcept nogil
