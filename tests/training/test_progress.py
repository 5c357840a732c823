"""What a run remembers: its best model, its settings, and no loss that is not one."""

import math

import pytest
import torch

from lmlib.training.loop import train
from lmlib.training.settings import Settings
from tests.training.toys import Objective, Toy


@pytest.mark.parametrize("on_disk", [True, False])
def test_stops_early_and_ends_as_its_best(tmp_path, on_disk):
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.9])
    weights = []

    def validate(model):
        weights.append(model.backbone.hidden.weight.clone())
        return {"accuracy": next(scores)}

    settings = Settings(
        steps=100,
        validate_every=3,
        score="accuracy",
        higher_is_better=True,
        patience=2,
    )
    model = Toy()
    result = train(
        model,
        Objective(),
        settings,
        validate=validate,
        folder=tmp_path / "run" if on_disk else None,
    )
    # 0.7 again is no gain.
    assert (result.steps, result.best_step) == (12, 6)
    assert result.best_scores == {"accuracy": 0.7}
    assert torch.equal(model.backbone.hidden.weight, weights[1])
    assert not torch.equal(weights[1], weights[3])
    if on_disk:  # it is over: to resume it changes nothing
        again = Toy()
        same = train(
            again,
            Objective(),
            settings,
            validate=validate,
            folder=tmp_path / "run",
            resume=True,
        )
        assert (same.steps, same.best_step) == (12, 6)
        assert len(same.history) == len(result.history) == 12 + 4
        assert torch.equal(again.backbone.hidden.weight, weights[1])


def test_another_configuration_does_not_resume(tmp_path):
    model = {"d_model": 8, "layers": [1, 2]}
    arguments = {"folder": tmp_path, "save_every": 1}
    train(Toy(), Objective(), Settings(steps=2), configuration=model, **arguments)
    with pytest.raises(FileExistsError, match="holds a run already"):
        train(Toy(), Objective(), Settings(steps=2), **arguments)
    with pytest.raises(ValueError, match=r"settings\.lr: 0\.001, now 0\.1") as error:
        train(
            Toy(),
            Objective(),
            Settings(steps=2, lr=0.1),
            configuration=model | {"d_model": 16},
            resume=True,
            **arguments,
        )
    assert "configuration.d_model: 8, now 16" in str(error.value)
    assert "layers" not in str(error.value)


def test_a_loss_that_is_not_finite_ends_the_run_and_spoils_no_checkpoint(tmp_path):
    class Explodes(Objective):
        def losses(self, model, batch):
            losses = super().losses(model, batch)
            return losses | {"sum": losses["sum"] * (math.nan if self.late else 1)}

        def batch(self, step):
            self.late = step > 8
            return super().batch(step)

    with pytest.raises(FloatingPointError, match=r"at step \d+ the losses are"):
        train(Toy(), Explodes(), Settings(steps=20), folder=tmp_path, save_every=5)
    assert [p.name for p in tmp_path.glob("step-*")] == ["step-000000005"]
