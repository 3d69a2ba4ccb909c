# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A bill, compiled: `engine.dues.Bill` says what each field means, and what it is at first."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

cimport cython


@cython.final
@cython.no_gc
@cython.freelist(256)
cdef class Bill:
    def __init__(
        self, *, uint64_t bill_id, uint32_t renter, uint32_t provider, int64_t due_ns,
        int64_t charge_micros=0, int64_t receivable_micros=0, int64_t run_from_ns=0, int64_t over_ns=0,
        outages=None, int64_t out_ns=0, int64_t out_until_ns=0, hours=None,
    ):
        self.bill_id, self.renter, self.provider, self.due_ns = bill_id, renter, provider, due_ns
        self.charge_micros, self.receivable_micros = charge_micros, receivable_micros
        self.run_from_ns, self.over_ns = run_from_ns, over_ns
        self.stopped = outages
        self.out_ns, self.out_until_ns = out_ns, out_until_ns
        self.hours = hours

    @property
    def outages(self):
        if self.stopped is None:
            self.stopped = []
        return self.stopped

    @outages.setter
    def outages(self, list outages not None):
        self.stopped = outages
