# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What an account's client ids stood for: a bounded memory's dict of short texts, in C.

There are ten thousand of them an account, so an entry is one block of memory with its text behind it, and a
ring of pointers keeps the order of entry: the oldest goes without a trace. Gaps in the middle are closed
when the ring is full. It knows no command, and not when an id is forgotten.
"""

from cpython.object cimport PyObject_Hash
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from engine.compiled.wire cimport View, bytes_of, view_bytes, view_text

from collections.abc import ItemsView, KeysView, MutableMapping, ValuesView

from engine.tables import Remembered

cdef extern from *:
    """
    static inline uint64_t hourbook_folded(uint64_t one, uint64_t other)
    {
        unsigned __int128 product = (unsigned __int128)one * other;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    """
    uint64_t folded "hourbook_folded"(uint64_t one, uint64_t other) noexcept nogil

cdef enum:
    DIGEST_BYTES = 16
    FIRST_SLOTS = 8
    NO_PLACE = -1
    # What malloc itself keeps of a block, about.
    BLOCK_BYTES = 8

cdef object NOTHING = object()
# As in Python's own dicts, other ones in every process: nobody can choose ids that all have one place.
# Nothing but where an entry stands depends on them.
cdef uint64_t FIRST_KEY = <uint64_t>PyObject_Hash("the first key of client ids")
cdef uint64_t SECOND_KEY = <uint64_t>PyObject_Hash("the second key of client ids")


cdef View text_at(const Entry *entry) noexcept nogil:
    cdef View text
    text.data, text.size = <const uint8_t *>(entry + 1), entry.size
    return text


cdef uint32_t hash_of(const View *text) noexcept nogil:
    cdef uint64_t mixed = FIRST_KEY ^ text.size
    cdef uint64_t word = 0
    cdef size_t at = 0
    while text.size - at >= sizeof(word):
        memcpy(&word, text.data + at, sizeof(word))
        mixed = folded(mixed ^ word, SECOND_KEY | 1)
        at += sizeof(word)
    if text.size - at:
        word = 0
        memcpy(&word, text.data + at, text.size - at)
        mixed = folded(mixed ^ word, SECOND_KEY | 1)
    return <uint32_t>folded(mixed, FIRST_KEY | 1)


cdef class RememberedIds:
    """For Python rooms a dict of `Remembered`, each made when it is asked for."""

    def __init__(self, given=()):
        for text, remembered in given.items() if hasattr(given, "items") else given:
            self[text] = remembered

    def __dealloc__(self):
        cdef uint64_t turn
        for turn in range(self.head, self.tail):
            free(self.entries[turn & (self.slots - 1)])
        free(self.entries)
        free(self.places)

    # ---- the index

    cdef int64_t place_of(self, const View *text, uint32_t hashed) noexcept:
        """Where in the index a text is, or NO_PLACE."""
        cdef uint64_t mask = 2 * self.slots - 1
        cdef uint64_t place = hashed & mask
        cdef const Entry *entry
        if self.count == 0:
            return NO_PLACE
        while self.places[place]:
            entry = self.entries[self.places[place] - 1]
            if entry.hashed == hashed and entry.size == text.size and (
                memcmp(entry + 1, text.data, text.size) == 0
            ):
                return <int64_t>place
            place = (place + 1) & mask
        return NO_PLACE

    cdef void leave(self, uint64_t place) noexcept:
        """Take an entry out of the index and its ring, and move those behind it nearer to their homes."""
        cdef uint64_t mask = 2 * self.slots - 1
        cdef uint64_t hole = place
        cdef uint64_t slot = self.places[place] - 1
        cdef uint64_t home
        while True:
            place = (place + 1) & mask
            if self.places[place] == 0:
                break
            home = self.entries[self.places[place] - 1].hashed & mask
            if ((place - home) & mask) >= ((place - hole) & mask):
                self.places[hole] = self.places[place]
                hole = place
        self.places[hole] = 0
        free(self.entries[slot])
        self.entries[slot] = NULL
        self.count -= 1
        self.changes += 1
        while self.head < self.tail and self.entries[self.head & (self.slots - 1)] == NULL:
            self.head += 1
        while self.head < self.tail and self.entries[(self.tail - 1) & (self.slots - 1)] == NULL:
            self.tail -= 1

    cdef int make_room(self) except -1:
        """Room for one more, in twice the size where less than a quarter are gaps."""
        cdef uint64_t slots = FIRST_SLOTS
        cdef uint64_t turn, place, kept
        cdef Entry **entries
        cdef uint32_t *places
        cdef Entry *entry
        if self.tail - self.head < self.slots:
            return 0
        while slots <= self.count + self.count // 3:
            slots <<= 1
        entries = <Entry **>malloc(slots * sizeof(Entry *))
        places = <uint32_t *>calloc(2 * slots, sizeof(uint32_t))
        if entries == NULL or places == NULL or slots > <uint64_t>1 << 30:
            free(entries)
            free(places)
            raise MemoryError("no memory for what is remembered")
        kept = 0
        for turn in range(self.head, self.tail):
            entry = self.entries[turn & (self.slots - 1)]
            if entry == NULL:
                continue
            entries[kept] = entry
            kept += 1
            place = entry.hashed & (2 * slots - 1)
            while places[place]:
                place = (place + 1) & (2 * slots - 1)
            places[place] = <uint32_t>kept
        free(self.entries)
        free(self.places)
        self.entries, self.places, self.slots = entries, places, slots
        self.head, self.tail = 0, kept
        return 0

    # ---- for compiled callers

    cdef const Entry *find(self, const View *text) noexcept:
        cdef int64_t place
        if self.count == 0:
            return NULL
        place = self.place_of(text, hash_of(text))
        return NULL if place == NO_PLACE else self.entries[self.places[place] - 1]

    cdef const Entry *oldest(self) noexcept:
        return NULL if self.count == 0 else self.entries[self.head & (self.slots - 1)]

    cdef const Entry *walk(self, uint64_t *turn) noexcept:
        cdef const Entry *entry
        while turn[0] < self.tail - self.head:
            entry = self.entries[(self.head + turn[0]) & (self.slots - 1)]
            turn[0] += 1
            if entry != NULL:
                return entry
        return NULL

    cdef int put(self, const View *text, const uint8_t *digest, uint64_t seq, uint64_t order_id) except -1:
        cdef uint32_t hashed = hash_of(text)
        cdef int64_t place = self.place_of(text, hashed)
        cdef uint64_t free_place
        cdef Entry *entry
        if place != NO_PLACE:
            entry = self.entries[self.places[place] - 1]
        else:
            self.make_room()
            entry = <Entry *>malloc(sizeof(Entry) + text.size)
            if entry == NULL or text.size > 0xFFFFFFFF:
                free(entry)
                raise MemoryError("no memory for what is remembered")
            entry.hashed, entry.size = hashed, <uint32_t>text.size
            memcpy(entry + 1, text.data, text.size)
            self.entries[self.tail & (self.slots - 1)] = entry
            free_place = hashed & (2 * self.slots - 1)
            while self.places[free_place]:
                free_place = (free_place + 1) & (2 * self.slots - 1)
            self.places[free_place] = <uint32_t>(self.tail & (self.slots - 1)) + 1
            self.tail += 1
            self.count += 1
            self.changes += 1
        memcpy(entry.digest, digest, DIGEST_BYTES)
        entry.seq, entry.order_id = seq, order_id
        return 0

    cdef bint drop(self, const View *text) noexcept:
        cdef int64_t place
        if self.count == 0:
            return False
        place = self.place_of(text, hash_of(text))
        if place == NO_PLACE:
            return False
        self.leave(<uint64_t>place)
        return True

    cdef uint64_t size_bytes(self) noexcept:
        cdef uint64_t size = self.slots * (sizeof(Entry *) + 2 * sizeof(uint32_t))
        cdef uint64_t turn = 0
        cdef const Entry *entry = self.walk(&turn)
        while entry != NULL:
            size += BLOCK_BYTES + sizeof(Entry) + entry.size
            entry = self.walk(&turn)
        return size

    # ---- for Python rooms

    def __len__(self):
        return self.count

    def __sizeof__(self):
        return object.__sizeof__(self) + self.size_bytes()

    def __contains__(self, text):
        return self.get(text) is not None

    def get(self, text, default=None):
        cdef View view
        cdef const Entry *entry
        try:
            view_text(&view, text)
        except (TypeError, UnicodeEncodeError):
            # No client id is such a key.
            return default
        entry = self.find(&view)
        if entry == NULL:
            return default
        return Remembered(digest=entry.digest[:DIGEST_BYTES], seq=entry.seq, order_id=entry.order_id)

    def __getitem__(self, text):
        remembered = self.get(text)
        if remembered is None:
            raise KeyError(text)
        return remembered

    def __setitem__(self, str text not None, remembered):
        cdef View view, digest
        view_text(&view, text)
        view_bytes(&digest, remembered.digest)
        if digest.size != DIGEST_BYTES:
            raise ValueError(f"a digest has {DIGEST_BYTES} bytes")
        self.put(&view, digest.data, remembered.seq, remembered.order_id)

    def __delitem__(self, str text not None):
        cdef View view
        view_text(&view, text)
        if not self.drop(&view):
            raise KeyError(text)

    def pop(self, text, default=NOTHING):
        remembered = self.get(text)
        if remembered is not None:
            del self[text]
            return remembered
        if default is NOTHING:
            raise KeyError(text)
        return default

    def __iter__(self):
        cdef uint64_t changes = self.changes
        cdef uint64_t turn = 0
        cdef const Entry *entry = self.walk(&turn)
        cdef View text
        while entry != NULL:
            text = text_at(entry)
            yield bytes_of(&text).decode()
            if self.changes != changes:
                raise RuntimeError("the table changed while it was walked")
            entry = self.walk(&turn)

    def keys(self):
        return KeysView(self)

    def values(self):
        return ValuesView(self)

    def items(self):
        return ItemsView(self)

    def __eq__(self, other):
        return dict(self.items()) == (dict(other.items()) if isinstance(other, RememberedIds) else other)

    def __repr__(self):
        return repr(dict(self.items()))


MutableMapping.register(RememberedIds)
