"""Where compiled rooms move money: a pot goes down, another up, and the event says so (`engine.money`)."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from engine.compiled.codes cimport CODE_RELEASE, POT_AVAILABLE, POT_CASH, POT_HELD
from engine.compiled.records cimport Account
from engine.compiled.state cimport Core
from engine.compiled.trade_events cimport write_transfer

# A pot that would go below zero: the state can't be trusted any more.
cdef int broken(Account debit, uint8_t debit_pot, int64_t amount_micros, uint8_t code, uint64_t ref) except -1
# A lease would be charged so much more than is held for it.
cdef int overdrawn(uint64_t lease_id, int64_t micros) except -1


cdef inline int transfer(
    Core core, Account debit, uint8_t debit_pot, Account credit, uint8_t credit_pot, int64_t amount_micros,
    uint8_t code, uint64_t ref
) except -1:
    """Move money; nothing for zero. Broken when a pot but cash would go below zero."""
    if amount_micros == 0:
        return 0
    debit.micros[debit_pot] -= amount_micros
    credit.micros[credit_pot] += amount_micros
    if amount_micros < 0 or (debit.micros[debit_pot] < 0 and debit_pot != POT_CASH):
        return broken(debit, debit_pot, amount_micros, code, ref)
    return write_transfer(
        &core.events.sink, debit.account, debit_pot, credit.account, credit_pot, amount_micros, code,
        <int64_t>ref,
    )


cdef inline int release(Core core, Account account, int64_t amount_micros, uint64_t ref) except -1:
    """What was held is available again."""
    return transfer(core, account, POT_HELD, account, POT_AVAILABLE, amount_micros, CODE_RELEASE, ref)
