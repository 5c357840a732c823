"""A quantized model as a file: what its weights take on disk (section 2.2).

The file is in the safetensors format. A tensor of codes is there as bytes: either each
code in its own number of bits, or, entropy coded, as long as it is rare. Beside it are
its scales in float16. What is not quantized is there in float16. A digest of all of it
stands in the header: a file that was damaged is refused.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lmlib.compression.coder import Decoder, Encoder, frequencies
from lmlib.compression.quantize import Quantized
from lmlib.data.cache import replacing

FORMAT = "lmlib quantized 1"
TOTAL = 1 << 16  # of the frequencies in a file

State = Mapping[str, Quantized | Tensor]


def save_quantized(
    path: str | os.PathLike[str],
    state: State,
    *,
    entropy_coded: bool = True,
    also: Mapping[str, Any] | None = None,
) -> int:
    """Write a state of `quantize_model`; the number of bytes on disk.

    Parameters:
        entropy_coded: codes by an arithmetic coder, by how often each occurs in its
            tensor; some seconds for each million.
        also: what else the header says, for JSON.

    Raises:
        ValueError: codes of a uniform step, which have no number of bits, without
            entropy coding.
    """
    path = Path(path)
    tensors: dict[str, Tensor] = {}
    about: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu().half().contiguous()
            continue
        codes = value.codes.cpu().numpy().ravel()
        if entropy_coded:
            least, table, payload = _encoded(codes)
            tensors[f"{name}.table"] = torch.from_numpy(table)
        elif value.bits is None:
            raise ValueError(f"{name} has a uniform step: it must be entropy coded")
        else:
            least = int(codes.min())
            payload = _packed(codes - least, value.bits)
        tensors[f"{name}.codes"] = torch.from_numpy(payload)
        tensors[f"{name}.scale"] = value.scale.cpu().half()
        if bool(value.zero_point.any()):
            tensors[f"{name}.zero_point"] = value.zero_point.cpu()
        about[name] = {
            "shape": list(value.codes.shape),
            "bits": value.bits,
            "axis": value.axis,
            "least": least,
        }
    header = {"format": FORMAT, "codes": about, "also": dict(also or {})}
    header["sha256"] = _digest(tensors, header)
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"lmlib": json.dumps(header)})
    return path.stat().st_size


def load_quantized(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Quantized | Tensor], dict[str, Any]]:
    """What `save_quantized` wrote: the state, and what else the header says.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or none of these.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("lmlib", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"{path} is no quantized model of this version of lmlib")
    if header.pop("sha256", None) != _digest(tensors, header):
        raise ValueError(f"{path} is damaged: its checksum is another")
    state: dict[str, Quantized | Tensor] = {}
    for name, about in header["codes"].items():
        n, bits = int(np.prod(about["shape"])), about["bits"]
        payload = tensors.pop(f"{name}.codes").numpy()
        if (table := tensors.pop(f"{name}.table", None)) is not None:
            codes = _decoded(payload, table.numpy(), n)
        else:
            codes = _unpacked(payload, bits, n)
        scale = tensors.pop(f"{name}.scale").float()
        zero_point = tensors.pop(f"{name}.zero_point", None)
        state[name] = Quantized(
            torch.from_numpy(codes + np.int16(about["least"])).reshape(about["shape"]),
            scale,
            torch.zeros_like(scale, dtype=torch.int16)
            if zero_point is None
            else zero_point,
            bits,
            about["axis"],
        )
    state |= {name: tensor.float() for name, tensor in tensors.items()}
    return state, header["also"]


# -- Codes as bytes -------------------------------------------------------------------


def _encoded(codes: Any) -> tuple[int, Any, Any]:
    """The least code, the frequency of each from it on, and the bytes of a coder."""
    least = int(codes.min())
    places = codes.astype(np.int64) - least
    share = np.bincount(places) / len(places)
    table = frequencies(share, TOTAL)
    bounds = np.concatenate([[0], table.cumsum()]).tolist()
    encoder = Encoder()
    for place in places.tolist():
        encoder.encode(bounds[place], bounds[place + 1], TOTAL)
    payload = np.frombuffer(encoder.finish(), dtype=np.uint8).copy()
    return least, (table - 1).astype(np.uint16), payload  # 1 … 65536 in 16 bits


def _decoded(payload: Any, table: Any, n: int) -> Any:
    counts = table.astype(np.int64) + 1
    owner = np.repeat(np.arange(len(counts)), counts).tolist()
    bounds = np.concatenate([[0], counts.cumsum()]).tolist()
    decoder = Decoder(payload.tolist())
    places = np.empty(n, dtype=np.int16)
    for i in range(n):
        place = owner[decoder.target(TOTAL)]
        decoder.advance(bounds[place], bounds[place + 1], TOTAL)
        places[i] = place
    return places


def _packed(places: Any, bits: int) -> Any:
    """Each in `bits` bits, the highest first."""
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((places.astype(np.int64)[:, None] >> shifts & 1).ravel())


def _unpacked(payload: Any, bits: int, n: int) -> Any:
    rows = np.unpackbits(payload, count=n * bits).reshape(n, bits).astype(np.int16)
    return rows @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int16))


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    sha256 = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        sha256.update(name.encode() + tensor.numpy().tobytes())
    return sha256.hexdigest()
