"""Doors for tests: the calls of sorted sets and tables that only Cython rooms make, as Python functions.

Nothing else may use them.
"""

from cpython.object cimport PyObject
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t

from engine.compiled.ordered cimport Pair, PairSet, Timer, TimerSet
from engine.compiled.records cimport Account, note_closed
from engine.compiled.tables cimport IdMemory, IdTable


def timer_insert(TimerSet timers, int64_t due_ns, uint8_t kind, uint64_t number):
    return timers.insert(due_ns, kind, number)


def timer_drop(TimerSet timers, int64_t due_ns, uint8_t kind, uint64_t number):
    return timers.drop(due_ns, kind, number)


def timer_has(TimerSet timers, int64_t due_ns, uint8_t kind, uint64_t number):
    return timers.has(due_ns, kind, number)


def timer_first(TimerSet timers):
    """None when there is none."""
    return timer_due(timers, INT64_MAX)


def timer_due(TimerSet timers, int64_t now_ns):
    """None when none is due by then."""
    cdef Timer timer
    return (timer.due_ns, timer.kind, timer.id) if timers.due(now_ns, &timer) else None


def pair_insert(PairSet pairs, int64_t first, int64_t second):
    return pairs.insert(first, second)


def pair_drop(PairSet pairs, int64_t first, int64_t second):
    return pairs.drop(first, second)


def pair_has(PairSet pairs, int64_t first, int64_t second):
    return pairs.has(first, second)


def pair_first(PairSet pairs):
    """None when there is none."""
    cdef Pair pair
    return (pair.first, pair.second) if pairs.first(&pair) else None


def pair_following(PairSet pairs, int64_t first, int64_t second):
    """None when there is none."""
    cdef Pair pair
    cdef Pair found
    pair.first = first
    pair.second = second
    return (found.first, found.second) if pairs.following(&pair, &found) else None


def table_find(IdTable table, uint64_t number):
    """None when there is none."""
    cdef PyObject *found = table.find(number)
    return None if found == NULL else <object>found


def table_put(IdTable table, uint64_t number, value):
    table.put(number, value)


def table_put_new(IdTable table, uint64_t number, value):
    """For a number that isn't in."""
    table.put_new(number, value)


def table_drop(IdTable table, uint64_t number):
    return table.drop(number)


def table_walk(IdTable table):
    cdef uint64_t turn = 0
    cdef PyObject *found = table.walk(&turn)
    values = []
    while found != NULL:
        values.append(<object>found)
        found = table.walk(&turn)
    return values


def memory_find(IdMemory memory, uint64_t number):
    return memory.find(number)


def memory_remember(IdMemory memory, uint64_t number, uint8_t value, uint64_t most):
    memory.remember(number, value, most)


def memory_remember_new(IdMemory memory, uint64_t number, uint8_t value, uint64_t most):
    """For a number that isn't in."""
    memory.remember_new(number, value, most)


def memory_remember_many(IdMemory memory, list pairs, uint64_t most):
    """For at most a hundred numbers that aren't in; False where there is no memory for them."""
    cdef uint64_t numbers[100]
    cdef uint8_t values[100]
    cdef uint32_t count = 0
    for number, value in pairs[:100]:
        numbers[count], values[count] = number, value
        count += 1
    return memory.remember_many(numbers, values, count, most)


def account_closes(Account account not None, uint64_t order_id, uint8_t status, uint64_t most):
    """For an order that it doesn't remember yet."""
    note_closed(account, order_id, status, most)


def memory_walk(IdMemory memory):
    cdef uint64_t turn = 0
    cdef uint64_t key = 0
    cdef uint8_t number = 0
    pairs = []
    while memory.walk(&turn, &key, &number):
        pairs.append((key, number))
    return pairs


def size_bytes(held):
    """What a sorted set or a table has allocated."""
    if isinstance(held, TimerSet):
        return (<TimerSet>held).size_bytes()
    if isinstance(held, PairSet):
        return (<PairSet>held).size_bytes()
    if isinstance(held, IdTable):
        return (<IdTable>held).size_bytes()
    return (<IdMemory?>held).size_bytes()
