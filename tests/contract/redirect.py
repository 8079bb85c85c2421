"""Leads the documents' host names to a local server: a certificate authority of one's own, a TLS front, a CONNECT proxy."""

import datetime
import ipaddress
import socket
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ["api.baytos.ai", "api.cloro.dev", "api.agentclara.app"]


class Redirect:
    """`with Redirect(directory, "127.0.0.1:8080") as redirect:` gives `redirect.environment`."""

    def __init__(self, directory, target):
        self.directory = Path(directory)
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))

    def __enter__(self):
        self._make_certificates()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "server.pem", self.directory / "server.key")
        self.front = _listener(lambda plain: self._front(context, plain))
        self.proxy = _listener(self._connect)
        address = f"http://127.0.0.1:{self.proxy.getsockname()[1]}"
        authority = str(self.directory / "ca.pem")
        self.environment = {
            "https_proxy": address, "HTTPS_PROXY": address, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1",
            "CURL_CA_BUNDLE": authority, "REQUESTS_CA_BUNDLE": authority, "SSL_CERT_FILE": authority,
        }
        return self

    def __exit__(self, *_):
        self.front.close()
        self.proxy.close()

    def _front(self, context, plain):
        with context.wrap_socket(plain, server_side=True) as encrypted:
            with socket.create_connection(self.target) as server:
                _pump(encrypted, server)

    def _connect(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(4_096)
            if not piece:
                return
            head += piece
        method, authority, _ = head.split(b" ", 2)
        host = authority.decode().rsplit(":", 1)[0]
        if method != b"CONNECT" or host not in HOSTS:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(self.front.getsockname()) as front:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _pump(client, front)

    def _make_certificates(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Keywright contract tests")])
        authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)

        def certificate(subject, public_key, *extensions):
            builder = (
                x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public_key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=6))
            )
            for extension, critical in extensions:
                builder = builder.add_extension(extension, critical)
            return builder.sign(authority_key, hashes.SHA256())

        identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
        authority = certificate(
            name, authority_key.public_key(),
            (x509.BasicConstraints(ca=True, path_length=0), True), (usage, True), (identifier, False),
        )
        names = [x509.DNSName(host) for host in HOSTS] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        server = certificate(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOSTS[0])]), key.public_key(),
            (x509.SubjectAlternativeName(names), False), (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
        )
        pem = serialization.Encoding.PEM
        (self.directory / "ca.pem").write_bytes(authority.public_bytes(pem))
        (self.directory / "server.pem").write_bytes(server.public_bytes(pem))
        (self.directory / "server.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


def _listener(serve):
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(serve, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener


def _serve(serve, connection):
    with connection:
        try:
            serve(connection)
        except OSError:
            pass  # The other side is gone: what it expected shows in the test.


def _pump(one, other):
    def copy(source, sink):
        try:
            while piece := source.recv(65_536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    there = threading.Thread(target=copy, args=(one, other), daemon=True)
    there.start()
    copy(other, one)
    there.join(5)
