"""When a `BuiltinSSLAdapter` can be left to Kirsch's own TLS, and with which settings.

An adapter notes what it was made with (`Made`), and forgets it as soon as somebody asks for its context or
assigns anything to it: what then becomes of the context nobody tells. Until then the engine can do what the
adapter would; a server that finds an adapter that can no more goes over to Python's ssl (`_tls.Door`).
"""

import os
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Made:
    """What an adapter was made with."""

    certificate: str
    private_key: str
    certificate_chain: str | None
    #: The suites that the adapter's ciphers come to, as OpenSSL calls them; `None` for the usual ones.
    suites: tuple[str, ...] | None
    password: str | None

    @classmethod
    def of(cls, certificate, private_key, certificate_chain, suites, password):
        """Notes it; `None` if it is something that only Python's ssl takes: a function for a password, say."""
        if isinstance(password, (bytes, bytearray)):
            try:
                password = password.decode()
            except UnicodeDecodeError:
                return None
        if password is not None and not isinstance(password, str):
            return None
        certificate = _path(certificate)
        # Without a key of its own, the certificate's file has both.
        key = certificate if private_key is None else _path(private_key)
        chain = None if certificate_chain is None else _path(certificate_chain)
        return cls(certificate, key, chain, suites, password or None)

    def settings(self):
        """Settings for the engine."""
        found = {"tls_cert": self.certificate, "tls_key": self.private_key}
        if self.suites is not None:
            found["tls_ciphers"] = list(self.suites)
        if self.password is not None:
            found["tls_key_password"] = self.password
        return found


def made(adapter):
    """What an adapter was made with, if it does nothing else than an untouched `BuiltinSSLAdapter`."""
    found = getattr(adapter, "_made", None)
    if found is None:
        return None
    kind = type(adapter)
    as_usual = all(
        _look_up(kind, name) is stock and (name not in vars(adapter) or isinstance(stock, cached_property))
        for name, stock in _stock.items()
    )
    return found if as_usual else None


def remember(kind):
    """Notes what the class does, before anybody can have changed it."""
    # What it is made with may differ in a subclass, as long as that passes it on.
    _stock.update({name: it for name, it in vars(kind).items() if hasattr(it, "__get__") and name != "__init__"})
    _stock["__getattribute__"] = object.__getattribute__


def _look_up(kind, name):
    return next((vars(it)[name] for it in kind.__mro__ if name in vars(it)), None)


def _path(path):
    return os.path.abspath(os.fsdecode(path))


#: What an untouched adapter does, by name.
_stock = {}
