"""`kirsch migrate`: configurations of gunicorn's and uWSGI's become files that Kirsch accepts and serves by.

The configurations, with what must become of each, stand in `support/migrations.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from gunicorn import config as gunicorn_config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kirsch import _kirsch
from kirsch._migrate import TABLES, _access_log, _gunicorn, _uwsgi
from kirsch._migrate._document import Document
from kirsch._migrate._table import Becomes, Group, Table, guide
from kirsch._migrate._uwsgi_names import NAMES
from support.certificates import Authority
from support.client import get
from support.migrations import APPLICATION, GUNICORN, OTHERS, UWSGI, Case
from support.server import ServerProcess, clean_environment, kirsch
from support.suites import source

SECONDS = 20
ROOT = Path(__file__).resolve().parent.parent
CASES = [
    *[pytest.param("gunicorn.conf.py", case, id=f"gunicorn, {name}") for name, case in GUNICORN.items()],
    *[pytest.param("uwsgi.ini", case, id=f"uWSGI, {name}") for name, case in UWSGI.items()],
]


def ended(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`kirsch` with these words, once it has ended."""
    return subprocess.run(
        [*kirsch(), *words],
        cwd=folder,
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def migrated(folder: Path, name: str, **environment: str) -> str:
    """What the command prints for a file."""
    done = ended(folder, "migrate", name, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def written(folder: Path, name: str, text: str) -> Path:
    """A folder with an application, files and a configuration."""
    (folder / "hello.py").write_text(APPLICATION)
    for part in ("public", "files/media"):
        (folder / part).mkdir(parents=True)
    (folder / "public" / "style.css").write_text("body {}")
    for other, content in OTHERS.items():
        (folder / other).write_text(content)
    (folder / name).write_text(textwrap.dedent(text).lstrip().replace("{folder}", str(folder)))
    return folder


def certified(folder: Path) -> Authority:
    """Puts a certificate where the configurations name one."""
    authority = Authority(folder)
    pair = authority.pair("localhost")
    pair.certificate.rename(folder / "server.pem")
    pair.key.rename(folder / "server.key")
    return authority


def commented(text: str) -> list[tuple[str, str]]:
    """What stands in comments of the printed file, with its heading."""
    names = {f"# {group.value}:": group.value for group in Group}
    found, heading = [], None
    for line in text.splitlines():
        if line in names:
            heading = names[line]
        elif heading and re.match(r"# [^ ]", line):
            found.append((heading, line.removeprefix("# ")))
    return found


# --- Configurations


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_configuration_becomes_the_settings_it_means(name: str, case: Case, tmp_path: Path) -> None:
    folder = written(tmp_path, name, case.text)
    text = migrated(folder, name, USER_OF_TEST="somebody")
    (folder / "kirsch.toml").write_text(text)

    named = [] if "app" in case.settings or case.routes else ["hello:app"]
    command = _kirsch.parse_command_line(["kirsch", "check", *named], [], str(folder))
    assert command.settings is not None, f"{command.stderr}\n{text}"
    assert command.dispatch is not None
    lines = re.findall(r"^(\S+) = ?(.*?)\s+# (\S+): ", command.settings.describe(), re.MULTILINE)
    assert {key: value for key, value, origin in lines if origin.startswith("kirsch.toml:")} == {
        key: value.replace("{here}", str(folder)) for key, value in case.settings.items()
    }
    assert command.dispatch.brief == case.brief.replace("{here}", str(folder))
    assert command.dispatch.findings == []


@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_setting_is_there_once_as_a_setting_or_with_its_reason(
    name: str, case: Case, tmp_path: Path
) -> None:
    text = migrated(written(tmp_path, name, case.text), name, USER_OF_TEST="somebody")
    expected = sorted((group.value, start) for group, starts in case.comments.items() for start in starts)
    starts = sorted((start for _, start in expected), key=len, reverse=True)
    found = [
        (heading, next((start for start in starts if line.startswith(start)), line))
        for heading, line in commented(text)
    ]
    assert sorted(found) == expected
    if name.endswith(".ini"):
        section = textwrap.dedent(case.text).partition("[uwsgi]")[2].partition("\n[")[0]
        keys = [line.partition("=")[0].strip() for line in section.splitlines() if line[:1] not in ("", "#")]
    else:
        keys = re.findall(r"^([a-z]\w*) =", textwrap.dedent(case.text), re.MULTILINE)
    shown = re.findall(r"^# (?:def )?([a-z][\w-]*)(?: *=| *$|\()", text, re.MULTILINE)
    missed = [key for key in keys if shown.count(key) < keys.count(key)]
    assert missed == []
    # Every comment has its reason below it.
    for _, line in commented(text):
        assert re.search(rf"^# {re.escape(line)}\n#     \S", text, re.MULTILINE), line


@pytest.mark.parametrize(("name", "case"), [case for case in CASES if "bind" in case.values[1].settings])  # type: ignore[union-attr]
def test_check_finds_nothing_wrong_with_what_is_printed(name: str, case: Case, tmp_path: Path) -> None:
    folder = written(tmp_path, name, case.text)
    certified(folder)
    (folder / "kirsch.toml").write_text(migrated(folder, name))
    done = ended(folder, "check", KIRSCH_BIND="127.0.0.1:0" if ":8000" in case.settings["bind"] else "")
    assert (done.returncode, done.stderr) == (0, "")
    assert "can be served on" in done.stdout


def test_what_is_printed_for_gunicorn_serves_requests(tmp_path: Path) -> None:
    folder = written(tmp_path, "gunicorn.conf.py", GUNICORN["several addresses and proxies"].text)
    (folder / "kirsch.toml").write_text(migrated(folder, "gunicorn.conf.py"))
    with ServerProcess("", words=[*kirsch()], folder=folder) as server:
        assert get(server.address, "/a").body == b"|/a|http"
        believed = get(str(folder / "two.sock"), "/b", fields=("X-Forwarded-Proto: https",))
        assert believed.body == b"|/b|https"


def test_what_is_printed_for_uwsgi_serves_requests_files_and_mounts(tmp_path: Path) -> None:
    folder = written(tmp_path, "uwsgi.ini", UWSGI["several applications and folders"].text)
    (folder / "kirsch.toml").write_text(migrated(folder, "uwsgi.ini"))
    with ServerProcess("", words=[*kirsch()], folder=folder) as server:
        answers = [get(server.address, path) for path in ("/x", "/api/x", "/v2/api/x", "/static/style.css")]
    assert [answer.body for answer in answers] == [
        b"|/x|http",
        b"/api|/x|http",
        b"/v2/api|/x|http",
        b"body {}",
    ]
    assert [answer.get("X-Served-By") for answer in answers] == ["kirsch"] * 4


def test_what_is_printed_for_https_serves_it(tmp_path: Path) -> None:
    text = 'wsgi_app = "hello:app"\nbind = "127.0.0.1:0"\ncertfile = "server.pem"\nkeyfile = "server.key"\n'
    folder = written(tmp_path, "gunicorn.conf.py", text)
    authority = certified(folder)
    (folder / "kirsch.toml").write_text(migrated(folder, "gunicorn.conf.py"))
    with ServerProcess("", words=[*kirsch()], folder=folder) as server:
        assert get(server.secure(authority.context()), "/a").body == b"|/a|https"


def test_gunicorns_own_example_loses_nothing(tmp_path: Path) -> None:
    example = (source("gunicorn") / "examples" / "example_config.py").read_text()
    folder = written(tmp_path, "gunicorn.conf.py", example)
    text = migrated(folder, "gunicorn.conf.py")
    names = re.findall(r"^(?:def )?([a-z_]+)(?: =|\()", example, re.MULTILINE)
    assert len(names) > 20
    for name in names:
        assert len(re.findall(rf"^# (?:def )?{name}(?: =|\()", text, re.MULTILINE)) == 1, name


# --- The tables

#: What the tables name besides settings: values, variables of environ, modules, what nginx has.
OTHER_WORDS = {
    "warning",
    "warn",
    "critical",
    "error",
    "sync",
    "gthread",
    "eventlet",
    "gevent",
    "optional",
    "required",
}
OTHER_WORDS |= {"atexit", "trace", "faulthandler", "py-spy", "environ", "proxy_pass", "uwsgi_pass"}


def options() -> set[str]:
    """Every setting of Kirsch's, as the reference calls it."""
    reference = (ROOT / "docs" / "reference" / "settings.md").read_text()
    return set(re.findall(r"^### `([^`]+)`$", reference, re.MULTILINE))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.server)
def test_a_table_names_settings_of_kirsch_that_there_are(table: Table) -> None:
    keys = {key for row in table.rows for key in row.keys}
    assert keys - options() == set()
    for row in table.rows:
        assert (row.group is Group.BECOMES) == bool(row.keys), row
        assert row.convert is not None if row.keys else row.says, row
        # What stands in backticks is a setting of either, or one of a few other words.
        names = set(re.findall(r"`(?:--)?([a-z][\w-]+)`", row.says))
        keys = {name.removeprefix("routes.") for name in options()}
        assert names - keys - set(table.names) - OTHER_WORDS == set(), row


def test_the_table_has_every_setting_of_gunicorn() -> None:
    known = {setting.name for setting in gunicorn_config.KNOWN_SETTINGS}
    assert set(_gunicorn.TABLE.names) == known


def test_the_table_has_options_of_uwsgi_that_there_are() -> None:
    assert set(_uwsgi.TABLE.names) - NAMES == set()
    for row in _uwsgi.TABLE.rows:
        for start in row.pattern:
            assert any(name.startswith(start) for name in NAMES) or start in ("expires-", "static-expires"), (
                start
            )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.server)
def test_the_guide_has_the_table(table: Table) -> None:
    page = (ROOT / "docs" / "guides" / "migrating.md").read_text()
    assert guide(table) in page, "stale; write it anew with: make docs"


# --- Any values


#: What may stand behind a setting, right or wrong.
TEXTS = st.sampled_from(
    """
    | 0|1|2|30|4096|65536|1000000|-1|010|0x10|true|false|no|-|.|/srv/x|unix:x.sock|:80|127.0.0.1:0|[::1]:80|@x|fd://3
    |http://x|localhost:80|x.py|hello:app|hello:create_app()|hello:f('a')|a:b:c|a,b|10.0.0.0/8|*|debug|warning|%(h)s
    |%(nope)s|%({a}i)s|%%|100%|"x"|it's|\\|/a=b|/a=hello:app|=x|a=b|/=x|X-A:b|X-A:b\tc|stdio:|file:x|%(x)|$(HOME)
    |127.0.0.1:0,a,b|127.0.0.1:0,a,b,c,!d|addr=:0,cert=a,key=b|$(NO)|@(/no)|\u00fcmlaut|\u2028
    |\U0001f600|a b|two\nlines
    """.replace("\n    |", "|").split("|")
)
#: Kirsch looks whether these are there.
FOLDERS = {"chdir", "tmp_upload_dir"}
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(-1, 2**40),
    st.floats(allow_nan=True),
    st.lists(TEXTS, max_size=3),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
    st.just(print),
    st.just(object),
)


def accepted(text: str) -> None:
    """Kirsch must take the file, but for an application that is not named and files that are not there."""
    folder = os.environ["KIRSCH_TEST_FOLDER"]
    Path(folder, "kirsch.toml").write_text(text, "utf-8")
    command = _kirsch.parse_command_line(["kirsch", "check"], [], folder)
    if "no application is named" in command.stderr:
        command = _kirsch.parse_command_line(["kirsch", "check", "hello:app"], [], folder)
    assert command.settings is not None, f"{command.stderr}\n{text}"


@pytest.fixture
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIRSCH_TEST_FOLDER", str(tmp_path))


@pytest.mark.usefixtures("_folder")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(sorted(_gunicorn.TABLE.names)), VALUES, max_size=12))
def test_whatever_gunicorns_settings_are_kirsch_accepts_what_becomes_of_them(found: dict[str, Any]) -> None:
    document = Document("of gunicorn's")
    found |= dict.fromkeys(FOLDERS & found.keys(), ".")
    for name, value in found.items():
        answer = _gunicorn.answer(name, value, found)
        row = _gunicorn.TABLE.row(name)
        if isinstance(answer, Becomes):
            assert row is not None
            becomes = {re.sub(r"^(limit|timeout)s\.", r"\1.", key) for key in answer.settings}
            allowed = set(row.keys) | ({"trust-proxy", "proxy-fields"} if name == "bind" else set())
            assert {re.sub(r"[._]", "-", key) for key in becomes} <= allowed
        document.add(f"{name} = {value!r}", answer)
    accepted(document.text())


@pytest.mark.usefixtures("_folder")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted({*_uwsgi.TABLE.names, "x", "set-ph", "if-env", "endif"})), TEXTS),
        max_size=15,
    )
)
def test_whatever_an_ini_file_says_kirsch_accepts_what_becomes_of_it(lines: list[tuple[str, str]]) -> None:
    path = Path(os.environ["KIRSCH_TEST_FOLDER"], "uwsgi.ini")
    includes = ("ini", "include", "inherit", "config")
    lines = [(key, "." if key in FOLDERS else value) for key, value in lines if key not in includes]
    text = "".join(f"{key} = {value}\n" for key, value in lines if "\n" not in value)
    path.write_text(f"[uwsgi]\n{text}")
    accepted(_uwsgi.migrate(path, "uwsgi").text())


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ('%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"', ("combined", [])),
        ("%(m)s %(U)s%(q)s 5%", ("%m %U%q 5%%", ["%q has its question mark"])),
        ("%({X-Request-Id}o)s %({User-Agent}i)s", ("%L %{User-Agent}i", [])),
        (
            "%({server}o)s %(nope)s",
            (
                "- -",
                [
                    "a dash stands for %({server}o)s, a field of the response: these are not kept",
                    "a dash stands for %(nope)s",
                ],
            ),
        ),
    ],
)
def test_an_access_log_of_gunicorns_becomes_one_of_kirschs(
    form: str, expected: tuple[str, list[str]]
) -> None:
    assert _access_log.from_gunicorn(form) == expected


def test_every_directive_that_becomes_another_is_one_of_kirschs() -> None:
    atoms = [*_access_log._GUNICORN.values(), *_access_log._UWSGI.values()]
    _kirsch.Settings.from_keywords({"access_log": " ".join(atoms)})


# --- First mistakes


BAD = {
    "empty.ini": "",
    "paste.ini": "[server:main]\nuse = egg:waitress#main\n",
    "site.conf": "WSGIDaemonProcess blog threads=4\n",
    "notes.txt": "workers = 4\n",
    "uwsgi.xml": "<uwsgi/>",
    "uwsgi.yaml": "uwsgi:\n",
    "kirsch.toml": "",
    "Procfile": "web: gunicorn app:app\n",
    "circle.ini": "[uwsgi]\nini = circle.ini\n",
    "gone.ini": "[uwsgi]\n\nini = nothing.ini\n",
    "bracket.ini": "[uwsgi]\nmaster\n[more\n",
    "syntax.py": "workers = 4\nbind = [\n",
    "raises.py": "import os\n\ndef port():\n    return os.environ['NO_SUCH_PORT']\n\nbind = port()\n",
    "imports.py": "from gunicorn_of_nobody import Logger\n",
    "exits.py": "import sys\nsys.exit('no database')\n",
}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, ["takes one file", "Usage: kirsch migrate FILE"]),
        (("a", "b"), 2, ["takes one file"]),
        (("--print",), 2, ["takes one file"]),
        (("nowhere.py",), 2, ["there is no file nowhere.py (looked in "]),
        (("folder",), 2, ["folder is not a file", "gunicorn.conf.py or uwsgi.ini"]),
        (("empty.ini",), 1, ["empty.ini has no section [uwsgi]; it has none"]),
        (("bracket.ini:other",), 1, ["bracket.ini:3: a section is written [uwsgi]"]),
        (("paste.ini",), 2, ["is PasteDeploy's", "From another server"]),
        (("site.conf",), 2, ["is Apache's, for mod_wsgi", "From another server"]),
        (
            ("notes.txt",),
            2,
            ["neither gunicorn's, which ends in .py, nor uWSGI's, which has a section [uwsgi]"],
        ),
        (("uwsgi.xml",), 2, ["reads ini", "uwsgi --xml uwsgi.xml --show-config"]),
        (("uwsgi.yaml",), 2, ["reads ini"]),
        (("kirsch.toml",), 2, ["is TOML, as Kirsch's own file is"]),
        (("Procfile",), 2, ["has a command line"]),
        (("circle.ini",), 1, ["circle.ini:2: includes itself: ini = circle.ini"]),
        (("gone.ini",), 1, ["gone.ini:3: there is no file nothing.ini"]),
        (("syntax.py",), 1, ["syntax.py:2: is not Python: '[' was never closed"]),
        (("raises.py",), 1, ["raises.py:4: KeyError: 'NO_SUCH_PORT'", "line 4, in port", "bind = port()"]),
        (("imports.py",), 1, ["imports.py:1: ModuleNotFoundError: No module named 'gunicorn_of_nobody'"]),
        (("exits.py",), 1, ["exits.py:2: SystemExit: no database"]),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, tuple) else "",
)
def test_a_file_that_cannot_be_read_is_told_of(
    words: tuple[str, ...], code: int, says: list[str], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    for name, text in BAD.items():
        (tmp_path / name).write_text(text)
    done = ended(tmp_path, "migrate", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("kirsch: ")
    assert [text for text in says if text not in done.stderr] == [], done.stderr
    assert "_migrate" not in done.stderr, "a frame of ours in the traceback"


def test_help_says_what_may_be_given(tmp_path: Path) -> None:
    done = ended(tmp_path, "migrate", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert [name for name in ("gunicorn.conf.py", "uwsgi.ini", "SECTION") if name not in done.stdout] == []
    assert "migrate" in ended(tmp_path, "--help").stdout


def test_what_the_file_prints_does_not_get_into_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text('print("reading")\nworkers = 2\n')
    done = ended(tmp_path, "migrate", "gunicorn.conf.py")
    assert (done.returncode, done.stderr) == (0, "reading\n")
    assert "reading" not in done.stdout


def test_threads_that_the_file_starts_hold_up_nothing(tmp_path: Path) -> None:
    waits = "import threading\nthreading.Thread(target=threading.Event().wait).start()\nworkers = 2\n"
    (tmp_path / "gunicorn.conf.py").write_text(waits)
    assert "threads = 2" in migrated(tmp_path, "gunicorn.conf.py")


def test_a_section_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "many.ini").write_text("[blog]\nmodule = blog\n[shop]\nmodule = shop\n")
    assert 'app = "shop"' in migrated(tmp_path, "many.ini:shop")


def test_the_file_is_utf_8_whatever_the_locale_is(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text('chdir = "b\u00fccher"\n', "utf-8")
    words = [*kirsch(), "migrate", "gunicorn.conf.py"]
    environment = {**clean_environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    printed = subprocess.run(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=True).stdout
    assert 'chdir = "b\u00fccher"'.encode() in printed


def test_what_would_open_more_than_before_is_not_printed_or_told_of(tmp_path: Path) -> None:
    (tmp_path / "uwsgi.ini").write_text(
        "[uwsgi]\nhttp-socket = web.sock\nstatic-map = /static=public\nstatic-skip-ext = .py\n"
    )
    text = migrated(tmp_path, "uwsgi.ini")
    assert ("To be written by hand", "static-map = /static=public") in commented(text)
    assert "unix_socket_mode = 0o600" in text
    assert "have the proxy write X-Forwarded-For" in text
    (tmp_path / "uwsgi.ini").write_text("[uwsgi]\nhttp-socket = web.sock\nchmod-socket = 660\n")
    assert "0o600" not in migrated(tmp_path, "uwsgi.ini")
    for everybody in ("*", "0.0.0.0/0", "10.0.0.1,::/0"):
        (tmp_path / "gunicorn.conf.py").write_text(f"forwarded_allow_ips = {everybody!r}\n")
        line = f"forwarded_allow_ips = {everybody!r}"
        assert commented(migrated(tmp_path, "gunicorn.conf.py")) == [("To be written by hand", line)]
    (tmp_path / "gunicorn.conf.py").write_text("certfile = keyfile = 'pair.pem'\ncert_reqs = 2\n")
    assert "without certificates" in migrated(tmp_path, "gunicorn.conf.py").partition("[tls]")[0]
    (tmp_path / "uwsgi.ini").write_text("[uwsgi]\nroute-remote-addr = ^10\\. break:403\n")
    assert "are not carried over" in migrated(tmp_path, "uwsgi.ini")
