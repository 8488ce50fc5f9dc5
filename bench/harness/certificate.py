"""The certificate of the scenarios over TLS, and how their clients speak it: the same for every server.

A self-signed ECDSA P-256 leaf, made when it is first asked for. Clients that load a server leave it nothing
to choose: TLS 1.3, AES-256-GCM, which all of them prefer, and X25519, since not every OpenSSL has the
post-quantum exchange. wrk gets a configuration of OpenSSL for it; in the client of the handshakes it is
built in.
"""

from __future__ import annotations

import functools
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import paths

# Removed when the benchmark ends.
_scratch = tempfile.TemporaryDirectory(prefix="kirsch-bench-tls-")

CLIENTS = """\
openssl_conf = all
[all]
ssl_conf = modules
[modules]
system_default = clients
[clients]
MinProtocol = TLSv1.3
MaxProtocol = TLSv1.3
Ciphersuites = TLS_AES_256_GCM_SHA384
Groups = X25519
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, each in a file."""

    certificate: Path
    # PKCS#8: Granian reads no other.
    key: Path

    @property
    def der(self) -> bytes:
        """The certificate as a client sees it."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())


@functools.cache
def pair() -> Pair:
    """Return the certificate; made once.

    Raises:
        MissingTool: if there is no openssl.
    """
    made = Pair(Path(_scratch.name) / "cert.pem", Path(_scratch.name) / "key.pem")
    subprocess.run(
        [
            *(paths.tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(made.key), "-out", str(made.certificate), "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            # rustls takes no authority's certificate for a server's.
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    return made


def environ() -> dict[str, str]:
    """Return what makes wrk speak as said above."""
    config = Path(_scratch.name) / "clients.cnf"
    config.write_text(CLIENTS)
    return {"OPENSSL_CONF": str(config)}


def context() -> ssl.SSLContext:
    """Return a client's settings for TLS 1.3 that trust any certificate: `verify` compares its bytes."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made
