"""The process that runs one direction of one entry on one text, and ends.

Its text is given to a fresh interpreter, which has nothing of lmlib. Standard library
alone; whatever the entry does here, all that leaves is what is written to the socket.
"""

import os
import resource
import sys
import types


def main(file: int, direction: str, memory: int) -> None:
    """Read 8 bytes of length, the source and the data; write b"v" and the value.

    Or b"e" and what went wrong, in words of the entry's own. The limit of memory is set
    here, and not before `execve`: there a large caller's copy is far above it.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    parts = []
    while part := os.read(file, 1 << 20):
        parts.append(part)
    message = b"".join(parts)
    end = 8 + int.from_bytes(message[:8], "little")
    source, data = message[8:end].decode(), message[end:]
    module = types.ModuleType("entry")
    sys.modules["entry"] = module
    del parts, message
    try:
        exec(compile(source, "<entry>", "exec"), module.__dict__)
        value = getattr(module, direction)(data)
        if type(value) is not bytes:
            raise TypeError(f"{direction} gave {type(value).__name__}, not bytes")
        answer = memoryview(b"v" + value)
    except BaseException as error:
        words = f"{type(error).__name__}: {error}"
        answer = memoryview(b"e" + words[:500].encode(errors="replace"))
    while answer:
        answer = answer[os.write(file, answer) :]
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
