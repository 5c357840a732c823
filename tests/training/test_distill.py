"""A student learns from a teacher, and the teacher from nobody."""

import copy

import pytest
import torch
import torch.nn.functional as F

from lmlib.losses import IGNORE
from lmlib.objectives.objective import minimised
from lmlib.training.distill import (
    Distillation,
    attention_loss,
    cosine_loss,
    hidden_loss,
    layer_map,
    spread,
    student_of,
    with_projection,
)
from lmlib.training.finetune import TaskObjective, initialise, weights_digest
from lmlib.training.loop import train
from lmlib.training.pretrain import Size, make_model, make_objective
from lmlib.training.settings import Settings
from lmlib.training.tasks import task_data
from tests.training.samples import SIZE, TOKENIZER, corpus, sentences

ALL = {"labels": 1.0, "soft": 1.0, "hidden": 1.0, "cosine": 1.0, "attention": 1.0}
RECIPES = {"mlm": "mlm", "causal": "lm"}


def model(recipe="mlm", size=SIZE, seed=0):
    torch.manual_seed(seed)
    return make_model(recipe, TOKENIZER.special, TOKENIZER.size, size)


def objective(recipe="mlm"):
    return make_objective(
        recipe, corpus(), TOKENIZER.special, TOKENIZER.size, length=24, batch_size=8
    )


def distillation(teacher, recipe="mlm", weights=ALL, **options):
    options = {"layers": [(0, 0), (1, 2)], "temperature": 3.0} | options
    return Distillation(
        objective(recipe), teacher, head=RECIPES[recipe], weights=weights, **options
    )


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_parts_are_those_of_the_papers(recipe, device):
    teacher = model(recipe, seed=1).to(device)
    student = student_of(model(recipe, seed=2), [0]).eval().to(device)
    with torch.no_grad():
        for p in (*student.parameters(), *teacher.parameters()):
            p.mul_(3)  # opinions
    distilling = distillation(teacher, recipe)
    batch = {k: v.to(device) for k, v in objective(recipe).batch(0).items()}
    batch["attention_mask"] = torch.arange(24, device=device) < torch.tensor(
        [[24], [20]] * 4, device=device
    )
    batch["targets"] = batch["targets"].masked_fill(~batch["attention_mask"], IGNORE)
    counts = distilling.counts(batch)
    means = {p: s / counts[p] for p, s in distilling.losses(student, batch).items()}
    ids, mask = batch["token_ids"], batch["attention_mask"]
    with torch.no_grad():
        a = student.backbone(ids, mask, return_all=True)
        b = teacher.eval().backbone(ids, mask, return_all=True)
        wanted = batch["targets"]
        here = wanted != IGNORE
        s, t = (
            m.heads[RECIPES[recipe]](out.hidden[here]).double()
            for m, out in ((student, a), (teacher, b))
        )
    soft = 9 * F.kl_div(
        (s / 3).log_softmax(-1), (t / 3).softmax(-1), reduction="batchmean"
    )
    expected = {
        "labels": F.cross_entropy(s, wanted[here]),
        "soft": soft,
        "cosine": 1 - F.cosine_similarity(a.hidden, b.hidden, dim=-1)[mask].mean(),
        "hidden": (
            F.mse_loss(a.hidden_states[0][mask], b.hidden_states[0][mask])
            + F.mse_loss(a.hidden_states[1][mask], b.hidden_states[2][mask])
        )
        / 2,
        "attention": torch.stack(
            [
                F.kl_div(
                    a.attentions[0][i, :, q].double().clamp(min=1e-30).log(),
                    b.attentions[1][i, :, q].double(),
                    reduction="batchmean",
                )
                for i, q in mask.nonzero().tolist()
            ]
        ).mean(),
    }
    for part, value in expected.items():
        # float32 sums against float64
        assert means[part].item() == pytest.approx(value.item(), rel=2e-4), part


def test_a_weight_is_in_what_is_minimised_and_not_in_what_is_reported():
    teacher, student = model(seed=1), model(seed=2)
    one, other = (
        distillation(teacher, weights={"labels": 1.0, "cosine": weight})
        for weight in (1.0, 7.0)
    )
    batch = one.batch(0)
    plain, weighted = one.losses(student, batch), other.losses(student, batch)
    assert plain == weighted
    assert minimised(other, weighted).item() == pytest.approx(
        plain["labels"].item() + 7 * plain["cosine"].item(), rel=1e-6
    )


def test_a_perfect_student_has_nothing_to_learn():
    teacher = model()
    student = copy.deepcopy(teacher)
    weights = {part: 1.0 for part in ALL if part != "labels"}
    distilling = distillation(teacher, weights=weights, layers=layer_map(2, 2))
    losses = distilling.losses(student, distilling.batch(0))
    for part, value in losses.items():
        assert value.item() == pytest.approx(0, abs=1e-2), part
    sum(losses.values()).backward()
    for name, parameter in student.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.abs().max() < 1e-3, name


def test_the_gradient_of_soft_targets_keeps_its_size_when_the_temperature_rises():
    sizes = []
    for temperature in (5.0, 50.0):
        student = model(seed=2)
        distilling = distillation(
            model(seed=1), weights={"soft": 1.0}, temperature=temperature
        )
        distilling.losses(student, distilling.batch(0))["soft"].backward()
        sizes.append(student.heads["mlm"].bias.grad.norm())
    # Without T² the second would be a hundredth of the first.
    assert sizes[1] > 0.5 * sizes[0]


def test_the_teacher_is_never_trained():
    teacher = model(size=Size(16, 2, 4, 24, dropout=0.5))
    before = weights_digest(teacher)
    modes = []
    teacher.backbone.register_forward_hook(
        lambda module, *_: modes.append((module.training, torch.is_grad_enabled()))
    )
    student = student_of(teacher, [1])
    student.backbone._forward_hooks.clear()
    teacher.train()  # whatever somebody does to it later
    distilling = distillation(teacher)
    teacher.train()
    train(student, distilling, Settings(steps=5, lr=0.01))
    assert weights_digest(teacher) == before
    assert weights_digest(student) != weights_digest(student_of(teacher, [1]))
    assert modes == [(False, False)] * 5
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


def test_a_teacher_is_not_compared_with_itself():
    teacher = model()
    distilling = distillation(teacher, layers=layer_map(2, 2))
    with pytest.raises(ValueError, match="compared with itself"):
        distilling.losses(teacher, distilling.batch(0))
    # Nor with a student that is made of its modules.
    half = model(seed=3)
    half.backbone.blocks[0] = teacher.backbone.blocks[0]
    with pytest.raises(ValueError, match="share parameters"):
        distilling.losses(half, distilling.batch(0))


def test_the_student_learns_the_teachers_mind():
    teacher, student = model(seed=1), model(seed=2)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(3)
    distilling = distillation(teacher, weights={"soft": 1.0})
    run = train(student, distilling, Settings(steps=60, lr=0.02, warmup=5))
    losses = run.losses("soft")
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_a_task_can_be_distilled():
    task = task_data("classification", sentences(40), ("bad", "good"))
    teacher = initialise(model(), task)
    student = student_of(teacher, [1])
    batches = TaskObjective(task, TOKENIZER, student, length=24, batch_size=8)
    distilling = Distillation(
        batches, teacher, head="task", weights={"labels": 1.0, "soft": 1.0}
    )
    assert distilling.counts(distilling.batch(0)) == {"labels": 8, "soft": 8}
    run = train(student, distilling, Settings(steps=3))
    assert set(run.history[0]["losses"]) == {"labels", "soft"}


def test_padding_and_masked_keys_cost_nothing():
    teacher = torch.rand(2, 3, 4, 4).softmax(-1)
    student = torch.rand(2, 3, 4, 4)
    for maps in (teacher, student):
        maps[..., 2:] = 0.0
        maps /= maps.sum(-1, keepdim=True)
    real = torch.tensor([[True, True, False, False]] * 2)
    got = attention_loss(student, teacher, real)
    assert torch.isfinite(got)
    expected = F.kl_div(
        student[..., :2, :2].log(), teacher[..., :2, :2], reduction="sum"
    )
    torch.testing.assert_close(got, expected / 3)
    states = torch.randn(2, 2, 4, 5)
    states[:, ~real] = torch.nan
    assert torch.isfinite(hidden_loss(*states, real))
    assert torch.isfinite(cosine_loss(*states, real))


def test_a_student_starts_from_the_teachers_layers():
    teacher = model(size=Size(16, 4, 4, 24))
    student = student_of(teacher, spread(2, 4))
    state, theirs = student.state_dict(), teacher.state_dict()
    for name, tensor in state.items():
        name = name.replace("blocks.1.", "blocks.2.")
        assert torch.equal(tensor, theirs[name]), name
    assert student.config.n_layers == student.backbone.config.n_layers == 2
    assert all(p.requires_grad for p in student.parameters())
    own = {id(p) for p in teacher.parameters()}
    assert not any(id(p) in own for p in student.parameters())
    ids = torch.randint(200, (1, 5))
    assert student(ids)["mlm"].shape == (1, 5, TOKENIZER.size)


def test_a_narrower_student_learns_through_a_projection():
    student = model(size=Size(8, 1, 4, 24))
    wrapped = with_projection(student, 16)
    distilling = distillation(model(seed=1), layers=layer_map(1, 2))
    before = weights_digest(student)
    train(wrapped, distilling, Settings(steps=2))
    assert weights_digest(student) != before
    assert "project" not in student.heads


def test_layers_are_mapped_evenly():
    assert layer_map(4, 12) == [(0, 0), (1, 3), (2, 6), (3, 9), (4, 12)]  # TinyBERT
    assert spread(6, 12) == [0, 2, 4, 6, 8, 10]  # every second one
    with pytest.raises(ValueError, match="must be a multiple"):
        layer_map(5, 12)
    with pytest.raises(ValueError, match="1 … 4 layers, got 5"):
        spread(5, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": {"labels": 0.0}}, "weights must be positive"),
        ({"weights": {"logits": 1.0}}, "for parts among labels, soft"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"layers": []}, "need layers to compare"),
        ({"weights": {"attention": 1.0}, "layers": [(0, 0)]}, "need layers"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        distillation(model(), **options)


def test_shared_layers_make_no_student():
    albert = make_model("mlm", TOKENIZER.special, TOKENIZER.size, SIZE, "albert")
    with pytest.raises(ValueError, match="not shared"):
        student_of(albert, [0])
    with pytest.raises(ValueError, match="layers must be among 0 … 1"):
        student_of(model(), [2])


def test_attention_of_other_numbers_of_heads_is_refused(no_runtime_types):
    maps = torch.rand(1, 2, 3, 3)
    with pytest.raises(ValueError, match="head by head"):
        attention_loss(maps, torch.rand(1, 4, 3, 3), torch.ones(1, 3).bool())
