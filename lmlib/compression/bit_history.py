"""What a context has seen at one node of its tree, in a byte (section 5.2).

A state is (n0, n1, last bit): about how many zeros and ones came, the newest counting
most, and which came last.
"""

State = tuple[int, int, int]

CAPS = (40, 22, 12, 8, 6, 5)  # of the larger count, by the smaller


def following(state: State, bit: int) -> State:
    """The state once `bit` has come.

    It counts one more. Of the other count, half of what is above 3 goes: what was long
    ago says less. Caps keep the states few; the last bit is kept where both have come.
    """
    came, other = state[bit] + 1, state[1 - bit]
    other = min(other, 3 + max(other - 3, 0) // 2)
    small = min(came, other, len(CAPS) - 1)
    large = min(max(came, other), CAPS[small])
    came, other = (large, small) if came > other else (small, large)
    last = bit if small else 0
    return (other, came, last) if bit else (came, other, last)


def states() -> tuple[list[State], list[tuple[int, int]]]:
    """All states that can be reached, nothing seen first; the next of each by bit."""
    order: list[State] = [(0, 0, 0)]
    after = []
    for state in order:  # it grows
        both = following(state, 0), following(state, 1)
        order += [s for s in dict.fromkeys(both) if s not in order]
        after.append((order.index(both[0]), order.index(both[1])))
    return order, after


def first_guess(state: State, one: int) -> int:
    """Of `one`, how likely a 1 is, before anything is known of the state's record."""
    n0, n1, _ = state
    if n0 > 0 and n1 == 0:
        return 10 * one // (25 * n0 + 20)
    if n1 > 0 and n0 == 0:
        return one - 10 * one // (25 * n1 + 20)
    return (10 * n1 + 4) * one // (10 * (n0 + n1) + 8)
