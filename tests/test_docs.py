"""The documents keep their word: links lead somewhere, flags exist, commands name files that are there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import waitress.adjustments
from support.server import clean_environment, kirsch

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = {".cache", ".git", ".venv", ".venvs", "target", "node_modules", ".pytest_cache"}
LINK = re.compile(r"(?<!!)\[[^\]^\[]*\]\(([^)\s]+)\)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
CODE = re.compile(r"`([^`\n]+)`")
# Paths of this repository, as prose and code name them.
OURS = re.compile(r"^(?:bench|conformance|crates|docs|examples|python|requirements|tests|tools)/[\w./-]+$")
# Applications that the documents invent, since their reader has one of their own.
INVENTED = {"shop", "code", "blog", "mysite"}


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        found += [Path(folder) / name for name in sorted(files) if name.endswith(".md")]
    # What a benchmark run wrote is no document.
    return [path for path in found if path.parent != ROOT / "bench" / "results" or path.name == "README.md"]


def name_of(path: Path) -> str:
    """How a failing test calls the document."""
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    """The prose: what stands in fences links to nothing."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The headings of a document, as its links name them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def console_lines() -> Iterator[tuple[Path, str]]:
    """Every command that a document shows behind a prompt, continued lines joined."""
    for path in documents():
        for block in re.findall(r"^```console\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    yield path, line[2:]


@pytest.fixture(scope="module")
def flags() -> set[str]:
    """What `kirsch --help` lists, the other form of each switch, options that come later, and stand-ins."""
    run = subprocess.run(
        [*kirsch(), "--help"], env=clean_environment(), capture_output=True, text=True, timeout=10, check=True
    )
    listed = set(FLAG.findall(run.stdout))
    reference = (ROOT / "docs/reference/settings.md").read_text()
    later = set(FLAG.findall(reference.split("## Not in this version")[1]))
    both = {name.replace("--no-", "--") for name in listed} | {"--no-" + name[2:] for name in listed}
    return listed | later | both | {"--name", "--no-name", "--help", "--version"}


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    wrong = []
    for link in LINK.findall(without_code(path.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        place = (path.parent / target).resolve() if target else path
        if not place.exists() or (anchor and anchor not in anchors(place)):
            wrong.append(link)
    assert wrong == []


def test_every_flag_of_the_command_exists(flags: set[str]) -> None:
    """Flags in prose, and in commands that call `kirsch`; flags of other programs have their own."""
    wrong = []
    for path in documents():
        text = path.read_text()
        ours = path == ROOT / "README.md" or ROOT / "docs" in path.parents
        if not ours:
            continue
        for code in CODE.findall(without_code(text)):
            words = code.split()
            if words[0].startswith("--") or "kirsch" in words[0]:
                wrong += [(name_of(path), flag) for flag in FLAG.findall(code) if flag not in flags]
        for line in text.splitlines():
            if re.search(r"(?:^\$ |/)kirsch ", line):
                wrong += [(name_of(path), flag) for flag in FLAG.findall(line) if flag not in flags]
    assert wrong == []


def test_every_file_that_is_named_exists() -> None:
    wrong = []
    for path in documents():
        for code in CODE.findall(without_code(path.read_text())):
            place = code.split("::")[0].rstrip("/")
            # Made by a run of the benchmark, or a pattern.
            if (
                OURS.match(place)
                and not place.startswith("bench/results")
                and "instructions.json" not in place
            ):
                here = path.parent / place
                if not (ROOT / place).exists() and not here.exists():
                    wrong.append((name_of(path), code))
    assert wrong == []


def test_commands_name_what_is_there() -> None:
    """`make` targets, files of Python, modules of `examples/`."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for path, line in console_lines():
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            wrong += [(name_of(path), word) for word in words[1:] if word.isalpha() and word not in targets]
        for word in words[1:]:
            invented = word.removesuffix(".py") in INVENTED
            if (
                word.endswith(".py")
                and not invented
                and not any((ROOT / at / word).is_file() for at in ("", "examples"))
            ):
                wrong.append((name_of(path), word))
        if words[0] == "kirsch" and len(words) > 1:
            named = next(
                (
                    word
                    for word in words[1:]
                    if not word.startswith("-") and word not in ("serve", "check", "run")
                ),
                "",
            )
            module = named.removesuffix(".py").split(":")[0].split(".")[0]
            if module and module not in INVENTED and not (ROOT / "examples" / f"{module}.py").is_file():
                wrong.append((name_of(path), named))
    assert wrong == []


@pytest.mark.parametrize(
    "line", sorted({line for _, line in console_lines() if line.startswith("kirsch check")}), ids=str
)
def test_every_check_that_is_shown_works(line: str) -> None:
    """As shown, in `examples/`; on a free port, since the one that is shown may be taken."""
    # The address is ours, the application is theirs.
    words = [
        word for word in shlex.split(line, comments=True)[1:] if word != "--bind" and "127.0.0.1" not in word
    ]
    folder = "examples/blog" if words[1] == "blog:app" else "examples"
    run = subprocess.run(
        [*kirsch(), *words, "--bind", "127.0.0.1:0"],
        cwd=ROOT / folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"{words[1]} can be served on http://127.0.0.1:")


def test_every_setting_that_the_tables_of_other_servers_lead_to_exists() -> None:
    reference = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    ours = {
        name.removeprefix("routes.") for name in re.findall(r"^### `([\w.-]+)`$", reference, re.MULTILINE)
    }
    # What stands there besides.
    ours |= {"debug", "proxy_pass", "uwsgi_pass"}
    page = (ROOT / "docs/guides/migrating.md").read_text("utf-8")
    # The tables of `kirsch migrate` are looked at by test_migrate.py.
    table = re.sub(r"^<!-- .*? made by .*?(?=^## )", "", page, flags=re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[-2] for line in table.splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall(r"`([a-z][\w-]+)`", row)}
    assert len(named) > 30
    assert named - ours == set()


def test_every_setting_of_waitress_s_stands_in_its_table() -> None:
    table = (
        (ROOT / "docs/guides/migrating.md")
        .read_text("utf-8")
        .partition("## waitress")[2]
        .partition("\n## ")[0]
    )
    theirs = {name for name, _ in waitress.adjustments.Adjustments._params}
    assert {name for name in theirs if f"`{name}`" not in table} == set()
