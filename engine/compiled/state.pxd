"""The tables of a shard and the scratch of its running command, as C fields under the names of
`engine.state.State`.

Python rooms read and write them by those names, Cython rooms take a `Core`. Where a table is an `object`, it
is what Python rooms use as a dict or a sorted list.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.orders cimport Orders
from engine.book_fast cimport FastBook
from engine.compiled.ordered cimport TimerSet
from engine.compiled.records cimport Account, Baron, Drafts, Row
from engine.compiled.tables cimport IdTable, find_in
from engine.compiled.tape cimport EventTape
from engine.fast.records cimport EventRecord

cdef extern from "Python.h":
    # Of a borrowed table: asked without a count of references.
    Py_ssize_t dict_size "PyDict_GET_SIZE"(PyObject *table) noexcept
    Py_ssize_t set_size "PySet_GET_SIZE"(PyObject *table) noexcept
    Py_ssize_t list_size "PyList_GET_SIZE"(PyObject *table) noexcept


cdef enum:
    # Of what a command touches, so many are noted without an object.
    TOUCHED_FEW = 16


cdef struct Touched:
    # Each once, oldest first, borrowed: no Baron and no row ever leaves its table.
    PyObject *items[16]
    uint32_t count


cdef class Listed:
    """An instrument as Cython rooms see it."""
    cdef FastBook book
    cdef object number
    cdef uint32_t instrument
    cdef uint8_t kind_code
    # A forward's.
    cdef uint32_t start_h
    cdef uint32_t end_h
    cdef int64_t trading_end_ns


cdef class Core:
    cdef readonly int64_t shard
    cdef readonly object limits
    cdef readonly object book_factory
    cdef readonly object grid_factory
    cdef readonly object records
    cdef public uint64_t last_seq
    cdef public int64_t last_ts_ns
    cdef public int64_t next_instrument
    # ---- tables
    cdef readonly IdTable accounts
    cdef readonly IdTable instruments
    cdef readonly IdTable barons
    cdef readonly IdTable leases
    cdef readonly IdTable books
    cdef readonly Orders orders
    cdef IdTable listed
    cdef readonly LeasesOf leases_of
    cdef public dict rows
    cdef public dict rows_of
    cdef public dict markets
    cdef public dict instruments_of
    cdef public dict calendars
    cdef public dict closing_trades
    cdef public dict barons_of
    cdef public dict obligations
    cdef public dict obligations_of
    cdef public dict neighbours
    cdef public dict handovers
    cdef readonly IdTable bills
    cdef public dict paid_of
    cdef public list covers
    cdef public dict auction_ends
    cdef readonly TimerSet timers
    cdef readonly IdTable spot_index
    cdef public set yielding
    cdef public set waiting
    cdef public set shutting
    cdef public set expiring
    # ---- scratch of the running command
    cdef readonly EventTape events
    cdef public int64_t made
    cdef public int64_t fills_left
    cdef public int64_t leases_passed
    cdef public int64_t cuts_left
    cdef public dict dry_holdings
    # What Cython rooms touched, and what is in the dicts that Python rooms know, which it goes into when one
    # of those looks.
    cdef Touched near_barons
    cdef Touched near_books
    cdef Touched near_rows
    cdef dict far_barons
    cdef dict far_books
    cdef dict far_rows
    cdef public dict spent_quotes
    cdef public dict short_rows
    cdef readonly Drafts drafts
    cdef public dict entering_ticks
    # ---- what Cython rooms read of the limits
    cdef int64_t max_looked
    cdef int64_t cuts_a_command
    cdef int64_t prefund_ns
    cdef int64_t notice_ns
    cdef int64_t wipe_ns
    cdef int64_t ondemand_bond_ns
    cdef int64_t spot_minimum_s
    cdef int64_t ondemand_minimum_s
    cdef int64_t max_leases
    cdef int64_t max_open_orders
    cdef int64_t max_term_hours
    cdef int64_t max_delivery_bytes
    cdef int64_t max_client_ids
    cdef int64_t max_client_id_chars
    cdef int64_t max_obligations
    cdef int64_t forward_bond_ppm

    # What a book wrote of one command; grown by who needs more.
    cdef EventRecord *book_events
    cdef uint64_t book_room

    # Clear the scratch before a command.
    cdef int clean(self) except -1
    cdef int clean_far(self) except -1
    # Put what was touched into the dicts of Python rooms.
    cdef int tell(self) except -1

    # The next id of this command (`State.new_id`).
    cdef uint64_t next_id(self) except 0
    # An order into its account's list, or out of it.
    cdef void join(self, Account account, uint32_t index) noexcept nogil
    cdef void part(self, Account account, uint32_t index) noexcept nogil


cdef class LeasesOf:
    """Leases by Baron for Python rooms; they stand in their Barons' records."""
    cdef IdTable barons


cdef inline int note(Core core, Touched *touched, PyObject *item) except -1:
    """Something was touched."""
    cdef uint32_t place
    for place in range(touched.count):
        if touched.items[place] == item:
            return 0
    if touched.count == TOUCHED_FEW:
        core.tell()
    touched.items[touched.count] = item
    touched.count += 1
    return 0


cdef inline int note_book(Core core, Listed listed) except -1:
    return note(core, &core.near_books, <PyObject *>listed)


cdef inline int note_baron(Core core, Baron baron) except -1:
    """Something changed that the Baron's offers may grow by; it came from `standing`."""
    return note(core, &core.near_barons, <PyObject *>baron)


cdef inline int note_row(Core core, Row row) except -1:
    """Its capacity moved."""
    return note(core, &core.near_rows, <PyObject *>row)


cdef inline Listed listed_of(Core core, uint64_t instrument):
    """An instrument's, or None."""
    cdef PyObject *found = find_in(&core.listed.ring, instrument)
    return <Listed>found if found != NULL else None
