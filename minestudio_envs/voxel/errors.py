"""What error messages have in common."""

import difflib
from collections.abc import Iterable
from typing import Any


def nearest(value: Any, known: Iterable[str]) -> str:
    """The end of an error message: the known names, those like ``value`` first."""
    known = list(known)
    close = difflib.get_close_matches(str(value), known, n=3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(known)}"
