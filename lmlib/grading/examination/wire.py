"""Frames on a socket: eight bytes of length, then a message of `codec`."""

import socket
import struct
import time

from lmlib.grading.examination.codec import MAX_BYTES

MAX_FRAME = MAX_BYTES + (64 << 20)  # room for the JSON


class Closed(Exception):
    """The other side is gone, or said something that is no frame."""


def send(connection: socket.socket, message: bytes) -> None:
    """Raises Closed if nobody is there to read it."""
    try:
        connection.sendall(struct.pack("<Q", len(message)) + message)
    except (OSError, TimeoutError) as error:
        raise Closed(str(error)) from None


def receive(connection: socket.socket, deadline: float | None = None) -> bytes:
    """The next message.

    Raises:
        TimeoutError: it was not complete at `deadline` (of time.monotonic).
        Closed: the connection ended, or the frame is larger than `MAX_FRAME`.
    """
    (size,) = struct.unpack("<Q", _exactly(connection, 8, deadline))
    if size > MAX_FRAME:
        raise Closed(f"a frame of {size} bytes")
    return _exactly(connection, size, deadline)


def _exactly(connection: socket.socket, size: int, deadline: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        try:
            part = connection.recv(min(size - len(parts), 1 << 20))
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(str(error)) from None
        if not part:
            raise Closed("end of stream")
        parts += part
    return bytes(parts)
