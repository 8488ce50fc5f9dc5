"""``manage.py runkirsch``: serves the project as ``runserver`` does, but by Kirsch, without reloading."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.servers.basehttp import get_internal_wsgi_application

import kirsch


class Command(BaseCommand):
    """The command."""

    help = "Serves the project by Kirsch, until Ctrl-C. Static files as runserver does, while DEBUG is on."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Part of Django's interface."""
        parser.add_argument(
            "bind", nargs="?", default="127.0.0.1:8000", help="Port, host:port or unix:PATH (127.0.0.1:8000)"
        )
        parser.add_argument("--threads", type=int, help="Threads (10)")
        parser.add_argument("--nostatic", action="store_true", help="Leave static files to somebody else")
        parser.add_argument("--insecure", action="store_true", help="Serve static files without DEBUG, too")
        parser.add_argument(
            "--noreload", action="store_true", help="Taken since runserver has it; nothing is reloaded anyway"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Part of Django's interface.

        Raises:
            CommandError: If the project cannot be served there.
        """
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
            raise CommandError(text.replace("another with --bind", "another")) from None
