"""Whole numbers from Python into the fields of a command record; it knows neither books nor events."""

from cpython.number cimport PyNumber_Index
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from engine.fast.records cimport CommandRecord


cdef enum:
    FIELDS = 20


cdef inline object _whole(object value):
    """A number that is whole: TypeError for a float or a decimal, which C would cut off without a word."""
    return value if isinstance(value, int) else PyNumber_Index(value)


cdef inline uint8_t as_u1(object value) except? 1:
    return _whole(value)


cdef inline uint16_t as_u2(object value) except? 1:
    return _whole(value)


cdef inline uint32_t as_u4(object value) except? 1:
    return _whole(value)


cdef inline int32_t as_i4(object value) except? -1:
    return _whole(value)


cdef inline int64_t as_i8(object value) except? -1:
    return _whole(value)


cdef inline uint64_t as_u8(object value) except? 1:
    return _whole(value)


cdef inline int read_values(tuple values, CommandRecord *record) except -1:
    """The record of a Command; OverflowError or TypeError for a value that its field can't hold.

    ValueError for a Command of too few or many fields.
    """
    if len(values) != FIELDS:
        raise ValueError(f"a command has {FIELDS} fields")
    memset(record, 0, sizeof(CommandRecord))
    record.order_id = as_u8(values[1])
    record.ts_ns = as_i8(values[2])
    record.account = as_u4(values[3])
    record.price = as_i4(values[4])
    record.quantity = as_u4(values[5])
    record.shape = as_u1(values[6])
    record.flags = as_u1(values[7])
    record.display_quantity = as_u4(values[8])
    record.min_quantity = as_u4(values[9])
    record.stop_price = as_i4(values[10])
    record.window_end_h = as_u4(values[11])
    record.baron = as_u4(values[12])
    record.tag = as_u4(values[13])
    record.features = as_u2(values[14])
    record.hours = as_u2(values[15])
    record.lot = as_u2(values[16])
    record.min_rating = as_u1(values[17])
    record.reason = as_u1(values[18])
    record.reserved = as_u1(values[19])
    record.op = as_u1(values[0])
    return 0
