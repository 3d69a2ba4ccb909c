# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What is said when money contradicts itself; transfers themselves are made where they are needed."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from engine.compiled.records cimport Account

from engine.kinds import Pot, TransferCode
from engine.state import Broken


cdef int broken(
    Account debit, uint8_t debit_pot, int64_t amount_micros, uint8_t code, uint64_t ref
) except -1:
    raise Broken(
        f"{TransferCode(code).name} of {amount_micros} for {ref} leaves {debit.micros[debit_pot]} in "
        f"{(debit.account, Pot(debit_pot))}"
    )


cdef int overdrawn(uint64_t lease_id, int64_t micros) except -1:
    raise Broken(f"lease {lease_id} was charged {micros} more than is held for it")
