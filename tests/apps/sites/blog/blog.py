"""One of several applications behind one server: web.py."""

from __future__ import annotations

import web

web.config.debug = False
urls = ("/(.*)", "Page")


class Page:
    def GET(self, path: str) -> str:
        web.header("Content-Type", "text/plain")
        web.header("X-Powered-By", "web.py")
        return f"blog: {web.ctx.homepath}|{web.ctx.path}|{web.ctx.host}"

    def POST(self, path: str) -> str:
        return f"blog: {len(web.data())} bytes"


app = web.application(urls, globals())
