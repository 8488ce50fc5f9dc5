# Taken from cheroot 11.1.2; see LICENSE-cheroot.md.
"""Serves as the command ``cheroot`` does: ``python -m cheroot``."""

from .cli import main

if __name__ == "__main__":
    main()
