"""Questions that walk dry; compiled apart, because nobody who asks is in a hurry."""

from engine.fast.core cimport BookCore
from engine.fast.records cimport CommandRecord


cdef object asked_of(BookCore *core, const CommandRecord *record, bint walks)
