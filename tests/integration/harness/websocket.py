"""A service of WebSockets."""
import base64
import hashlib
import socket
import threading


def websocket_service():
    """Accepts WebSockets and sends back what it gets, byte by byte."""
    server = socket.create_server(("127.0.0.1", 0))

    def echo(connection):
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        key = [line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")][0]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        connection.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        while data := connection.recv(4096):
            connection.sendall(data)
        connection.close()

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return server
