"""Found in place of cheroot by processes that a program over Kirsch starts; gives way to `kirsch.cheroot`."""

import sys

# Before anything else: what follows imports the name anew.
del sys.modules[__name__]

from kirsch._as_cheroot import install_as_cheroot  # noqa: E402

install_as_cheroot()

import cheroot as _ours  # noqa: E402

# What imports this takes what stands here in the end.
sys.modules[__name__] = _ours
