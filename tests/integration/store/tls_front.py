"""TLS before a PostgreSQL server that has none: what a real server does on its own port, and certificates for it."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@dataclass
class Certificates:
    """An authority of one's own, as its certificate's file; and the context of a server that it certified."""

    authority: Path
    server: ssl.SSLContext


def certificates(folder: Path, address: str = "127.0.0.1") -> Certificates:
    """Make an authority, and a server's certificate for `address`."""
    folder.mkdir()
    own = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("an authority", own, "an authority", own)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("a server", key, "an authority", own, address)
    (folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    chain = folder / "server.pem"
    chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Certificates(folder / "authority.pem", context)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signing: ec.EllipticCurvePrivateKey, address: str = ""
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=not address, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if address:
        name_ = x509.IPAddress(ipaddress.ip_address(address))
        builder = builder.add_extension(x509.SubjectAlternativeName([name_]), critical=False)
    return builder.sign(signing, hashes.SHA256())


@dataclass
class Front:
    """Where it listens, and what came in by way of TLS or without."""

    port: int = 0
    encrypted: int = 0
    plain: int = 0


@asynccontextmanager
async def front(database_url: str, context: ssl.SSLContext | None) -> AsyncIterator[Front]:
    """Listen on loopback before the server of `database_url`; without a context as a server that has no TLS."""
    told = Front()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(8)
        if first == SSL_REQUEST:
            writer.write(b"S" if context else b"N")
            if context is None:
                writer.close()
                return
            await writer.start_tls(context)
            told.encrypted += 1
            first = b""
        else:
            told.plain += 1
        behind, beyond = await _opened(database_url)
        beyond.write(first)
        await asyncio.gather(_carry(reader, beyond), _carry(behind, writer))

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):  # a client that goes away, as one that trusts no certificate
            await meet(reader, writer)
        writer.close()

    async with await asyncio.start_server(quietly, "127.0.0.1") as server:
        told.port = server.sockets[0].getsockname()[1]
        yield told


async def _opened(database_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(database_url)
    if url.hostname:
        return await asyncio.open_connection(url.hostname, url.port)
    [folder] = parse_qs(url.query)["host"]
    return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()
