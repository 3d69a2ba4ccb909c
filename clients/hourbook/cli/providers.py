"""asks, barons: a provider's side."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import msgspec

from hourbook.cli.config import UsageError
from hourbook.cli.output import cell, emit, mark, note, table
from hourbook.cli.session import Commands, Session
from hourbook.decimals import to_decimal
from hourbook.models import Baron, Offer


class _Listed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One offer as a file has it: the price as text, so that no float ever stands for one.

    The last three are what `hourbook asks --json` tells beside the terms, so that its answer is a file as well.
    """

    baron: str
    instrument: str
    price: str
    gpus: int
    max_hours: int | None = None
    min_hours: int | None = None
    lot: int | None = None
    simulated: bool = False
    listed_gpus: int = 0
    note: str | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    offers: list[_Listed]


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    asks = commands.add_parser(
        "asks", parents=[common], help="the offers that stand; `asks put FILE` replaces them all"
    )
    asks.add_argument("action", nargs="?", choices=("show", "put"), default="show")
    asks.add_argument("file", nargs="?", type=Path, metavar="FILE", help="JSON, or TOML with [[offers]]")
    asks.set_defaults(run=_asks)
    barons = commands.add_parser(
        "barons",
        parents=[common],
        help="your Barons; `barons add` registers one, `drain` and `undrain` take one out of the market and let it back in",
    )
    barons.add_argument("action", nargs="?", choices=("show", "add", "drain", "undrain"), default="show")
    barons.add_argument("baron", nargs="?", metavar="BARON", help="to drain or undrain")
    for name in ("sku", "region", "name"):
        barons.add_argument(f"--{name}", help="of the new Baron")
    barons.set_defaults(run=_barons)


def _asks(options: argparse.Namespace, session: Session) -> int:
    if (options.action == "put") != (options.file is not None):
        raise UsageError("give a file with `put`, and none with `show`: hourbook asks put offers.toml")
    offers = session.client.asks() if options.file is None else session.client.put_asks(_read(options.file))
    if session.json:
        emit(offers)
        return 0
    rows = [
        (mark(offer.baron, offer.simulated), offer.instrument, offer.price, offer.gpus, offer.max_hours,
         offer.min_hours, offer.lot, offer.listed_gpus)
        for offer in offers.offers
    ]  # fmt: skip
    table(("Baron", "instrument", "price", "GPUs", "max hours", "min hours", "lot", "listed"), rows, "No offers stand.")
    for offer in offers.offers:
        if offer.note is not None:
            note(f"{offer.instrument}: {offer.note}.")
    return 0


def _read(file: Path) -> list[Offer]:
    try:
        content = file.read_text()
        values = tomllib.loads(content) if file.suffix == ".toml" else msgspec.json.decode(content)
        listed = msgspec.convert(values, _File).offers
        return [
            Offer(
                baron=offer.baron,
                instrument=offer.instrument,
                price=to_decimal(offer.price),
                gpus=offer.gpus,
                max_hours=offer.max_hours,
                min_hours=offer.min_hours,
                lot=offer.lot,
            )
            for offer in listed
        ]
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: {error}; each offer has baron, instrument, price (as text) and gpus") from error


def _barons(options: argparse.Namespace, session: Session) -> int:
    given = [getattr(options, name) is not None for name in ("sku", "region", "name")]
    drains = options.action in ("drain", "undrain")
    if drains != (options.baron is not None):
        raise UsageError(
            "name a Baron with `drain` and `undrain`, and with nothing else: hourbook barons drain brn_..."
        )
    if options.action == "add":
        return _add_baron(options, session, complete=all(given))
    if any(given):
        raise UsageError("--sku, --region and --name belong to: hourbook barons add")
    if drains:
        return _drain(options, session)
    barons = session.client.barons()
    if session.json:
        emit(barons)
        return 0
    rows = [
        (baron.id, baron.name, baron.sku, baron.region, baron.verified_gpus, baron.leased_gpus, baron.enrolled,
         baron.online, _on_the_market(baron), baron.rating, " ".join(baron.features), baron.simulated)
        for baron in barons
    ]  # fmt: skip
    headings = ("Baron", "name", "SKU", "region", "verified", "leased", "enrolled", "online", "state", "rating", "features",
                "simulated")  # fmt: skip
    table(headings, rows, "No Barons.")
    return 0


def _on_the_market(baron: Baron) -> str:
    """Its presence, and whether it is drained."""
    return f"{baron.presence}, draining" if baron.draining else baron.presence


def _drain(options: argparse.Namespace, session: Session) -> int:
    said = session.client.drain_baron(options.baron, options.action == "drain")
    if session.json:
        emit(said)
    elif said.draining:
        print(f"{said.baron} is drained: its asks are cancelled, spot leases have notice, on-demand ones run out.")
    elif said.presence == "reporting":
        print(f"{said.baron} is on the market: your offers on it enter anew.")
    else:
        print(f"{said.baron} isn't drained any more; your offers on it enter anew once its agent is heard of.")
    return 0


def _add_baron(options: argparse.Namespace, session: Session, *, complete: bool) -> int:
    if not complete:
        raise UsageError("say what it is: hourbook barons add --sku H100-SXM5-80GB --region us-east --name rack-7")
    made = session.client.create_baron(options.sku, options.region, options.name)
    if session.json:
        emit(made)
        return 0
    print(f"{made.id}\n{made.enrolment_token}")
    note(f"The token is for one `baron enroll`, until {cell(made.expires)}, and is shown only now.")
    return 0
