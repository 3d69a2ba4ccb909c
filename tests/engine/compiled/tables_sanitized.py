"""The sorted sets, the tables, digests and the reader of snapshots built with AddressSanitizer and UBSan, with every byte watched.

As a program it lives their long lives, and reads snapshots that are damaged under a right digest.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

from tests.engine.book.differential_sanitized import use


def tables_live(seed: int, steps: int) -> None:
    """A table and a memory beside dicts, until both have been widened and closed up many times."""
    from engine.compiled import doors_tables as doors
    from engine.compiled.tables import IdMemory, IdTable

    chance = Random(seed)
    table: IdTable[object] = IdTable()
    law: dict[int, object] = {}
    memory, kept = IdMemory(range(256)), dict[int, int]()
    late: IdMemory[int] = IdMemory(range(256))
    for step in range(steps):
        number = chance.randrange(1 + step // 2)
        if chance.random() < 0.55:
            law[number] = table[number] = object()
        elif law.pop(number, None) is not None:
            assert doors.table_drop(table, number)
        if step % 5_000 == 4_999:
            for oldest in list(law)[: len(law) * 3 // 4]:
                del law[oldest], table[oldest]
        doors.memory_remember(memory, number, step % 256, 300)
        kept[number] = step % 256
        if len(kept) > 300:
            del kept[next(iter(kept))]
        if step % 9 == 8:
            doors.memory_remember_many(late, [(each, each % 256) for each in range(step - 8, step + 1)], 300)
        if step % 997 == 996:
            assert doors.memory_find(late, step // 9 * 9 - 200) == (step // 9 * 9 - 200) % 256
        if step % 500 == 499:
            for oldest in list(kept)[: len(kept) - step % 40]:
                del kept[oldest], memory[oldest]
    assert list(table.items()) == list(law.items())
    assert list(memory.items()) == list(kept.items())
    assert list(late) == list(range(list(late)[-1] - 299, list(late)[-1] + 1))
    table.clear()


def ids_live(seed: int, steps: int) -> None:
    """Client ids beside a dict, until the table has been widened and closed up many times; texts of many lengths."""
    from engine.compiled import doors_ids as doors
    from engine.compiled.remembered import RememberedIds
    from engine.tables import Remembered

    chance = Random(seed)
    ids, law = RememberedIds(), dict[str, Remembered]()
    for step in range(steps):
        text = f"{'n' * chance.randrange(30)}{chance.randrange(1 + step // 2)}"
        if chance.random() < 0.6:
            law[text] = Remembered(digest=doors.digest(text.encode()), seq=step, order_id=2 * step)
            doors.ids_put(ids, text, law[text].digest, step, 2 * step)
        else:
            assert doors.ids_drop(ids, text) == (law.pop(text, None) is not None)
        if len(law) > 3_000:
            oldest = next(iter(law))
            assert doors.ids_oldest(ids) == oldest
            assert ids.pop(oldest) == law.pop(oldest)
        if step % 5_000 == 4_999:
            for each in list(law)[: len(law) * 3 // 4]:
                del law[each], ids[each]
    assert list(ids.items()) == list(law.items())


def main(library: str, *seeds: str) -> int:
    use(Path(library).resolve())
    from engine.compiled import (
        doors_arithmetic,
        doors_ids,
        doors_tables,
        ordered,
        remembered,
        restoring,
        saving,
        tables,
    )
    from tests.engine.compiled import test_agenda, test_arithmetic, test_blake2b, test_ordered, test_tables
    from tests.engine.machines import test_snapshots

    for module in (doors_arithmetic, doors_ids, doors_tables, ordered, remembered, restoring, saving, tables):
        assert Path(module.__file__ or "").is_relative_to(Path(library).resolve()), f"{module} isn't sanitized"
    for seed in seeds:
        test_ordered.test_long_lives(int(seed))
        test_agenda.test_long_lives(int(seed))
        tables_live(int(seed), 20_000)
        ids_live(int(seed), 30_000)
        print(f"seed {seed}", flush=True)
    test_ordered.test_memory_of_timers_by_chance()
    test_agenda.test_memory_of_a_crowd_and_it_goes_back()
    for before in (0, test_agenda.A_CROWD):
        test_agenda.test_a_crowd_whose_timers_were_chosen_to_be_in_each_others_way_goes_back_to_the_tree(before)
    test_tables.test_letting_go_may_change_the_table()
    test_blake2b.test_every_length_that_an_order_can_have_and_more()
    test_snapshots.test_as_much_as_it_may_remember(255)
    for count in (1, 17, 33):
        test_snapshots.test_more_orders_than_are_read_ahead(count)
    test_snapshots.test_every_field_of_a_bill_is_saved_and_read()
    for check in (test_arithmetic.test_usage, test_arithmetic.test_fees, test_arithmetic.test_a_price_that_changes):
        check()
    test_snapshots.test_what_is_damaged_under_a_right_digest_is_judged_by_the_law(int(seeds[0]))
    print("sanitized and equal")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
