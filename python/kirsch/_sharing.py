"""Several applications in one interpreter: what they would share by mistake is refused.

A process has one module of a name, and one set of environment variables. Where two applications have a
module of one name in folders of their own, the second to import it would be given the first's. Folders
are compared when the server starts. A name that two of them have is not wrong by itself, since nobody may
ever import it (``setup``, ``conftest``, ``tests``); importing it is, at the start and at any time later.
"""

from __future__ import annotations

import importlib.machinery
import os
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"

WAY_OUT = "applications in one process share their modules: give each a process of its own"


class Shared(Exception):
    """Two applications would share what each believes to be its own. The text is for the user.

    No ImportError, which an application may take for the absence of an optional module.
    """


class Guard(MetaPathFinder):
    """Refuses to import a name that two applications have in folders of their own."""

    def __init__(self) -> None:
        #: By name: every application that has it, with where it has it.
        self._places: dict[str, list[tuple[str, Path]]] = {}
        #: What was refused first, in case the application goes on regardless.
        self.refusal: Shared | None = None

    def add(self, name: str, folders: Iterable[Path]) -> None:
        """Notes what an application has.

        Args:
            name: What messages call it.
            folders: Where its imports begin.
        """
        for folder in folders:
            for module, place in _modules_in(folder):
                places = self._places.setdefault(module, [])
                if place not in (known for _, known in places):
                    places.append((name, place))

    def refuse(self, module: str) -> None:
        """Refuses a top-level module if several applications have one of its name.

        Raises:
            Shared: They have.
        """
        places = self._places.get(module, [])
        if len(places) > 1:
            (first, here), (second, there) = places[:2]
            error = Shared(
                f"{first} and {second} both have a module {module} ({here} and {there}); "
                f"{WAY_OUT}, or rename one of the modules"
            )
            self.refusal = self.refusal or error
            raise error

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Part of the import system: asked before those that find modules."""
        if path is None:
            self.refuse(fullname)
        return None

    def install(self) -> None:
        """Has every import ask, from now on."""
        sys.meta_path.insert(0, self)


class DjangoSettings:
    """Each application finds `DJANGO_SETTINGS_MODULE` as the server did; two values are refused."""

    def __init__(self) -> None:
        self._before = os.environ.get(SETTINGS_MODULE)
        self._found: tuple[str, str] | None = None

    def begin(self) -> None:
        """Called before an application is loaded: takes back what the one before has set."""
        _set(self._before)

    def end(self, name: str) -> None:
        """Called when an application was loaded, or has failed to.

        Args:
            name: What messages call it.

        Raises:
            Shared: It has another value than one before.
        """
        value = os.environ.get(SETTINGS_MODULE)
        if value is None:
            return
        if self._found is None:
            self._found = name, value
            return
        first, known = self._found
        if known != value:
            raise Shared(
                f"{first} has {SETTINGS_MODULE}={known} and {name} has {value}; "
                f"{WAY_OUT.replace('their modules', 'one value of it')}"
            )

    def keep(self) -> None:
        """Called when all were loaded: the one value stays for all."""
        if self._found is not None:
            _set(self._found[1])


def _set(value: str | None) -> None:
    if value is None:
        os.environ.pop(SETTINGS_MODULE, None)
    else:
        os.environ[SETTINGS_MODULE] = value


def _modules_in(folder: Path) -> Iterable[tuple[str, Path]]:
    """The top-level modules and packages that a folder has, each with its real place."""
    found = {info.name: info.ispkg for info in pkgutil.iter_modules([str(folder)])}
    for name, is_package in found.items():
        yield name, _place(folder, name, is_package)
    # Packages without an __init__ are put together of all folders that have one: worse than shadowing.
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        is_new = entry.name.isidentifier() and entry.name not in found and entry.is_dir()
        if is_new and next(pkgutil.iter_modules([str(entry)]), None) is not None:
            yield entry.name, entry.resolve()


def _place(folder: Path, name: str, is_package: bool) -> Path:
    if is_package:
        return (folder / name).resolve()
    suffixes = importlib.machinery.all_suffixes()
    files = (folder / f"{name}{suffix}" for suffix in suffixes)
    return next((file.resolve() for file in files if file.is_file()), (folder / name).resolve())
