"""What a lease costs, what of it is posted and held, and the bill that keeps it, in C.

As `engine.charging` and `engine.bills` have it, for leases whose price never changed. It knows neither why
a lease ends nor who waits for its GPUs.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from engine.compiled.arithmetic cimport NS_PER_HOUR, NS_PER_S, fee_micros, needed_micros, usage_micros
from engine.compiled.codes cimport (
    CODE_FEE, CODE_PREPAY, CODE_REFUND, CODE_USAGE, END_QUIT, END_RENTER_FAILED, POT_AVAILABLE, POT_FEES,
    POT_HELD, POT_RECEIVABLE, TIMER_MONTH_CLOSE,
)
from engine.compiled.dues cimport Bill
from engine.compiled.lookups cimport at, bill_of, rearm
from engine.compiled.months cimport month_end_ns
from engine.compiled.records cimport Account, Lease
from engine.compiled.state cimport Core
from engine.compiled.transfers cimport overdrawn, transfer


cdef inline int64_t usage(Lease lease, int64_t from_ns, int64_t until_ns) noexcept:
    """What the use from one time to another costs."""
    return usage_micros(lease.price_ticks, lease.quantity, until_ns - from_ns)


cdef inline int64_t ended_usage(Lease lease, int64_t ended_ns) noexcept:
    """What a lease owes in all that ends now for its reason; one that its provider failed isn't asked."""
    cdef int64_t from_ns = lease.active_ns if lease.active_ns else ended_ns
    cdef int64_t charged_ns = ended_ns - from_ns
    cdef int64_t minimum_ns
    if lease.reason_code == END_QUIT or lease.reason_code == END_RENTER_FAILED:
        minimum_ns = lease.minimum_s * NS_PER_S
        if lease.term_end_ns and lease.term_end_ns - from_ns < minimum_ns:
            minimum_ns = lease.term_end_ns - from_ns
        if charged_ns < minimum_ns:
            charged_ns = minimum_ns
    return usage(lease, from_ns, from_ns + charged_ns)


cdef inline Bill open_bill(Core core, Lease lease, int64_t at_ns):
    """The lease's bill for the month of a time; made when it is first asked for."""
    cdef Bill bill = bill_of(core, lease.lease_id)
    if bill is None:
        bill = Bill.__new__(Bill)
        bill.bill_id, bill.renter, bill.provider = lease.lease_id, lease.renter, lease.provider
        core.bills.put_new(lease.lease_id, bill)
        set_month(core, bill, month_end_ns(at_ns))
    return bill


cdef inline int set_month(Core core, Bill bill, int64_t due_ns) except -1:
    """When its month is closed; 0 for never again."""
    rearm(core, TIMER_MONTH_CLOSE, bill.bill_id, bill.due_ns, due_ns)
    bill.due_ns = due_ns
    return 0


cdef inline int bill_ended(Core core, Lease lease, Bill bill, int64_t over_ns) except -1:
    """The bill's lease is over: one that charged nothing has nothing to close, and there may be none."""
    if bill is None:
        return 0
    if bill.over_ns and bill.over_ns < over_ns:
        over_ns = bill.over_ns
    bill.over_ns = over_ns
    if bill.stopped is not None and bill.stopped:
        # A failure may be charged to before an outage that was reported.
        bill.stopped = [
            (from_ns, min(to_ns, over_ns)) for from_ns, to_ns in bill.stopped if from_ns < over_ns
        ]
    if bill.charge_micros == 0:
        set_month(core, bill, 0)
        core.bills.drop(lease.lease_id)
    return 0


cdef inline int move_posted(
    Core core, Lease lease, Account renter, Account provider, Account exchange, int64_t more,
    int64_t renter_fee, int64_t provider_fee
) except -1:
    """So much more use, and fees; less is a refund."""
    cdef uint64_t ref = lease.lease_id
    if more >= 0:
        transfer(core, renter, POT_HELD, provider, POT_RECEIVABLE, more, CODE_USAGE, ref)
        transfer(core, renter, POT_HELD, exchange, POT_FEES, renter_fee, CODE_FEE, ref)
        transfer(core, provider, POT_RECEIVABLE, exchange, POT_FEES, provider_fee, CODE_FEE, ref)
        lease.prefund_micros -= more + renter_fee
        return 0
    # Fees first: the provider gets its own back before it gives back what they were taken from.
    transfer(core, exchange, POT_FEES, provider, POT_RECEIVABLE, -provider_fee, CODE_REFUND, ref)
    transfer(core, exchange, POT_FEES, renter, POT_AVAILABLE, -renter_fee, CODE_REFUND, ref)
    return transfer(core, provider, POT_RECEIVABLE, renter, POT_AVAILABLE, -more, CODE_REFUND, ref)


cdef inline Bill post(Core core, Lease lease, Account renter, int64_t due_micros):
    """Bring what is posted to what is due in all, or refund, no more than this month's charge.

    The lease's bill, or None: nothing was ever charged.
    """
    cdef Bill bill = bill_of(core, lease.lease_id)
    cdef int64_t least = lease.usage_micros - (bill.charge_micros if bill is not None else 0)
    cdef int64_t more, renter_fee, provider_fee
    cdef PyObject *provider
    cdef PyObject *exchange
    if due_micros < least:
        due_micros = least
    more = due_micros - lease.usage_micros
    renter_fee = fee_micros(due_micros, lease.renter_fee_ppm) - lease.renter_fee_micros
    provider_fee = fee_micros(due_micros, lease.provider_fee_ppm) - lease.provider_fee_micros
    if more == 0 and renter_fee == 0 and provider_fee == 0:
        return bill
    provider, exchange = at(&core.accounts.ring, lease.provider), at(&core.accounts.ring, 0)
    move_posted(core, lease, renter, <Account>provider, <Account>exchange, more, renter_fee, provider_fee)
    if lease.prefund_micros < 0:
        overdrawn(lease.lease_id, -lease.prefund_micros)
    if more:
        if bill is None:
            bill = open_bill(core, lease, core.last_ts_ns)
        bill.charge_micros += more
        bill.receivable_micros += more - provider_fee
    lease.usage_micros = due_micros
    lease.renter_fee_micros += renter_fee
    lease.provider_fee_micros += provider_fee
    return bill


cdef inline int64_t missing_micros(Core core, Lease lease, int64_t at_ns) noexcept:
    """What its prefund lacks of the cost of what it covers from a full hour of use on, at most its term's."""
    cdef int64_t covered_ns = core.prefund_ns
    cdef int64_t due
    if lease.term_end_ns and lease.term_end_ns - at_ns < covered_ns:
        covered_ns = lease.term_end_ns - at_ns
    due = usage(lease, lease.active_ns, at_ns)
    return (
        needed_micros(lease.price_ticks, lease.quantity, covered_ns, lease.renter_fee_ppm)
        - lease.prefund_micros
        - (lease.usage_micros + lease.renter_fee_micros - due - fee_micros(due, lease.renter_fee_ppm))
    )


cdef inline bint fill_up(Core core, Lease lease, Account renter, int64_t at_ns) except -1:
    """Fill the prefund up to what comes; False, and nothing moved, when the renter can't."""
    cdef int64_t missing = missing_micros(core, lease, at_ns)
    if missing > renter.micros[<int>POT_AVAILABLE]:
        return False
    if missing > 0:
        transfer(core, renter, POT_AVAILABLE, renter, POT_HELD, missing, CODE_PREPAY, lease.lease_id)
        lease.prefund_micros += missing
    return True
