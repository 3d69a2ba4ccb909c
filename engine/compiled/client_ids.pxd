"""Client ids in C: what makes a repeated command harmless."""

from libc.stdint cimport uint8_t, uint64_t

from engine.compiled.commands cimport PlainCommand
from engine.compiled.records cimport Account
from engine.compiled.state cimport Core
from engine.compiled.wire cimport View

cdef enum Repeat:
    # The command is new; it came before, and that is said; its id did with other content, and it is refused;
    # the law's rooms must look at it.
    IS_NEW = 0
    IS_REPEATED = 1
    IS_REFUSED = 2
    IS_NOT_PLAIN = 3

# Whether a text has a client id's form; the empty one, for none, has it too.
cdef bint is_valid(Core state, const View *text) noexcept nogil
# What a PlaceOrder with a client id is to its account; the digest of a new one goes to `digest`.
cdef Repeat repeated(Core state, Account account, const PlainCommand *command, uint8_t *digest) except *
# Take in an accepted command's id.
cdef int remember(
    Core state, Account account, const View *client_id, const uint8_t *digest, uint64_t order_id
) except -1
# The order that a client id stands for; 0: there is none.
cdef uint64_t order_named(Account account, const View *client_id) noexcept
# The digest of what an order says of itself, without where it delivers and the connection that it came on;
# False: its texts are too long to be client ids.
cdef bint digest_order(const PlainCommand *command, uint8_t *digest) noexcept nogil
