"""The one spelling of a JSON value: RFC 8785 for values without fractions and null.

The same value has the same bytes in every program, so that a digest of them can be its name.
"""

from __future__ import annotations

import json
from typing import Any

from .limits import DESCRIPTION_BYTES_MAX, DESCRIPTION_DEPTH_MAX

#: The largest integer that every JSON program reads exactly.
INTEGER_MAX = (1 << 53) - 1


def canonical_json(value: Any) -> bytes:
    """The canonical text of `value`, in UTF-8.

    Takes dict (with str names), list, tuple, str, int and bool. Raises ``ValueError`` for an integer beyond 2^53 - 1,
    half a surrogate pair, too deep nesting or a text beyond 16 KiB, and ``TypeError`` for other kinds, None and float
    among them: leave the name out, write a fraction as a string.
    """
    pieces: list[str] = []
    _write(value, pieces, 1)
    try:
        text = "".join(pieces).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("a description's text has half a surrogate pair") from error
    if len(text) > DESCRIPTION_BYTES_MAX:
        raise ValueError(f"the JSON text has {len(text)} bytes; at most {DESCRIPTION_BYTES_MAX} are allowed")
    return text


def _write(value: Any, pieces: list[str], depth: int) -> None:
    if isinstance(value, bool):
        pieces.append("true" if value else "false")
    elif isinstance(value, int):
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise ValueError(f"the integer {value} is beyond 2^53 - 1; write it as a string")
        pieces.append(str(int(value)))
    elif isinstance(value, str):
        pieces.append(_quoted(value))
    elif isinstance(value, dict):
        _check_depth(depth)
        for name in value:
            if not isinstance(name, str):
                raise TypeError(f"a name in a description is a str, not {type(name).__name__}")
        mark = "{"
        # RFC 8785 sorts by UTF-16 code units, which is not the order of Python's strings.
        for name in sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass")):
            pieces.append(mark)
            pieces.append(_quoted(name))
            pieces.append(":")
            _write(value[name], pieces, depth + 1)
            mark = ","
        pieces.append("}" if value else "{}")
    elif isinstance(value, (list, tuple)):
        _check_depth(depth)
        mark = "["
        for element in value:
            pieces.append(mark)
            _write(element, pieces, depth + 1)
            mark = ","
        pieces.append("]" if value else "[]")
    else:
        raise TypeError(f"a description holds str, int, bool, list and dict, not {type(value).__name__}")


def _quoted(text: str) -> str:
    # Python's encoder escapes exactly what RFC 8785 asks for, in the same spelling, when it may write other letters.
    return json.dumps(text, ensure_ascii=False)


def _check_depth(depth: int) -> None:
    if depth > DESCRIPTION_DEPTH_MAX:
        raise ValueError(f"JSON nested deeper than {DESCRIPTION_DEPTH_MAX}")
