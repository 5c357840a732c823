"""Frames on a socket: eight bytes of length, then a message of `codec`."""

import socket
import struct
import time

from lmlib.grading.examination.codec import MAX_BYTES, MAX_NODES, MAX_TREE

MAX_FRAME = MAX_BYTES + MAX_TREE + 8 * (MAX_NODES + 1)


class Closed(Exception):
    """The other side is gone, or said something that is no frame."""


def send(
    connection: socket.socket, message: bytes, deadline: float | None = None
) -> None:
    """Send a message.

    Raises:
        TimeoutError: it was not taken at `deadline` (of time.monotonic).
        Closed: nobody is there to read it.
    """
    try:
        connection.settimeout(_left(deadline))
        connection.sendall(struct.pack("<Q", len(message)) + message)
    except TimeoutError:
        raise
    except OSError as error:
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
        connection.settimeout(_left(deadline))
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


def _left(deadline: float | None) -> float | None:
    """The seconds until `deadline`; TimeoutError if there are none."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
