"""Questions that walk dry; compiled apart, because nobody who asks is in a hurry."""

from libc.stdint cimport uint32_t

from engine.fast.core cimport BookCore, Fills
from engine.fast.records cimport CommandRecord


# What a NEW that is well-formed would take now, noted in `fills`, whose memory is the caller's to free;
# what it
# would leave at `leaves`. Why the walk ends (a STOP_), or -1 without memory. The book is its caller's
# meanwhile.
cdef int walk_dry(
    BookCore *core, const CommandRecord *record, Fills *fills, uint32_t *leaves
) noexcept nogil
cdef object asked_of(BookCore *core, const CommandRecord *record, bint walks)
