"""A program of web.py's as its tutorial ends: as a script it serves at the address of its command line."""

import web

urls = (
    "/",
    "Index",
    "/form",
    "Form",
    "/upload",
    "Upload",
    "/count",
    "Count",
    "/stream",
    "Stream",
    "/stop",
    "Stop",
)
web.config.debug = False
app = web.application(urls, globals())
session = web.session.Session(app, web.session.DiskStore("sessions"), initializer={"count": 0})
page = web.template.Template("$def with (name)\n<b>$name</b>\n")


class Index:
    """A template."""

    def GET(self):
        """Greets."""
        return page(web.input(name="World").name)


class Form:
    """A form and what is sent with it."""

    def POST(self):
        """Answers what was sent, and how."""
        sent = web.input()
        return ",".join([sent.a, sent.b, web.ctx.method, web.ctx.env["ACTUAL_SERVER_PROTOCOL"]])


class Upload:
    """A file."""

    def POST(self):
        """Answers how large the file is."""
        sent = web.input(file={})
        return f"{sent.file.filename} {len(sent.file.value)}"

    def PUT(self):
        """Answers how much was sent, however it was framed."""
        return str(len(web.data()))


class Count:
    """A session."""

    def GET(self):
        """Counts."""
        session.count += 1
        return str(session.count)


class Stream:
    """A page in pieces."""

    def GET(self):
        """Gives them."""
        web.header("Content-Type", "text/plain")
        for number in range(5):
            yield f"{number}\n"


class Stop:
    """The end."""

    def GET(self):
        """Stops the server, in one of its own threads."""
        app.stop()
        return "stopped"


if __name__ == "__main__":
    app.run()
