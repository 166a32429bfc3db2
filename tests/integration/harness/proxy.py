"""A TCP proxy whose connections can be cut, held and slowed: the network of the tests."""
import asyncio
import contextlib
import socket
import struct
import threading

from .process import free_port

_CHUNK = 65536


class Proxy:
    """Forwards 127.0.0.1:port to 127.0.0.1:target_port. Threads of tests call its methods; all
    work happens in a thread of its own. `with` or close() ends it."""

    def __init__(self, target_port):
        self.port, self.target_port = free_port(), target_port
        self.connections = 0  # accepted so far
        self._bytes = {"up": 0, "down": 0}
        self._pairs = set()
        self._delay = 0.0
        self._limit = {"up": None, "down": None}
        self._refusing = False
        self._needle, self._gates = None, set()
        self._loop = asyncio.new_event_loop()
        self._flowing = None
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[ready], daemon=True)
        self._thread.start()
        ready.wait()

    # For tests

    def cut(self):
        """Resets every connection, as a network that breaks does."""
        self._call(self._reset_all)

    def refuse(self):
        """Cuts, and refuses new connections until accept()."""
        self._call(self._start_refusing)

    def accept(self):
        self._call(lambda: setattr(self, "_refusing", False))

    def pause(self):
        """Holds all bytes back, connections stay open: a network that swallows packets."""
        self._call(lambda: self._flowing.clear())

    def resume(self):
        self._call(lambda: self._flowing.set())

    def delay(self, seconds):
        """Adds to each chunk, in both directions."""
        self._call(lambda: setattr(self, "_delay", seconds))

    def cut_after(self, count, direction="down"):
        """Cuts all connections once `count` more bytes have passed: in the middle of a message.
        "up" is towards the server."""
        self._call(lambda: self._limit.update({direction: count}))

    def hold_answers(self, needle):
        """Holds what the server says on a connection once `needle` was sent on it; the others flow."""
        self._needle = needle

    @property
    def held(self):
        """Connections whose answers are held."""
        return len(self._gates)

    def release_answers(self):
        self._needle = None
        self._call(lambda: [gate.set() for gate in self._gates])

    def bytes(self, direction):
        return self._bytes[direction]

    def close(self):
        if self._loop.is_running():
            self._call(self._reset_all)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # In the thread of the proxy

    def _call(self, function):
        async def run():
            function()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _run(self, ready):
        asyncio.set_event_loop(self._loop)
        self._flowing = asyncio.Event()
        self._flowing.set()
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port))
        ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def _start_refusing(self):
        self._refusing = True
        self._reset_all()

    def _reset_all(self):
        for writer in [writer for pair in self._pairs for writer in pair]:
            _reset(writer)

    async def _serve(self, reader, writer):
        self.connections += 1
        if self._refusing:
            _reset(writer)
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            _reset(writer)
            return
        pair = (writer, up_writer)
        self._pairs.add(pair)
        gate = asyncio.Event()
        gate.set()
        try:
            await asyncio.gather(self._forward(reader, up_writer, "up", gate),
                                 self._forward(up_reader, writer, "down", gate))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._pairs.discard(pair)
            self._gates.discard(gate)
            gate.set()
            for end in pair:
                _reset(end)

    async def _forward(self, reader, writer, direction, gate):
        while data := await reader.read(_CHUNK):
            await self._flowing.wait()
            if direction == "up" and self._needle and self._needle in data:
                gate.clear()
                self._gates.add(gate)
            elif direction == "down":
                await gate.wait()
            if self._delay:
                await asyncio.sleep(self._delay)
            limit = self._limit[direction]
            if limit is not None:
                data = data[:limit]
                self._limit[direction] = limit - len(data)
            # Counted first: who has received the bytes can rely on the count.
            self._bytes[direction] += len(data)
            writer.write(data)
            await writer.drain()
            if self._limit[direction] == 0:
                self._limit[direction] = None
                # What was let through shall arrive: an orderly end, a reset would discard it.
                writer.close()
                self._reset_all_but(writer)
                raise ConnectionResetError
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _reset_all_but(self, kept):
        for writer in [writer for pair in self._pairs for writer in pair if writer is not kept]:
            _reset(writer)


def _reset(writer):
    """Closes with RST, not with an orderly end."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
