"""Serve the built site to this machine alone: `make serve`.

As a site's own server would, it sends text compressed and lets a browser keep what it
has: a font for good, all else as long as it is told that nothing has changed.
"""

import functools
import gzip
import http.server
import io
import sys
from http import HTTPStatus
from pathlib import Path

HTML = Path(__file__).resolve().parent / "_build" / "html"
TEXT = {".html", ".css", ".js", ".json", ".svg", ".txt", ".md", ".ipynb", ".inv"}


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for all files of a page

    def end_headers(self) -> None:
        font = self.path.endswith(".woff2")
        age = "max-age=31536000, immutable" if font else "no-cache"
        self.send_header("Cache-Control", age)
        super().end_headers()

    def send_head(self):
        """A file of text compressed, all else as the standard library sends it."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path /= "index.html"
        wanted = "gzip" in self.headers.get("Accept-Encoding", "")
        known = "If-Modified-Since" in self.headers
        if not (wanted and path.suffix in TEXT and path.is_file()) or known:
            return super().send_head()
        body = compressed(path, path.stat().st_mtime_ns)
        self.send_response(HTTPStatus.OK)
        kind = self.guess_type(str(path))
        text = kind.startswith("text/") or kind == "application/javascript"
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Vary", "Accept-Encoding")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        return io.BytesIO(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each file: the address is printed once."""


@functools.lru_cache(maxsize=256)
def compressed(path: Path, changed: int) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)


def server(port: int, folder: Path = HTML) -> http.server.ThreadingHTTPServer:
    """A server on the loopback address; nobody else on the network can reach it."""
    handler = functools.partial(Handler, directory=str(folder))
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> int:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    try:
        site = server(port)
    except OSError as error:
        print(f"Port {port}: {error.strerror}. Name another: make serve PORT=8001")
        return 1
    print(f"The book is at http://localhost:{port} (Ctrl-C ends it)")
    try:
        site.serve_forever()
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
