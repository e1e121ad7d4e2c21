"""Names of test cases that are the same in every process, as parallel tests must have them."""

import re


def without_address(value: object) -> str:
    """A value in words, without the places in memory that its functions have."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
