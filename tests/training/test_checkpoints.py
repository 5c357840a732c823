"""Files that are whole or not there; state that comes back as it was."""

import json

import pytest
import torch
from safetensors.torch import load_file

from lmlib.training import checkpoints
from lmlib.training.optimizers import make_optimizers
from tests.training.toys import Objective, Toy


def trained(steps, model):
    optimizers = make_optimizers(
        model, lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, muon=True
    )
    for step in range(steps):
        batch = Objective().batch(step)
        sum(Objective().losses(model, batch).values()).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return optimizers


def test_a_tied_weight_is_stored_once_and_comes_back_tied():
    model, other = Toy(), Toy()
    state = checkpoints.model_state(model)
    assert "backbone.token.weight" in state
    assert "heads.word.weight" not in state
    checkpoints.load_model_state(other, state)
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
    assert other.heads["word"].weight is other.backbone.token.weight


def test_optimizers_go_on_as_if_nothing_had_happened(tmp_path):
    model = Toy()
    optimizers = trained(3, model)
    path = tmp_path / "moments.safetensors"
    checkpoints.write_tensors(path, checkpoints.optimizer_state(optimizers))
    other = Toy()
    checkpoints.load_model_state(other, checkpoints.model_state(model))
    others = trained(0, other)
    checkpoints.load_optimizer_state(others, load_file(path))
    for both, held in ((model, optimizers), (other, others)):
        sum(Objective().losses(both, Objective().batch(7)).values()).backward()
        for optimizer in held:
            optimizer.step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_another_model_is_refused():
    state = checkpoints.model_state(Toy())
    name, tensor = state.popitem()
    with pytest.raises(ValueError, match=f"1 names differ, such as {name}"):
        checkpoints.load_model_state(Toy(), state)
    state[name] = tensor[:1]
    with pytest.raises(ValueError, match="has shape"):
        checkpoints.load_model_state(Toy(), state)


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def fails(folder):
        (folder / "a").write_text("half")
        raise RuntimeError("power failure")

    with pytest.raises(RuntimeError):
        checkpoints.write_folder(tmp_path / "new", fails)
    assert not (tmp_path / "new").exists()
    checkpoints.write_folder(tmp_path / "new", lambda f: (f / "a").write_text("1"))
    checkpoints.write_folder(tmp_path / "new", lambda f: (f / "b").write_text("2"))
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["b"]
    # What the failure left is removed when the run is resumed.
    checkpoints.RunFolder(tmp_path).start({}, resume=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "settings.json"]


def test_what_cannot_be_written_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match="none/x cannot be written"):
        checkpoints.write_tensors(tmp_path / "none" / "x", {"a": torch.zeros(3)})


def test_history_is_cut_at_the_checkpoint_and_at_a_torn_line(tmp_path):
    folder = checkpoints.RunFolder(tmp_path)
    lines = [{"step": i, "losses": {"lm": 1.5}} for i in range(1, 6)]
    folder.append(lines)
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"step": 6, "los')
    assert checkpoints.read_history(tmp_path) == lines
    folder.cut_history(3)
    text = (tmp_path / "history.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == [1, 2, 3]
    folder.append([{"step": 4}])
    assert checkpoints.read_history(tmp_path)[-1] == {"step": 4}


def test_only_the_newest_checkpoint_and_the_best_model_remain(tmp_path):
    folder, model = checkpoints.RunFolder(tmp_path), Toy()
    optimizers = trained(1, model)
    for step, best in ((1, None), (2, 2), (3, 2), (4, 4)):
        if best == step:
            folder.save_best(model, step, {"loss": 1.0})
        folder.save(model, optimizers, {"step": step, "best_step": best})
        names = {f"step-{step:09}"} | ({f"best-{best:09}"} if best else set())
        assert {p.name for p in tmp_path.iterdir()} == names
    assert folder.checkpoint().name == "step-000000004"


def test_differences_name_the_place():
    before = {"a": 1, "b": {"c": [1, 2], "d": 0}, "gone": 1}
    now = {"a": 1, "b": {"c": [1, 3], "d": 0}, "new": 2}
    assert checkpoints.differences(before, now) == [
        "b.c: [1, 2], now [1, 3]",
        "gone: 1, now 'absent'",
        "new: 'absent', now 2",
    ]
    assert checkpoints.differences(before, before) == []
