# cython: language_level=3
"""What C sees of the records: sizes, offsets and numbers, which the tests hold against `engine.records`."""

from engine.fast cimport records


def layouts():
    """Size of each C record, and where each of its fields begins."""
    cdef records.CommandRecord command
    cdef records.EventRecord event
    cdef records.DeltaRecord delta
    return {
        "command": (
            sizeof(command),
            {
                "order_id": <char *>&command.order_id - <char *>&command,
                "ts_ns": <char *>&command.ts_ns - <char *>&command,
                "account": <char *>&command.account - <char *>&command,
                "price": <char *>&command.price - <char *>&command,
                "quantity": <char *>&command.quantity - <char *>&command,
                "display_quantity": <char *>&command.display_quantity - <char *>&command,
                "min_quantity": <char *>&command.min_quantity - <char *>&command,
                "stop_price": <char *>&command.stop_price - <char *>&command,
                "window_end_h": <char *>&command.window_end_h - <char *>&command,
                "baron": <char *>&command.baron - <char *>&command,
                "tag": <char *>&command.tag - <char *>&command,
                "features": <char *>&command.features - <char *>&command,
                "hours": <char *>&command.hours - <char *>&command,
                "lot": <char *>&command.lot - <char *>&command,
                "min_rating": <char *>&command.min_rating - <char *>&command,
                "reason": <char *>&command.reason - <char *>&command,
                "op": <char *>&command.op - <char *>&command,
                "shape": <char *>&command.shape - <char *>&command,
                "flags": <char *>&command.flags - <char *>&command,
                "reserved": <char *>&command.reserved - <char *>&command,
            },
        ),
        "event": (
            sizeof(event),
            {
                "order_id": <char *>&event.order_id - <char *>&event,
                "other_id": <char *>&event.other_id - <char *>&event,
                "command": <char *>&event.command - <char *>&event,
                "price": <char *>&event.price - <char *>&event,
                "quantity": <char *>&event.quantity - <char *>&event,
                "leaves": <char *>&event.leaves - <char *>&event,
                "other_leaves": <char *>&event.other_leaves - <char *>&event,
                "kind": <char *>&event.kind - <char *>&event,
                "side": <char *>&event.side - <char *>&event,
                "reason": <char *>&event.reason - <char *>&event,
                "flags": <char *>&event.flags - <char *>&event,
            },
        ),
        "delta": (
            sizeof(delta),
            {
                "unconditional": <char *>&delta.unconditional - <char *>&delta,
                "conditional": <char *>&delta.conditional - <char *>&delta,
                "price": <char *>&delta.price - <char *>&delta,
                "orders": <char *>&delta.orders - <char *>&delta,
                "command": <char *>&delta.command - <char *>&delta,
                "side": <char *>&delta.side - <char *>&delta,
                "reserved": <char *>&delta.reserved - <char *>&delta,
            },
        ),
    }


def codes():
    """The numbers that the rooms use, by the name of the enumeration and the member that they stand for."""
    return reasons() | {
        ("Side", "BUY"): records.BUY,
        ("Side", "SELL"): records.SELL,
        ("Op", "NEW"): records.OP_NEW,
        ("Op", "CANCEL"): records.OP_CANCEL,
        ("Op", "AMEND"): records.OP_AMEND,
        ("Op", "REDUCE"): records.OP_REDUCE,
        ("Op", "MOVE_WINDOW"): records.OP_MOVE_WINDOW,
        ("Op", "MASS_CANCEL"): records.OP_MASS_CANCEL,
        ("Op", "SET_BARON"): records.OP_SET_BARON,
        ("Op", "SET_SESSION"): records.OP_SET_SESSION,
        ("Op", "TICK"): records.OP_TICK,
        ("Op", "FIRE"): records.OP_FIRE,
        ("OrderType", "LIMIT"): records.TYPE_LIMIT,
        ("OrderType", "MARKET"): records.TYPE_MARKET,
        ("OrderType", "STOP"): records.TYPE_STOP,
        ("OrderType", "STOP_LIMIT"): records.TYPE_STOP_LIMIT,
        ("TimeInForce", "GTC"): records.TIME_GTC,
        ("TimeInForce", "IOC"): records.TIME_IOC,
        ("TimeInForce", "FOK"): records.TIME_FOK,
        ("Session", "PRE_OPEN"): records.SESSION_PRE_OPEN,
        ("Session", "AUCTION"): records.SESSION_AUCTION,
        ("Session", "CONTINUOUS"): records.SESSION_CONTINUOUS,
        ("Session", "HALTED"): records.SESSION_HALTED,
        ("Session", "EXPIRED"): records.SESSION_EXPIRED,
        ("SelfTrade", "CANCEL_NEWEST"): records.SELF_TRADE_CANCEL_NEWEST,
        ("SelfTrade", "CANCEL_OLDEST"): records.SELF_TRADE_CANCEL_OLDEST,
        ("SelfTrade", "CANCEL_BOTH"): records.SELF_TRADE_CANCEL_BOTH,
        ("SelfTrade", "DECREMENT"): records.SELF_TRADE_DECREMENT,
        ("Flag", "POST_ONLY"): records.FLAG_POST_ONLY,
        ("Flag", "SAME_BARON"): records.FLAG_SAME_BARON,
        ("Given", "PRICE"): records.GIVEN_PRICE,
        ("Given", "QUANTITY"): records.GIVEN_QUANTITY,
        ("Given", "ANEW"): records.GIVEN_ANEW,
        ("EventKind", "ACCEPTED"): records.KIND_ACCEPTED,
        ("EventKind", "REJECTED"): records.KIND_REJECTED,
        ("EventKind", "TRADE"): records.KIND_TRADE,
        ("EventKind", "CANCELED"): records.KIND_CANCELED,
        ("EventKind", "AMENDED"): records.KIND_AMENDED,
        ("EventKind", "TRIGGERED"): records.KIND_TRIGGERED,
        ("EventKind", "REFILLED"): records.KIND_REFILLED,
        ("EventKind", "SESSION"): records.KIND_SESSION,
        ("EventKind", "CLEARED"): records.KIND_CLEARED,
        ("EventFlag", "KEPT_PRIORITY"): records.EVENT_KEPT_PRIORITY,
        ("EventFlag", "ARMED"): records.EVENT_ARMED,
        ("EventFlag", "AUCTION"): records.EVENT_AUCTION,
        ("Stop", "DONE"): records.STOP_DONE,
        ("Stop", "SELF_TRADE"): records.STOP_SELF_TRADE,
        ("Stop", "WALK_LIMIT"): records.STOP_WALK_LIMIT,
        ("Stop", "OUTSIDE_BAND"): records.STOP_OUTSIDE_BAND,
    }


def reasons():
    """The same of the table of reasons."""
    return {
        ("Reason", "NONE"): records.REASON_NONE,
        ("Reason", "INVALID_PRICE"): records.REASON_INVALID_PRICE,
        ("Reason", "INVALID_QUANTITY"): records.REASON_INVALID_QUANTITY,
        ("Reason", "INVALID_ORDER"): records.REASON_INVALID_ORDER,
        ("Reason", "POST_ONLY_WOULD_TRADE"): records.REASON_POST_ONLY_WOULD_TRADE,
        ("Reason", "NO_LIQUIDITY"): records.REASON_NO_LIQUIDITY,
        ("Reason", "FOK_KILLED"): records.REASON_FOK_KILLED,
        ("Reason", "SELF_TRADE"): records.REASON_SELF_TRADE,
        ("Reason", "WALK_LIMIT"): records.REASON_WALK_LIMIT,
        ("Reason", "UNKNOWN_ORDER"): records.REASON_UNKNOWN_ORDER,
        ("Reason", "NOTHING_TO_AMEND"): records.REASON_NOTHING_TO_AMEND,
        ("Reason", "DUPLICATE_ORDER_ID"): records.REASON_DUPLICATE_ORDER_ID,
        ("Reason", "MALFORMED_RECORD"): records.REASON_MALFORMED_RECORD,
        ("Reason", "SESSION_CLOSED"): records.REASON_SESSION_CLOSED,
        ("Reason", "TOO_MANY_CONDITIONAL"): records.REASON_TOO_MANY_CONDITIONAL,
        ("Reason", "CONDITIONAL_LIMIT"): records.REASON_CONDITIONAL_LIMIT,
        ("Reason", "OUTSIDE_BAND"): records.REASON_OUTSIDE_BAND,
        ("Reason", "INSTRUMENT_EXPIRED"): records.REASON_INSTRUMENT_EXPIRED,
        ("Reason", "MASS_CANCELED"): records.REASON_MASS_CANCELED,
        ("Reason", "REQUESTED"): records.REASON_REQUESTED,
        ("Reason", "IOC_REMAINDER"): records.REASON_IOC_REMAINDER,
        ("Reason", "MARKET_REMAINDER"): records.REASON_MARKET_REMAINDER,
        ("Reason", "WINDOW_MOVED"): records.REASON_WINDOW_MOVED,
        ("Reason", "TIME_WENT_BACK"): records.REASON_TIME_WENT_BACK,
    }
