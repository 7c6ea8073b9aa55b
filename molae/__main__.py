"""``python -m molae``: the same as the command ``molae``."""

from molae.cli.main import app

app(prog_name="molae")
