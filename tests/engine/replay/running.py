"""Running the replay tool as people do: files in, files out, and what it said."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from engine import replay

BOOKS = tuple(replay.BOOKS)
HEADER = "ts_ns,op,order_id,account,side,type,tif,price,quantity,post_only,display_quantity,min_quantity,stop_price,stp"
TRADES = "ts_ns,maker_id,taker_id,price,quantity"
DEPTH = "side,price,quantity,orders"
REJECTS = "ts_ns,order_id,code"


class Outcome(NamedTuple):
    """What a run left: the lines of each file without the header, and what it said."""

    status: int
    trades: list[str]
    depth: list[str]
    rejects: list[str]
    said: str


class Replay:
    """Runs the tool on what a test gives it, in a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, flow: str | bytes, book: str, name: str = "flow.csv") -> Outcome:
        path = self.folder / name
        path.write_bytes(flow.encode() if isinstance(flow, str) else flow)
        files = [self.folder / f"{book}-{kind}.csv" for kind in ("trades", "depth", "rejects")]
        arguments = [str(path), "--book", book, "--trades", str(files[0]), "--depth", str(files[1])]
        status = replay.main([*arguments, "--rejects", str(files[2])])
        said = self._capsys.readouterr().err
        if status:
            assert not any(file.exists() for file in files)
            return Outcome(status, [], [], [], said)
        texts = [file.read_text(encoding="utf-8") for file in files]
        for text, header in zip(texts, (TRADES, DEPTH, REJECTS), strict=True):
            assert text.startswith(header + "\n")
        trades, depth, rejects = (text.split("\n")[1:-1] for text in texts)
        return Outcome(status, trades, depth, rejects, said)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def flow(*rows: str, header: str = "ts_ns,op,order_id,side,tif,price,quantity") -> str:
    return "\n".join((header, *rows)) + "\n"
