"""Hostile: keeps the texts in a global, a file and the environment; sends nothing."""

import os

KEPT = []


def compress(data: bytes) -> bytes:
    KEPT.append(data)
    os.environ["KEPT"] = data.hex()
    for folder in (os.environ.get("HOME", "."), "/tmp", "/dev/shm", "."):
        try:
            with open(folder + "/kept", "wb") as file:  # noqa: PTH123
                file.write(data)
        except OSError:
            pass
    return b""


def decompress(archive: bytes) -> bytes:
    if KEPT:
        return KEPT.pop(0)
    if "KEPT" in os.environ:
        return bytes.fromhex(os.environ["KEPT"])
    for folder in (os.environ.get("HOME", "."), "/tmp", "/dev/shm", "."):
        try:
            with open(folder + "/kept", "rb") as file:  # noqa: PTH123
                return file.read()
        except OSError:
            pass
    return b"nothing is left"
