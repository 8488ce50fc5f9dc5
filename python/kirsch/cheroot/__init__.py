"""cheroot's modules over Kirsch's engine, for programs that were written for that server.

``kirsch run SCRIPT``, or `kirsch.install_as_cheroot` at the top of a program, has every ``import cheroot…``
find them; ``import kirsch.cheroot.wsgi`` does without. The classes are ordinary ones: to be subclassed,
changed, started and stopped as cheroot's.

**Who reads requests.** The engine, always: sockets, heads, bodies, framing, timeouts, idle connections and
slow clients are its business (`server.HTTPServer.prepare` makes one). What it takes otherwise than Kirsch
does elsewhere stands in one table, in ``crates/kirsch-http/src/dialect.rs`` and the two files that it names.

**Which way a request goes**, chosen for each by a look at who is involved (`server.HTTPServer._serve`):

* *native*: the gateway is `wsgi.Gateway_10`, and nobody has overridden how connections and requests are
  handled. The engine makes ``environ`` and calls ``wsgi_app``; no object of this package is made, and nothing
  of the server is looked at (`server.HTTPServer._application_alone`). Where a change could go unnoticed, or
  requests are counted for statistics, a function in between looks.
* *objects*: another gateway, connection or request class, or one whose methods were replaced. The engine
  has read the request; a `ConnectionClass` is made for it, whose `communicate` goes the way that cheroot's
  goes, over what the engine has read (``_wire.Wire`` in the place of the socket), down to
  ``gateway(request).respond()``.

**TLS.** A `ssl.builtin.BuiltinSSLAdapter` that nobody has touched since it was made is what the engine does
itself (`ssl._native`). With any other ``ssl_adapter``, and from the moment when somebody asks that one for
its context, the engine accepts nobody: a thread does, each connection has a thread that shakes hands and
then passes on what was decrypted (`_tls`). So no client waits for another's handshake.

**What is read live.** Attributes of a server, assigned to it or to a class, count from the next request on:
an assignment to a server, or to a class of this package or below one (`server.Watched`), tells the engine
(`server.HTTPServer._tell`). What is written into a ``__dict__`` past that is not noticed. The number of
threads, the addresses and the field ``Server`` are looked at by ``prepare()``.

**Who hears of connections.** The engine alone, unless a program has replaced what cheroot does with one:
then they are accepted here, and one object is a connection's from its beginning to its end (`_watch`). Its
``rfile`` and ``wfile`` are those of one request all the same. A request that asks for another protocol goes
by objects, and a program may take its socket over (``_wire.Wire.take``).
"""

#: The version whose interface this is.
__version__ = "11.1.2"
