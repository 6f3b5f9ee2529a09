"""A server that answers harm: whatever it is told to, and for ever if that is wanted."""

import itertools
import socket
import threading
import time

SOME = 20


class HarmfulServer:
    """Answers every request the same, in threads of its own.

    Attributes:
        answer: what is sent at once, and what then again and again; single bytes drip.
        dripped: set when some single bytes have dripped.
        port: on loopback.
    """

    def __init__(self) -> None:
        self.answer = (b"", b"")
        self.dripped = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        begin, more = self.answer
        with connection:
            try:
                connection.recv(65_536)
                connection.sendall(begin)
                for number in itertools.count() if more else ():
                    connection.sendall(more)
                    if len(more) == 1:
                        time.sleep(0.01)
                        if number == SOME:
                            self.dripped.set()
            except OSError:
                return
