"""`lmlib generate`, as a person types it."""

from lmlib.cli import main
from tests.commands.samples import finetuned, pretrained


def test_continues_a_text_by_seed(tmp_path, capsys):
    out = pretrained(tmp_path, "causal")
    capsys.readouterr()
    said = []
    for seed in ("1", "1", "2"):
        arguments = ["generate", str(out), "The cat", "--tokens", "8", "--number", "2"]
        assert main([*arguments, "--seed", seed, "--device", "cpu"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0].count("The cat") == 2
    assert said[0] == said[1] != said[2]


def test_a_tuned_decoder_answers(tmp_path, capsys):
    out = finetuned(tmp_path, "causal", "generation", "--lr", "0.01")
    capsys.readouterr()
    assert main(["generate", str(out), "good cat 3", "--device", "cpu"]) == 0
    assert "good cat 3" not in capsys.readouterr().out


def test_an_encoder_cannot_write(tmp_path, capsys):
    out = pretrained(tmp_path)
    assert main(["generate", str(out), "The"]) == 2
    assert "no decoder" in capsys.readouterr().err
    out = pretrained(tmp_path, "causal")
    assert main(["generate", str(out), "The cat sat on the mat and slept"]) == 2
    assert "the model 24 positions" in capsys.readouterr().err
