# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: binding=False
"""A command as an object of its own: whoever makes one has its record already, and `submit` reads it where it
stands.

It never changes once it is made, so that no thread can change it while a book reads it.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memset

from engine.fast.records cimport CommandRecord
from engine.fast.whole cimport as_i4, as_i8, as_u1, as_u2, as_u4, as_u8

cdef object NOUGHT = 0


@cython.final
@cython.freelist(64)
cdef class Order:
    """A command for `submit`, its 64 bytes made at once; OverflowError for a value that its field can't hold.
    """

    def __cinit__(
        self, op, order_id=NOUGHT, ts_ns=NOUGHT, account=NOUGHT, price=NOUGHT, quantity=NOUGHT, shape=NOUGHT,
        flags=NOUGHT, display_quantity=NOUGHT, min_quantity=NOUGHT, stop_price=NOUGHT, window_end_h=NOUGHT,
        baron=NOUGHT, tag=NOUGHT, features=NOUGHT, hours=NOUGHT, lot=NOUGHT, min_rating=NOUGHT, reason=NOUGHT,
        reserved=NOUGHT,
    ):
        cdef CommandRecord *record = &self.record
        memset(record, 0, sizeof(CommandRecord))
        record.op = as_u1(op)
        if order_id is not NOUGHT:
            record.order_id = as_u8(order_id)
        if ts_ns is not NOUGHT:
            record.ts_ns = as_i8(ts_ns)
        if account is not NOUGHT:
            record.account = as_u4(account)
        if price is not NOUGHT:
            record.price = as_i4(price)
        if quantity is not NOUGHT:
            record.quantity = as_u4(quantity)
        if shape is not NOUGHT:
            record.shape = as_u1(shape)
        if flags is not NOUGHT:
            record.flags = as_u1(flags)
        if display_quantity is not NOUGHT:
            record.display_quantity = as_u4(display_quantity)
        if min_quantity is not NOUGHT:
            record.min_quantity = as_u4(min_quantity)
        if stop_price is not NOUGHT:
            record.stop_price = as_i4(stop_price)
        if window_end_h is not NOUGHT:
            record.window_end_h = as_u4(window_end_h)
        if baron is not NOUGHT:
            record.baron = as_u4(baron)
        if tag is not NOUGHT:
            record.tag = as_u4(tag)
        if features is not NOUGHT:
            record.features = as_u2(features)
        if hours is not NOUGHT:
            record.hours = as_u2(hours)
        if lot is not NOUGHT:
            record.lot = as_u2(lot)
        if min_rating is not NOUGHT:
            record.min_rating = as_u1(min_rating)
        if reason is not NOUGHT:
            record.reason = as_u1(reason)
        if reserved is not NOUGHT:
            record.reserved = as_u1(reserved)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, &self.record, sizeof(CommandRecord), True, flags)

    def pack(self):
        """Its 64 bytes."""
        return PyBytes_FromStringAndSize(<char *>&self.record, sizeof(CommandRecord))
