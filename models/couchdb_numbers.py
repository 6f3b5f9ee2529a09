"""The double that CouchDB keeps of a JSON number with a fraction or an exponent.

Its JSON parser (jiffy) reads such a number as C does, with one exception: where it is 32 characters
long or longer, has an exponent and no fraction, the digits are multiplied with a power of ten, and
both are rounded first. `10000000000000000000000000000000e5` becomes 9.999999999999999e35.

Subnormal numbers it reads as 0.0 (`5e-324`) or nearly right (`22e-309`): all of them are 0.0 here.
"""

import math
import sys
from typing import Final

_LONG: Final = 32
"""Characters from which on it makes the exception (`NUM_BUF_LEN`)."""

_DIGIT: Final = 64
"""Bits of a digit of Erlang's integers."""


def double(text: str) -> float:
    """The double; infinite where the number is beyond its range."""
    multiplied = len(text) >= _LONG and "." not in text
    value = _product(text) if multiplied else float(text)
    return value if abs(value) >= sys.float_info.min else 0.0


def _product(text: str) -> float:
    digits, _, exponent = text.lower().partition("e")
    try:
        return _rounded(int(digits)) * math.pow(10.0, int(exponent))
    except (OverflowError, ValueError):  # beyond a double, or beyond what Python reads
        return float(text)


def _rounded(integer: int) -> float:
    """An integer as Erlang makes it a double: digit by digit, rounded each time."""
    value = 0.0
    left = abs(integer)
    for place in reversed(range(0, left.bit_length(), _DIGIT)):
        value = value * 2.0**_DIGIT + float(left >> place & (1 << _DIGIT) - 1)
    return math.copysign(value, integer)
