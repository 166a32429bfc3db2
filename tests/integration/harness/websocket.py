"""A service of WebSockets, and a client."""
import base64
import hashlib
import socket
import threading


def open_websocket(port, **headers):
    """A connection that asks for a WebSocket, and the head of the answer."""
    connection = socket.create_connection(("127.0.0.1", port), 10)
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"GET /api/products/live HTTP/1.1\r\nHost: x\r\n{more}Upgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    return connection, connection.recv(4096)


def echoes(connection, message=b"\x81\x05hello"):
    connection.sendall(message)
    return connection.recv(4096) == message


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
