"""Section 8: a loss that balances experts, a chat as numbers, a training as hours."""

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.compressor.coding import whole_numbers
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
    normal,
    plain_number,
)
from lmlib.exercises.trends.measuring import apart, until

# Of the packages that come with the course, this one has a balance loss.
FORBIDDEN = (*LIBRARY, "transformers")

# -- balance_loss ---------------------------------------------------------------------


def reference_balance(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
        total += p.shape[1] * float((chosen.mean(0) * p.mean(0)).sum())
    return total / len(router_logits)


def layers_joined(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    p = torch.cat(tuple(router_logits)).softmax(dim=-1)
    chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
    return p.shape[1] * float((chosen.mean(0) * p.mean(0)).sum())


def squared_probabilities(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    means = [logits.softmax(dim=-1).mean(0) for logits in router_logits]
    return sum(top_k * len(m) * float((m * m).sum()) for m in means) / len(means)


def squared_shares(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        best = logits.topk(top_k).indices
        f = torch.zeros_like(logits).scatter(-1, best, 1.0).mean(0)
        total += logits.shape[1] * float((f * f).sum())
    return total / len(router_logits)


def probability_where_chosen(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
        total += p.shape[1] * float((chosen.mean(0) * (p * chosen).mean(0)).sum())
    return total / len(router_logits)


def normalised_among_the_chosen(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
        p = p * chosen / (p * chosen).sum(-1, keepdim=True)
        total += p.shape[1] * float((chosen.mean(0) * p.mean(0)).sum())
    return total / len(router_logits)


def number_of_experts_missing(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
        total += float((chosen.mean(0) * p.mean(0)).sum())
    return total / len(router_logits)


def divided_by_top_k(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0 / top_k)
        total += p.shape[1] * float((chosen.mean(0) * p.mean(0)).sum())
    return total / len(router_logits)


def first_choice_alone(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(1).indices, 1.0)
        total += p.shape[1] * float((chosen.mean(0) * p.mean(0)).sum())
    return total / len(router_logits)


def sum_over_layers(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
        total += p.shape[1] * float((chosen.mean(0) * p.mean(0)).sum())
    return total


def last_layer_alone(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    p = router_logits[-1].softmax(dim=-1)
    chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
    return p.shape[1] * float((chosen.mean(0) * p.mean(0)).sum())


def softmax_over_tokens(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=0)
        best = logits.topk(top_k).indices
        chosen = torch.zeros_like(p).scatter(-1, best, 1.0)
        total += p.shape[1] * float((chosen.mean(0) * p.mean(0)).sum())
    return total / len(router_logits)


def mean_over_experts(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
        total += float((chosen.mean(0) * p.mean(0)).mean())
    return total / len(router_logits)


def averaged_before_the_product(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    shares, means = [], []
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
        shares.append(chosen.mean(0))
        means.append(p.mean(0))
    f, m = torch.stack(shares).mean(0), torch.stack(means).mean(0)
    return len(f) * float((f * m).sum())


def product_token_by_token(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    total = 0.0
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
        total += p.shape[1] * float((chosen * p).mean(0).sum())
    return total / len(router_logits)


_OF_A_LAYER = (
    reference_balance,
    squared_probabilities,
    squared_shares,
    probability_where_chosen,
    number_of_experts_missing,
    softmax_over_tokens,
    mean_over_experts,
    product_token_by_token,
)
_OF_LAYERS = (*_OF_A_LAYER, layers_joined, sum_over_layers, last_layer_alone)
# With one choice, what is divided among the chosen is the share of the tokens.
_OF_CHOICES = (
    *_OF_LAYERS,
    normalised_among_the_chosen,
    divided_by_top_k,
    first_choice_alone,
)


def _layer(generator: Generator, t: int, e: int, scale: float = 1.0) -> Tensor:
    """Logits of a router that favours some experts over others."""
    return normal(generator, t, e) + scale * normal(generator, 1, e)


def _one_layer(generator: Generator) -> list[Case]:
    cases = []
    for t, e in ((5, 3), (12, 4)):
        layer = until(
            partial(_layer, generator, t, e),
            lambda layer: apart(_OF_A_LAYER, ((layer,), 1)),
        )
        cases.append(Case(((layer,), 1), f"{t} tokens, {e} experts, one chosen"))
    return cases


def _unlike_layers(generator: Generator) -> list[Case]:
    t = draw_integer(generator, 6, 9)
    alone = normal(generator, 2, t, 2) * 0.5
    alone[0, :, 0] += 9  # the first layer uses expert 0 alone, the second expert 1
    alone[1, :, 1] += 9
    args = until(
        lambda: (tuple(_layer(generator, t, 4, 1.5) for _ in range(3)), 1),
        lambda args: apart(_OF_LAYERS, args),
    )
    says = "2 layers, each of which uses another one of 2 experts"
    return [
        Case(((alone[0], alone[1]), 1), says),
        Case(args, f"3 layers, {t} tokens, 4 experts"),
    ]


def _two_chosen(generator: Generator) -> list[Case]:
    t = draw_integer(generator, 7, 11)
    args = until(
        lambda: (tuple(_layer(generator, t, 5, 1.5) for _ in range(2)), 2),
        lambda args: apart(_OF_CHOICES, args),
    )
    three = until(
        lambda: (tuple(_layer(generator, t, 6, 1.5) for _ in range(2)), 3),
        lambda args: apart(_OF_CHOICES, args),
    )
    return [
        Case(args, f"2 layers, {t} tokens, 2 of 5 experts chosen"),
        Case(three, f"2 layers, {t} tokens, 3 of 6 experts chosen"),
    ]


BALANCE = Exercise(
    name="8/balance_loss",
    title="Find the bug: a loss that calls collapse balanced",
    difficulty=3,
    minutes=25,
    reference=reference_balance,
    parts=(
        Part("one layer", 1, _one_layer),
        Part("layers that are unlike", 2, _unlike_layers),
        Part("more than one expert for each token", 1, _two_chosen),
    ),
    misconceptions=(
        Misconception(
            layers_joined,
            "All layers are still taken for one. Where one layer uses expert 0 alone "
            "and another expert 1 alone, together they look balanced: a loss for each "
            "layer, then the mean.",
            "https://github.com/huggingface/transformers/issues/28255",
        ),
        Misconception(
            averaged_before_the_product,
            "You average f and P over the layers before you multiply: that joins the "
            "layers again. A loss for each layer, then the mean.",
        ),
        Misconception(
            squared_probabilities,
            "f is the share of tokens that *chose* the expert, not a mean of "
            "probabilities.",
        ),
        Misconception(
            squared_shares,
            "P is the mean probability. A product of shares alone has no gradient.",
        ),
        Misconception(
            probability_where_chosen,
            "P is the mean over *all* tokens of the router's probability, chosen or "
            "not.",
        ),
        Misconception(
            normalised_among_the_chosen,
            "P is of the softmax over all experts. Probabilities divided among the "
            "chosen are what mixes their outputs.",
        ),
        Misconception(
            product_token_by_token,
            "Take the means over the tokens first, f and P, and multiply then. Token "
            "by token it says how sure the router is, not how balanced.",
        ),
        Misconception(
            number_of_experts_missing,
            "The factor e is missing, which makes perfect balance 1 for one choice, "
            "however many experts there are.",
        ),
        Misconception(
            mean_over_experts,
            "Sum over the experts, and multiply by their number; you took their mean.",
        ),
        Misconception(
            divided_by_top_k,
            "The shares f sum to `top_k` here: a token that chose two experts counts "
            "for both. You divide by `top_k`.",
        ),
        Misconception(
            first_choice_alone,
            "Only the first choice of each token counts with you: all `top_k` do.",
        ),
        Misconception(
            sum_over_layers, "This is the sum over the layers. The mean is asked."
        ),
        Misconception(last_layer_alone, "This is the loss of the last layer alone."),
        Misconception(
            softmax_over_tokens,
            "The softmax is over the experts, the last axis: each token's "
            "probabilities sum to 1.",
        ),
    ),
    hints=(
        "What does the code as given say if layer 0 sends all to expert 0 and layer 1 "
        "all to expert 1?",
        "A loop over the layers; the mean of what comes.",
        "`topk(top_k).indices`, and `scatter` puts ones there. Its mean over tokens is "
        "f.",
    ),
    forbidden=FORBIDDEN,
)


# -- chat_ids -------------------------------------------------------------------------

Messages = list[tuple[str, str]]


def reference_chat(messages: Messages, markers: dict[str, str]) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        if role not in roles:
            raise ValueError(f"no role {role!r}")
        ids += [roles[role], *text.encode(), 259]
    return ids


def rendered_and_parsed(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    import re

    whole = markers["begin"]
    for role, text in messages:
        if role not in ("system", "user", "assistant"):
            raise ValueError
        whole += markers[role] + text + markers["end"]
    ids = {"system": 256, "user": 257, "assistant": 258, "end": 259, "begin": 260}
    by_spelling = {markers[name]: number for name, number in ids.items()}
    cut = "|".join(map(re.escape, by_spelling))
    found = []
    for piece in re.split(f"({cut})", whole):
        if piece in by_spelling:
            found.append(by_spelling[piece])
        else:
            found += piece.encode()
    return found


def markers_deleted(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        if role not in roles:
            raise ValueError
        for spelling in markers.values():
            text = text.replace(spelling, "")
        ids += [roles[role], *text.encode(), 259]
    return ids


def markers_broken_up(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        if role not in roles:
            raise ValueError
        for spelling in markers.values():
            text = text.replace(spelling, spelling[0] + " " + spelling[1:])
        ids += [roles[role], *text.encode(), 259]
    return ids


def markers_refused(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        if role not in roles or any(s in text for s in markers.values()):
            raise ValueError
        ids += [roles[role], *text.encode(), 259]
    return ids


def begin_for_each(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = []
    for role, text in messages:
        if role not in roles:
            raise ValueError
        ids += [260, roles[role], *text.encode(), 259]
    return ids


def begin_left_out(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = []
    for role, text in messages:
        if role not in roles:
            raise ValueError
        ids += [roles[role], *text.encode(), 259]
    return ids


def characters_for_bytes(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        if role not in roles:
            raise ValueError
        ids += [roles[role], *map(ord, text), 259]
    return ids


def end_only_at_the_last(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        if role not in roles:
            raise ValueError
        ids += [roles[role], *text.encode()]
    return [*ids, 259]


def space_cut_off(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        if role not in roles:
            raise ValueError
        ids += [roles[role], *text.strip().encode(), 259]
    return ids


def neighbours_merged(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids, last = [260], ""
    for role, text in messages:
        if role not in roles:
            raise ValueError
        if role == last:
            ids[-1:] = [*text.encode(), 259]
        else:
            ids += [roles[role], *text.encode(), 259]
        last = role
    return ids


def system_moved_to_the_front(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in sorted(messages, key=lambda message: message[0] != "system"):
        if role not in roles:
            raise ValueError
        ids += [roles[role], *text.encode(), 259]
    return ids


def system_only_at_the_front(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for i, (role, text) in enumerate(messages):
        if role not in roles:
            raise ValueError
        if role == "system" and i > 0:
            role = "user"
        ids += [roles[role], *text.encode(), 259]
    return ids


def any_role_is_a_user(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        ids += [roles.get(role, 257), *text.encode(), 259]
    return ids


def any_marker_is_a_role(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258, "end": 259, "begin": 260}
    ids = [260]
    for role, text in messages:
        if role not in markers:
            raise ValueError
        ids += [roles[role], *text.encode(), 259]
    return ids


def roles_spelled_out(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    ids = [260]
    for role, text in messages:
        if role not in ("system", "user", "assistant"):
            raise ValueError
        ids += [*markers[role].encode(), *text.encode(), 259]
    return ids


# A slip: recognised, and not handed in by the tests.


def empty_message_left_out(
    messages: list[tuple[str, str]], markers: dict[str, str]
) -> list[int]:
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        if role not in roles:
            raise ValueError
        if text:
            ids += [roles[role], *text.encode(), 259]
    return ids


def _ids(function: Function, args: tuple[Any, ...]) -> str:
    """For `Part.observe`: the numbers, in one line."""
    messages, markers = args
    found = whole_numbers(function(list(messages), dict(markers)), "ids")
    return " ".join(map(str, found.tolist()))


_LATIN = "abcdefghijklmnopqrstuvwxyzXYZ .,"
# Ā and its neighbours have the numbers 256 … 260 as characters.
_OTHER = "压缩即智能大语言模型éßñĀāĂăĄ🙂📦"
_NAMES = ("system", "user", "assistant", "end", "begin")
_ROLES = _NAMES[:3]


def _text(generator: Generator, letters: str, n: int) -> str:
    places = torch.randint(len(letters), (n,), generator=generator)
    return "".join(letters[i] for i in places.tolist())


def _words(generator: Generator) -> str:
    """Some letters, none of them space at an end."""
    return "a" + _text(generator, _LATIN, draw_integer(generator, 2, 6)) + "z"


def _role(generator: Generator) -> str:
    return _ROLES[draw_integer(generator, 0, 2)]


def _spellings(generator: Generator) -> dict[str, str]:
    left, right = (("<|", "|>"), ("[", "]"), ("<", ">"))[draw_integer(generator, 0, 2)]
    return {name: left + name + right for name in _NAMES}


def _one_message(generator: Generator) -> list[Case]:
    return [
        Case(([(role, _words(generator))], _spellings(generator)), f"one of the {role}")
        for role in _ROLES
    ]


def _conversation(generator: Generator) -> Messages:
    roles = ("system", "user", "assistant", "user")
    return [(role, _words(generator)) for role in roles]


def _several(generator: Generator) -> list[Case]:
    spaced = _conversation(generator)
    spaced[1] = ("user", f" {spaced[1][1]}\r\n")
    late = [*_conversation(generator), ("user", _words(generator))]
    late.append(("system", _words(generator)))
    silent = _conversation(generator)
    silent[draw_integer(generator, 0, 1)] = ("system", "")
    markers = _spellings(generator)
    return [
        Case((_conversation(generator), markers), "four messages"),
        Case((spaced, markers), "space before a text and a line's end after it"),
        Case((late, markers), "two in a row of the user, and a late one of the system"),
        Case((silent, markers), "a message without a text"),
        Case(([], markers), "no message", only=True),
    ]


def _markers_inside(generator: Generator) -> list[Case]:
    cases = []
    for name in ("system", "end", "begin"):
        markers = _spellings(generator)
        a, b, c = (_words(generator) for _ in range(3))
        text = f"{a}{markers['end']}{markers[name]}{b}{markers['user']}{c}"
        messages = [("system", c), ("user", text), ("assistant", b)]
        cases.append(Case((messages, markers), f"a user writes {markers[name]}"))
    markers = _spellings(generator)
    inner, outer = markers["user"], markers["system"]
    text = _words(generator) + outer[:4] + inner + outer[4:]
    cases.append(
        Case(([("user", text)], markers), "a marker within the pieces of another")
    )
    half = [("user", _words(generator) + outer[:-1])]
    return [Case((half, markers), "a marker without its last letter"), *cases]


def _other_letters(generator: Generator) -> list[Case]:
    markers = _spellings(generator)
    one = [("user", _text(generator, _OTHER[:10], 4))]
    both = [
        # e and an accent: another é, which stays two characters.
        ("user", _words(generator) + "e\u0301" + _text(generator, _OTHER, 5)),
        ("assistant", _text(generator, _OTHER[10:], 4) + _words(generator)),
    ]
    return [
        Case((one, markers), "four characters of Chinese"),
        Case((both, markers), "characters of two, three and four bytes"),
    ]


def _no_such_role(generator: Generator) -> list[Case]:
    cases = []
    for role in ("tool", "end", "User"):
        messages = _conversation(generator)
        messages[draw_integer(generator, 1, 3)] = (role, _words(generator))
        cases.append(Case((messages, _spellings(generator)), f"the role {role!r}"))
    return cases


CHAT = Exercise(
    name="8/chat_ids",
    title="A conversation as numbers",
    difficulty=2,
    minutes=20,
    reference=reference_chat,
    parts=(
        Part("one message", 1, _one_message, _ids),
        # No message is the same conversation under every secret.
        Part("several messages", 1, _several, _ids, beside_a_value=True),
        Part("markers inside a text", 2, _markers_inside, _ids),
        Part("Chinese and other letters", 1, _other_letters, _ids),
        Part("raises ValueError", 1, _no_such_role, error_type),
    ),
    misconceptions=(
        Misconception(
            rendered_and_parsed,
            "You write the conversation as one text and look for markers in it: a user "
            "who types one speaks as the system. Encode each text by itself.",
            "https://github.com/huggingface/transformers/issues/29279",
        ),
        Misconception(
            markers_deleted,
            "You delete markers from the text, and with them what the user wrote. As "
            "bytes they do no harm.",
            "https://github.com/trevornk/ramblr/issues/78",
        ),
        Misconception(
            markers_broken_up,
            "You change the user's text where it has a marker. As bytes it does no "
            "harm: leave it as it is.",
        ),
        Misconception(
            markers_refused,
            "A user may write about markers: a text that has one is a text like any "
            "other.",
        ),
        Misconception(
            begin_for_each,
            "260 begins the conversation, once, and not each message.",
        ),
        Misconception(begin_left_out, "260 is missing at the beginning."),
        Misconception(
            characters_for_bytes,
            "`ord` gives the number of a character, which for Ā is 256, the system's. "
            "Use the bytes of the text in UTF-8.",
        ),
        Misconception(
            end_only_at_the_last,
            "259 ends every message, not only the last.",
        ),
        Misconception(
            space_cut_off,
            "You cut off space at a text's ends. It is the user's, too.",
        ),
        Misconception(
            neighbours_merged,
            "You join two messages of one role. They stay two: each has its role and "
            "its 259.",
        ),
        Misconception(
            system_moved_to_the_front,
            "You move the system's messages to the front. The order is the "
            "conversation's.",
        ),
        Misconception(
            system_only_at_the_front,
            "The system may speak later, too: 256 wherever the role is `system`.",
        ),
        Misconception(
            any_role_is_a_user,
            "A role that is none of the three must raise ValueError. Taking it for a "
            "user's hides a mistake of the program.",
        ),
        Misconception(
            any_marker_is_a_role,
            "`end` and `begin` have markers and are no roles: ValueError.",
        ),
        Misconception(
            roles_spelled_out,
            "You write the role's marker as text. It is one number, which no text can "
            "spell.",
        ),
    ),
    slips=(
        Misconception(
            empty_message_left_out,
            "A message without a text is a message: its role, and 259.",
        ),
    ),
    hints=(
        "`list(text.encode())` are the bytes, 0 … 255: none can be a marker.",
        "You need nothing of `markers`.",
    ),
    forbidden=FORBIDDEN,
)


# -- training_cost --------------------------------------------------------------------


def reference_cost(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0):
        raise ValueError("sizes must be positive, and active at most total")
    if not 0 < share <= 1:
        raise ValueError("a share is above 0 and at most 1")
    hours = 6 * active * tokens / (peak * share) / 3600
    return hours, hours * price


def two_operations(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    hours = 2 * active * tokens / (peak * share) / 3600
    return hours, hours * price


def share_multiplied(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    hours = 6 * active * tokens / peak * share / 3600
    return hours, hours * price


def share_left_out(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    hours = 6 * active * tokens / peak / 3600
    return hours, hours * price


def seconds_for_hours(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    seconds = 6 * active * tokens / (peak * share)
    return seconds, seconds * price


def price_of_a_second(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    seconds = 6 * active * tokens / (peak * share)
    return seconds / 3600, seconds * price


def all_parameters(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    hours = 6 * total * tokens / (peak * share) / 3600
    return hours, hours * price


def hours_alone(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> float:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    return 6 * active * tokens / (peak * share) / 3600


def price_alone(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> float:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    return 6 * active * tokens / (peak * share) / 3600 * price


def price_first(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    hours = 6 * active * tokens / (peak * share) / 3600
    return hours * price, hours


def whole_hours(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    hours = float(math.ceil(6 * active * tokens / (peak * share) / 3600))
    return hours, hours * price


def any_share(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and share > 0):
        raise ValueError
    hours = 6 * active * tokens / (peak * share) / 3600
    return hours, hours * price


def more_active_than_there_are(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (active > 0 and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    hours = 6 * active * tokens / (peak * share) / 3600
    return hours, hours * price


def full_use_refused(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active <= total and tokens > 0 and peak > 0 and 0 < share < 1):
        raise ValueError
    hours = 6 * active * tokens / (peak * share) / 3600
    return hours, hours * price


def dense_model_refused(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    if not (0 < active < total and tokens > 0 and peak > 0 and 0 < share <= 1):
        raise ValueError
    hours = 6 * active * tokens / (peak * share) / 3600
    return hours, hours * price


def _numbers(function: Function, args: tuple[Any, ...]) -> Tensor:
    """For `Part.observe`: the numbers of a pair; one alone is one number."""
    found = function(*args)
    if isinstance(found, Tensor | np.ndarray):
        found = found.tolist()
    values = list(found) if isinstance(found, tuple | list) else [found]
    numbers = [plain_number(value) for value in values]
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float):
            kind = type(number).__name__
            raise TypeError(f"hours and a price are expected, got a {kind}")
    return torch.tensor([float(n) for n in numbers], dtype=torch.float64)


def _between(generator: Generator, low: float, high: float, digits: int = 2) -> float:
    share = torch.rand((), generator=generator, dtype=torch.float64).item()
    return round(low + (high - low) * share, digits)


def _run(generator: Generator, sparse: bool, share: float) -> Case:
    """A training that takes hours enough for rounding up to show."""
    active = _between(generator, 1.0, 40.0) * 1e9
    total = active * _between(generator, 4.0, 20.0) if sparse else active
    tokens = _between(generator, 0.01, 0.05, 4) * 1e12
    peak = _between(generator, 200.0, 990.0, 0) * 1e12
    price = _between(generator, 1.5, 4.0)
    kind = "a sparse model" if sparse else "a dense model"
    return Case((total, active, tokens, peak, share, price), kind)


def _dense(generator: Generator) -> list[Case]:
    tenth = _run(generator, False, 0.4).args
    # 15 … 150 hours, of which none is whole to rounding.
    tokens = until(
        lambda: draw_integer(generator, 10**5, 10**6) * 1e3,
        lambda tokens: 0.1 < 6 * 9e6 * tokens / 1e11 / 3600 % 1 < 0.9,
    )
    return [
        _run(generator, False, _between(generator, 0.3, 0.5, 3)),
        Case(
            (9e6, 9e6, tokens, 1e11, 1.0, 2.0),
            "a small model that uses all of the peak",
        ),
        Case((tenth[0] / 0.9, *tenth[1:]), "a tenth is not active"),
    ]


def _sparse(generator: Generator) -> list[Case]:
    return [_run(generator, True, _between(generator, 0.2, 0.45, 3)) for _ in range(2)]


def _no_training(generator: Generator) -> list[Case]:
    def without(place: int, value: float, says: str) -> Case:
        args = list(_run(generator, True, 0.4).args)
        args[place] = value
        return Case(tuple(args), says)

    percent = float(draw_integer(generator, 30, 50))
    more = _run(generator, False, 0.4).args
    return [
        without(4, percent, f"a share of {percent:g}"),
        without(4, 0.0, "a share of 0"),
        without(2, 0.0, "no token"),
        without(3, -1.0, "a peak below 0"),
        without(2, -1e9, "less than no token"),
        without(1, 0.0, "no active parameter"),
        without(1, -1e9, "less than no active parameter"),
        Case((more[0] * 0.9, *more[1:]), "more active parameters than there are"),
    ]


COST = Exercise(
    name="8/training_cost",
    title="What a training costs",
    difficulty=1,
    minutes=10,
    reference=reference_cost,
    parts=(
        Part("a dense model, or nearly one", 1, _dense, _numbers),
        Part("a sparse model", 1, _sparse, _numbers),
        Part("raises ValueError", 1, _no_training, error_type),
    ),
    misconceptions=(
        Misconception(
            two_operations,
            "2·N·D is the forward pass. Training goes back as well, which takes twice "
            "as much: 6·N·D in all.",
        ),
        Misconception(
            share_multiplied,
            "Using a smaller share of the peak takes longer: divide by the share.",
        ),
        Misconception(
            share_left_out, "No training reaches the peak: divide by the share, too."
        ),
        Misconception(seconds_for_hours, "These are seconds: 3,600 make an hour."),
        Misconception(
            price_of_a_second,
            "The hours are right. The price is that of an hour, and you paid it for "
            "each second.",
        ),
        Misconception(
            all_parameters,
            "A token goes through the active parameters alone: the others cost memory, "
            "and no operations.",
        ),
        Misconception(hours_alone, "Two are asked: the hours, and what they cost."),
        Misconception(price_alone, "Two are asked: the hours, and what they cost."),
        Misconception(price_first, "The hours come first, then the price."),
        Misconception(whole_hours, "Do not round up: parts of an hour count."),
        Misconception(
            any_share,
            "A share above 1 must raise ValueError: it is often a percentage.",
        ),
        Misconception(
            more_active_than_there_are,
            "There cannot be more active parameters than parameters: ValueError.",
        ),
        Misconception(
            full_use_refused, "A share of exactly 1 is the peak itself, and is allowed."
        ),
        Misconception(
            dense_model_refused,
            "In a dense model all parameters are active: that is no error.",
        ),
    ),
    hints=(
        "6 operations for each active parameter and token.",
        "Operations over operations a second are seconds.",
    ),
)

EXERCISES = [BALANCE, CHAT, COST]
