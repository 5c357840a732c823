"""The loop against one written by hand, and against itself killed."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lmlib.training import muon
from lmlib.training.checkpoints import read_history
from lmlib.training.loop import scores_of, train, validation_loss
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings
from tests.training.toys import SETTINGS, Objective, Toy

ROOT = Path(__file__).parents[2]


def by_hand(model, objective, steps, sum_counts=1.0):
    """What `train` promises, from PyTorch's parts: means over all targets."""
    decay = [
        p for p in model.parameters() if p.ndim > 1 and p.requires_grad
    ]  # tied once
    rest = [p for p in model.parameters() if p.ndim < 2 and p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
        lr=0.01,
        betas=(0.9, 0.98),
        foreach=False,
    )
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: (s + 1) / 2 if s < 2 else 1 - (s - 2) / (steps - 2)
    )
    losses = {"word": [], "sum": []}
    for step in range(steps):
        batch = objective.batch(step)
        hidden = model.backbone(batch["token_ids"])
        word = F.cross_entropy(
            model.heads["word"](hidden).flatten(0, 1), batch["targets"].flatten()
        )
        odd = F.cross_entropy(model.heads["sum"](hidden.mean(1)), batch["labels"])
        optimizer.zero_grad()
        (word + sum_counts * odd).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        rates.step()
        losses["word"].append(word.item())
        losses["sum"].append(odd.item())
    return losses


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("sum_counts", [1.0, 3.0])
def test_same_as_a_loop_written_by_hand(accumulate, sum_counts):
    expected, model = Toy(), Toy()
    model.load_state_dict(expected.state_dict())
    settings = Settings(
        steps=10,
        lr=0.01,
        warmup=2,
        weight_decay=0.1,
        clip=0.5,
        accumulate=accumulate,
        precision="fp32",
    )
    objective = Objective()
    if sum_counts != 1:
        objective.weights = {"sum": sum_counts}
    losses = by_hand(expected, objective, 10, sum_counts)
    result = train(model, objective, settings)
    # Six rows in four pieces have 1, 2, 1 and 2: a mean of their means would be off by
    # tens of percent. Sums in another order: 1e-6.
    for part, values in losses.items():
        np.testing.assert_allclose(result.losses(part), values, rtol=2e-6)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            parameter, dict(expected.named_parameters())[name], rtol=1e-4, atol=1e-6
        )


def test_a_weight_of_no_part_is_refused():
    objective = Objective()
    objective.weights = {"words": 2.0}
    with pytest.raises(ValueError, match=r"weights for \['words'\], losses for"):
        train(Toy(), objective, Settings(steps=1))


def test_trains_on_the_device(device):
    model = Toy(dropout=0.1)
    result = train(
        model, Objective(64), Settings(steps=60, lr=0.03), device=device, progress=False
    )
    assert next(model.parameters()).device.type == device.type
    assert result.losses("word")[-1] < 0.5 * result.losses("word")[0]
    # The first loss is that of a guess: nats, of each target.
    assert abs(result.losses("sum")[0] - math.log(2)) < 0.3


def test_frozen_weights_stay_and_dropout_is_on_in_training_alone():
    model = Toy(dropout=0.5)
    before = model.backbone.frozen.weight.clone()
    seen = []

    def validate(model):
        seen.append((model.training, torch.is_grad_enabled()))
        return {"loss": 1.0}

    train(model, Objective(), Settings(steps=3, validate_every=2), validate=validate)
    assert seen == [(False, False)] * 2
    assert model.training
    assert torch.equal(model.backbone.frozen.weight, before)


def test_each_step_and_each_seed_has_its_own_dropout():
    masks = []

    class Spy(Objective):
        def losses(self, model, batch):
            masks.append(tuple(model.backbone.dropout(torch.ones(64)).tolist()))
            return super().losses(model, batch)

    for seed in (0, 0, 1):
        train(Toy(dropout=0.5), Spy(), Settings(steps=3, accumulate=2, seed=seed))
    assert masks[:6] == masks[6:12]
    assert len(set(masks)) == 12  # also of the pieces of a step


def test_bf16_is_autocast_with_parameters_in_float32():
    seen = []

    class Spy(Objective):
        def losses(self, model, batch):
            seen.append(model.heads["sum"](torch.ones(1, 8)).dtype)
            return super().losses(model, batch)

    model = Toy()
    train(model, Spy(), Settings(steps=1, precision="bf16"))
    train(model, Spy(), Settings(steps=1, precision="fp32"))
    assert seen == [torch.bfloat16, torch.float32]
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("auto", torch.bfloat16)]
)
def test_fp32_holds_for_muon_too(precision, dtype, monkeypatch):
    monkeypatch.setattr(muon, "has_bfloat16", lambda device: True)
    seen = []

    def spy(matrices, dtype):
        seen.append(dtype)
        return matrices

    monkeypatch.setattr(muon, "orthogonalise", spy)
    train(Toy(), Objective(), Settings(steps=1, optimizer="muon", precision=precision))
    assert set(seen) == {dtype}


def test_losses_of_a_validation_are_means_over_all_targets():
    model, objective = Toy(), Objective()
    batches = [objective.batch(0), {k: v[:1] for k, v in objective.batch(1).items()}]
    scores = scores_of(
        model, validation_loss(objective, lambda: batches, precision="fp32")
    )
    together = {k: torch.cat([b[k] for b in batches]) for k in batches[0]}
    hidden = model.backbone(together["token_ids"])
    word = F.cross_entropy(
        model.heads["word"](hidden).flatten(0, 1), together["targets"].flatten()
    )
    odd = F.cross_entropy(model.heads["sum"](hidden.mean(1)), together["labels"])
    assert scores["word"] == pytest.approx(word.item(), rel=1e-6)
    assert scores["loss"] == pytest.approx((word + odd).item(), rel=1e-6)
    objective.weights = {"word": 0.5}
    weighted = scores_of(
        model, validation_loss(objective, lambda: batches, precision="fp32")
    )
    assert weighted.pop("loss") == pytest.approx((word / 2 + odd).item(), rel=1e-6)
    assert weighted == {part: scores[part] for part in ("word", "sum")}


# -- Killed ---------------------------------------------------------------------------

# In one process that has run nothing yet, so that forking it is safe. Child k counts
# what it does to files, and is killed before the k-th; the next one goes on.
KILLER = """
import os, signal, sys, json
import torch._dynamo, tqdm  # what a child would import on its first step
from tests.training.toys import run
torch.set_num_threads(1)

whole, folder = sys.argv[1:]
if os.fork() == 0:  # the run that nobody interrupts, as the others are started
    run(whole)
    os._exit(0)
assert os.wait()[1] == 0
kills = 0
k = 0
while True:
    k += 1
    child = os.fork()
    if child == 0:
        done = 0
        def watch(event, arguments):
            global done
            if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir") or (
                event == "open" and arguments[1] in ("w", "a", "wb", "ab", "x")
            ):
                if folder in str(arguments[0]):
                    done += 1
                    if done == k:
                        os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        if k % 7 == 0:  # and at moments that nothing announces
            signal.setitimer(signal.ITIMER_REAL, 0.01 * (k % 5 + 1))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        run(folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        break
    assert os.WIFSIGNALED(status), status
    kills += 1
print(json.dumps(kills))
"""


def without_times(folder):
    return [
        {k: v for k, v in line.items() if k != "seconds"}
        for line in read_history(folder)
    ]


def run_killer(whole, folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", KILLER, str(whole), str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_killed_at_any_moment_it_resumes_to_the_same_bits(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    kills = run_killer(whole, killed)
    assert kills > 12
    assert without_times(killed) == without_times(whole)
    assert [line["step"] for line in without_times(whole) if "losses" in line] == list(
        range(1, 13)
    )
    # Dropout was on: without it the losses are others.
    words = [x["losses"]["word"] for x in without_times(whole) if "losses" in x]
    assert len(set(words)) == 12
    files = sorted(p.relative_to(whole) for p in whole.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(killed) for p in killed.rglob("*") if p.is_file()
    )
    for name in files:
        if name.suffix == ".safetensors":
            assert (whole / name).read_bytes() == (killed / name).read_bytes(), name


def further(folder, steps, decay="constant", **changes):
    seed_everything(1)
    settings = replace(SETTINGS, steps=steps, decay=decay, validate_every=3, **changes)
    model, valid = Toy(0.3), lambda: map(Objective(seed=99).batch, range(2))
    validate = validation_loss(Objective(seed=99), valid, precision="fp32")
    run = train(
        model, Objective(), settings, validate=validate, folder=folder, resume=True
    )
    return run, model


def test_a_run_that_has_ended_is_trained_further(tmp_path):
    # At a constant rate, as if it had been asked for all steps at once.
    whole, model = further(tmp_path / "whole", 12)
    assert further(tmp_path / "a", 6)[0].steps == 6
    run, again = further(tmp_path / "a", 12)
    assert (run.steps, run.best_step) == (12, whole.best_step)
    assert without_times(tmp_path / "a") == without_times(tmp_path / "whole")
    for one, other in zip(again.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_further_steps_have_the_rates_of_the_longer_run(tmp_path):
    further(tmp_path, 6, "linear")
    run, _ = further(tmp_path, 12, "linear", warmup=4)
    lr = [line["lr"] / SETTINGS.lr for line in run.history if "losses" in line]
    assert lr[:6] == pytest.approx([1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3])
    assert lr[6:] == pytest.approx([6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    # The longer one is the run now; and only one that has ended takes more.
    with pytest.raises(ValueError, match=r"settings\.steps: 12, now 6"):
        further(tmp_path, 6, "linear")
    with pytest.raises(ValueError, match=r"settings\.seed: 3, now 4"):
        further(tmp_path, 18, "linear", warmup=4, seed=4)
    (checkpoint,) = tmp_path.glob("step-*")
    checkpoint.rename(tmp_path / "step-000000011")
    with pytest.raises(ValueError, match=r"settings\.steps: 12, now 18"):
        further(tmp_path, 18, "linear", warmup=4)


def test_mistakes_of_callers_are_named(tmp_path):
    with pytest.raises(ValueError, match="resume needs the folder"):
        train(Toy(), Objective(), Settings(steps=1), resume=True)
    with pytest.raises(ValueError, match="score must be one of accuracy, got 'loss'"):
        train(
            Toy(), Objective(), Settings(steps=1), validate=lambda m: {"accuracy": 1.0}
        )
    with pytest.raises(ValueError, match="6 rows cannot be divided among 7"):
        train(Toy(), Objective(), Settings(steps=1, accumulate=7))

    class Forgets(Objective):
        def counts(self, batch):
            return {"word": 1}

    with pytest.raises(ValueError, match=r"losses for \['sum', 'word'\], counts for"):
        train(Toy(), Forgets(), Settings(steps=1))


def test_settings_of_the_toy_have_all_that_a_resumed_run_needs():
    assert SETTINGS.optimizer == "muon"  # both optimizers are in its checkpoints
    assert SETTINGS.warmup
