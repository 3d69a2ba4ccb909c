"""Orders in C: those of every day, from the command to what follows of it."""

from engine.compiled.commands cimport PlainCommand
from engine.compiled.state cimport Core


# Play a command whole at its own time, with all that it sets off; False, and nothing changed, where it isn't
# plain: the law's rooms must look at it. The scratch is clear, and the state's sequence and time are the
# command's.
cdef bint place(Core state, const PlainCommand *command) except -1
cdef bint cancel(Core state, const PlainCommand *command) except -1
