#!/usr/bin/env python3
"""Make the peers' virtual environment, .venvs/bench, from bench/requirements.txt.

Run it with the interpreter that runs Kirsch: figures of two interpreters are not comparable.
"""

from __future__ import annotations

import subprocess
import sys
import venv

from harness import paths


def main() -> int:
    """Create the environment and install each requirement; say which did not build."""
    if not (paths.PEERS / "bin" / "python").exists():
        venv.create(paths.PEERS, with_pip=True)
    pip = [
        str(paths.PEERS / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    lines = [line.partition("#")[0].strip() for line in paths.REQUIREMENTS.read_text().splitlines()]
    wanted = [line for line in lines if line]
    if subprocess.run([*pip, *wanted], check=False).returncode == 0:
        print(f"{paths.PEERS} is ready")
        return 0
    # One by one: a peer that does not build with this interpreter must not take the others with it.
    failed = [line for line in wanted if subprocess.run([*pip, line], check=False).returncode != 0]
    print(f"not installed: {', '.join(failed) or 'none'}; is libev-dev there?", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
