"""lmlib.transformer against torch.nn's layers, `MultiHeadAttention`, and promises."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lmlib.attention import MultiHeadAttention, causal_mask, combine_masks
from lmlib.positions import Rotary, alibi_bias
from lmlib.transformer import (
    Attention,
    Cache,
    FeedForward,
    Transformer,
    TransformerConfig,
    count_parameters,
)

# Between float32 programs that round in another order, on values of order 1.
TOLERANCE = {"atol": 2e-6, "rtol": 2e-5}
POSITIONS = ["learned", "sinusoidal", "rotary", "alibi", "t5"]
ENCODER = TransformerConfig(
    vocab_size=37, d_model=24, n_layers=3, n_heads=3, d_ff=40, max_len=32
)
DECODER = replace(ENCODER, causal=True, norm_first=True, embedding_norm=False)

by_positions = pytest.mark.parametrize("positions", POSITIONS)
by_kind = pytest.mark.parametrize(
    "config", [ENCODER, DECODER], ids=["encoder", "decoder"]
)


def make(config: TransformerConfig, device: torch.device | str = "cpu") -> Transformer:
    """In eval mode, with weights large enough that order and masks matter."""
    model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.to(device).eval()


def tokens(batch: int, length: int, device: torch.device | str = "cpu") -> Tensor:
    return torch.randint(37, (batch, length)).to(device)


def assert_close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, **TOLERANCE)


# -- The blocks, against torch.nn -----------------------------------------------------


def copy_attention(ours: Attention, theirs: nn.MultiheadAttention) -> None:
    if ours.from_context:
        weights = torch.cat((ours.query.weight, ours.key_value.weight))
        biases = torch.cat((ours.query.bias, ours.key_value.bias))
    else:
        weights, biases = ours.qkv.weight, ours.qkv.bias
    theirs.in_proj_weight.copy_(weights)
    theirs.in_proj_bias.copy_(biases)
    theirs.out_proj.load_state_dict(ours.output.state_dict())


@pytest.mark.parametrize("norm_first", [True, False], ids=["pre-norm", "post-norm"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("cross", [False, True], ids=["self", "cross"])
def test_block_is_that_of_torch_nn(norm_first, activation, cross, device):
    config = replace(
        ENCODER,
        norm_first=norm_first,
        activation=activation,
        cross_attention=cross,
        causal=cross,
        norm_eps=1e-5,
    )
    block = make(config, device).blocks[0]
    kind = nn.TransformerDecoderLayer if cross else nn.TransformerEncoderLayer
    theirs = kind(
        24, 3, 40, activation=activation, norm_first=norm_first, batch_first=True
    )
    theirs = theirs.to(device).eval()
    norms = ["attention_norm", "feed_forward_norm"]
    with torch.no_grad():
        copy_attention(block.attention, theirs.self_attn)
        if cross:
            copy_attention(block.cross_attention, theirs.multihead_attn)
            norms.insert(1, "cross_norm")
        theirs.linear1.load_state_dict(block.feed_forward.up.state_dict())
        theirs.linear2.load_state_dict(block.feed_forward.down.state_dict())
        for i, name in enumerate(norms, start=1):
            norm = getattr(theirs, f"norm{i}")
            norm.load_state_dict(getattr(block, name).state_dict())
    x = torch.randn(2, 7, 24, device=device)
    padding = torch.arange(7, device=device) < torch.tensor([[7], [4]], device=device)
    if cross:
        memory = torch.randn(2, 5, 24, device=device)
        seen = torch.arange(5, device=device) < torch.tensor([[3], [5]], device=device)
        causal = causal_mask(7, device=device)
        expected = theirs(x, memory, ~causal, memory_key_padding_mask=~seen)
        got, _, _ = block(x, None, memory, seen[:, None, None], causal=True)
        assert_close(got, expected)
    else:
        # Their fused path returns zeros at padding: compare what is real.
        expected = theirs(x, src_key_padding_mask=~padding)
        got, _, _ = block(x, padding[:, None, None])
        assert_close(got[padding], expected[padding])


@by_positions
@by_kind
def test_attention_is_multi_head_attention_with_the_scheme_of_positions(
    positions, config, device
):
    config = replace(config, positions=positions)
    model = make(config, device)
    attention = model.blocks[0].attention
    oracle = MultiHeadAttention(
        24, 3, rotate=Rotary() if positions == "rotary" else None
    ).to(device)
    with torch.no_grad():
        for i, name in enumerate(("query", "key", "value")):
            part = getattr(oracle, name)
            part.weight.copy_(attention.qkv.weight[24 * i : 24 * (i + 1)])
            part.bias.copy_(attention.qkv.bias[24 * i : 24 * (i + 1)])
        oracle.output.load_state_dict(attention.output.state_dict())
    x = torch.randn(2, 9, 24, device=device)
    bias = {
        "alibi": lambda: alibi_bias(3, 9, device=device),
        "t5": lambda: model.relative_bias(9),
    }.get(positions, lambda: None)()
    causal = causal_mask(9, device=device) if config.causal else None
    mask = model.mask(tokens(2, 9, device), None, None, 0)
    if positions in ("learned", "sinusoidal", "rotary"):
        assert mask is None  # so that the kernel is told "causal" instead
    expected = oracle(x, mask=combine_masks(causal, bias))
    with torch.no_grad():
        got, weights = attention(x, mask=mask, causal=config.causal and mask is None)
    assert weights is None
    assert_close(got, expected)


def test_grouped_queries_and_their_norms(device):
    """Against `MultiHeadAttention`, with the norm as a part of the rotation."""
    config = replace(
        DECODER, n_heads=6, n_kv_heads=2, qk_norm=True, norm="rms", positions="rotary"
    )
    config = replace(config, bias=False, qkv_bias=True, rotary_interleaved=False)
    attention = make(config, device).blocks[0].attention
    norms = iter([attention.query_norm, attention.key_norm])
    rotate = Rotary(interleaved=False)
    oracle = MultiHeadAttention(
        24, 6, n_kv_heads=2, rotate=lambda x, at: rotate(next(norms)(x), at)
    ).to(device)
    with torch.no_grad():
        for name, rows in zip(
            ("query", "key", "value"),
            torch.arange(40).split([24, 8, 8]),
            strict=True,
        ):
            part = getattr(oracle, name)
            part.weight.copy_(attention.qkv.weight[rows])
            part.bias.copy_(attention.qkv.bias[rows])
        assert attention.output.bias is None
        oracle.output.weight.copy_(attention.output.weight)
        oracle.output.bias.zero_()
    x = torch.randn(2, 9, 24, device=device)
    got, _ = attention(x, causal=True)
    assert_close(got, oracle(x, mask=causal_mask(9, device=device)))
    same, weights = attention(x, causal=True, return_weights=True)
    assert_close(same, got)
    assert weights.shape == (2, 6, 9, 9)


def test_biases_of_their_own():
    config = replace(DECODER, bias=False, ff_bias=True, n_kv_heads=1)
    names = {name for name, _ in make(config).blocks[0].named_parameters()}
    assert {n for n in names if n.endswith("bias") and "norm" not in n} == {
        "feed_forward.up.bias",
        "feed_forward.down.bias",
    }


def test_gated_feed_forward_by_hand():
    layer = FeedForward(replace(ENCODER, gated=True, activation="gelu_tanh"))
    x = torch.randn(4, 24)
    gate, up = layer.up.weight[:40], layer.up.weight[40:]
    g = x @ gate.T + layer.up.bias[:40]
    act = 0.5 * g * (1 + torch.tanh(math.sqrt(2 / math.pi) * (g + 0.044715 * g**3)))
    inner = act * (x @ up.T + layer.up.bias[40:])
    assert_close(layer(x), inner @ layer.down.weight.T + layer.down.bias)


def test_rms_norm_and_no_bias():
    model = make(replace(DECODER, norm="rms", bias=False))
    names = {name.rpartition(".")[2] for name, _ in model.named_parameters()}
    assert names == {"weight", "table"}
    x = torch.randn(5, 24)
    expected = x / (x.pow(2).mean(-1, keepdim=True) + 1e-12).sqrt()
    assert_close(model.final_norm(x), expected * model.final_norm.weight)


def test_scores_without_scale():
    model = make(replace(ENCODER, scale_scores=False))
    x = torch.randn(1, 6, 24)
    query, key, _ = model.blocks[0].attention.qkv(x).view(6, 3, 3, 8).unbind(1)
    scores = torch.einsum("qhd,khd->hqk", query, key)
    _, weights = model.blocks[0].attention(x, return_weights=True)
    assert_close(weights[0], scores.softmax(-1))


# -- What a position may see ----------------------------------------------------------


@by_positions
def test_decoder_sees_no_future(positions, device):
    model = make(replace(DECODER, positions=positions), device)
    ids = tokens(2, 10, device)
    changed = ids.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % 37
    before, after = model(ids).hidden, model(changed).hidden
    assert torch.equal(before[:, :6], after[:, :6])
    assert ((before - after).abs().amax(-1)[:, 6:] > 1e-3).all()


@by_positions
def test_encoder_sees_the_future(positions):
    model = make(replace(ENCODER, positions=positions))
    ids = tokens(1, 10)
    changed = ids.clone()
    changed[:, 9] = (changed[:, 9] + 1) % 37
    difference = (model(ids).hidden - model(changed).hidden).abs().amax(-1)
    assert (difference > 1e-4).all()


@pytest.mark.parametrize("positions", [*POSITIONS, "none"])
def test_order_matters_unless_there_are_no_positions(positions):
    model = make(replace(ENCODER, positions=positions))
    ids, order = tokens(1, 8), torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])
    straight, shuffled = model(ids).hidden[:, order], model(ids[:, order]).hidden
    same = torch.allclose(straight, shuffled, **TOLERANCE)
    assert same == (positions == "none")


@by_positions
@by_kind
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_changes_nothing(positions, config, side, device):
    model = make(replace(config, positions=positions), device)
    ids = tokens(1, 5, device)
    padding = tokens(1, 4, device)
    parts = (ids, padding) if side == "right" else (padding, ids)
    mask = torch.arange(9, device=device)[None] < 5
    mask = mask if side == "right" else mask.flip(1)
    position_ids = (mask.cumsum(1) - 1).clamp(min=0)
    padded = model(torch.cat(parts, dim=1), mask, position_ids=position_ids).hidden
    assert_close(padded[mask], model(ids).hidden[0])


@by_positions
@by_kind
def test_packed_documents_are_those_documents_alone(positions, config, device):
    model = make(replace(config, positions=positions), device)
    documents = [tokens(1, n, device) for n in (4, 1, 6)]
    lengths = [4, 1, 6]
    packed = torch.cat([*documents, tokens(1, 2, device)], dim=1)
    document_ids = torch.tensor([0] * 4 + [1] + [2] * 6 + [-1] * 2, device=device)
    position_ids = torch.cat([torch.arange(n) for n in (*lengths, 2)]).to(device)
    got = model(
        packed, position_ids=position_ids[None], document_ids=document_ids[None]
    ).hidden
    assert got.isfinite().all()
    for part, alone in zip(got[0].split([*lengths, 2])[:3], documents, strict=True):
        assert_close(part, model(alone).hidden[0])


def test_gradients_are_finite_where_padding_sees_nothing(device):
    model = make(replace(DECODER, positions="t5"), device)
    mask = torch.tensor([[False, False, True, True]], device=device)
    model(tokens(1, 4, device), mask).hidden[mask].sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_padding_gets_no_gradient_from_real_positions():
    model = make(ENCODER)
    ids = torch.tensor([[1, 2, 3, 36, 36]])
    model(ids, ids != 36).hidden[:, :3].square().sum().backward()
    assert model.embeddings.token.weight.grad[36].abs().max() == 0
    assert model.embeddings.token.weight.grad[1].abs().max() > 0


# -- Cache ----------------------------------------------------------------------------


@by_positions
@pytest.mark.parametrize("chunks", [[1] * 9, [5, 1, 3], [9]], ids=str)
def test_cache_equals_the_full_pass(positions, chunks, device):
    model = make(replace(DECODER, positions=positions), device)
    ids, cache = tokens(2, 9, device), Cache()
    got = [model(chunk, cache=cache).hidden for chunk in ids.split(chunks, dim=1)]
    assert cache.length == 9
    assert_close(torch.cat(got, dim=1), model(ids).hidden)


def test_a_forked_cache_goes_on_by_itself(device):
    model = make(DECODER, device)
    ids, cache = tokens(3, 9, device), Cache()
    model(ids[:1, :5], cache=cache)
    other = cache.fork()
    got = model(ids[1:2, 5:], cache=other).hidden
    assert (cache.length, other.length) == (5, 9)
    both = torch.cat((ids[:1, :5], ids[1:2, 5:]), dim=1)
    assert_close(got, model(both).hidden[:, 5:])
    got = model(ids[2:, 5:], cache=cache).hidden  # as if there were no fork
    both = torch.cat((ids[:1, :5], ids[2:, 5:]), dim=1)
    assert_close(got, model(both).hidden[:, 5:])


def test_a_cache_goes_on_with_the_rows_that_are_kept(device):
    model = make(DECODER, device)
    ids, cache = tokens(3, 9, device), Cache()
    model(ids[:, :5], cache=cache)
    rows = torch.tensor([2, 0, 2], device=device)
    cache.keep(rows)
    continued = model(ids[rows][:, 5:], cache=cache).hidden
    assert_close(continued, model(ids[rows]).hidden[:, 5:])


def test_cache_with_padding_on_the_left(device):
    model = make(DECODER, device)
    ids, cache = tokens(2, 8, device), Cache()
    mask = torch.ones(2, 8, dtype=torch.bool, device=device)
    mask[0, :3] = False
    position_ids = (mask.cumsum(1) - 1).clamp(min=0)
    full = model(ids, mask, position_ids=position_ids).hidden
    first = model(
        ids[:, :5], mask[:, :5], position_ids=position_ids[:, :5], cache=cache
    )
    rest = model(ids[:, 5:], mask, position_ids=position_ids[:, 5:], cache=cache)
    got = torch.cat((first.hidden, rest.hidden), dim=1)
    assert_close(got[mask], full[mask])


def test_cache_of_a_model_whose_layers_share_a_block(device):
    model = make(replace(DECODER, n_groups=1), device)
    ids, cache = tokens(2, 6, device), Cache()
    got = [model(chunk, cache=cache).hidden for chunk in ids.split(2, dim=1)]
    assert_close(torch.cat(got, dim=1), model(ids).hidden)


def test_cache_of_cross_attention_projects_the_memory_once(device):
    model = make(replace(DECODER, cross_attention=True), device)
    ids, cache = tokens(2, 6, device), Cache()
    memory = torch.randn(2, 4, 24, device=device)
    full = model(ids, memory=memory).hidden
    calls: list[int] = []
    for block in model.blocks:
        layer = block.cross_attention.key_value
        layer.register_forward_hook(lambda *_: calls.append(1))
    got = [
        model(chunk, memory=memory, cache=cache).hidden for chunk in ids.split(2, dim=1)
    ]
    assert len(calls) == 3
    assert_close(torch.cat(got, dim=1), full)


# -- Everything that is returned ------------------------------------------------------


@by_positions
@by_kind
def test_return_all_is_the_same_computation(positions, config, device):
    model = make(replace(config, positions=positions), device)
    ids = tokens(2, 7, device)
    mask = torch.arange(7, device=device) < torch.tensor([[7], [4]], device=device)
    everything = model(ids, mask, return_all=True)
    assert_close(everything.hidden[mask], model(ids, mask).hidden[mask])
    assert len(everything.hidden_states) == 4
    assert everything.hidden_states[-1] is everything.hidden
    embeddings = model.embeddings(ids)
    assert torch.equal(everything.hidden_states[0], embeddings)
    assert everything.cross_attentions is None
    for weights in everything.attentions:
        assert weights.shape == (2, 3, 7, 7)
        assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))
        assert weights[1, :, :4, 4:].abs().max() == 0
        if config.causal:
            assert weights.triu(1).abs().max() == 0


def test_dropout_is_for_training_alone(device):
    model = make(ENCODER, device)
    ids = tokens(2, 7, device)
    assert torch.equal(model(ids).hidden, model(ids).hidden)
    model.train()
    assert not torch.equal(model(ids).hidden, model(ids).hidden)


@pytest.mark.parametrize("name", ["dropout", "attention_dropout", "ff_dropout"])
def test_each_dropout_acts_by_itself(name):
    none = {"dropout": 0.0, "attention_dropout": 0.0, "ff_dropout": 0.0}
    ids = tokens(2, 7)
    quiet = make(replace(ENCODER, **none)).train()
    assert torch.equal(quiet(ids).hidden, quiet(ids).hidden)
    noisy = make(replace(ENCODER, **(none | {name: 0.3}))).train()
    assert not torch.equal(noisy(ids).hidden, noisy(ids).hidden)


# -- Embeddings -----------------------------------------------------------------------


def test_embeddings_add_and_norm_and_project():
    config = replace(ENCODER, n_segments=2, d_embedding=10)
    embeddings = make(config).embeddings
    ids, segments = tokens(2, 5), torch.tensor([[0, 0, 1, 1, 1], [0] * 5])
    x = embeddings.token.weight[ids] + embeddings.segment.weight[segments]
    x = x + embeddings.position.table[:5]
    x = nn.functional.layer_norm(x, (10,), eps=1e-12)
    x = x * embeddings.norm.weight + embeddings.norm.bias
    x = x @ embeddings.project.weight.T + embeddings.project.bias
    assert_close(embeddings(ids, segments), x)
    assert torch.equal(embeddings(ids[1:]), embeddings(ids[1:], segments[1:]))


def test_positions_that_skip_padding_start_after_its_id():
    embeddings = make(replace(ENCODER, pad_id=4)).embeddings
    # fairseq's rule: padding has its own id for position, others pad + 1, pad + 2 …
    ids = torch.tensor([[4, 4, 9, 4, 8], [9, 9, 8, 4, 4]])
    places = torch.tensor([[4, 4, 5, 4, 6], [5, 6, 7, 4, 4]])
    x = embeddings.token.weight[ids] + embeddings.position.table[places]
    assert_close(embeddings(ids), embeddings.norm(x))
    given = torch.tensor([[0, 1, 0, 1, 2]])
    x = embeddings.token.weight[ids[:1]] + embeddings.position.table[given + 5]
    assert_close(embeddings(ids[:1], position_ids=given), embeddings.norm(x))


# -- Parameters -----------------------------------------------------------------------


def test_shared_layers_are_counted_once_and_used_by_all():
    one, all_ = replace(ENCODER, n_groups=1), ENCODER
    block = count_parameters(make(one).blocks[0])
    assert count_parameters(make(all_)) - count_parameters(make(one)) == 2 * block
    model = make(replace(ENCODER, n_layers=4, n_groups=2))
    used: list[int] = []
    for i, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, i=i: used.append(i))
    model(tokens(1, 3))
    assert used == [0, 0, 1, 1]


def test_initial_weights():
    config = TransformerConfig(
        vocab_size=500, d_model=128, n_layers=8, n_heads=4, norm_first=True
    )
    model = Transformer(config)
    block = model.blocks[3]
    for weight, std in (
        (model.embeddings.token.weight, 0.02),
        (model.embeddings.position.table, 0.02),
        (block.attention.qkv.weight, 0.02),
        # the two that write to the residual stream: 0.02 / √(2·8)
        (block.attention.output.weight, 0.005),
        (block.feed_forward.down.weight, 0.005),
    ):
        assert weight.std().item() == pytest.approx(std, rel=0.05)  # > 16,000 draws
    assert block.attention.qkv.bias.abs().max() == 0
    assert torch.equal(block.attention_norm.weight, torch.ones(128))


def test_replacing_a_size_derives_the_others_anew():
    assert replace(ENCODER, d_ff=None, d_model=48).ff_size == 192
    assert replace(ENCODER, d_model=48).attention_size == 48
    assert replace(ENCODER, d_model=48).embedding_size == 48


def test_d_head_of_its_own():
    model = make(replace(ENCODER, d_head=10))
    assert model.blocks[0].attention.qkv.weight.shape == (90, 24)
    assert model(tokens(2, 4)).hidden.shape == (2, 4, 24)


# -- Errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": 0}, "d_model must be at least 1, got 0"),
        ({"n_heads": 5}, "n_heads must divide d_model"),
        ({"n_kv_heads": 2}, "n_kv_heads must divide n_heads; got n_kv_heads = 2, n"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\)"),
        ({"positions": "absolute"}, "positions must be one of learned"),
        ({"activation": "swish"}, "activation must be one of gelu"),
        ({"norm": "batch"}, "norm must be one of layer, rms"),
        ({"n_groups": 4}, "n_groups must be at most n_layers = 3, got 4"),
        ({"n_segments": -1}, "n_segments must not be negative"),
        ({"pad_id": 31}, "pad_id is for learned positions and must leave room"),
        ({"pad_id": 0, "positions": "t5"}, "pad_id is for learned positions"),
    ],
)
def test_config_says_what_is_wrong(change, message, no_runtime_types):
    with pytest.raises(ValueError, match=message):
        replace(ENCODER, **change)


@pytest.mark.parametrize("value", [24.0, "24", None])
def test_sizes_are_whole_numbers(value, no_runtime_types):
    with pytest.raises(
        TypeError, match=rf"d_model must be a whole number, got .?{value}"
    ):
        replace(ENCODER, d_model=value)
    assert replace(ENCODER, d_model=np.int64(48)).attention_size == 48


IDS = torch.zeros(2, 5, dtype=torch.long)


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        (ENCODER, {"token_ids": IDS.repeat(1, 7)}, "at most 32 positions"),
        (
            replace(ENCODER, pad_id=1),
            {"token_ids": IDS.repeat(1, 7)[:, :31]},
            "at most 30 positions",
        ),
        (ENCODER, {"token_ids": IDS[0]}, r"must be \[batch, length\], got \(5,\)"),
        (ENCODER, {"token_ids": IDS + 37}, "token_ids must be in 0 … 36, got 37"),
        (ENCODER, {"token_ids": IDS - 1}, "token_ids must be in 0 … 36, got -1"),
        (ENCODER, {"position_ids": IDS + 32}, "position_ids must be in 0 … 31, got 32"),
        (
            replace(ENCODER, pad_id=1),
            {"position_ids": IDS + 30},
            "position_ids must be in 0 … 29, got 30",
        ),
        (
            replace(ENCODER, n_segments=2),
            {"segment_ids": IDS + 2},
            "segment_ids must be in 0 … 1, got 2",
        ),
        (ENCODER, {"position_ids": IDS[:1]}, "position_ids must have the shape of tok"),
        (ENCODER, {"document_ids": IDS[:, :4]}, "document_ids must have the shape of"),
        (
            replace(ENCODER, n_segments=2),
            {"segment_ids": IDS[:1]},
            "segment_ids must have the shape of token_ids",
        ),
        (
            replace(DECODER, cross_attention=True),
            {"memory": torch.zeros(1, 3, 24)},
            r"memory must be .* batch = 2 and d_model = 24, got \(1, 3, 24\)",
        ),
        (
            replace(DECODER, cross_attention=True),
            {"memory": torch.zeros(2, 3, 24), "memory_mask": IDS[:, :1].bool()},
            r"memory_mask must have .*\(2, 3\); got \(2, 1\)",
        ),
        (ENCODER, {"attention_mask": IDS[:, :4].bool()}, "attention_mask must have"),
        (ENCODER, {"segment_ids": IDS}, "n_segments = 0"),
        (ENCODER, {"memory": torch.zeros(2, 3, 24)}, "memory must be given to a model"),
        (replace(DECODER, cross_attention=True), {}, "memory must be given to a model"),
        (ENCODER, {"cache": Cache()}, "cache is for causal models"),
        (DECODER, {"cache": Cache(), "document_ids": IDS}, "cannot be combined"),
    ],
)
def test_forward_says_what_is_wrong(config, arguments, message, no_runtime_types):
    model = make(config)
    with pytest.raises(ValueError, match=message):
        model(**({"token_ids": IDS} | arguments))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_masks_of_zeros_and_ones_are_refused(dtype, no_runtime_types):
    """A float mask used to be added to the scores: padding was seen, without error."""
    mask = torch.ones(2, 5, dtype=dtype)
    with pytest.raises(TypeError, match=r"attention_mask must be boolean.*\.bool\(\)"):
        make(ENCODER)(IDS, mask)
    model = make(replace(DECODER, cross_attention=True))
    with pytest.raises(TypeError, match="memory_mask must be boolean"):
        model(IDS, memory=torch.zeros(2, 5, 24), memory_mask=mask)


def test_token_ids_that_are_no_integers_are_refused(no_runtime_types):
    with pytest.raises(
        TypeError, match=r"token_ids must be integers, got torch\.float"
    ):
        make(ENCODER)(IDS.float())


def test_attention_rotates_by_the_base_of_its_config():
    config = TransformerConfig(9, 8, 1, 2, positions="rotary", rotary_base=500.0)
    assert Attention(config).rotate.base == 500.0
