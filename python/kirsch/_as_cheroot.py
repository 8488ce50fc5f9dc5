"""`kirsch.install_as_cheroot`: every ``import cheroot…`` of this process finds `kirsch.cheroot`.

A finder stands before those of the import system and answers ``cheroot.x`` with the module
``kirsch.cheroot.x``, the same object under both names. What Kirsch has none of (``cheroot.test.test_core``)
is left to the others.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

#: Set where `install_as_cheroot` was called, for processes that this one starts.
VARIABLE = "KIRSCH_AS_CHEROOT"

#: Holds a package ``cheroot`` that calls `install_as_cheroot`.
_FOLDER = Path(__file__).parent / "_stand_in"


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Part of the import system."""
        if fullname != "cheroot" and not fullname.startswith("cheroot."):
            return None
        ours = importlib.util.find_spec(f"kirsch.{fullname}")
        if ours is None:
            return None
        package = ours.submodule_search_locations is not None
        return ModuleSpec(fullname, self, origin=ours.origin, is_package=package)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Part of the import system: the module is there, or is imported under its own name."""
        module = importlib.import_module(f"kirsch.{spec.name}")
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Part of the import system: gives the module its own name back."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state

    def get_code(self, fullname: str) -> CodeType | None:
        """Part of the import system: what ``python -m cheroot`` runs."""
        ours = importlib.util.find_spec(f"kirsch.{fullname}")
        assert ours is not None
        assert isinstance(ours.loader, InspectLoader)
        return ours.loader.get_code(ours.name)


def install_as_cheroot(force: bool = False) -> None:
    """Has this process, and those that it starts, find Kirsch where they import cheroot.

    To be called before anything imports cheroot, which need not be installed. A second call does nothing.

    Args:
        force: Whether modules of cheroot's own that were imported already are forgotten. Who has them keeps
            them.

    Raises:
        RuntimeError: If cheroot was imported before, and ``force`` is not given.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    theirs = [name for name in sys.modules if name == "cheroot" or name.startswith("cheroot.")]
    if theirs and not force:
        raise RuntimeError(
            "cheroot was imported already; call kirsch.install_as_cheroot() before whatever imports it "
            "(web.py, CherryPy and WsgiDAV do), or use `kirsch run FILE`"
        )
    for name in theirs:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder())
    os.environ[VARIABLE] = "1"
    # Those of `multiprocessing` that are spawned begin with this one's path, whatever the variable says.
    if str(_FOLDER) not in sys.path:
        sys.path.insert(1, str(_FOLDER))
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(_FOLDER) not in places:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(_FOLDER), *filter(None, places)])
