"""``manage.py runkirsch``: serves the project as ``runserver`` does, but by Kirsch.

Django's own reloader watches the files: the server is in a process, and there in a thread, that it ends and
starts anew when one has changed.
"""

from __future__ import annotations

import os
import threading
from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.servers.basehttp import get_internal_wsgi_application
from django.utils import autoreload

import kirsch


class Command(BaseCommand):
    """The command."""

    help = "Serves the project by Kirsch, until Ctrl-C. Static files as runserver does, while DEBUG is on."
    # After each change, in `_serve`: what is wrong then shall not end the watching.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Part of Django's interface."""
        parser.add_argument(
            "bind", nargs="?", default="127.0.0.1:8000", help="Port, host:port or unix:PATH (127.0.0.1:8000)"
        )
        parser.add_argument("--threads", type=int, help="Threads (10)")
        parser.add_argument("--nostatic", action="store_true", help="Leave static files to somebody else")
        parser.add_argument("--insecure", action="store_true", help="Serve static files without DEBUG, too")
        parser.add_argument(
            "--noreload", action="store_true", help="Do not start anew when a file has changed"
        )
        parser.add_argument("--skip-checks", action="store_true", help="Skip system checks")

    def handle(self, *args: Any, **options: Any) -> None:
        """Part of Django's interface.

        Raises:
            CommandError: If the project cannot be served there.
        """
        if options["noreload"]:
            self._serve(**options)
        else:
            autoreload.run_with_reloader(self._serve, **options)

    def _serve(self, **options: Any) -> None:
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.check()
        application = get_internal_wsgi_application()
        wants_static = settings.DEBUG or options["insecure"]
        if apps.is_installed("django.contrib.staticfiles") and wants_static and not options["nostatic"]:
            from django.contrib.staticfiles.handlers import StaticFilesHandler

            application = StaticFilesHandler(application)
        self.check_migrations()
        bind = options["bind"]
        given: dict[str, Any] = {"bind": f"127.0.0.1:{bind}" if bind.isdigit() else bind}
        if options["threads"] is not None:
            given["threads"] = options["threads"]
        if options["verbosity"] > 0:
            given["access_log"] = "combined"
        try:
            kirsch.run(application, **given)
        except (OSError, ValueError) as error:
            text = str(error.args[-1] if error.args else error)
            # Here it is no flag.
            refusal = CommandError(text.replace("another with --bind", "another"))
            if threading.current_thread() is threading.main_thread():
                raise refusal from None
            # No change of a file would mend it, and from a thread there is no other way out.
            self.stderr.write(f"CommandError: {refusal}")
            os._exit(1)
