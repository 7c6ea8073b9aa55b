"""The grammar machine for a processor: compiled by Numba, one row after another.

It does what ``tensors.py`` and ``attributes.py`` do with tensors on an accelerator, and the tests
hold the two to the same answers; what each step means is written there. Here a row is a handful
of integers in the processor's cache, and only the rules of the non-terminal on top are looked at.

All functions work on rows ``first`` to ``stop``, without Python's lock, so threads can share them.
"""

from __future__ import annotations

import numpy as np

from molae.grammar.attribute_state import BITS, LEFT, MAX_RINGS, NUMBERS
from molae.grammar.attribute_table import BEHIND, ORDERS, POSITIONS, RINGS
from molae.grammar.packed import (
    ATOM,
    BEHIND_FREE,
    BLOCKED,
    BOND,
    CAPACITY,
    COUNT,
    CURRENT,
    DECADE_READ,
    DEPTH,
    DIGIT,
    DOT,
    ENDS_BRACKET,
    ENDS_BRANCH,
    FILL,
    FREE,
    HEIGHT,
    ID,
    IN_BRACKET,
    MARK,
    NUMBER,
    OPEN_RINGS,
    OPENS_BRACKET,
    OPENS_BRANCH,
    ORDER,
    OWED,
    OWN_RINGS,
    PENDING,
    POSITION,
    RESIDUE,
    RING,
    RING_COUNT,
    SLACK,
    TENS,
    compiled,
    part,
)
from molae.grammar.smiles import (
    AFTER_BRANCH,
    BRACKET,
    BRANCH,
    CLOSE,
    DECADE,
    FORBIDDEN,
    MAX_SLACK,
    RING_OR_NEXT,
    START,
    WAIT,
)

#: In the work space: a ring-bond number that is not open; where its second and third part begin.
UNUSED = 10_000
BEST, USED = NUMBERS, NUMBERS + 10


@part
def _closing(t, s, i, key, closing):
    """Price the closing of each open ring bond at the current atom, where one may come now.

    An opener that stated an order closes with that; one that stated none closes with the order
    written here, for which it may have to raise its own bond. Prices are left in ``closing`` by
    number, and in its second half by first digit the lowest of the tens and how many are open.
    """
    count, slots = s.counts[i], s.slots[i]
    pending, bits, left = count[PENDING], count[RESIDUE], count[OPEN_RINGS]
    last = left == 1
    here = max(pending - 1, 0)
    k = 0
    while left > 0:
        number = slots[NUMBER, k]
        k += 1
        if number == 0:
            continue
        left -= 1
        closing[number] = FORBIDDEN
        tens = number // 10
        closing[USED + tens] += 1
        stated = slots[ORDER, k - 1]
        order = stated if stated > 0 else 1 + here
        fits = stated == 0 or (pending < 2 if stated == 1 else (pending == 0 or pending == 2))
        free = t.closing[bits, order - 1]
        if slots[BLOCKED, k - 1] or not fits or free < 0:
            continue
        path = free + count[BEHIND_FREE]
        if not last and path <= 0:
            continue
        price = t.closing[bits, 2 + order] - CLOSE - t.base[key]
        if not last and (count[OWN_RINGS] > 0 or t.closing[bits, 5 + order] == 0):
            price += WAIT
        partner = s.atoms[i, slots[ATOM, k - 1]]
        lift = t.raised[partner * 3 + (here if stated == 0 else 0)]
        if lift >= FORBIDDEN:
            continue
        if stated == 0 and here > 0 and not last and path <= here and partner < LEFT:
            continue
        price += lift - (number > 9)
        closing[number] = price
        closing[BEST + tens] = min(closing[BEST + tens], price)


@part
def _forget(s, i, closing):
    """Clean the work space after a row."""
    numbers, left = s.slots[i, NUMBER], s.counts[i, OPEN_RINGS]
    k = 0
    while left > 0:
        number = numbers[k]
        k += 1
        if number > 0:
            left -= 1
            closing[number] = UNUSED
            closing[USED + number // 10] = 0
            closing[BEST + number // 10] = FORBIDDEN


@part
def _view(t, s, i):
    """What prices of row i depend on: the row of the price table, and the highest legal price."""
    rings, position = s.counts[i, OPEN_RINGS], s.counts[i, POSITION]
    bits, behind = s.counts[i, RESIDUE], s.counts[i, BEHIND_FREE]
    kind = 0
    if rings > 0:
        own = s.counts[i, OWN_RINGS]
        full = rings >= t.slots or s.counts[i, RING_COUNT] >= MAX_RINGS
        kind = 1 + (own > 0) + (own > 0 and own < rings) + 3 * full
    debt = s.counts[i, OWED]
    if position == BRACKET:
        needs = rings > 0 and behind == 0
        inside = s.counts[i, IN_BRACKET] * 4 + s.counts[i, PENDING]
        key = t.first_bracket_key + inside * 2 + needs
        debt += WAIT * (rings > 0)
    else:
        key = (t.residue[bits, ID] * ORDERS + s.counts[i, PENDING]) * RINGS + kind
        key = (key * BEHIND + (behind > 0)) * POSITIONS + min(position, POSITIONS - 1)
        if position != START:
            debt += t.residue[bits, FILL]
    debt += t.base[key]
    limit = MAX_SLACK
    if t.budget:
        limit = max(-MAX_SLACK, min(MAX_SLACK, s.counts[i, SLACK] - debt))
    return key, limit


@part
def _space(t):
    """Work space for rows: prices of closing, see `_closing`, and a list of rules."""
    closing = np.full(NUMBERS + 20, UNUSED)
    closing[BEST:USED] = FORBIDDEN
    closing[USED:] = 0
    return closing, np.empty(t.own.size + 1, np.int64)


@part
def _legal(t, s, i, first, stop, closing, legal):
    """List the legal rules of row i from ``first`` to ``stop`` in ``legal``; how many there are.

    ``closing`` is work space, clean before and after.
    """
    top = s.stack[i, s.counts[i, HEIGHT]]
    first, stop = max(first, t.window[top, 0]), min(stop, t.window[top, 1])
    cost, found = t.cost[top], 0
    if not t.tracked:
        limit = min(s.counts[i, SLACK], t.ceiling) if t.budget else t.ceiling
        for rule in range(first, stop):
            legal[found] = rule
            found += cost[rule] <= limit
        return found
    key, limit = _view(t, s, i)
    prices, position = t.prices[key], s.counts[i, POSITION]
    if s.counts[i, OPEN_RINGS] == 0 or (position != RING_OR_NEXT and position != DECADE):
        for rule in range(first, stop):
            legal[found] = rule
            found += prices[rule] + cost[rule] <= limit
        return found
    _closing(t, s, i, key, closing)
    second = 1 if position == DECADE else 0
    decade = s.counts[i, DECADE_READ] * 10 if second else 0
    reads, tens = t.reads[second], t.tens
    for rule in range(first, stop):
        own = cost[rule]
        price = prices[rule] + own
        # A number that is open cannot be opened again: it is priced as closing.
        digits = reads[rule]
        if digits >= 0 and closing[decade + digits] != UNUSED:
            price = closing[decade + digits] + own
        may = price <= limit
        if tens[rule] > 0:
            # "%1" to "%9" are legal if a number of theirs can be opened or can be closed.
            spare = closing[USED + tens[rule]] < 10
            may = (may and spare) or closing[BEST + tens[rule]] + own <= limit
        legal[found] = rule
        found += may
    _forget(s, i, closing)
    return found


@part
def _ring(t, s, i, number):
    """A ring-bond number: close the bond if it is open, else open it."""
    count, slots, atoms = s.counts[i], s.slots[i], s.atoms[i]
    place = -1
    for k in range(t.slots):
        if slots[NUMBER, k] == number:
            place = k
            break
    stated = 0
    if place >= 0:
        stated, partner = slots[ORDER, place], slots[ATOM, place]
        more = max(count[PENDING] - 1, 0) if stated == 0 else 0
        entry = atoms[partner]
        raised = (entry & BITS) >> more
        atoms[partner] = raised | (entry & LEFT)
        if entry < LEFT:
            count[BEHIND_FREE] -= more
            count[OWED] += t.residue[raised, FILL] - t.residue[entry & BITS, FILL]
        for k in range(t.slots):
            if slots[ATOM, k] == partner:
                slots[BLOCKED, k] = 1
        slots[ATOM, place], slots[NUMBER, place] = -1, 0
        count[OWED] -= CLOSE + (number > 9)
        count[OPEN_RINGS] -= 1
    else:
        for k in range(t.slots):
            if slots[NUMBER, k] == 0:
                place = k
                break
        slots[ATOM, place], slots[NUMBER, place] = count[CURRENT], number
        slots[ORDER, place], slots[BLOCKED, place] = count[PENDING], 1
        count[OWED] += CLOSE + (number > 9)
        count[OPEN_RINGS] += 1
        count[OWN_RINGS] += 1
        count[RING_COUNT] += 1
    if count[OPEN_RINGS] == 0:
        count[RING_COUNT] = 0
    count[RESIDUE] >>= max(count[PENDING], stated, 1)
    count[PENDING] = 0
    count[POSITION] = RING_OR_NEXT


@part
def _atom(t, s, i, capacity, bracket):
    """A new atom, or the bracket of one, bonded to the current atom."""
    count, slots = s.counts[i], s.slots[i]
    order = 0
    if count[POSITION] != START:
        order = max(count[PENDING], 1)
        parent = count[RESIDUE] >> order
        branch = count[POSITION] == BRANCH
        s.atoms[i, count[CURRENT]] = parent if branch else parent | LEFT
        if branch:
            s.branch[i, count[DEPTH]] = count[CURRENT]
            count[DEPTH] += 1
            count[BEHIND_FREE] += t.residue[parent, FREE]
            count[OWED] += t.residue[parent, FILL]
    if count[OPEN_RINGS] > 0:
        for k in range(t.slots):
            slots[BLOCKED, k] = slots[ATOM, k] == count[CURRENT]
    count[CURRENT] = count[COUNT]
    count[OWN_RINGS] = 0
    count[COUNT] += 1
    count[RESIDUE] = 1 if bracket else capacity >> order
    count[PENDING] = order if bracket else 0
    count[POSITION] = BRACKET if bracket else RING_OR_NEXT
    if bracket:
        count[IN_BRACKET] = 0


@part
def _return(t, s, i):
    """To the branch point, at ")"."""
    count = s.counts[i]
    s.atoms[i, count[CURRENT]] = count[RESIDUE] | LEFT
    count[DEPTH] = max(count[DEPTH] - 1, 0)
    count[CURRENT] = s.branch[i, count[DEPTH]]
    count[OWN_RINGS] = 0
    if count[OPEN_RINGS] > 0:
        for k in range(t.slots):
            count[OWN_RINGS] += s.slots[i, ATOM, k] == count[CURRENT]
    count[RESIDUE] = s.atoms[i, count[CURRENT]] & BITS
    count[BEHIND_FREE] -= t.residue[count[RESIDUE], FREE]
    count[OWED] -= t.residue[count[RESIDUE], FILL]
    count[POSITION] = AFTER_BRANCH


@part
def _attributes(t, s, i, rule):
    """Move valence and ring bonds of row i on by a rule."""
    count, facts = s.counts[i], t.facts[rule]
    if count[POSITION] == BRACKET:
        if facts[MARK] == ENDS_BRACKET:
            count[RESIDUE] = t.bracket_capacity[count[IN_BRACKET]] >> count[PENDING]
            count[PENDING] = 0
            count[POSITION] = RING_OR_NEXT
        else:
            count[IN_BRACKET] = t.bracket_step[count[IN_BRACKET], rule]
    elif count[POSITION] == DECADE:
        if facts[DIGIT] >= 0:
            number = count[DECADE_READ] * 10 + facts[DIGIT]
            if number > 0:
                _ring(t, s, i, number)
    elif facts[CAPACITY] > 0 or facts[MARK] == OPENS_BRACKET:
        _atom(t, s, i, facts[CAPACITY], facts[MARK] == OPENS_BRACKET)
    elif facts[RING] > 0:
        _ring(t, s, i, facts[RING])
    elif facts[BOND] > 0:
        count[PENDING] = facts[BOND]
    elif facts[TENS] > 0:
        count[DECADE_READ] = facts[TENS]
        count[POSITION] = DECADE
    elif facts[MARK] == OPENS_BRANCH:
        count[POSITION] = BRANCH
    elif facts[MARK] == ENDS_BRANCH:
        _return(t, s, i)
    elif facts[MARK] >= DOT:
        count[POSITION] = START


@part
def _take(t, s, i, rule):
    """Take a rule in row i."""
    count = s.counts[i]
    height = count[HEIGHT]
    for j in range(t.pushes[rule]):
        s.stack[i, height + j] = t.pushed[rule, j]
    count[HEIGHT] = height - 1 + t.pushes[rule]
    count[SLACK] -= t.own[rule]
    if t.tracked:
        _attributes(t, s, i, rule)


@compiled
def advance(t, s, rules, first, stop):
    """Take one rule (n,) in every row; rows with a number below 0 stay as they are."""
    for i in range(first, stop):
        if rules[i] >= 0:
            _take(t, s, i, rules[i])


@compiled
def allowed(t, s, out, first, stop):
    """Legal rules into out (n, V) bool, all False before."""
    closing, legal = _space(t)
    for i in range(first, stop):
        for k in range(_legal(t, s, i, 0, t.own.size, closing, legal)):
            out[i, legal[k]] = True


@compiled
def masks(t, s, x, out, first, stop):
    """Legal rules at every position of derivations x (n, T) into out (n, T, V) bool."""
    closing, legal = _space(t)
    for i in range(first, stop):
        for step in range(x.shape[1]):
            for k in range(_legal(t, s, i, 0, t.own.size, closing, legal)):
                out[i, step, legal[k]] = True
            if x[i, step] >= 0:
                _take(t, s, i, x[i, step])


@compiled
def first_illegal(t, s, x, found, first, stop):
    """Where each derivation of x (n, T) takes a rule that is not legal, into found (n,), or -1."""
    closing, legal = _space(t)
    for i in range(first, stop):
        found[i] = -1
        for step in range(x.shape[1]):
            rule = x[i, step]
            if rule < 0:
                continue
            if not _legal(t, s, i, rule, rule + 1, closing, legal):
                found[i] = step
                break
            _take(t, s, i, rule)


@part
def _mixed(x):
    """SplitMix64's mixing function, as in ``draws.py``."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@part
def _uniform(key, index, step):
    """``draws.uniforms`` of one item."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    x = _mixed(_mixed(np.uint64(index) * golden + key) + np.uint64(step) * golden)
    return (float(x >> np.uint64(41)) + 0.5) * 2.0**-23


@part
def _score(x):
    """A logit, finite."""
    return min(x, 3.0e38) if x > -3.0e38 else -3.0e38  # nan too


@compiled
def choose(t, s, logits, key, index, step, temperature, out, first, stop):
    """Choose a legal rule in every row, into out (n,); -1 where there is none.

    Args:
        t: Tables.
        s: Rows.
        logits: (n, V) float32.
        key: The mixed seed, uint64, as ``draws.py`` makes it.
        index: Number of each item, (n,) int64.
        step: Number of the draw within the item, (n,) int64.
        temperature: Divides the logits; 0 for the greatest one.
        out: (n,) int64.
        first, stop: Rows.
    """
    closing, legal = _space(t)
    weights = np.empty(legal.size)
    for i in range(first, stop):
        count = _legal(t, s, i, 0, t.own.size, closing, legal)
        best, highest = -1, -np.inf
        for k in range(count):
            score = _score(logits[i, legal[k]])
            weights[k] = score
            if score > highest:
                best, highest = legal[k], score
        out[i] = best
        if temperature == 0.0 or count < 2:
            continue
        total = 0.0
        for k in range(count):
            total += np.exp((weights[k] - highest) / temperature)
            weights[k] = total
        aim = _uniform(key, index[i], step[i]) * total
        for k in range(count):
            if weights[k] > aim:
                out[i] = legal[k]
                break
