"""The package as a user gets it: built from the source, installed by pip into an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.client import get
from support.server import ServerProcess

ROOT = Path(__file__).resolve().parent.parent
BUILD_SECONDS = 900.0

pytestmark = pytest.mark.slow

HELLO = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from another folder"]
"""


def run(*words: str | Path, folder: Path) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        # What the source needs of others is built once, and pip does not speak of its own releases.
        env={
            **os.environ,
            "CARGO_TARGET_DIR": str(ROOT / "target"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files under version control, and of nothing else that lies about."""
    copy = tmp_path_factory.mktemp("source") / "kirsch"
    for name in run("git", "ls-files", "-z", folder=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip builds. The quicker profile: what is in it does not depend on that."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip")
    run(*pip, "wheel", "-q", "--no-deps", "-w", folder, "-C", "build-args=--profile=fast", ".", folder=source)
    (found,) = folder.glob("*.whl")
    return found


def test_it_installs_from_its_source_and_serves_from_anywhere(source: Path, tmp_path: Path) -> None:
    environment, site = tmp_path / "environment", tmp_path / "site"
    run(sys.executable, "-m", "venv", environment, folder=tmp_path)
    pip = environment / "bin" / "pip"
    run(pip, "install", "-q", "-C", "build-args=--profile=fast", ".", folder=source)
    listed = run(pip, "list", "--format=freeze", "--exclude=pip", "--exclude=setuptools", folder=tmp_path)
    assert [line.partition("==")[0] for line in listed.split()] == ["kirsch"], "it needs nothing else"
    site.mkdir()
    (site / "hello.py").write_text(HELLO)
    words = [str(environment / "bin" / "kirsch"), "hello:app", "--bind", "127.0.0.1:0"]
    with ServerProcess("", words=words, folder=site) as server:
        assert get(server.address).body == b"hello from another folder"
    where = run(environment / "bin" / "python", "-c", "import kirsch; print(kirsch.__file__)", folder=site)
    assert where.startswith(str(environment)), "not from the source"


def test_the_wheel_has_the_package_with_its_types_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        described = archive.read(metadata).decode()
        (entries,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "kirsch=kirsch.__main__:main" in archive.read(entries).decode().replace(" ", "")
    assert {"kirsch/py.typed", "kirsch/_kirsch.pyi", "kirsch/__init__.py"} <= set(names)
    assert len([name for name in names if name.startswith("kirsch/_kirsch.") and name.endswith(".so")]) == 1
    licences = sorted(name.rpartition("/")[2] for name in names if "LICENSE" in name)
    assert licences == ["LICENSE-APACHE", "LICENSE-MIT", "LICENSE-cheroot.md"]
    strange = [name for name in names if not name.startswith(("kirsch/", "kirsch-"))]
    assert strange == []
    ours = [name for name in names if not name.startswith("kirsch/cheroot/test")]
    for_tests = [name for name in ours if "test" in name.lower()]
    assert for_tests == ["kirsch/pytest_plugin.py"], "of our own tests there are none"
    assert [name for name in names if "__pycache__" in name] == []
    assert "Requires-Python: >=3.10" in described
    assert "Requires-Dist" not in described
