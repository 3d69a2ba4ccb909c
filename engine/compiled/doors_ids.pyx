# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Doors for tests: digests and client ids as compiled rooms have them. Nothing else may use them."""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from engine.compiled.blake2b cimport DIGEST_BYTES, digest_16
from engine.compiled.client_ids cimport digest_order
from engine.compiled.commands cimport PLACE_ORDER, PlainCommand, read_command
from engine.compiled.remembered cimport Entry, RememberedIds, text_at
from engine.compiled.wire cimport View, bytes_of, view_bytes, view_text


def digest(bytes data not None):
    """Of bytes in a block of their very size: a sanitizer sees a look past the end."""
    cdef uint8_t made[DIGEST_BYTES]
    cdef const uint8_t *source = data
    cdef size_t size = <size_t>len(data)
    cdef uint8_t *block = <uint8_t *>malloc(size)
    if block == NULL and size:
        raise MemoryError
    try:
        memcpy(block, source, size)
        digest_16(block, size, made)
    finally:
        free(block)
    return made[:DIGEST_BYTES]


def order_digest(bytes record not None):
    """Of a PlaceOrder's content; None where its texts are too long."""
    cdef uint8_t made[DIGEST_BYTES]
    cdef PlainCommand command
    cdef View view
    view_bytes(&view, record)
    if read_command(view.data, view.size, &command) != PLACE_ORDER:
        raise ValueError("not a plain record of an order")
    return made[:DIGEST_BYTES] if digest_order(&command, made) else None


def ids_find(RememberedIds ids not None, str text not None):
    """(digest, seq, order_id), or None."""
    cdef View view
    cdef const Entry *entry
    view_text(&view, text)
    entry = ids.find(&view)
    return None if entry == NULL else (entry.digest[:DIGEST_BYTES], entry.seq, entry.order_id)


def ids_put(
    RememberedIds ids not None, str text not None, bytes digest not None, uint64_t seq, uint64_t order_id
):
    cdef View view, made
    view_text(&view, text)
    view_bytes(&made, digest)
    if made.size != DIGEST_BYTES:
        raise ValueError("no digest")
    ids.put(&view, made.data, seq, order_id)


def ids_drop(RememberedIds ids not None, str text not None):
    cdef View view
    view_text(&view, text)
    return ids.drop(&view)


def ids_oldest(RememberedIds ids not None):
    """The oldest's text, or None."""
    cdef const Entry *entry = ids.oldest()
    cdef View text
    if entry == NULL:
        return None
    text = text_at(entry)
    return bytes_of(&text).decode()


def ids_bytes(RememberedIds ids not None):
    """What it has allocated."""
    return ids.size_bytes()
