# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The wire's Python face, through which tests hold it against `engine.codec`: nothing else asks for it."""

from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from engine.compiled.commands cimport (
    AMEND_ORDER, CANCEL_ORDER, END_LEASE, LEASE_ACTIVE, LEASE_WIPED, NOT_PLAIN, PLACE_ORDER, PlainCommand,
    read_command,
)
from engine.compiled.lease_events cimport (
    LeaseChangedEvent, LeaseScheduledEvent, write_lease_changed, write_lease_priced,
    write_lease_scheduled,
)
from engine.compiled.order_events cimport (
    AcceptedEvent, AcceptedTerms, AmendedEvent, write_accepted, write_amended, write_canceled,
    write_duplicate, write_refilled, write_rejected, write_triggered,
)
from engine.compiled.tape cimport EventTape
from engine.compiled.trade_events cimport (
    ObligationChangedEvent, ObligationOpenedEvent, TradedEvent, write_capacity_changed,
    write_obligation_changed, write_obligation_opened, write_traded, write_transfer,
)
from engine.compiled.wire cimport (
    View, WireSink, bytes_of, text_of, view_bytes, view_text,
)

from engine import messages
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import SelfTrade


cdef class WiredTape(EventTape):
    """A tape whose events are written in C as far as the wire knows them."""

    def write(self, event):
        """Write an event as its room would."""
        _write(&self.sink, event)


def command(record):
    """(ts_ns, command) of a plain record, read from a block of its very size; None for one that isn't."""
    cdef PlainCommand read
    cdef size_t size = len(record)
    cdef bytes kept = bytes(record)
    cdef const uint8_t *source = kept
    cdef uint8_t *block = <uint8_t *>malloc(size)
    cdef uint8_t tag
    if block == NULL and size:
        raise MemoryError
    try:
        # No byte of Python's stands behind these: a sanitizer sees a look past the end.
        memcpy(block, source, size)
        tag = read_command(block, size, &read)
        return None if tag == NOT_PLAIN else (read.ts_ns, _command(tag, &read))
    finally:
        free(block)


cdef object _command(uint8_t tag, const PlainCommand *read):
    if tag == PLACE_ORDER:
        return _order(read)
    if tag == CANCEL_ORDER:
        return messages.CancelOrder(
            account=read.account, order_id=read.order_id, client_order_id=text_of(&read.client_order_id)
        )
    if tag == AMEND_ORDER:
        return messages.AmendOrder(
            account=read.account, order_id=read.order_id, client_order_id=text_of(&read.client_order_id),
            price_ticks=read.price_ticks, quantity=read.quantity, expire_ns=read.expire_ns,
        )
    if read.client_order_id.size:
        raise AssertionError("a refusal would echo a client id that the command hasn't")
    if tag == END_LEASE:
        return messages.EndLease(account=read.account, lease_id=read.lease_id)
    if read.account:
        raise AssertionError("a refusal would echo an account that the command hasn't")
    if tag == LEASE_ACTIVE:
        return messages.LeaseActive(lease_id=read.lease_id, access=bytes_of(&read.access))
    if tag == LEASE_WIPED:
        return messages.LeaseWiped(lease_id=read.lease_id)
    return messages.Tick()


cdef object _order(const PlainCommand *read):
    return messages.PlaceOrder(
        account=read.account, instrument=read.instrument, side=Side(read.side),
        order_type=OrderType(read.order_type), time_in_force=TimeInForce(read.time_in_force),
        price_ticks=read.price_ticks, quantity=read.quantity, post_only=read.post_only,
        client_order_id=text_of(&read.client_order_id), hours=read.hours, baron=read.baron,
        max_hours=read.max_hours, delivery=bytes_of(&read.delivery),
        stop_price_ticks=read.stop_price_ticks, display_quantity=read.display_quantity,
        min_quantity=read.min_quantity, self_trade=SelfTrade(read.self_trade), features=read.features,
        same_baron=read.same_baron, lot=read.lot, min_hours=read.min_hours, tag=text_of(&read.tag),
        expire_ns=read.expire_ns, connection=read.connection, min_rating=read.min_rating,
        reduce_only=read.reduce_only,
    )


# ---------------------------------------------------------------- events


cdef int _write(WireSink *sink, event) except -1:
    """Write an event as its room would; what the wire doesn't know comes encoded already."""
    cdef View text
    cdef View other
    if isinstance(event, messages.Accepted):
        return _accepted(sink, event)
    if isinstance(event, messages.Rejected):
        view_text(&text, event.field)
        view_text(&other, event.client_order_id)
        return write_rejected(
            sink, event.account, event.reason, &text, &other, event.order_id, event.order_status,
            event.needed_micros, event.available_micros,
        )
    if isinstance(event, messages.Duplicate):
        view_text(&text, event.client_order_id)
        return write_duplicate(sink, event.account, &text, event.first_seq, event.order_id)
    if isinstance(event, messages.Amended):
        return _amended(sink, event)
    if isinstance(event, messages.Canceled):
        return write_canceled(
            sink, event.order_id, event.account, event.instrument, event.quantity, event.reason
        )
    if isinstance(event, messages.Triggered):
        return write_triggered(
            sink, event.order_id, event.account, event.instrument, event.price_ticks, event.leaves_quantity
        )
    if isinstance(event, messages.Refilled):
        return write_refilled(
            sink, event.order_id, event.account, event.instrument, event.price_ticks, event.quantity,
            event.leaves_quantity,
        )
    return _write_other(sink, event)


cdef int _write_other(WireSink *sink, event) except -1:
    if isinstance(event, messages.Traded):
        return _traded(sink, event)
    if isinstance(event, messages.ObligationOpened):
        return _obligation_opened(sink, event)
    if isinstance(event, messages.ObligationChanged):
        return _obligation_changed(sink, event)
    if isinstance(event, messages.Transfer):
        return write_transfer(
            sink, event.debit_account, event.debit_pot, event.credit_account, event.credit_pot,
            event.amount_micros, event.code, event.ref,
        )
    if isinstance(event, messages.CapacityChanged):
        return write_capacity_changed(
            sink, event.baron, event.verified_gpus, event.leased_gpus, event.simulated
        )
    if isinstance(event, messages.LeaseScheduled):
        return _lease_scheduled(sink, event)
    if isinstance(event, messages.LeaseChanged):
        return _lease_changed(sink, event)
    if isinstance(event, messages.LeasePriced):
        return write_lease_priced(sink, event.lease_id, event.price_ticks, event.from_ns, event.term_end_ns)
    raise TypeError(f"the wire doesn't write {type(event).__name__}")


cdef int _accepted(WireSink *sink, event) except -1:
    cdef AcceptedEvent to
    cdef AcceptedTerms terms
    to.order_id, to.account, to.instrument = event.order_id, event.account, event.instrument
    to.side, to.order_type, to.time_in_force = event.side, event.order_type, event.time_in_force
    to.price_ticks, to.quantity, to.origin = event.price_ticks, event.quantity, event.origin
    to.post_only, to.hours, to.baron = event.post_only, event.hours, event.baron
    to.window_end_ns = event.window_end_ns
    view_text(&to.client_order_id, event.client_order_id)
    terms.stop_price_ticks = event.stop_price_ticks
    terms.display_quantity = event.display_quantity
    terms.min_quantity, terms.self_trade = event.min_quantity, event.self_trade
    terms.features = event.features
    terms.same_baron, terms.lot, terms.min_hours = event.same_baron, event.lot, event.min_hours
    terms.expire_ns, terms.armed = event.expire_ns, event.armed
    terms.min_rating = event.min_rating
    view_text(&terms.tag, event.tag)
    view_text(&terms.quote_set, event.quote_set)
    defaults = messages.Accepted.__struct_fields__[-len(messages.Accepted.__struct_defaults__):]
    plain = all(
        getattr(event, name) == value
        for name, value in zip(defaults, messages.Accepted.__struct_defaults__)
    )
    to.terms = NULL if plain else &terms
    return write_accepted(sink, &to)


cdef int _amended(WireSink *sink, event) except -1:
    cdef AmendedEvent to
    to.order_id, to.account, to.instrument = event.order_id, event.account, event.instrument
    to.price_ticks, to.quantity = event.price_ticks, event.quantity
    to.leaves_quantity = event.leaves_quantity
    to.kept_priority, to.window_end_ns = event.kept_priority, event.window_end_ns
    to.reason, to.expire_ns = event.reason, event.expire_ns
    return write_amended(sink, &to)


cdef int _traded(WireSink *sink, event) except -1:
    cdef TradedEvent to
    to.trade_id, to.instrument = event.trade_id, event.instrument
    to.price_ticks = event.price_ticks
    to.quantity, to.maker_order_id = event.quantity, event.maker_order_id
    to.taker_order_id = event.taker_order_id
    to.maker_leaves, to.taker_leaves = event.maker_leaves, event.taker_leaves
    to.taker_side = event.taker_side
    to.buyer, to.seller = event.buyer, event.seller
    to.baron, to.lease_id = event.baron, event.lease_id
    to.auction, to.displaced_lease_id = event.auction, event.displaced_lease_id
    return write_traded(sink, &to)


cdef int _obligation_opened(WireSink *sink, event) except -1:
    cdef ObligationOpenedEvent to
    to.obligation_id, to.lease_id = event.obligation_id, event.lease_id
    to.provider = event.provider
    to.holder, to.baron, to.instrument = event.holder, event.baron, event.instrument
    to.quantity, to.price_ticks, to.start_ns, to.end_ns = (
        event.quantity, event.price_ticks, event.start_ns, event.end_ns
    )
    return write_obligation_opened(sink, &to)


cdef int _obligation_changed(WireSink *sink, event) except -1:
    cdef ObligationChangedEvent to
    to.obligation_id, to.provider, to.holder = event.obligation_id, event.provider, event.holder
    to.baron, to.instrument, to.quantity = event.baron, event.instrument, event.quantity
    to.start_h, to.end_h, to.price_ticks = event.start_h, event.end_h, event.price_ticks
    to.escrow_micros, to.bond_micros = event.escrow_micros, event.bond_micros
    to.lease_id = event.lease_id
    to.addressed, to.live = event.addressed, event.live
    to.change, to.other_id = event.change, event.other_id
    return write_obligation_changed(sink, &to)


cdef int _lease_scheduled(WireSink *sink, event) except -1:
    cdef LeaseScheduledEvent to
    to.lease_id, to.obligation_id = event.lease_id, event.obligation_id
    to.order_id = event.order_id
    to.renter, to.provider = event.renter, event.provider
    to.baron, to.instrument = event.baron, event.instrument
    to.kind, to.quantity, to.price_ticks = event.kind, event.quantity, event.price_ticks
    to.start_ns, to.term_end_ns = event.start_ns, event.term_end_ns
    to.minimum_s = event.minimum_s
    to.renter_fee_ppm, to.provider_fee_ppm = event.renter_fee_ppm, event.provider_fee_ppm
    to.state = event.state
    to.limit_ticks, to.auto_extend = event.limit_ticks, event.auto_extend
    view_bytes(&to.delivery, event.delivery)
    return write_lease_scheduled(sink, &to)


cdef int _lease_changed(WireSink *sink, event) except -1:
    cdef LeaseChangedEvent to
    to.lease_id, to.renter = event.lease_id, event.renter
    to.provider, to.baron = event.provider, event.baron
    to.state, to.reason = event.state, event.reason
    to.active_ns, to.ended_ns = event.active_ns, event.ended_ns
    to.charged_micros, to.wiped, to.ends_ns = event.charged_micros, event.wiped, event.ends_ns
    to.auto_extend, to.overdue, to.quantity = event.auto_extend, event.overdue, event.quantity
    view_bytes(&to.access, event.access)
    view_text(&to.detail, event.detail)
    view_bytes(&to.delivery, event.delivery)
    return write_lease_changed(sink, &to)
