"""The tables of a shard and the scratch of its running command, as C fields under the names of
`engine.state.State`.

Python rooms read and write them by those names, Cython rooms take a `Core`. Where a table is an `object`, it
is what Python rooms use as a dict or a sorted list.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.orders cimport Orders
from engine.book_fast cimport FastBook
from engine.compiled.ordered cimport TimerSet
from engine.compiled.records cimport Account, Drafts
from engine.compiled.tables cimport IdTable
from engine.compiled.tape cimport EventTape
from engine.fast.records cimport EventRecord


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
    cdef public dict leases_of
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
    cdef readonly dict spot_index
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
    cdef public dict touched_barons
    cdef public dict touched_books
    cdef public dict spent_quotes
    cdef public dict touched_rows
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

    # The next id of this command (`State.new_id`).
    cdef uint64_t next_id(self) except 0
    # An order into its account's list, or out of it.
    cdef void join(self, Account account, uint32_t index) noexcept nogil
    cdef void part(self, Account account, uint32_t index) noexcept nogil
