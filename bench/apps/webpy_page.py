"""A page with web.py: a route, a class, a template."""

from __future__ import annotations

import web

TEMPLATE = """$def with (name, items)
<!doctype html>
<title>$name</title>
<ul>
$for item in items:
    <li>$item</li>
</ul>
"""
page = web.template.Template(TEMPLATE, filter=web.websafe)


class Index:
    """The page."""

    def GET(self, name: str) -> str:
        """Render the template."""
        web.header("Content-Type", "text/html; charset=utf-8")
        return str(page(name, ["one", "two", "three"]))


web.config.debug = False
app = web.application(("/page/(.*)", Index)).wsgifunc()
