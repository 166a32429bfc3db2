"""Certificates for loopback, made by the openssl program."""
import dataclasses
import pathlib
import subprocess


@dataclasses.dataclass
class Server:
    """Files of one CA: a server's certificate for loopback, and a client's."""

    ca: pathlib.Path
    cert: pathlib.Path
    key: pathlib.Path
    client_cert: pathlib.Path
    client_key: pathlib.Path
    client_pem: pathlib.Path  # certificate and key in one file, as MongoDB drivers want it
    client_certificates: bool = False  # the server demands one


def _openssl(folder, *arguments):
    subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)


def _issue(folder, name, subject, extension):
    extensions = folder / f"{name}.ext"
    extensions.write_text(extension)
    _openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out",
             f"{name}.csr", "-subj", subject)
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
             "-CAcreateserial", "-days", "30", "-out", f"{name}.crt", "-extfile", extensions)


def make(folder, *, client_user="postgres", client_certificates=False, names="DNS:localhost,IP:127.0.0.1"):
    """A fresh CA with a server's certificate for `names` and a client's (its common name is `client_user`)."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out",
             "ca.crt", "-days", "30", "-subj", "/CN=test ca")
    _issue(folder, "server", "/CN=localhost", f"subjectAltName={names}\n")
    _issue(folder, "client", f"/CN={client_user}", "extendedKeyUsage=clientAuth\n")
    pem = folder / "client.pem"
    pem.write_text((folder / "client.crt").read_text() + (folder / "client.key").read_text())
    for key in ("server.key", "client.key", "client.pem"):
        (folder / key).chmod(0o600)
    return Server(folder / "ca.crt", folder / "server.crt", folder / "server.key",
                  folder / "client.crt", folder / "client.key", pem, client_certificates)
