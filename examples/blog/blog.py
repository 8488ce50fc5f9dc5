"""A small blog, written with web.py: the application behind ``make run``.

Serve it from anywhere:

    kirsch examples/blog/blog.py

It shows what a web.py application is made of: a URL map, classes with GET and POST, templates, a form,
an upload, a session, a database and static files. Kirsch serves the `web.application` object as it is.

Posts, pictures and sessions are kept in the folder named by the environment variable `BLOG_DATA`.
Without it a new temporary folder is made at each start, and the blog begins empty.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import web

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("BLOG_DATA") or tempfile.mkdtemp(prefix="blog-"))
PICTURES = DATA / "pictures"
PICTURES.mkdir(parents=True, exist_ok=True)

# What a picture's first bytes say it is. What a browser says of an upload is not to be trusted.
PICTURE_TYPES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
STATIC_TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
BLOCK_BYTES = 64 * 1024

urls = (
    "/", "Index",
    # SQLite's numbers have 63 bits.
    r"/post/(\d{1,18})", "Post",
    "/write", "Write",
    "/sign-in", "SignIn",
    "/sign-out", "SignOut",
    r"/picture/([0-9a-f]{64})", "Picture",
    "/static/(.+)", "Static",
)  # fmt: skip

# The debug mode of web.py reloads modules behind the application's back; sessions do not survive that.
web.config.debug = False
# The browser sends the session with our own forms only: another site cannot post in a visitor's name.
web.config.session_parameters["samesite"] = "Lax"

app = web.application(urls, globals())
session = web.session.Session(app, web.session.DiskStore(str(DATA / "sessions")), {"name": ""})
db = web.database(dbn="sqlite", db=str(DATA / "blog.sqlite"))
db.query(
    "CREATE TABLE IF NOT EXISTS post"
    " (id INTEGER PRIMARY KEY, author TEXT, title TEXT, body TEXT, picture TEXT, created INTEGER)"
)


def day(timestamp: int) -> str:
    """The date of a post as the templates show it."""
    return time.strftime("%d %B %Y", time.localtime(timestamp))


def fields(form: web.form.Form) -> str:
    """A form's fields with their labels, each with what is wrong with it, as HTML."""
    return "".join(
        f'<label for="{field.id}">{field.description}</label>{field.render()}{field.rendernote(field.note)}\n'
        for field in form.inputs
    )


shared = {"session": session, "day": day, "fields": fields}
render = web.template.render(str(HERE / "templates"), base="layout", globals=shared)

filled = web.form.Validator("write something here", lambda value: bool(value and value.strip()))
sign_in_form = web.form.Form(web.form.Textbox("name", filled, description="Your name", maxlength="40"))
write_form = web.form.Form(
    web.form.Textbox("title", filled, description="Title", maxlength="120"),
    web.form.Textarea("body", filled, description="Text", rows="9"),
)


class Index:
    """The newest posts."""

    def GET(self) -> str:
        return render.index(list(db.select("post", order="id DESC", limit=20)))


class Post:
    """One post."""

    def GET(self, number: str) -> str:
        post = db.where("post", id=int(number)).first()
        if post is None:
            raise web.notfound("There is no such post.")
        return render.post(post)


class Write:
    """The form for a new post, and what becomes of it."""

    def GET(self) -> str:
        require_name()
        return render.write(write_form(), "")

    def POST(self) -> str:
        require_name()
        typed = web.input(title="", body="", picture={})
        form = write_form()
        form.fill(typed)
        if not form.validates(typed):
            return render.write(form, "")
        try:
            picture = save_picture(typed.picture)
        except ValueError as error:
            return render.write(form, str(error))
        text = form.d.body.replace("\r\n", "\n")
        number = db.insert(
            "post",
            author=session.name,
            title=form.d.title,
            body=text,
            picture=picture,
            created=int(time.time()),
        )
        raise web.seeother(f"/post/{number}")


class SignIn:
    """A name is all it takes; it lives in the session."""

    def GET(self) -> str:
        return render.sign_in(sign_in_form())

    def POST(self) -> str:
        form = sign_in_form()
        if not form.validates():
            return render.sign_in(form)
        session.name = form.d.name.strip()
        raise web.seeother("/write")


class SignOut:
    """Forget the session."""

    def POST(self) -> str:
        session.kill()
        raise web.seeother("/")


class Picture:
    """An uploaded picture, in blocks: it never stands in memory as a whole."""

    def GET(self, digest: str) -> Iterator[bytes]:
        path = PICTURES / digest
        if not path.is_file():
            raise web.notfound("There is no such picture.")
        with path.open("rb") as file:
            web.header("Content-Type", picture_type(file.read(16)))
        web.header("Content-Length", str(path.stat().st_size))
        web.header("Cache-Control", "public, max-age=31536000, immutable")
        session.send_cookie = False  # What anybody may cache must not carry a visitor's session.
        return blocks(path)


class Static:
    """The style sheet."""

    def GET(self, name: str) -> bytes:
        path = (HERE / "static" / name).resolve()
        if not path.is_relative_to(HERE / "static") or not path.is_file():
            raise web.notfound("There is no such file.")
        session.send_cookie = False
        web.header("Content-Type", STATIC_TYPES.get(path.suffix, "application/octet-stream"))
        return path.read_bytes()


def require_name() -> None:
    """Send a visitor without a name to the sign-in page."""
    if not session.name:
        raise web.seeother("/sign-in")


def save_picture(upload: Any) -> str:
    """Store an uploaded picture under its digest.

    Args:
        upload: What `web.input(picture={})` gives: an empty dict, or an object with `filename` and `file`.

    Returns:
        The picture's digest, or "" where none was chosen.

    Raises:
        ValueError: The file is not a picture.
    """
    if not getattr(upload, "filename", ""):
        return ""
    content = upload.file.read()
    if not picture_type(content):
        raise ValueError("choose a PNG, JPEG or GIF file")
    digest = hashlib.sha256(content).hexdigest()
    (PICTURES / digest).write_bytes(content)
    return digest


def picture_type(start: bytes) -> str:
    """The media type that a file's first bytes name, or ""."""
    return next((media for magic, media in PICTURE_TYPES.items() if start.startswith(magic)), "")


def blocks(path: Path) -> Iterator[bytes]:
    """A file's bytes, block by block."""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def pages_are_html(handler: Callable[[], Any]) -> Any:
    """What does not say its type is a page."""
    answer = handler()
    web.header("Content-Type", "text/html; charset=utf-8", unique=True)
    web.header("X-Content-Type-Options", "nosniff")
    return answer


app.add_processor(pages_are_html)

if __name__ == "__main__":
    app.run()
