"""A server that answers as a test tells it to: slowly, wrongly, or not at all."""

from __future__ import annotations

import hashlib
import socket
import threading

HELLO = b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n"


class FakeServer:
    """Speaks enough of the protocol to be greeted and described to; everything else is `answer`'s.

    `answer(connection, words)` is called with each other request, in a thread of the connection; what it returns is
    sent, and None ends the connection.
    """

    def __init__(self, answer, greets=True):
        """`greets` False: what the greeting and descriptions are answered with is `answer`'s too."""
        self._answer = answer
        self._greets = greets
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self._listener.getsockname()[1]
        #: Set when a connection to it has ended.
        self.hung_up = threading.Event()
        #: Set by the test's end: whoever stalls waits for it.
        self.over = threading.Event()
        self.connection_count = 0
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connection_count += 1
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        reader = connection.makefile("rb")
        try:
            while True:
                words = read_request(reader)
                if words is None:
                    return
                name = words[0].upper()
                if name == b"HELLO" and self._greets:
                    reply = HELLO
                elif name == b"KV.DESCRIBE" and self._greets:
                    digest = hashlib.sha256(words[1]).hexdigest().encode()
                    reply = b"$64\r\n%b\r\n" % digest
                else:
                    reply = self._answer(connection, words)
                if reply is None:
                    return
                connection.sendall(reply)
        except OSError:
            pass
        finally:
            reader.close()
            connection.close()
            self.hung_up.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        # A thread that waits in accept is not woken by closing.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # It was ended before.
        self._listener.close()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def read_request(reader):
    """One request's words; None at the end."""
    line = reader.readline()
    if not line:
        return None
    words = []
    for _ in range(int(line[1:])):
        size = int(reader.readline()[1:])
        words.append(reader.read(size))
        reader.read(2)
    return words
