"""A network that can be cut: a proxy before a port."""

import contextlib
import socket
import threading


class Proxy:
    """Passes connections on to `port`; each of `cuts` says after how many bytes one of them breaks.

    The first connection breaks after the first number of bytes sent to the port, and so on; those
    after the last cut hold.
    """

    def __init__(self, port, cuts):
        self.target = port
        self.cuts = list(cuts)
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connections += 1
                left = self.cuts.pop(0) if self.cuts else None
                server = socket.create_connection(("127.0.0.1", self.target))
                for pair, most in (((client, server), left), ((server, client), None)):
                    threading.Thread(target=self.pass_on, args=(*pair, most), daemon=True).start()

    def pass_on(self, source, sink, left):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if left is not None and len(data) >= left:
                    sink.sendall(data[:left])
                    break
                left = None if left is None else left - len(data)
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.listener.close()
