"""What accounts remember, as a snapshot carries it, written and read in C."""

from engine.compiled.records cimport Account

# An account as the law's struct, with what it remembers encoded.
cdef object saved_account(Account account)
# Such an account as a compiled record; None: not plain.
cdef Account read_account(object saved)
