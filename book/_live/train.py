"""Train the landing page's model and export it for the browser.

A byte-level causal transformer made of lmlib's own blocks reads the text that comes
with every Python: the help topics and the docstrings of the standard library. Its
weights are rounded to 8 bits and written as a classic script, so that the page works
from `file://`, with a record of how they came about beside them:

    OMP_NUM_THREADS=1 python book/_live/train.py --steps 4200
"""

import argparse
import ast
import base64
import hashlib
import json
import math
import os
import platform
import random
import sysconfig
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmlib.attention import MultiHeadAttention, causal_mask
from lmlib.positions import Rotary, relative_positions

START = 0  # the byte before every document; it stands in no text
PIECE = 600  # bytes that the page takes at most, and a held-out text is cut into
HERE = Path(__file__).parent


# -- The model ------------------------------------------------------------------------


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)): the pre-norm block."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(d_model)
        self.attention = MultiHeadAttention(
            d_model, n_heads, bias=False, rotate=Rotary()
        )
        self.norm2 = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, 4 * d_model, bias=False)
        self.down = nn.Linear(4 * d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), mask=mask)
        # The squared ReLU of So et al. 2021: no erf to write again in JavaScript.
        return x + self.down(F.relu(self.up(self.norm2(x))).square())


class ByteModel(nn.Module):
    """Bytes in, the logits of the next byte out; input and output share the embedding.

    Every position attends to itself and the `window` − 1 before it. With rotary
    positions nothing else depends on where a text starts, so the model reads texts of
    any length and a cache of keys and values never has to be made anew.
    """

    def __init__(self, d_model: int, n_layers: int, n_heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.embedding = nn.Embedding(256, d_model)
        self.blocks = nn.ModuleList(Block(d_model, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)
        nn.init.normal_(self.embedding.weight, std=0.05)
        for block in self.blocks:  # each block starts as the identity
            nn.init.zeros_(block.attention.output.weight)
            nn.init.zeros_(block.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        mask = causal_mask(n) & (relative_positions(n, n) > -self.window)
        x = self.embedding(x)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x) @ self.embedding.weight.T


@torch.no_grad()
def bits(model: ByteModel, text: bytes) -> Tensor:
    """−log₂ of the probability of each byte of `text`, read from the start mark on."""
    if not text:
        return torch.zeros(0)
    read = torch.tensor([[START, *text]])
    nats = F.cross_entropy(model(read[:, :-1])[0], read[0, 1:], reduction="none")
    return nats / math.log(2)


def bits_per_byte(model: ByteModel, documents: list[bytes]) -> float:
    """The mean over all bytes of documents cut into pieces, each read afresh."""
    costs = [
        bits(model, document[i : i + PIECE])
        for document in documents
        for i in range(0, len(document), PIECE)
    ]
    return float(torch.cat(costs).mean())


# -- The text -------------------------------------------------------------------------


def python_text() -> dict[str, list[str]]:
    """What this Python says of itself: the documents of each help topic and module."""
    from pydoc_data.topics import topics

    sources = {f"topic {name}": [text] for name, text in sorted(topics.items())}
    library = Path(sysconfig.get_path("stdlib"))
    skipped = {"site-packages", "dist-packages", "test", "tests", "lib2to3", "idlelib"}
    for file in sorted(library.rglob("*.py")):
        if skipped.isdisjoint(file.relative_to(library).parts):
            sources[file.relative_to(library).as_posix()] = docstrings(file)
    return sources


def held_out(name: str) -> bool:
    """One source in twenty, by its name."""
    return hashlib.sha256(name.encode()).digest()[0] < 256 / 20


def split(sources: dict[str, list[str]]) -> tuple[list[bytes], list[bytes]]:
    """Documents to learn from, and held-out ones.

    The help topics repeat whole paragraphs of each other. A paragraph that has been
    seen before, in the held-out documents first of all, is left out.
    """
    seen: set[str] = set()
    parts: dict[bool, list[bytes]] = {True: [], False: []}
    for name in sorted(sources, key=lambda name: not held_out(name)):
        for document in sources[name]:
            fresh = []
            for paragraph in document.strip().replace("\0", "").split("\n\n"):
                if len(paragraph) < 40 or paragraph not in seen:
                    fresh.append(paragraph)
                seen.add(paragraph)
            text = "\n\n".join(fresh)
            if len(text) > 60:
                parts[held_out(name)].append(text.encode())
    return parts[False], parts[True]


def docstrings(file: Path) -> list[str]:
    """Every docstring of a file, or none if this Python cannot read the file."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return []
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return [text for text in map(ast.get_docstring, nodes) if text]


# -- Training -------------------------------------------------------------------------


def train(
    model: ByteModel,
    documents: list[bytes],
    *,
    steps: int,
    batch: int,
    length: int,
    seed: int,
) -> None:
    """Muon for the matrices inside the blocks, AdamW for all else; linear decay."""
    random.Random(seed).shuffle(documents)
    stream = b"".join(bytes([START]) + document for document in documents)
    data = torch.frombuffer(bytearray(stream), dtype=torch.uint8).long()
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if all(p is not m for m in matrices)]
    optimizers = [
        torch.optim.Muon(matrices, lr=0.02, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=0.004, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    generator = torch.Generator().manual_seed(seed)
    offsets, average, begin = torch.arange(length + 1), 8.0, time.monotonic()
    for step in range(steps):
        done = step / steps
        factor = min(1.0, (step + 1) / 100, 1.6 * (1 - done))
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
        starts = torch.randint(len(data) - length, (batch, 1), generator=generator)
        window = data[starts + offsets]
        logits = model(window[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        average += 0.02 * (loss.item() / math.log(2) - average)
        if step % 200 == 0:
            minutes = (time.monotonic() - begin) / 60
            print(f"{step:6} {minutes:5.1f} min {average:.3f} bits/byte", flush=True)


# -- Export ---------------------------------------------------------------------------


def pack(model: ByteModel) -> tuple[dict[str, list[int]], bytes]:
    """Vectors, then a scale per matrix row, in bfloat16; then the rows in int8."""
    state = model.state_dict()
    matrices = {name: p for name, p in state.items() if p.ndim == 2}
    vectors = {name: p.bfloat16() for name, p in state.items() if p.ndim == 1}
    scales = {name: (p.abs().amax(1) / 127).bfloat16() for name, p in matrices.items()}
    rows = {
        name: (p / scales[name].float().clamp(min=1e-12)[:, None]).round()
        for name, p in matrices.items()
    }
    parts = [p.view(torch.int16) for p in (*vectors.values(), *scales.values())]
    parts += [p.clamp(-127, 127).to(torch.int8) for p in rows.values()]
    shapes = {name: list(p.shape) for name, p in (vectors | matrices).items()}
    return shapes, b"".join(p.numpy().tobytes() for p in parts)


def unpack(shapes: dict[str, list[int]], data: bytes) -> dict[str, Tensor]:
    """The state dict that `pack` wrote, in float32: what the browser computes with."""
    buffer, at = bytearray(data), 0

    def take(length: int, dtype: torch.dtype) -> Tensor:
        nonlocal at
        taken = torch.frombuffer(buffer, dtype=dtype, count=length, offset=at)
        at += taken.nbytes
        return taken.float()

    vectors = [name for name, shape in shapes.items() if len(shape) == 1]
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    state = {name: take(shapes[name][0], torch.bfloat16) for name in vectors}
    scales = {name: take(shapes[name][0], torch.bfloat16) for name in matrices}
    for name in matrices:
        rows = take(math.prod(shapes[name]), torch.int8)
        state[name] = rows.view(shapes[name]) * scales[name][:, None]
    return state


def load(script: Path) -> ByteModel:
    """The model in a `model.js`."""
    exported = json.loads(script.read_text().partition("=")[2].rstrip().rstrip(";"))
    model = ByteModel(**exported["config"])
    data = base64.b64decode(exported["data"])
    model.load_state_dict(unpack(exported["shapes"], data))
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=4200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16, help="sequences a step")
    parser.add_argument("--length", type=int, default=192, help="bytes a sequence")
    parser.add_argument("--d-model", type=int, default=64)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument(
        "--machine", default=f"{os.cpu_count()} cores, {platform.machine()}"
    )
    parser.add_argument("--date", default=time.strftime("%Y-%m-%d"))
    parser.add_argument("--out", type=Path, default=HERE / "public" / "live")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    documents, unseen = split(python_text())
    text = b"\0".join(documents)
    config = {
        "d_model": args.d_model,
        "n_layers": args.layers,
        "n_heads": args.heads,
        "window": args.window,
    }
    model = ByteModel(**config)
    n_parameters = sum(p.numel() for p in model.parameters())
    held_size = sum(map(len, unseen))
    print(f"{n_parameters} parameters, {len(text)} bytes, {held_size} held out")
    begin = time.monotonic()
    train(
        model,
        documents,
        steps=args.steps,
        batch=args.batch,
        length=args.length,
        seed=args.seed,
    )
    minutes = (time.monotonic() - begin) / 60

    model.eval()
    shapes, data = pack(model)
    rounded = ByteModel(**config).eval()
    rounded.load_state_dict(unpack(shapes, data))
    sample = max(unseen, key=len)[:PIECE].decode(errors="ignore")
    record = {
        "command": (
            f"python book/_live/train.py --steps {args.steps} --seed {args.seed}"
            f" --batch {args.batch} --length {args.length} --d-model {args.d_model}"
            f" --layers {args.layers} --heads {args.heads} --window {args.window}"
        ),
        "date": args.date,
        "machine": args.machine,
        "threads": torch.get_num_threads(),
        "minutes": round(minutes, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "parameters": n_parameters,
        "weights_bytes": len(data),
        "training_text": "Python help topics and standard-library docstrings",
        "training_bytes": len(text),
        "training_sha256": hashlib.sha256(text).hexdigest(),
        "held_out_bytes": held_size,
        "held_out_bits_per_byte_float32": round(bits_per_byte(model, unseen), 4),
        "held_out_bits_per_byte": round(bits_per_byte(rounded, unseen), 4),
        "sample": sample,
        "sample_bits": round(float(bits(rounded, sample.encode()).sum()), 3),
    }
    encoded = base64.b64encode(data).decode()
    exported = {"config": config, "shapes": shapes, "record": record, "data": encoded}
    args.out.mkdir(parents=True, exist_ok=True)
    script = f"globalThis.LIVE_MODEL = {json.dumps(exported)};\n"
    (args.out / "model.js").write_text(script)
    (args.out / "model.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
