"""The fast book's memory: every struct that a book is made of. What works on them stands in the rooms beside.

Everything is reached by 32-bit indices into pools that grow when they are first needed; index 0 is nobody. A
plain limit order is 32 bytes and knows nothing of rare features: what an iceberg, a stop, a minimum, a term
or a Baron needs stands apart, in `Terms`, behind the one bit RARE.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from engine.fast.records cimport CommandRecord, EventRecord, Sink

cdef extern from *:
    """
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "the records are little-endian, and so must the machine be"
    #endif
    #ifndef HOURBOOK_BARE
    #define HOURBOOK_BARE 0
    #endif
    typedef unsigned __int128 hourbook_uint128;
    /* Beyond every price and every key. */
    #define HOURBOOK_NO_KEY 0x1000000000LL
    #define HOURBOOK_NO_ASK 0x80000000LL
    #define hourbook_prefetch(address) __builtin_prefetch(address)
    """
    # A limit-only build, against which the cost of all features is measured.
    const bint BARE "HOURBOOK_BARE"
    const int64_t NO_ASK "HOURBOOK_NO_ASK"
    const int64_t NO_KEY "HOURBOOK_NO_KEY"
    # Products of prices, quantities and sums of an hour.
    ctypedef unsigned long long uint128_t "hourbook_uint128"
    void prefetch "hourbook_prefetch"(const void *address) noexcept nogil
    bint likely(bint condition) noexcept nogil
    bint unlikely(bint condition) noexcept nogil
    int first_bit "__builtin_ctzll"(uint64_t bits) noexcept nogil
    int zeros_above "__builtin_clzll"(uint64_t bits) noexcept nogil


cdef enum:
    # Bits of Node.place, below the index of the level.
    RARE = 1
    SELLS = 2
    POSTED = 4
    MODE_SHIFT = 3
    CONDITIONAL = 32
    # A stop that waits: in no level, linked in the order of entry.
    ARMED = 64
    PLACE_SHIFT = 8
    FLAGS = 0xFF

    # Levels stand in blocks of eight prices that are neighbours.
    BLOCK_BITS = 3
    BLOCK = 8
    # A branch has sixteen children.
    BRANCH_BITS = 4
    BRANCH = 16
    # Heights of a tree of prices at most: 28 bits above the block's.
    HEIGHTS = 7
    # Blocks of a side that are remembered.
    NEAR = 64
    NO_BID = 0
    MINUTES = 60

    # Bits of BookCore.held: why a call can't simply begin. Somebody is inside; stops of the last command
    # found no memory and come first; events are lost for want of memory.
    IN_USE = 1
    STOPS_WAIT = 2
    LOST = 4


cdef struct Node:
    uint64_t order_id
    uint32_t account
    uint32_t leaves
    uint32_t quantity
    uint32_t next
    uint32_t prev
    uint32_t place


cdef struct Terms:
    # What is rare about an order.
    uint64_t entry
    uint32_t display
    uint32_t shown
    uint32_t min_quantity
    # The limit of a stop that waits, which is in no level.
    int32_t price
    int32_t stop_price
    uint32_t window_end_h
    uint32_t baron
    uint32_t tag
    # Where a stop that waits stands in its heap.
    uint32_t position
    uint16_t features
    uint16_t hours
    uint16_t lot
    uint8_t min_rating
    uint8_t order_type
    uint8_t time_in_force
    uint8_t same_baron
    uint8_t triggered


cdef struct Level:
    uint64_t unconditional
    uint64_t conditional
    uint32_t first
    uint32_t last
    uint32_t orders
    uint32_t price


cdef struct Block:
    # Eight levels. high: their keys without the low bits, or the next free block; live: which have orders.
    uint32_t high
    uint32_t live
    uint32_t branch


cdef struct Branch:
    # Blocks, or branches of the next depth: those with orders, and those that exist.
    uint32_t live
    uint32_t kept
    uint32_t child[16]


cdef struct Near:
    # The block of eight keys, or 0: there is none. `high`: the keys without their low bits.
    uint32_t high
    uint32_t block


cdef struct Ladder:
    # One side: its levels by blocks, and the tree that finds a block by price.
    Level *levels
    Block *blocks
    # For each level the place of its change in `changes`, plus one; there once deltas were asked for.
    uint32_t *marks
    uint32_t block_capacity
    uint32_t block_used
    uint32_t block_free
    uint32_t block_spare
    # A price's key is what comes before what: asks by price, bids by how far they are below the top.
    int64_t flip
    int64_t offset
    int64_t best_key
    # Blocks that were used last, by the low bits of what their keys have in common.
    Near near[NEAR]
    uint32_t root
    uint32_t best_level
    uint32_t orders
    uint32_t conditional
    bint sells


cdef struct Heads:
    # The first node of each chain, 0 where nobody is. last: the last chain's number.
    uint32_t *heads
    uint32_t last
    uint32_t shift


cdef struct Table:
    # Node by order id. A large table grows by moving a few chains with each insertion from `old`.
    Heads now
    Heads old
    # For each node the next of its chain.
    uint32_t *behind
    # No order with a greater id was ever here: most newcomers need not be looked for.
    uint64_t newest
    uint32_t moved
    uint32_t count
    uint32_t grow_at


cdef struct Pair:
    # An entry of a small map: an account and so many of its orders, or a Baron and what it offers.
    uint32_t key
    uint32_t value


cdef struct Map:
    Pair *pairs
    uint32_t mask
    uint32_t count


cdef struct Heap:
    # Stops that wait, the first to come at the front.
    uint32_t *nodes
    uint32_t count


cdef struct Change:
    uint32_t level
    uint32_t command
    bint sells


cdef struct Minute:
    uint128_t notional
    uint64_t quantity


cdef struct Hour:
    # Trades of the last 60 minutes as of the last trade: each minute at its number modulo 60, and their sum.
    Minute minutes[60]
    uint128_t notional
    uint64_t quantity
    uint64_t minute
    uint64_t minute_begin_ns
    uint64_t minute_end_ns


cdef struct Limits:
    uint32_t max_looked
    uint32_t max_stops
    uint32_t max_conditional_account
    uint32_t max_conditional_side
    uint32_t display_ratio
    uint32_t quantity_max
    int32_t price_max
    uint32_t market_protection_ppm
    uint32_t band_ppm
    uint32_t auction_s
    uint32_t cooldown_s
    bint fires


cdef struct Refill:
    # An iceberg's later slice, as a dry walk meets it again.
    uint32_t node
    uint32_t leaves


cdef struct Fills:
    # What a dry walk notes for its caller.
    uint64_t *order_ids
    int32_t *prices
    uint32_t *quantities
    uint64_t count
    uint64_t capacity
    bint failed


cdef struct BookCore:
    # The long way of a command, and what a level seldom needs when it begins or ends. Behind a pointer the
    # compiler leaves them where they are: inlined, their many needs would have every short way save more
    # registers, and would use up what may be inlined into them.
    int (*at_length)(BookCore *core, Sink *sink, const CommandRecord *command) noexcept nogil
    uint32_t (*begin_level)(BookCore *core, Ladder *ladder, int64_t key) noexcept nogil
    void (*end_level)(BookCore *core, Ladder *ladder, uint32_t index) noexcept nogil
    Node *nodes
    # For each node its terms, or 0; there once an order was rare.
    uint32_t *term_of
    Terms *terms
    Branch *branches
    EventRecord *pending
    Change *changes
    Hour *hour
    Refill *refills
    const uint64_t *reasons
    # Unconditional orders at rest by account, of each side; NULL where they aren't counted.
    Map *owners
    Ladder sides[2]
    Table ids
    Map accounts
    Map barons
    Heap buy_stops
    Heap sell_stops
    Heap due
    Limits limits
    # Of an order that has none.
    Terms plain
    int64_t now_ns
    int64_t auction_end_ns
    uint64_t entries
    # With STOPS_WAIT: how many of them may still fire.
    uint64_t stops_left
    # The band's reference, as of the beginning of the command.
    uint128_t reference_notional
    uint64_t reference_quantity
    uint64_t pending_first
    uint64_t pending_count
    uint64_t pending_capacity
    uint32_t node_capacity
    uint32_t node_used
    uint32_t node_free
    uint32_t node_spare
    uint32_t term_capacity
    uint32_t term_used
    uint32_t term_free
    uint32_t term_spare
    uint32_t branch_capacity
    uint32_t branch_used
    uint32_t branch_free
    uint32_t branch_spare
    uint32_t stop_capacity
    uint32_t stop_first
    uint32_t stop_last
    uint32_t stops
    uint32_t icebergs
    uint32_t refill_capacity
    uint32_t change_capacity
    uint32_t change_count
    uint32_t command
    int32_t last_price
    int32_t auction_price
    int32_t clearing_price
    # A buy stop is triggered at or above, a sell stop at or below; beyond every price when none waits.
    int64_t buy_trigger
    int64_t sell_trigger
    # Of the trees of prices: branches above the lowest.
    int height
    uint8_t session
    uint8_t held
    bint referenced
    bint tracking


cdef struct Taker:
    # An order on its way in: a new one (node 0), an amended one, a stop that fires.
    uint64_t order_id
    uint32_t account
    uint32_t quantity
    uint32_t leaves
    uint32_t node
    int32_t price
    uint32_t flags
    uint8_t order_type
    uint8_t time_in_force
    uint8_t mode
    bint sells
    # Only where `flags` has RARE.
    Terms terms
