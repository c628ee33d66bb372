"""The one base of every error that a user may see.

A message says what is wrong, where, with which numbers, and what to do next. Subclasses live beside
the code that raises them and carry the same facts as attributes.
"""


class CandlecastError(Exception):
    """Something a user can act on; the process's edge prints it as one sentence and exits with `exit_code`."""

    exit_code = 1
