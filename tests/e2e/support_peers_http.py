"""A remote archive of a few lines, which does to requests what a test wants."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Stub:
    """Remembers what it was sent; `behave(request, body)` may answer, cut or stall instead."""

    def __init__(self, behave=None):
        self.taken = []
        self.behave = behave
        self.lock = threading.Lock()

    def __enter__(self):
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with stub.lock:
                    stub.taken.append((self.path, dict(self.headers), body))
                if stub.behave is None or not stub.behave(self, body):
                    self.answer(200, b'{"Status": "Success"}')

            def do_GET(self):
                if stub.behave is None or not stub.behave(self, b""):
                    self.answer(200, b'{"Name": "stub", "Version": "1"}')

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def cut(self):
                """Close without an answer."""
                self.close_connection = True
                return True

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
