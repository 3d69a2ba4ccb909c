"""The replay tool: one instrument's order flow, a CSV file, through a book, with no server: `python -m engine.replay --help`.

Rows are read, packed and played block by block, so a file may be larger than memory: what is kept grows with the live orders
alone. A row that can't be read is a reject like any that the book gives, never a stop. It knows files and people; it never
knows a rule of matching.
"""

from __future__ import annotations

import argparse
import csv
import gc
import gzip
import importlib
import os
import stat
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import compress
from pathlib import Path
from typing import IO, Any, Final, cast

from engine.book import UNBOUNDED, Book
from engine.flow import Run, fields_of
from engine.flow_rows import ROW_CHARS_MAX, Rejected, Rows, Splitter, Unnamed
from engine.kinds import Side, edge_name
from engine.reasons import Reason
from engine.records import COMMAND_BYTES, EVENT, EVENT_BYTES, EVENT_DTYPE, EventKind

BLOCK_BYTES: Final = 256 * 1024
EVENTS_ROOM: Final = 16_384
"""Events that one call of the book may write; what finds no room is fetched by the next."""
FORGET_ABOVE: Final = 1_000_000
"""Names of orders and of accounts kept before those without a live order are forgotten."""
PROGRESS_S: Final = 0.2
GC_THRESHOLD: Final = 1_000_000

BOOKS: Final = {"fast": ("engine.book_fast", "FastBook"), "plain": ("engine.book_plain", "PlainBook")}
KIND_OFFSET: Final = fields_of(EVENT_DTYPE)["kind"].offset
TOLD: Final = bytes(code in (EventKind.TRADE, EventKind.REJECTED) for code in range(256))
CODES: Final = {reason.value: edge_name(reason) for reason in Reason}
DONE, BROKEN_OFF, NOT_STARTED, INTERRUPTED = 0, 1, 2, 130

HELP: Final = """\
FLOW.csv: columns in any order, named by the first row; one that is left out, or empty, has its default (in brackets):
  ts_ns             nanoseconds, never decreasing [as in the row before]
  op                new, amend or cancel [new]
  order_id          any text; free again once the order is closed
  account           any text [nobody: no check of self-trades]
  side              buy or sell
  type              limit or market [limit]
  tif               gtc, ioc or fok [gtc; of a market order ioc]
  price             ticks; of a market order, or its stop, the protection; of an amend the new one [unchanged]
  quantity          of an amend the new total, what is filled included [unchanged]
  post_only         0 or 1 [0]
  display_quantity  what an iceberg shows [all]
  min_quantity      the least that a fill may be [1]
  stop_price        makes it a stop: it enters when a trade reaches this price [no stop]
  stp               cancel_newest, cancel_oldest, cancel_both or decrement [cancel_newest]
Quotes are as in RFC 4180: a text in them may hold commas, "" for a quote, and newlines. A row that can't be read (over
65,536 characters, or with a quote that isn't closed by then, too) is rejected as malformed_record, and reading goes on at the
next line; what the book refuses is rejected with its code. A command whose events memory can't hold breaks off the run.

Exit status: 0 done, whatever was rejected; 1 broken off while reading or writing; 2 not started; 130 interrupted.
Files are written whole or not at all."""


class NotStartedError(Exception):
    """Nothing was played; the text says what to do."""


class BrokenOffError(Exception):
    """Reading failed on the way."""


# ---------------------------------------------------------------- in


class Flow:
    """The rows of a byte stream, a block at a time."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        first, newline, self._rest = self._read_block().partition(b"\n")
        if not first and not newline:
            raise NotStartedError("it is empty; its first row names the columns")
        if len(first) > ROW_CHARS_MAX:
            raise NotStartedError("line 1 is too long to name columns")
        try:
            self.header = first.decode("utf-8-sig").rstrip("\r")
        except UnicodeDecodeError:
            raise NotStartedError("line 1 isn't UTF-8; a compressed file's name ends in .gz") from None

    def blocks(self) -> Iterator[list[str]]:
        """All further rows."""
        splitter = Splitter()
        read = self._rest or self._read_block()
        while read:
            if rows := splitter.feed(read):
                yield rows
            read = self._read_block()
        if rows := splitter.end():
            yield rows

    def _read_block(self) -> bytes:
        try:
            return self._stream.read(BLOCK_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise BrokenOffError(f"it can't be read on: {error}") from None


# ---------------------------------------------------------------- out


class Output:
    """A file that is there when it is whole. What isn't a plain file (a pipe, a device) is written directly."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary: Path | None = None
        try:
            if path.is_file() or not path.exists():
                descriptor, temporary = tempfile.mkstemp(prefix=".replay-", dir=path.parent)
                self._temporary = Path(temporary)
                mask = os.umask(0)
                os.umask(mask)
                os.fchmod(descriptor, 0o666 & ~mask)
                self.file = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
            else:
                self.file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise NotStartedError(f"{path} can't be written: {error.strerror}") from None

    def keep(self) -> None:
        """Put it in its place."""
        self.file.close()
        if self._temporary is not None:
            self._temporary.replace(self._path)
            self._temporary = None

    def drop(self) -> None:
        """Leave nothing of it, unless it is kept."""
        with suppress(OSError):
            self.file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)


class Table:
    """Rows of a CSV file under a header; counted alone where there is no file."""

    def __init__(self, file: IO[str] | None, header: str) -> None:
        self.rows = 0
        self._writer = None
        if file is not None:
            file.write(header + "\n")
            self._writer = csv.writer(file, lineterminator="\n")

    def add(self, rows: Sequence[tuple[object, ...]]) -> None:
        self.rows += len(rows)
        if self._writer is not None and rows:
            self._writer.writerows(rows)


class Player:
    """Plays a flow through a book and writes what comes out."""

    def __init__(self, book: Book, rows: Rows, trades: IO[str] | None, rejects: IO[str] | None) -> None:
        self._book = book
        self._rows = rows
        self._names = rows.packer.orders
        self._out = memoryview(bytearray(EVENTS_ROOM * EVENT_BYTES))
        self.trades = Table(trades, "ts_ns,maker_id,taker_id,price,quantity")
        self.rejects = Table(rejects, "ts_ns,order_id,code")
        self.played = 0

    def play_all(self, flow: Flow) -> None:
        """The whole flow."""
        for rows in flow.blocks():
            self.play(rows)

    def play(self, rows: Sequence[str]) -> None:
        """All these rows."""
        for made in self._rows.read(rows):
            if isinstance(made, Run):
                self._play_run(made)
            else:
                self.rejects.add([made])
        self.played += len(rows)
        self._forget()

    def _play_run(self, run: Run) -> None:
        commands = memoryview(run.commands)
        done = 0
        while done < len(run.ts_ns):
            result = self._book.batch(commands[done * COMMAND_BYTES :], self._out)
            self._tell(run, done, result.written)
            done += result.consumed
            while result.pending:
                result = self._book.batch(b"", self._out)
                self._tell(run, done - 1, result.written, waited=True)

    def _tell(self, run: Run, first: int, written: int, waited: bool = False) -> None:
        """Write trades and rejects. first: the row of command 0; of all events, if they `waited`: one command's do at most."""
        trades: list[tuple[object, ...]] = []
        rejects: list[Rejected] = []
        name_of = self._names.of
        kinds = bytes(self._out[KIND_OFFSET : written * EVENT_BYTES : EVENT_BYTES])
        for index in compress(range(written), kinds.translate(TOLD)):
            event = EVENT.unpack_from(self._out, index * EVENT_BYTES)
            maker, taker, command, price, quantity, _, _, kind, _, reason, _ = event
            row = first if waited else first + command
            if kind == EventKind.TRADE:
                trades.append((run.ts_ns[row], name_of[maker], name_of[taker], price, quantity))
            else:
                rejects.append(Rejected(run.ts_ns[row], run.order_ids[row], CODES[reason]))
        self.trades.add(trades)
        self.rejects.add(rejects)

    def _forget(self) -> None:
        """Forget names that nobody holds when they have become many: those of live orders and their accounts stay."""
        most = FORGET_ABOVE + 2 * len(self._book)
        packer = self._rows.packer
        if len(packer.orders) > most:
            packer.orders.forget(self._book)
        if len(packer.accounts) > most:
            state = self._book.state()
            packer.accounts.forget({order.account for part in (state.bids, state.asks, state.stops) for order in part})

    def write_depth(self, file: IO[str]) -> None:
        """The displayed quantities: bids from the best down, then asks from the best up."""
        table = Table(file, "side,price,quantity,orders")
        for side in Side:
            levels = self._book.depth(side, max(1, len(self._book)))
            table.add(
                [(edge_name(side), each.price, each.unconditional + each.conditional, each.orders) for each in levels]
            )


# ---------------------------------------------------------------- the command


class Progress:
    """A line on a terminal that tells how far the run is; nothing elsewhere."""

    def __init__(self, raw: IO[bytes]) -> None:
        about = os.fstat(raw.fileno())
        self._raw = raw
        self._size = about.st_size if stat.S_ISREG(about.st_mode) else 0
        self._shown = sys.stderr.isatty()
        self._began = time.monotonic()

    def tell(self, player: Player) -> None:
        """Write the line anew."""
        if self._shown:
            run_s = time.monotonic() - self._began
            part = f"{100 * self._raw.tell() // self._size:3d} %  " if self._size else ""
            counts = f"{player.played:,} rows, {player.trades.rows:,} trades, {player.rejects.rows:,} rejects"
            rate = f"{player.played / run_s:,.0f} rows/s" if run_s else ""
            print(f"\r{part}{counts}  {run_s:.0f} s  {rate}\033[K", end="", file=sys.stderr, flush=True)

    def end(self) -> float:
        """Wipe the line; the seconds since the beginning."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        return time.monotonic() - self._began


class Work(threading.Thread):
    """Work in a thread of its own, so that whoever waits can be interrupted while the book is amid one long command."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(name="replay", daemon=True)
        self._work = work
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as failure:  # noqa: BLE001 - raised anew where it is waited for
            self._failure = failure

    def done(self, within_s: float) -> bool:
        """Whether it is done, waiting so long at most; what it raised, raised."""
        self.join(within_s)
        if self.is_alive():
            return False
        if self._failure is not None:
            raise self._failure
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay a flow; the exit status as in HELP."""
    options = _options(arguments)
    try:
        with ExitStack() as stack:
            print(_replay(options, stack), file=sys.stderr)
    except NotStartedError as error:
        print(f"replay: not started: {error}", file=sys.stderr)
        return NOT_STARTED
    except BrokenOffError as error:
        print(f"replay: broken off: {options.flow}: {error}. No file was written.", file=sys.stderr)
        return BROKEN_OFF
    except OSError as error:
        print(f"replay: broken off while writing: {error}", file=sys.stderr)
        return BROKEN_OFF
    except MemoryError:
        print("replay: broken off: memory can't hold the live orders, or one command's events.", file=sys.stderr)
        return BROKEN_OFF
    except KeyboardInterrupt:
        print("replay: interrupted. No file was written.", file=sys.stderr)
        return INTERRUPTED
    return DONE


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engine.replay",
        description="Run one instrument's order flow through a book, with no server. Sessions, bands and bounds are off.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("flow", metavar="FLOW.csv", help="the order flow; - is standard input; .gz is unpacked")
    parser.add_argument("--book", choices=BOOKS, default="fast", help="which implementation (fast)")
    parser.add_argument(
        "--trades", type=Path, metavar="OUT.csv", help="ts_ns,maker_id,taker_id,price,quantity as executed"
    )
    parser.add_argument("--depth", type=Path, metavar="OUT.csv", help="side,price,quantity,orders at the end")
    parser.add_argument("--rejects", type=Path, metavar="OUT.csv", help="ts_ns,order_id,code")
    return parser.parse_args(arguments)


def _replay(options: argparse.Namespace, stack: ExitStack) -> str:
    """The whole run; the line that sums it up."""
    book = _book(options.book)
    raw, stream = _open(options.flow, stack)
    try:
        flow = Flow(stream)
        rows = Rows(flow.header)
    except (NotStartedError, BrokenOffError, Unnamed) as error:
        raise NotStartedError(f"{options.flow}: {error}") from None
    outputs = _outputs(options, stack)
    files = {name: output.file for name, output in outputs.items()}
    player = Player(book, rows, files.get("trades"), files.get("rejects"))
    progress = Progress(raw)
    work = Work(lambda: player.play_all(flow))
    work.start()
    try:
        while not work.done(PROGRESS_S):
            progress.tell(player)
    finally:
        run_s = progress.end()
    if "depth" in files:
        player.write_depth(files["depth"])
    for output in outputs.values():
        output.keep()
    rate = f"{player.played / run_s:,.0f}" if run_s else "0"
    counts = f"{player.played:,} rows, {player.trades.rows:,} trades, {player.rejects.rows:,} rejects"
    return f"{counts}, {len(book):,} live orders; {run_s:.2f} s, {rate} rows/s ({options.book} book)"


def _book(name: str) -> Book:
    module, kind = BOOKS[name]
    try:
        return cast(Book, getattr(importlib.import_module(module), kind)(UNBOUNDED))
    except ImportError as error:
        advice = "run `make build`, or give --book plain" if name == "fast" else "install hourbook-exchange[server]"
        raise NotStartedError(f"the {name} book isn't here ({error}); {advice}") from None


def _open(flow: str, stack: ExitStack) -> tuple[IO[bytes], Any]:
    """The file as it lies there, and the bytes that are in it."""
    if flow == "-":
        return sys.stdin.buffer, sys.stdin.buffer
    try:
        raw: IO[bytes] = stack.enter_context(Path(flow).open("rb"))  # noqa: SIM115 - the stack closes it
    except OSError as error:
        raise NotStartedError(f"{flow} can't be read: {error.strerror}") from None
    return raw, stack.enter_context(gzip.GzipFile(fileobj=raw)) if flow.endswith(".gz") else raw


def _outputs(options: argparse.Namespace, stack: ExitStack) -> dict[str, Output]:
    paths = {name: path for name in ("trades", "depth", "rejects") if (path := getattr(options, name)) is not None}
    plain = [path.resolve() for path in (Path(options.flow), *paths.values()) if path.is_file() or not path.exists()]
    if len(set(plain)) < len(plain):
        raise NotStartedError("FLOW.csv and the files to write must all be different files")
    outputs = {}
    for name, path in paths.items():
        outputs[name] = Output(path)
        stack.callback(outputs[name].drop)
    return outputs


if __name__ == "__main__":
    # Blocks of cells by the ten thousand, and no cycles among them: the usual threshold would look through all the live ones.
    gc.set_threshold(GC_THRESHOLD)
    status = main()
    sys.stderr.flush()
    if status == INTERRUPTED:
        # A command may still be going on in its thread: it isn't waited for.
        os._exit(status)
    sys.exit(status)
