"""Which tokens are masked and how: statistics, and what famous mistakes do to them."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lmlib.data.documents import Document
from lmlib.data.load import encode_documents
from lmlib.data.tokenizers import ByteTokenizer
from lmlib.losses import IGNORE
from lmlib.objectives.mlm import MaskedLM, choose_tokens, mask_tokens, masked_lm_loss
from lmlib.objectives.nsp import NextSentence
from lmlib.objectives.objective import at_targets
from lmlib.objectives.sequences import PackedSequences
from tests.objectives.samples import (
    SPECIAL,
    Model,
    corpus,
    is_plausible,
    is_uniform,
    same,
    slow_cross_entropy,
    vocab_size,
)

C = corpus(60)
V = vocab_size(C)
ROWS = {"length": 64, "batch_size": 8, "seed": 2}
ORDINARY = np.arange(10, 1010)
ALL = np.ones((50, 100), bool)


def objective(**options):
    return MaskedLM(PackedSequences(C, SPECIAL, **ROWS), vocab_size=V, **options)


# -- Masking: one check, ours and the mistakes ----------------------------------------


def our_masking(ids, rng):
    maskable = ~np.isin(ids, SPECIAL.ids)
    chosen = choose_tokens(maskable, 0.15, rng, np.ones_like(maskable))
    return mask_tokens(ids, chosen, SPECIAL.mask, ORDINARY, rng)


def check_masking(mask):
    """15 % of the ordinary tokens; of these 80 % [MASK], 10 % random, 10 % kept."""
    rng = np.random.default_rng(0)
    ids = rng.choice(ORDINARY, size=(400, 100))
    ids[:, 0], ids[:, 40], ids[:, 80] = SPECIAL.cls, SPECIAL.sep, SPECIAL.sep
    ids[:, 81:] = SPECIAL.pad
    given = ids.copy()
    inputs, targets = mask(given, np.random.default_rng(1))
    assert (given == ids).all(), "what is given stays as it is"
    chosen = targets != IGNORE
    special = np.isin(ids, SPECIAL.ids)
    assert not (chosen & special).any(), "special tokens are no targets"
    assert (inputs[special] == ids[special]).all(), "special tokens stay"
    assert (targets[chosen] == ids[chosen]).all(), "targets are the originals"
    assert (inputs[~chosen] == ids[~chosen]).all(), "what is no target stays"
    n, k = (~special).sum(), chosen.sum()
    assert abs(k / n - 0.15) < 0.005, "15 %; a row's number is rounded"
    assert is_uniform(chosen.sum(0)[~special[0]]), "everywhere alike"
    became = inputs[chosen]
    assert is_plausible((became == SPECIAL.mask).sum(), k, 0.8)
    # a random token is the original with probability 1/1000
    kept, random = became == targets[chosen], became >= ORDINARY[0]
    assert is_plausible(kept.sum(), k, 0.1 + 0.1 / len(ORDINARY))
    assert is_plausible((random & ~kept).sum(), k, 0.1 - 0.1 / len(ORDINARY))
    assert ((became == SPECIAL.mask) | random).all(), "nothing special but [MASK]"
    assert is_uniform(
        np.histogram(became[random & ~kept], bins=10, range=(10, 1010))[0]
    )


def variant(maskable=None, replacements=ORDINARY, share=0.15, **shares):
    """Our masking with something wrong in it."""

    def mask(ids, rng):
        may = ~np.isin(ids, SPECIAL.ids) if maskable is None else maskable(ids)
        chosen = choose_tokens(may, share, rng, np.ones_like(may))
        return mask_tokens(ids, chosen, SPECIAL.mask, replacements, rng, **shares)

    return mask


def all_positions_are_targets(ids, rng):
    inputs, _ = our_masking(ids, rng)
    return inputs, ids


def in_place(ids, rng):
    ids[:], targets = our_masking(ids, rng)
    return ids, targets


def targets_are_the_inputs(ids, rng):
    inputs, targets = our_masking(ids, rng)
    return inputs, np.where(targets == IGNORE, IGNORE, inputs)


def the_first_15_percent(ids, rng):
    chosen = np.zeros(ids.shape, bool)
    chosen[:, 1:13] = True
    return mask_tokens(ids, chosen, SPECIAL.mask, ORDINARY, rng)


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(
            variant(lambda ids: np.ones_like(ids, bool)), id="special tokens masked"
        ),
        pytest.param(
            variant(lambda ids: ids != SPECIAL.pad), id="[CLS] and [SEP] masked"
        ),
        pytest.param(variant(mask_share=1.0, random_share=0.0), id="10/10 dropped"),
        pytest.param(variant(mask_share=0.9, random_share=0.1), id="none kept"),
        pytest.param(variant(mask_share=0.8, random_share=0.2), id="kept is random"),
        pytest.param(
            variant(replacements=np.arange(10)), id="special tokens as replacements"
        ),
        pytest.param(variant(replacements=ORDINARY[:100]), id="few replacements"),
        pytest.param(variant(share=0.12), id="15 % of which 80 % are targets"),
        all_positions_are_targets,
        in_place,
        targets_are_the_inputs,
        the_first_15_percent,
    ],
)
def test_mistakes_in_masking_are_noticed(mutant):
    check_masking(our_masking)
    with pytest.raises(AssertionError):
        check_masking(mutant)


def test_without_words_each_row_has_exactly_its_share():
    maskable = np.arange(100) < np.array([0, 1, 3, 10, 50, 100])[:, None]
    rng = np.random.default_rng(0)
    chosen = choose_tokens(maskable, 0.15, rng, np.ones_like(maskable))
    # round half to even, and one at least where there is one
    assert chosen.sum(1).tolist() == [0, 1, 1, 2, 8, 15]
    assert not (chosen & ~maskable).any()


# -- Whole words ----------------------------------------------------------------------


def check_whole_words(choose):
    rng = np.random.default_rng(0)
    words = rng.random((300, 100)) < 0.6
    maskable = np.ones((300, 100), bool)
    maskable[:, [0, 30, 31, 99]] = False
    chosen = choose(maskable, words, np.random.default_rng(1))
    # a word goes on from one token to the next unless the next begins one
    goes_on = maskable[:, :-1] & maskable[:, 1:] & ~words[:, 1:]
    assert (chosen[:, :-1] == chosen[:, 1:])[goes_on].all()
    assert not (chosen & ~maskable).any()
    assert abs(chosen.sum() / maskable.sum() - 0.15) < 0.005
    lengths = chosen.sum(1)
    assert lengths.min() >= 10
    assert lengths.max() <= 20
    firsts = maskable & words
    assert is_uniform(chosen.sum(0)[maskable.all(0) & (np.arange(100) % 3 == 1)])
    assert is_plausible((chosen & firsts).sum(), firsts.sum(), 0.15)


def token_by_token(maskable, words, rng):
    return choose_tokens(maskable, 0.15, rng, np.ones_like(words))


def share_of_words_each_with_its_neighbour(maskable, words, rng):
    chosen = choose_tokens(maskable, 0.15, rng, words)
    chosen[:, 1:] |= chosen[:, :-1] & maskable[:, 1:]
    return chosen


def test_whole_words_are_masked_whole():
    check_whole_words(lambda m, w, rng: choose_tokens(m, 0.15, rng, w))
    for mutant in (
        token_by_token,
        share_of_words_each_with_its_neighbour,
    ):
        with pytest.raises(AssertionError):
            check_whole_words(mutant)


def test_a_word_longer_than_the_share_is_chosen_now_and_then():
    maskable = np.ones((1000, 20), bool)
    words = np.zeros((1000, 20), bool)
    words[:, [0, 10]] = True
    chosen = choose_tokens(maskable, 0.15, np.random.default_rng(0), words)
    assert (chosen.sum(1) == 10).all(), "one word at least"
    assert is_plausible(chosen[:, 0].sum(), 1000, 0.5)


def test_a_word_ends_before_what_is_not_maskable():
    # Two words of two tokens: the second one's middle is at 3 of 3. Were a special
    # token a part of it, it would be at 3.5.
    maskable = np.array([[False, True, True, False, True, True]] * 20)
    none = np.zeros_like(maskable)
    chosen = choose_tokens(maskable, 0.75, np.random.default_rng(0), none)
    assert (chosen == maskable).all()


@pytest.mark.parametrize("whole_words", [False, True])
def test_batches_mask_words_as_told(whole_words):
    masked = objective(whole_words=whole_words)
    torn = 0
    for step in range(10):
        batch = masked.batch(step)
        chosen = (batch["targets"] != IGNORE).numpy()
        goes_on = ~batch["word_starts"].numpy()[:, 1:]
        goes_on[:, 0] = False  # after [CLS] a row may begin within a word
        torn += (chosen[:, :-1] != chosen[:, 1:])[goes_on].sum()
    assert (torn == 0) == whole_words


def test_a_chinese_character_is_masked_as_a_whole_and_without_its_neighbours():
    tokenizer = ByteTokenizer()
    text = "學而時習之不亦說乎有朋自遠方來不亦樂乎人不知而不慍不亦君子乎" * 20
    packed = PackedSequences(
        encode_documents([Document(text)], tokenizer),
        tokenizer.special,
        length=122,  # forty characters of three bytes, [CLS] and [SEP]
        batch_size=10,
    )
    masked = MaskedLM(packed, vocab_size=tokenizer.size, whole_words=True)
    for batch in masked.evaluation_batches():
        full = batch["token_ids"][:, -1] == tokenizer.special.sep
        chosen = (batch["targets"][full, 1:-1] != IGNORE).unflatten(1, (40, 3))
        assert (chosen.any(2) == chosen.all(2)).all(), "no character is torn"
        assert (chosen.all(2).sum(1) == 6).all(), "15 % of the characters"


# -- Dynamic and static ---------------------------------------------------------------


def masks_of_rows(masked, steps):
    """For each row (known by its targets and inputs) the masks that it came with."""
    seen = {}
    for step in steps:
        batch = masked.batch(step)
        targets, ids = batch["targets"], batch["token_ids"]
        original = torch.where(targets == IGNORE, ids, targets)
        for row, mask, given in zip(original, targets != IGNORE, ids, strict=True):
            key = tuple(row.tolist())
            seen.setdefault(key, []).append((*mask.tolist(), *given.tolist()))
    return seen


def test_dynamic_masks_are_new_in_each_epoch_and_static_ones_are_not():
    c = corpus(60, seed=1)
    packed = PackedSequences(c, SPECIAL, length=26, batch_size=6, seed=2)
    epochs = 4
    steps = range(-(-epochs * packed.n_rows // 6))
    for copies, most in ((None, epochs), (1, 1), (2, 2)):
        masked = MaskedLM(packed, vocab_size=vocab_size(c), copies=copies)
        seen = masks_of_rows(masked, steps)
        assert len(seen) == packed.n_rows
        different = np.array([len(set(masks)) for masks in seen.values()])
        # all but the rows of the last batch of a round, which may begin the next epoch
        assert np.mean(different == most) > 0.9, copies
    static = MaskedLM(packed, vocab_size=vocab_size(c), copies=1)
    a_round = -(-packed.n_rows // 6)
    assert same(static.batch(2), static.batch(2 + 5 * a_round))


def test_a_batch_is_its_row_masked():
    packed = PackedSequences(C, SPECIAL, **ROWS)
    batch, plain = objective().batch(3), packed.batch(3)
    chosen = batch["targets"] != IGNORE
    original = torch.where(chosen, batch["targets"], batch["token_ids"])
    assert torch.equal(original, plain["token_ids"])


def test_pairs_keep_their_special_tokens_and_padding():
    pairs = NextSentence(C, SPECIAL, length=64, batch_size=16)
    masked = MaskedLM(pairs, vocab_size=V, share=0.5)
    batch, plain = masked.batch(0), pairs.batch(0)
    special = torch.isin(plain["token_ids"], torch.tensor(SPECIAL.ids))
    assert torch.equal(batch["token_ids"][special], plain["token_ids"][special])
    assert (batch["targets"][special] == IGNORE).all()
    for name in ("labels", "segment_ids", "attention_mask"):
        assert torch.equal(batch[name], plain[name])


# -- Loss: one check, ours and the mistakes -------------------------------------------


def our_mean(head, hidden, targets):
    return masked_lm_loss(head, hidden, targets) / (targets != IGNORE).sum()


def check_loss(mean_loss, device):
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 9).double().to(device)
    hidden = torch.randn(4, 10, 6, dtype=torch.float64, device=device)
    # From the same dice on every device: token 0 has to be among them.
    targets = torch.randint(9, (4, 10))
    targets[torch.rand(4, 10) > 0.3] = IGNORE
    targets = targets.to(device)
    n = (targets != IGNORE).sum().item()
    expected = slow_cross_entropy(head(hidden).detach(), targets) / n
    assert mean_loss(head, hidden, targets).item() == pytest.approx(expected, rel=1e-10)


def over_all_positions(head, hidden, targets):
    return masked_lm_loss(head, hidden, targets) / targets.numel()


def mask_after_reduction(head, hidden, targets):
    counted = targets != IGNORE
    loss = F.cross_entropy(head(hidden).flatten(0, 1), targets.clamp(min=0).flatten())
    return (loss * counted).sum() / counted.sum()


def softmax_before(head, hidden, targets):
    at, wanted = at_targets(hidden, targets)
    return F.cross_entropy(head(at).softmax(-1), wanted)


def mean_of_rows(head, hidden, targets):
    rows = [F.cross_entropy(head(h), t) for h, t in zip(hidden, targets, strict=True)]
    return torch.stack(rows).mean()


def token_0_ignored(head, hidden, targets):
    at, wanted = at_targets(hidden, targets)
    return F.cross_entropy(head(at), wanted, ignore_index=0)


@pytest.mark.parametrize(
    "mutant",
    [
        over_all_positions,
        mask_after_reduction,
        softmax_before,
        mean_of_rows,
        token_0_ignored,
    ],
)
def test_mistakes_in_the_loss_are_noticed(mutant, device):
    check_loss(our_mean, device)
    with pytest.raises(AssertionError):
        check_loss(mutant, device)


def test_the_head_sees_the_targets_alone():
    masked, model = objective(), Model(V, "mlm")
    batch, sizes = masked.batch(0), []
    model.heads["mlm"].register_forward_hook(lambda *a: sizes.append(a[2].shape[0]))
    masked.losses(model, batch)
    assert sizes == [masked.counts(batch)["mlm"]]


# -- Bad input ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.0}, "share must be above 0"),
        ({"share": 1.5}, "share must be above 0"),
        ({"mask_share": 0.95}, "add to more than 1"),
        ({"random_share": -0.1}, "must not be negative"),
        ({"mask_share": float("nan")}, "must not be negative"),
        ({"copies": 0}, "copies must be None or at least 1"),
        ({"vocab_size": 5}, "only special tokens"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MaskedLM(PackedSequences(C, SPECIAL, **ROWS), **{"vocab_size": V, **options})
