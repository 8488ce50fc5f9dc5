"""A client of TLS 1.3 that writes its records itself: empty ones, tiny ones, padded ones, of any kind.

The handshake is OpenSSL's; its key log has the secret that this side's records are made with from then on
(RFC 8446, sections 5.2 and 7.3).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import ssl
import struct
import tempfile
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .client import DEADLINE_SECONDS, Secure

ALERT, HANDSHAKE, DATA = 21, 22, 23
#: Asks nothing of the other side, and asks for new keys of its own (RFC 8446, section 4.6.3).
KEY_UPDATE, KEY_UPDATE_WANTED = b"\x18\0\0\1\0", b"\x18\0\0\1\1"


class Forger:
    """A connection whose handshake is done. Use it as a context manager.

    Attributes:
        secured: The connection as OpenSSL sees it, to read from; what is sent through it comes before
            any record of ours.
    """

    def __init__(self, address: Secure) -> None:
        folder = tempfile.TemporaryDirectory()
        with folder:
            log = Path(folder.name) / "keys"
            log.touch()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.keylog_filename = str(log)
            wire = socket.create_connection((address.host, address.port), DEADLINE_SECONDS)
            # An end without a goodbye is an error, so that none is missed.
            self.secured = context.wrap_socket(wire, server_hostname=address.name, suppress_ragged_eofs=False)
            words = log.read_text(encoding="ascii").split()
        self.wire = socket.socket(fileno=os.dup(self.secured.fileno()))
        self.wire.settimeout(DEADLINE_SECONDS)
        cipher = self.secured.cipher()
        assert cipher is not None
        self._hash, self._key_bytes = {
            "TLS_AES_256_GCM_SHA384": ("sha384", 32),
            "TLS_AES_128_GCM_SHA256": ("sha256", 16),
        }[cipher[0]]
        self._count = 0
        self._use(bytes.fromhex(words[words.index("CLIENT_TRAFFIC_SECRET_0") + 2]))

    def __enter__(self) -> Forger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wire.close()
        self.secured.close()

    def record(self, content: bytes, kind: int = DATA, padding: int = 0) -> bytes:
        """The next record, which has to be sent before any later one."""
        plain = content + bytes([kind]) + bytes(padding)
        head = struct.pack("!BHH", DATA, 0x0303, len(plain) + 16)
        nonce = (self._iv ^ self._count).to_bytes(12, "big")
        self._count += 1
        return head + self._cipher.encrypt(nonce, plain, head)

    def new_keys(self, message: bytes = KEY_UPDATE) -> bytes:
        """A record that says that the next ones have new keys."""
        record = self.record(message, HANDSHAKE)
        self._use(self._expand(self._secret, "traffic upd", hashlib.new(self._hash).digest_size))
        self._count = 0
        return record

    def send(self, data: bytes) -> None:
        """Put bytes on the wire as they are."""
        self.wire.sendall(data)

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher = AESGCM(self._expand(secret, "key", self._key_bytes))
        self._iv = int.from_bytes(self._expand(secret, "iv", 12), "big")

    def _expand(self, secret: bytes, label: str, count: int) -> bytes:
        """HKDF-Expand-Label without a context (RFC 8446, section 7.1); one block is enough."""
        name = b"tls13 " + label.encode()
        what = struct.pack("!HB", count, len(name)) + name + b"\0"
        return hmac.digest(secret, what + b"\1", self._hash)[:count]
