"""Other objects' memory, as bytes in one piece; it knows no record."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyObject_GetBuffer


cdef inline int open_buffer(object given, Py_buffer *buffer, bint writable) except -1:
    """Open a buffer, to be released by the caller; TypeError for what is none.

    BufferError where it isn't contiguous, or not writable; of itself NumPy says ValueError.
    """
    try:
        PyObject_GetBuffer(given, buffer, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
    except (BufferError, ValueError):
        view = memoryview(given)
        if writable and view.readonly:
            raise BufferError("give a writable buffer") from None
        if not view.c_contiguous:
            raise BufferError("give a contiguous buffer") from None
        raise
    return 0
