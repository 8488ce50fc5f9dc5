"""Certificates for tests: an authority in a folder, and what it signs, made by the `openssl` command."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A certificate with its key, each in a file."""

    certificate: Path
    key: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """What has the server serve it."""
        return ("--tls-cert", str(self.certificate), "--tls-key", str(self.key))

    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as browsers show it."""
        said = openssl("x509", "-in", self.certificate, "-noout", "-fingerprint", "-sha256")
        return said.strip().partition("=")[2]

    def rename_to(self, other: Pair) -> None:
        """Take the place of another pair as a renewal does: each file at once, one after the other."""
        self.key.rename(other.key)
        self.certificate.rename(other.certificate)


def openssl(*words: str | Path) -> str:
    """Run the command; what it wrote to standard output."""
    done = subprocess.run(
        ["openssl", *map(str, words)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"openssl {words}: {done.stderr}"
    return done.stdout


class Authority:
    """An authority: `certificate` is what clients, or the server, are to trust.

    Args:
        folder: Where its files lie.
        name: What it is called.
    """

    def __init__(self, folder: Path, name: str = "Kirsch test authority") -> None:
        self.folder = folder
        self.name = name
        self.certificate, self.key = folder / "ca.pem", folder / "ca.key"
        self._made = 0
        usage = ("keyUsage=critical,keyCertSign,cRLSign",)
        self._make(self.certificate, self.key, name, "ec:P-256", usage, signed=False)

    def pair(
        self,
        *names: str,
        kind: str = "ec:P-256",
        days: int = 30,
        into: Path | None = None,
        revoked_at: str = "",
    ) -> Pair:
        """A server's certificate.

        Args:
            names: The hosts that it is for; the first is its common name, too.
            kind: `ec:CURVE`, `rsa:BITS` or `ed25519`.
            days: How long it is valid.
            into: The folder for its files; one of its own, if none.
            revoked_at: The URL that it gives for the list of revoked ones; none by default.
        """
        extensions = [f"subjectAltName={_alternatives(names)}"]
        extensions += [f"crlDistributionPoints=URI:{revoked_at}"] if revoked_at else []
        return self._leaf(names[0], extensions, "serverAuth", kind, days, into)

    def client(self, name: str, *, kind: str = "ec:P-256") -> Pair:
        """A client's certificate for a common name."""
        return self._leaf(name, [f"subjectAltName=email:{name}@a.test"], "clientAuth", kind, 30, None)

    def revocations(self, *revoked: Pair) -> Path:
        """The list of what it has revoked."""
        self._made += 1
        database, listed = self.folder / f"index-{self._made}", self.folder / f"list-{self._made}.pem"
        settings = self.folder / f"ca-{self._made}.cnf"
        number = self.folder / f"number-{self._made}"
        database.write_text("")
        number.write_text("01\n")
        settings.write_text(
            f"[ca]\ndefault_ca=it\n[it]\ndatabase={database}\ndefault_md=sha256\ndefault_crl_days=30\n"
            f"certificate={self.certificate}\nprivate_key={self.key}\n"
            f"crlnumber={number}\ncrl_extensions=extensions\n[extensions]\nauthorityKeyIdentifier=keyid\n"
        )
        for pair in revoked:
            openssl("ca", "-config", settings, "-revoke", pair.certificate)
        openssl("ca", "-config", settings, "-gencrl", "-out", listed)
        return listed

    def context(self, **changes: object) -> ssl.SSLContext:
        """A client's settings that trust this authority and nobody else."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        for name, value in changes.items():
            setattr(context, name, value)
        return context

    def _leaf(self, name: str, own: list[str], usage: str, kind: str, days: int, into: Path | None) -> Pair:
        self._made += 1
        folder = into or self.folder / f"leaf-{self._made}"
        folder.mkdir(exist_ok=True)
        pair = Pair(folder / "cert.pem", folder / "key.pem")
        extensions = (*own, f"extendedKeyUsage={usage}", "keyUsage=critical,digitalSignature")
        constraints = "basicConstraints=critical,CA:FALSE"
        self._make(pair.certificate, pair.key, name, kind, (constraints, *extensions), signed=True, days=days)
        return pair

    def _make(
        self,
        certificate: Path,
        key: Path,
        name: str,
        kind: str,
        extensions: tuple[str, ...],
        *,
        signed: bool,
        days: int = 30,
    ) -> None:
        algorithm, _, size = kind.partition(":")
        parameter = {"ec": f"ec_paramgen_curve:{size}", "rsa": f"rsa_keygen_bits:{size}"}.get(algorithm)
        words: list[str | Path] = ["req", "-x509", "-newkey", algorithm]
        words += ["-pkeyopt", parameter] if parameter else []
        words += ["-nodes", "-keyout", key, "-out", certificate, "-subj", f"/CN={name}", "-days", str(days)]
        for extension in extensions:
            words += ["-addext", extension]
        if signed:
            words += ["-CA", self.certificate, "-CAkey", self.key]
        openssl(*words)


def _alternatives(names: tuple[str, ...]) -> str:
    is_address = [name.replace(".", "").isdigit() or ":" in name for name in names]
    kinds = ["IP" if address else "DNS" for address in is_address]
    return ",".join(f"{kind}:{name}" for kind, name in zip(kinds, names, strict=True))
