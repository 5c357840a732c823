"""`lmlib generate`, as a person types it."""

import pytest

from lmlib.cli import main
from lmlib.data.tokenizers import ByteTokenizer
from lmlib.models.llama import Llama, llama_config
from lmlib.training.saved import load, save
from tests.commands.samples import (
    examples_file,
    finetuned,
    pretrained,
    text_folder,
    tune,
)


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


def test_a_llama_writes_is_measured_tuned_and_compresses(tmp_path, capsys):
    config = llama_config(16, 24, 2, 4, 2, vocab_size=260, init_std=0.3, qk_norm=True)
    model, out = Llama(config, tied=False), tmp_path / "llama"
    save(model, ByteTokenizer(), out)
    assert main(["generate", str(out), "The cat", "--tokens", "8"]) == 0
    assert "The cat" in capsys.readouterr().out
    text = text_folder(tmp_path / "text")
    assert main(["evaluate", str(out), "--text", text, "--length", "24"]) == 0
    assert "bits per byte" in capsys.readouterr().out
    tuned, examples = tmp_path / "tuned", examples_file(tmp_path / "examples.jsonl")
    assert tune(out, examples, tuned) == 0
    assert load(tuned).family == "qwen3"
    short = tmp_path / "short.txt"
    short.write_bytes(b"The cat sat.\xff")
    with_it = ["--model", str(out), "-o"]
    archive, back = tmp_path / "short.lmz", tmp_path / "back.txt"
    assert (
        main(["compress", str(short), "--method", "gpt", *with_it, str(archive)]) == 0
    )
    assert main(["decompress", str(archive), *with_it, str(back)]) == 0
    assert back.read_bytes() == short.read_bytes()


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


def test_answers_can_be_drawn_and_numbered(tmp_path, capsys):
    out = finetuned(tmp_path, "causal", "generation")
    arguments = ["generate", str(out), "good cat 3", "--device", "cpu"]

    def said(*more):
        capsys.readouterr()
        assert main([*arguments, "--tokens", "12", *more]) == 0
        return capsys.readouterr().out

    drawn = [said("--number", "2", "--temperature", "2", "--seed", s) for s in "112"]
    assert drawn[0] == drawn[1] != drawn[2]
    first, second = drawn[0].removeprefix("— 1 —").split("— 2 —")
    assert first.strip() != second.strip()
    likeliest = said("--temperature", "0")
    assert said("--seed", "5") == likeliest  # the default is no dice
    assert said("--temperature", "2", "--top-k", "1") == likeliest


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--tokens", "0"], "--tokens must be at least 1, got 0"),
        (["--number", "-1"], "--number must be at least 1, got -1"),
        (["--temperature", "-1"], "--temperature must not be negative, got -1.0"),
    ],
)
def test_odd_values_are_told(tmp_path, capsys, option, words):
    out = pretrained(tmp_path, "causal")
    assert main(["generate", str(out), "The", *option]) == 2
    assert words in capsys.readouterr().err
