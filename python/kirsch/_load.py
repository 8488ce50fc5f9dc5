"""Loading applications: from where the command line says, with one clear message for each first mistake."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from kirsch._sharing import DjangoSettings, Guard, Shared

if TYPE_CHECKING:
    from kirsch._kirsch import Application

from kirsch._own_server import refusing_own_servers

#: Where an application is: ``module`` or ``file`` and its name, ``default``, ``attribute`` or ``factory`` and
#: its name.
AppPlace = tuple[str, str, str, str]

DEFAULT_NAMES = ("application", "app")
FACTORY_NAMES = ("create_app", "make_app", "get_app", "main")

#: The module or file that the command is loading, while it is.
_loading: str | None = None


class LoadError(Exception):
    """An application that cannot be served; the text says why and what to write instead.

    Attributes:
        code: The exit code: 1 if the application is at fault, 2 if what was typed is.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def load(
    applications: Sequence[Application], chdir: os.PathLike[str] | str | None = None
) -> list[Callable[..., Any]]:
    """Imports applications and makes sure that they can be served, and side by side.

    Args:
        applications: Where they are.
        chdir: The folder to change to first.

    Returns:
        A WSGI application for each.

    Raises:
        LoadError: If one is not there or cannot be served, or if two cannot share an interpreter; the text
            is for the user.
    """
    if chdir is not None:
        try:
            os.chdir(chdir)
        except OSError as error:
            raise LoadError(f"--chdir: cannot change to {chdir}: {error.strerror}", 2) from None
    if len(applications) == 1:
        return [_load_one(applications[0], Guard())]
    guard, settings = Guard(), DjangoSettings()
    for application in applications:
        guard.add(application.name, _folders(application))
    guard.install()
    found = []
    for application in applications:
        settings.begin()
        try:
            found.append(_load_side_by_side(application, guard, settings))
        except Shared as error:
            raise LoadError(_at(application, str(error))) from None
    settings.keep()
    return found


def _load_side_by_side(
    application: Application, guard: Guard, settings: DjangoSettings
) -> Callable[..., Any]:
    try:
        return _load_one(application, guard)
    finally:
        # What is refused explains whatever else went wrong, and an application may have hidden it.
        if guard.refusal is not None:
            raise guard.refusal from None
        settings.end(application.name)


def _load_one(application: Application, guard: Guard) -> Callable[..., Any]:
    assert application.place is not None
    source, name, kind, target = application.place
    global _loading
    _loading = name
    own_server = LoadError(
        f"{name} starts a server of its own while it is loaded; "
        'put that under if __name__ == "__main__":, and Kirsch serves the application; '
        "or, if it is web.py, CherryPy or another program of cheroot's, run it as it stands: kirsch run FILE"
    )
    try:
        folder = _imports_begin(application)
        if application.path is not None:
            _put_first(str(folder))
        with refusing_own_servers(own_server):
            if source == "file":
                # As it was typed, where there is no other folder it could begin at.
                module = _load_file(Path(name) if application.path is None else folder / name, guard)
                label = Path(name).name
            else:
                module = _load_module(name, str(folder))
                label = name
            found, spec = _find(module, label, kind, target)
        wsgi = as_wsgi(found, spec)
    except LoadError as error:
        raise LoadError(_at(application, str(error)), error.code) from None
    finally:
        _loading = None
    refuse_green_threads()
    return wsgi


def _imports_begin(application: Application) -> Path:
    """The folder that goes first on the path: the working directory, where none was named."""
    return Path.cwd() if application.path is None else Path(application.path).resolve()


def _folders(application: Application) -> list[Path]:
    """Every folder that loading an application puts on the path."""
    assert application.place is not None
    source, name, *_ = application.place
    folder = _imports_begin(application)
    if source == "module":
        return [folder]
    own = (folder / name).resolve().parent
    return [own] if application.path is None else [own, folder]


def _at(application: Application, text: str) -> str:
    """The text after the place of the application's table, if it has one."""
    return f"{application.origin}: {text}" if application.origin else text


def as_wsgi(found: Any, spec: str) -> Callable[..., Any]:
    """The WSGI application that an object is or has.

    Args:
        found: What was found where the application should be.
        spec: How the user names it, for messages.

    Raises:
        LoadError: If it cannot be served.
    """
    if _is_webpy(found):
        return found.wsgifunc()  # type: ignore[no-any-return]
    if inspect.iscoroutine(found):
        # Or the interpreter would complain that nobody waited for it.
        found.close()
        raise LoadError(f"{spec} is a coroutine; write its factory with def in place of async def")
    if not callable(found):
        raise LoadError(
            f"{spec} is {_article(type(found).__name__)} and cannot be called; "
            "a WSGI application is a callable that takes environ and start_response"
        )
    if _is_async(found) and not _can_be_called(found, None, None, None):
        raise LoadError(
            f"{spec} is an async function without the arguments of ASGI, and Kirsch serves WSGI; "
            "write it with def in place of async def"
        )
    if _is_asgi(found):
        raise LoadError(
            f"{spec} is an ASGI application; Kirsch serves WSGI; wrap it with a2wsgi "
            f"(pip install a2wsgi; application = a2wsgi.ASGIMiddleware({spec.split(':')[-1]}))"
        )
    if _takes_nothing(found):
        made = spec.endswith("()")
        hint = (
            "return the application itself" if made else f"if it makes one, write {spec}() with the brackets"
        )
        raise LoadError(f"{spec} takes no arguments, so it is no WSGI application; {hint}")
    if _shows_its_parameters(found) and not _can_be_called(found, None, None):
        hint = "; name an object of this class" if inspect.isclass(found) else ""
        raise LoadError(
            f"{spec} takes {', '.join(inspect.signature(found).parameters)}, so it is no WSGI application, "
            f"which takes environ and start_response{hint}"
        )
    return found  # type: ignore[no-any-return]


def refuse_to_run_while_loading() -> None:
    """Refuses to serve in the middle of loading an application, which would not end before the next signal.

    Raises:
        LoadError: If the main thread is loading one for the command.
    """
    if _loading is not None and threading.current_thread() is threading.main_thread():
        raise LoadError(
            f"{_loading} calls kirsch.run() while it is loaded; "
            'put the call under if __name__ == "__main__": or start it with python'
        )


def refuse_green_threads() -> None:
    """Refuses a process whose threads are no threads.

    Raises:
        LoadError: If gevent or eventlet has replaced the thread module.
    """
    gevent = sys.modules.get("gevent.monkey")
    eventlet = sys.modules.get("eventlet.patcher")
    for name, patched in (
        ("gevent", gevent is not None and gevent.is_module_patched("threading")),
        ("eventlet", eventlet is not None and eventlet.is_monkey_patched("thread")),
    ):
        if patched:
            raise LoadError(
                f"the application has monkey-patched the standard library with {name}, so threads would not "
                f"be threads; remove the patching: the threads of Kirsch wait for nobody, and need no {name}"
            )


def _load_module(name: str, here: str) -> ModuleType:
    _put_first(here)
    try:
        module = importlib.import_module(name)
        _refuse_hidden(name, module, here)
        return module
    except LoadError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing == name or name.startswith(missing + "."):
            raise LoadError(_no_module(name, missing, here), 1) from None
        raise _failed(name, error) from None
    except BaseException as error:  # an application may raise anything, SystemExit included
        raise _failed(name, error) from None


def _refuse_hidden(name: str, module: ModuleType, here: str) -> None:
    """A file of the folder may have the name of a module that was loaded before, or is built in.

    Raises:
        LoadError: The module is another than the one that the folder has.
    """
    top = name.partition(".")[0]
    places = [Path(here, f"{top}.py"), Path(here, top, "__init__.py")]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        return
    found = getattr(sys.modules.get(top, module), "__file__", None)
    if found is not None and Path(found).resolve().parent in {file.parent, file.resolve().parent}:
        return
    whose = "Python's own module" if top in sys.stdlib_module_names else f"the module {found}"
    hint = f"write ./{top}.py, or " if top == name and file.name == f"{top}.py" else ""
    raise LoadError(f"{top} is {whose}, not {file.relative_to(here)} of this folder; {hint}rename that")


def _load_file(path: Path, guard: Guard) -> ModuleType:
    if not path.is_file():
        folder = path.parent
        # Its own name is there where it is a folder, or a link that leads nowhere.
        files = (entry.name for entry in folder.glob("*.py") if entry.is_file())
        near = _near(path.name, files) if folder.is_dir() else []
        hint = f"; did you mean {folder / near[0]}" if near else ""
        what = "does not exist"
        if path.is_dir():
            what = "is a folder, not a file"
        elif path.is_symlink():
            what = f"is a link to {os.readlink(path)}, which does not exist"
        raise LoadError(f"the file {path} {what}{hint}", 1)
    path = path.resolve()
    _put_first(str(path.parent))
    name = path.stem if path.stem.isidentifier() else f"_kirsch_application_{len(sys.modules)}"
    guard.refuse(name)
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        # Another application of the same file.
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is not a Python file; its name should end with .py", 1)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # as above
        raise _failed(str(path), error) from None
    return module


def _find(module: ModuleType, label: str, kind: str, target: str) -> tuple[Any, str]:
    if kind == "default":
        for name in DEFAULT_NAMES:
            try:
                return getattr(module, name), f"{label}:{name}"
            except AttributeError:
                continue
            except BaseException as error:  # as above
                raise _failed(f"{label}:{name}", error) from None
        raise LoadError(_no_default(module, label))
    found: Any = module
    for part in target.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LoadError(_no_attribute(found, label, target, part)) from None
        except BaseException as error:  # as above
            raise _failed(f"{label}:{target}", error) from None
    if kind == "attribute":
        return found, f"{label}:{target}"
    spec = f"{label}:{target}()"
    if not callable(found):
        raise LoadError(
            f"{label}:{target} is {_article(type(found).__name__)}, not a factory; write {label}:{target}"
        )
    if _takes_a_request(found):
        raise LoadError(
            f"{label}:{target} takes environ and start_response, so it is the application itself; "
            f"write {label}:{target} without the brackets"
        )
    try:
        return found(), spec
    except BaseException as error:  # as above
        raise _failed(spec, error) from None


def _failed(name: str, error: BaseException) -> LoadError:
    if isinstance(error, (KeyboardInterrupt, LoadError, Shared)):
        # The user wants to stop, or it is said already what is wrong.
        raise error
    text = str(error)
    if "DJANGO_SETTINGS_MODULE" in text and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return LoadError(
            f"{name} is a Django application and the variable DJANGO_SETTINGS_MODULE is not set; "
            "set it to the settings module, as in DJANGO_SETTINGS_MODULE=mysite.settings"
        )
    what = "ended the program while it was loaded" if isinstance(error, SystemExit) else "failed to load"
    shown = "".join(traceback.format_exception(type(error), error, _without_ours(error.__traceback__)))
    return LoadError(f"{name} {what}; its own traceback is\n{shown.rstrip()}")


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the application, without this package and the import system."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not (file.startswith("<frozen importlib") or file == __file__ or file == importlib.__file__):
            return trace
        trace = trace.tb_next
    return None


def _no_module(name: str, missing: str, here: str) -> str:
    parent, _, last = missing.rpartition(".")
    if parent:
        package = sys.modules.get(parent)
        if hasattr(package, last):
            return f"{parent} is a module and {last} stands in it; write {parent}:{last}"
        known = [info.name for info in pkgutil.iter_modules(getattr(package, "__path__", []))]
        near = [f"{parent}.{found}" for found in _near(last, known)]
    else:
        near = _near(missing, [info.name for info in pkgutil.iter_modules([here])])
    hint = f"; did you mean {near[0]}" if near else ""
    if ".py." in name:
        hint = f"; write {name.replace('.py.', '.py:', 1)} for a file"
    return f"there is no module {missing} (looked in {here} and in the environment {sys.prefix}){hint}"


def _no_attribute(found: Any, label: str, target: str, part: str) -> str:
    names = [name for name in vars(found) if not name.startswith("_")] if hasattr(found, "__dict__") else []
    near = _near(part, names)
    where = label if isinstance(found, ModuleType) else f"{label}:{target.rsplit('.' + part, 1)[0]}"
    if near:
        return f"{where} has no attribute {part}; did you mean {label}:{target.replace(part, near[0])}"
    return f"{where} has no attribute {part}{_candidates(found, label)}"


def _no_default(module: ModuleType, label: str) -> str:
    factories = [name for name in FACTORY_NAMES if callable(getattr(module, name, None))]
    if factories:
        return f"{label} has neither application nor app; write {label}:{factories[0]}() for its factory"
    return f"{label} has neither application nor app{_candidates(module, label)}"


def _candidates(module: Any, label: str) -> str:
    """Names what the user may have meant: what the module itself defines and can be called."""
    if not isinstance(module, ModuleType):
        return ""
    names = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and not inspect.isclass(value)
        and getattr(value, "__module__", module.__name__) == module.__name__
    ]
    return f"; it defines {', '.join(f'{label}:{name}' for name in names[:5])}" if names else ""


def _is_webpy(found: Any) -> bool:
    kind = type(found)
    return any(
        base.__module__ == "web.application" and base.__name__ == "application" for base in kind.__mro__
    )


def _is_asgi(found: Any) -> bool:
    if inspect.isclass(found):
        return False
    if _is_async(found):
        return True
    try:
        names = list(inspect.signature(found).parameters)
    except Exception:  # a signature may be computed by anything
        return False
    return names[:3] == ["scope", "receive", "send"] or names == ["scope"]


def _is_async(found: Any) -> bool:
    if inspect.isclass(found):
        return False
    call = found if inspect.isroutine(found) else getattr(type(found), "__call__", found)  # noqa: B004 - its kind is wanted
    return any(inspect.iscoroutinefunction(it) or inspect.isasyncgenfunction(it) for it in (found, call))


def _shows_its_parameters(found: Any) -> bool:
    """Whether its signature is its own: a decorator may show that of what it wraps."""
    plain = inspect.isfunction(found) or inspect.ismethod(found) or type(found) is type
    made = found.__init__ if inspect.isclass(found) else found
    return plain and not any(
        hasattr(it, name) for it in (found, made) for name in ("__wrapped__", "__signature__")
    )


def _takes_nothing(found: Any) -> bool:
    return _can_be_called(found) and not _can_be_called(found, None, None)


def _takes_a_request(found: Any) -> bool:
    return _can_be_called(found, None, None) and not _can_be_called(found)


def _can_be_called(found: Any, *arguments: Any) -> bool:
    """Whether it takes these arguments; false where that cannot be known."""
    try:
        inspect.signature(found).bind(*arguments)
    except Exception:  # a signature may be computed by anything
        return False
    return True


def _near(name: str, known: Iterable[str]) -> list[str]:
    # By their spelling without capitals: what differs in these alone is nearest.
    folded: dict[str, str] = {}
    for other in known:
        folded.setdefault(other.casefold(), other)
    return [folded[it] for it in difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)]


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


def _put_first(folder: str) -> None:
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
