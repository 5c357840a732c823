"""Whatever is typed and whatever is in a file: a line that names it, and the status 2.

Each command gets every kind of bad argument and file that it takes; nothing here is
right but what the case needs so that it is reached.
"""

import io
import json
import shutil
import sys

import pytest

from lmlib import cli
from lmlib.cli import main
from lmlib.commands import grade
from lmlib.grading.assignment import ROOT
from tests.commands.samples import TINY, examples_file, text_folder, tune
from tests.commands.samples import pretrained as pretrain

GPT, BERT = (str(ROOT / "lmlib" / "checkpoints" / name) for name in ("gpt", "bert"))
QUICK = ["--steps", "1", "--batch", "2", "--every", "1", "--device", "cpu"]
HUGE = "9" * 30


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Good and bad files by name; a bad one has its name in its path."""
    folder = tmp_path_factory.mktemp("files")
    found = {"folder": folder / "a-folder", "missing": folder / "is-missing"}
    found["folder"].mkdir()
    for name, content in {
        "empty": b"",
        "blank": b"\n \n\n",
        "binary": bytes(range(256)) * 8,
        "nul": b"a\0b\n" * 40,
        "latin": "caf\xe9\n".encode("latin-1") * 40,
        "cut16": b"\xff\xfea",
        "short": b"one line",
        "number.json": b"3",
        "deep.jsonl": b"[" * 100_000,
        "half.jsonl": rb'{"text": "\ud83d", "label": "a"}',
        "types.jsonl": b'{"text": 1, "label": "a"}',
        "one.jsonl": b'{"text": "a", "label": "a"}\n' * 3,
        "few.jsonl": b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}',
        "nan.jsonl": b'{"text": "a", "label": NaN}',
        "header.csv": b"review,mood\na,b\n",
        "ragged.csv": b"text,label\na\n",
        "quote.csv": b'text,label\n"a,b\n',
    }.items():
        found[name] = folder / f"is-{name}"
        found[name].write_bytes(content)
    text_folder(folder / "text")
    found["text"] = folder / "text"
    found["tiny"] = pretrain(folder)
    task = found["task"] = folder / "task.jsonl"
    examples_file(task)
    found["tuned"] = folder / "tuned"
    assert tune(found["tiny"], task, found["tuned"]) == 0
    whole = (found["tiny"] / "model.safetensors").read_bytes()
    head = (found["tuned"] / "head.safetensors").read_bytes()
    made = json.loads((found["tuned"] / "lmlib.json").read_text())
    short = {"task": {k: v for k, v in made["task"].items() if k != "length"}}
    made["task"]["names"] = "bad, good"
    for name, start, file, content in (
        ("cut", "tiny", "model.safetensors", whole[:-9]),
        ("no-weights", "tiny", "model.safetensors", None),
        ("empty-weights", "tiny", "model.safetensors", b""),
        ("no-config", "tiny", "config.json", None),
        ("bad-config", "tiny", "config.json", b"{"),
        ("list-config", "tiny", "config.json", b"[]"),
        ("deep-config", "tiny", "config.json", b"[" * 100_000),
        ("wrong-config", "tiny", "config.json", b'{"model_type": "bert"}'),
        ("other-config", "tiny", "config.json", b'{"model_type": "llama"}'),
        ("no-tokenizer", "tiny", "tokenizer.json", None),
        ("bad-tokenizer", "tiny", "tokenizer.json", b"\xff\xff"),
        ("list-made", "tuned", "lmlib.json", b"[]"),
        ("bad-made", "tuned", "lmlib.json", b"{"),
        ("no-made", "tuned", "lmlib.json", None),
        ("names-made", "tuned", "lmlib.json", json.dumps(made).encode()),
        ("short-made", "tuned", "lmlib.json", json.dumps(short).encode()),
        ("cut-head", "tuned", "head.safetensors", head[:-9]),
        ("other-head", "tuned", "head.safetensors", whole),
    ):
        found[name] = folder / f"is-{name}"
        shutil.copytree(found[start], found[name], ignore=lambda *_: ["training"])
        if content is None:
            (found[name] / file).unlink()
        else:
            (found[name] / file).write_bytes(content)
    return {name: str(path) for name, path in found.items()}


DRIVEN = (
    *("pretrain", "finetune", "distill", "evaluate", "generate", "predict"),
    *("check", "grade", "quantize", "prune", "compress", "decompress", "ledger"),
)
#: No folder of a model, or a model that is not whole.
MODELS = (
    *("missing", "folder", "empty", "cut", "no-weights", "empty-weights", "no-config"),
    *("bad-config", "list-config", "deep-config", "wrong-config", "other-config"),
    *("no-tokenizer", "bad-tokenizer", "list-made", "bad-made", "no-made"),
    *("names-made", "cut-head", "other-head"),
)
TASKS = (
    *("missing", "folder", "empty", "blank", "binary", "nul", "latin", "cut16"),
    *("number.json", "deep.jsonl", "half.jsonl", "types.jsonl", "one.jsonl"),
    *("nan.jsonl", "header.csv", "ragged.csv", "quote.csv"),
)
TEXTS = ("missing", "folder", "empty", "blank", "binary", "latin", "cut16", "short")
TRAINING = [
    ["--steps", "0"],
    ["--steps", "x"],
    ["--steps", "1.5"],
    ["--steps", HUGE],
    ["--lr", "-1"],
    ["--lr", "nan"],
    ["--lr", "inf"],
    ["--lr", "1e999"],
    ["--optimizer", "sgd"],
    ["--batch", "0"],
    ["--batch", HUGE],
    ["--batch", "100000000"],
    ["--accumulate", "0"],
    ["--accumulate", "7"],
    ["--every", "-1"],
    ["--patience", "0"],
    ["--precision", "fp8"],
    ["--seed", "-1"],
    ["--seed", HUGE],
    ["--device", "cuda:77"],
    ["--device", ""],
    ["--device", "meta"],
    ["--out", "/dev/null"],
    ["--out", "/dev/null/below"],
    ["--out", "/proc/nowhere"],
    ["--no-such-option"],
    ["too", "many"],
]


def cases(files):
    """(arguments, what the line must have of them) for every command."""

    def models(command, *rest):
        for name in MODELS:
            yield [command, files[name], *rest], files[name]

    def tasks(command, *rest):
        for name in TASKS:
            yield [command, *rest, "--task", files[name]], files[name]
        yield [command, *rest, "--task", files["few.jsonl"]], "2 different texts"
        yield [command, *rest, "--task", ""], "--task"
        yield [command, *rest, "--task", "caf\udce9"], "--task"
        for kind in ("pairs", "tagging", "generation", "none"):
            named = {"pairs": '"second"'}.get(kind, kind)
            yield [command, *rest, "--task", files["task"], "--kind", kind], named
        for columns in ("text", "a,a", "", "a,b,c"):
            task = ["--task", files["task"], "--columns", columns]
            yield [command, *rest, *task], "--columns"
        yield [command, *rest, "--task", files["task"], "--columns", "a,b"], '"a"'
        for n in ("0", "-1", HUGE, "many"):
            task = ["--task", files["task"], "--train", n]
            yield [command, *rest, *task], "--train"

    def training(command, *rest):
        for option in TRAINING:
            named = option[0] if option[0].startswith("--") else " ".join(option)
            if option in (["--accumulate", "7"], ["--out", "/proc/nowhere"]):
                named = {"7": "accumulation"}.get(option[1], option[1])
            yield [command, *rest, *option], named

    yield [], "COMMAND"
    yield ["no-such-command"], "no-such-command"
    yield ["--no-such-option"], "COMMAND"

    # pretrain
    for name in TEXTS:
        text = ["pretrain", "causal", "--text", files[name], "--tokenizer", "bytes"]
        yield [*text, *TINY, *QUICK], files[name]
    pretrain = ["pretrain", "causal", "--text", files["text"], *TINY, *QUICK]
    yield ["pretrain"], "RECIPE"
    yield ["pretrain", "gpt"], "RECIPE"
    yield ["pretrain", "causal", "--text", ""], "''"
    yield [*pretrain, "--family", "bert"], "--family"
    yield [*pretrain, "--family", "pangu"], "PanGu"
    for name in ("missing", "folder", "empty", "binary", "number.json", "deep.jsonl"):
        yield [*pretrain, "--tokenizer", files[name]], files[name]
    for option in ("--layers", "--width", "--heads", "--length", "--vocab"):
        for value in ("0", "-1", "x", "nan", HUGE, "50000000"):
            yield [*pretrain, option, value], option
    yield [*pretrain, "--vocab", "5"], "--vocab"
    yield [*pretrain, "--heads", "3"], "heads"
    for value in ("-1", "1.5", "nan", "x"):
        yield [*pretrain, "--dropout", value], "--dropout"
    yield from training(*pretrain, "--tokenizer", "bytes")

    # finetune
    tune = ["finetune", files["tiny"], *QUICK, "--length", "24"]
    yield ["finetune"], "MODEL"
    yield from models("finetune", "--task", files["task"], *QUICK)
    yield ["finetune", files["tuned"], "--task", files["task"]], files["tuned"]
    yield from tasks(*tune)
    yield from training(*tune, "--task", files["task"])
    for option in ("--length", "--rank"):
        for value in ("0", "-1", HUGE, "x"):
            lora = ["--method", "lora", option, value]
            yield [*tune, "--task", files["task"], *lora], option
    yield [*tune, "--task", files["task"], "--method", "none"], "--method"

    # distill
    small = ["distill", files["tiny"], "--text", files["text"], "--length", "24"]
    yield ["distill"], "TEACHER"
    yield from models("distill", "--text", files["text"], *QUICK)
    yield from tasks("distill", files["tuned"], *QUICK)
    yield ["distill", files["tuned"], *QUICK], "--task"
    yield [*small, "--task", files["task"], *QUICK], "--task"
    for name in TEXTS:
        text = ["distill", files["tiny"], "--text", files[name], *QUICK]
        yield text, files[name]
    for value in ("0", "-1", "3", HUGE, "x"):
        yield [*small, *QUICK, "--layers", value], "layers"
    for value in ("0", "-1", "nan", "inf", "x"):
        yield [*small, *QUICK, "--temperature", value], "temperature"
    for part in ("--labels", "--soft", "--hidden"):
        for value in ("-1", "nan", "inf"):
            yield [*small, *QUICK, part, value], part
    nothing = ["--labels", "0", "--soft", "0", "--cosine", "0"]
    yield [*small, *QUICK, *nothing], "weight"
    yield from training(*small, *QUICK)

    # evaluate
    yield ["evaluate"], "MODEL"
    yield from models("evaluate", "--text", files["text"], "--device", "cpu")
    yield from tasks("evaluate", files["tuned"])
    yield ["evaluate", files["tuned"]], "--task"
    yield ["evaluate", files["tiny"], "--task", files["task"]], "--task"
    short = ["--task", files["task"]]
    yield ["evaluate", files["short-made"], *short], "lmlib.json lacks the length"
    yield ["distill", files["short-made"], *short], "lmlib.json lacks the length"
    for name in TEXTS:
        yield ["evaluate", files["tiny"], "--text", files[name]], files[name]
    measure = ["evaluate", files["tiny"], "--text", files["text"]]
    yield [*measure, "--split", "dev"], "--split"
    for option in ("--length", "--stride", "--batch"):
        for value in ("0", "-3", "x", "nan", HUGE):
            yield [*measure, option, value], option
    for value in ("-1", HUGE, "x"):
        yield [*measure, "--seed", value], "--seed"

    # generate
    yield ["generate"], "MODEL"
    yield ["generate", GPT], "PROMPT"
    yield from models("generate", "The")
    yield ["generate", BERT, "The"], BERT
    yield ["generate", files["tuned"], "The"], files["tuned"]
    yield ["generate", GPT, "caf\udce9"], "PROMPT"
    yield ["generate", GPT, "The " * 5000], "PROMPT"
    for option, values in {
        "--tokens": ("0", "-1", "x", HUGE),
        "--number": ("0", "-1", "1.5", HUGE),
        "--temperature": ("-1", "nan", "inf", "x"),
        "--top-k": ("0", "-5", "x", HUGE),
        "--top-p": ("0", "1.5", "-1", "nan"),
        "--seed": ("-1", HUGE, "x"),
        "--device": ("cuda:77", "no", ""),
    }.items():
        for value in values:
            yield ["generate", GPT, "The", option, value], option

    # predict
    yield ["predict"], "MODEL"
    yield from models("predict", "a text")
    yield ["predict", BERT, "a"], BERT
    yield ["predict", files["tuned"], "caf\udce9"], "TEXT"
    bad = {"missing", "folder", "latin", "cut16", "binary"}
    for name in (*bad, "deep.jsonl", "half.jsonl", "types.jsonl", "header.csv"):
        yield ["predict", files["tuned"], "--file", files[name]], files[name]
    yield ["predict", files["tuned"], "--file", files["ragged.csv"]], "is-ragged"
    yield ["predict", files["tuned"], "--file", files["quote.csv"]], "is-quote"
    for option, values in {
        "--top": ("0", "-1", "x", HUGE),
        "--batch": ("0", "-1", "x", HUGE),
        "--device": ("cuda:77", "no"),
        "--columns": ("a,b", ""),
        "--file": (files["task"],),
        "--no-such-option": ("x",),
    }.items():
        for value in values:
            yield ["predict", files["tuned"], "a", option, value], option

    yield ["predict", files["short-made"], "a"], "lmlib.json lacks the length"

    # quantize and prune
    for command, options in {
        "quantize": {"--bits": ("0", "1", "9", "x", HUGE)},
        "prune": {
            "--sparsity": ("-0.1", "1.5", "nan", "inf", "x"),
            "--pattern": ("2", "2:0", "a:b", "5:4", "1:3", "", f"1:{HUGE}"),
        },
    }.items():
        yield [command], "MODEL"
        yield from models(command)
        for option, values in options.items():
            for value in values:
                named = {"2:0": "n must", "5:4": "n must", "1:3": "multiple of 3"}
                yield [command, GPT, option, value], named.get(value, option)
        yield [command, GPT, "--out", GPT], "--out"
        yield [command, GPT, "--out", "/dev/null"], "/dev/null"
        yield [command, GPT, "--out", "/dev/null/below"], "/dev/null/below"
    yield ["prune", GPT, "--pattern", "2:4", "--sparsity", "0.5"], "--sparsity"

    # compress and decompress
    for command in ("compress", "decompress"):
        yield [command], "FILE"
        yield [command, files["missing"]], files["missing"]
        yield [command, files["folder"]], files["folder"]
        yield [command, files["short"], "-o", files["blank"]], files["blank"]
        out = ["-o", "/proc/nowhere/out", "--force"]
        if command == "compress":
            yield [command, files["short"], *out], "/proc/nowhere"
        for name in ("missing", "folder"):
            prime = [files["short"], "-o", "x", "--prime", files[name]]
            yield [command, *prime], files[name]
        yield [command, files["short"], "--prime"], "--prime"
        yield [command, files["short"], "--no-such-option"], "--no-such-option"
        yield [command, files["short"], "too", "many"], "too many"
    for value in ("best", "", "FAST"):
        yield ["compress", files["short"], "--method", value], "--method"
    for name in MODELS[:-2]:
        if name in ("list-made", "bad-made", "no-made", "names-made"):
            continue  # of a fine-tuned model, and an encoder is refused before
        gpt = ["compress", files["short"], "--method", "gpt", "-o", "x"]
        yield [*gpt, "--model", files[name]], files[name]
    for name in ("short", "empty", "blank", "binary", "latin", "nul", "number.json"):
        yield ["decompress", files[name], "-o", "x"], "archive"
        yield ["decompress", files[name]], "-o"

    # ledger
    yield ["ledger"], "FILE"
    yield ["ledger", files["missing"]], files["missing"]
    yield ["ledger", files["folder"]], files["folder"]
    yield ["ledger", files["short"], "--method", "best"], "--method"
    own = ["ledger", files["short"]]
    for name in ("missing", "folder"):
        yield [*own, "--prime", files[name]], files[name]
        yield [*own, files[name]], files[name]
    for option, values in {
        "--method": ("", "FAST", "gzip"),
        "--no-such-option": ("x",),
    }.items():
        for value in values:
            yield [*own, option, value], option
    for option in ("--prime", "--model"):
        yield [*own, option], option
    for name in MODELS[:-2]:
        if name not in ("list-made", "bad-made", "no-made", "names-made"):
            yield [*own, "--method", "gpt", "--model", files[name]], files[name]
    yield ["ledger", files["short"], "--method", "gpt", "--bits", "9"], "bits"

    # check
    yield ["check"], "notebook"
    yield ["check", files["text"], "--no-such-option"], "--no-such-option"
    for name in (*TASKS, "short", "few.jsonl", "text", "task"):
        yield ["check", files[name]], files[name]
    yield ["check", ""], "."

    # grade
    for option, values in {
        "--assignment": ("9.9-none", ""),
        "--solutions": (files["missing"], files["folder"], files["empty"]),
        "--jobs": ("x", "1.5"),
        "--no-such-option": ("x",),
    }.items():
        for value in values:
            yield ["grade", files["text"], option, value], option
    here = ["grade", "--course", files["folder"], "--assignment", "3.1-self-attention"]
    for name in ("missing", "folder", "empty", "binary", "short", "header.csv"):
        yield [*here, files[name]], files[name]
    for name in ("missing", "folder", "empty", "blank", "binary", "short", "nul"):
        yield [*here, files["text"], "--roster", files[name]], "oster"


class ReadHere:
    """What an `IOProcess` is to `lmlib grade`, without a process for each case."""

    def __init__(self, arguments):
        self.arguments = arguments

    def class_(self):
        return grade.class_of(cli.parse(self.arguments))


def test_every_command_says_in_a_line_what_is_wrong(
    files, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LMLIB_COURSE_SECRET", "a secret")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    wrong, counts = [], {}
    for arguments, named in cases(files):
        command = next(iter(arguments), "")
        counts[command] = counts.get(command, 0) + 1
        capsys.readouterr()
        trains = command in ("pretrain", "finetune", "distill")
        if trains and "--out" not in arguments:
            out = tmp_path / f"{command}-{counts[command]}"
            arguments = [*arguments, "--out", str(out)]
        try:
            status = main(arguments, io_process=ReadHere(arguments))
        except SystemExit as ended:
            status = ended.code
        except BaseException as error:
            status = f"{type(error).__name__}: {error}"
        said = capsys.readouterr().err.strip()
        whole = status == 2 and said.startswith("lmlib") and "\n" not in said
        if not whole or named not in said or "mistake of lmlib" in said:
            wrong.append(f"{arguments} (for {named!r}): {status}: {said[-400:]}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)
    assert all(counts[name] >= 20 for name in DRIVEN), counts
