"""A list of things to do, as after web.py's tutorial: templates, forms, a database, sessions."""

import os

import web

web.config.debug = True

urls = (
    "/",
    "Index",
    "/add",
    "Add",
    "/done/(\\d+)",
    "Done",
    "/login",
    "Login",
    "/private",
    "Private",
    "/cookie",
    "Cookie",
    "/where/(.*)",
    "Where",
    "/broken",
    "Broken",
    "/gone",
    "Gone",
)

if not os.path.exists("todo.sqlite"):
    made = web.database(dbn="sqlite", db="todo.sqlite")
    made.query("create table todo (id integer primary key, title text, added timestamp)")
database = web.database(dbn="sqlite", db="todo.sqlite")

app = web.application(urls, globals())
# In debug mode web.py imports this file once more, and again when it has changed: one session for all.
session = web.config.get("_session")
if session is None:
    session = web.session.Session(None, web.session.DiskStore("sessions"), initializer={"user": None})
    web.config._session = session
app.add_processor(session._processor)
render = web.template.render("templates", base="layout", globals={"session": session})

Entry = web.form.Form(
    web.form.Textbox("title", web.form.notnull, web.form.Validator("too long", lambda text: len(text) < 100)),
    web.form.Button("Add"),
)


class User:
    """What a session keeps of a user: an object of a class of this script."""

    def __init__(self, name: str) -> None:
        self.name = name


class Index:
    """The list."""

    def GET(self):
        """Shows it."""
        return render.index(database.select("todo", order="id"), Entry())


class Add:
    """A new entry."""

    def POST(self):
        """Adds it, or shows what is wrong with it."""
        entry = Entry()
        if not entry.validates():
            return render.index(database.select("todo", order="id"), entry)
        database.insert("todo", title=entry.d.title)
        raise web.seeother("/")


class Done:
    """An entry that is done."""

    def POST(self, number):
        """Removes it."""
        database.delete("todo", where="id=$number", vars={"number": int(number)})
        raise web.seeother("/")


class Login:
    """A user."""

    def POST(self):
        """Notes it."""
        session.user = User(web.input().name)
        raise web.seeother("/private")


class Private:
    """A page for those who are known."""

    def GET(self):
        """Greets, or asks."""
        if not session.user:
            raise web.unauthorized("who are you?")
        return f"for {session.user.name}"

    def POST(self):
        """Forgets."""
        session.kill()
        return "forgotten"


class Cookie:
    """A cookie."""

    def GET(self):
        """Sets it anew, and says what it was."""
        before = web.cookies(flavour="none").flavour
        web.setcookie("flavour", web.input().flavour, 3600, httponly=True, samesite="Lax")
        return before


class Where:
    """What web.py makes of an address."""

    def GET(self, rest):
        """Says it."""
        web.header("Content-Type", "text/plain; charset=utf-8")
        query = sorted(web.input(many=[]).many)
        return " ".join([rest, web.ctx.path, web.ctx.query, web.ctx.homedomain, *query])


class Broken:
    """A mistake."""

    def GET(self):
        """Makes it."""
        seldom_seen = 40
        return seldom_seen / 0


class Gone:
    """Other answers than 200."""

    def GET(self):
        """Gives one."""
        raise web.gone()

    def DELETE(self):
        """Gives another, without a body."""
        web.ctx.status = "204 No Content"
        return ""


if __name__ == "__main__":
    app.run()
