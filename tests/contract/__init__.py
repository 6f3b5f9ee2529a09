"""What the fakes of the unit tests have in common with what they stand for.

Each module is a suite that both run through: the fake as a unit test, the real thing as an
integration test. What only the fake can show does not belong here.
"""

import pytest

for _suite in (
    "administering",
    "consuming",
    "observing",
    "producing",
    "publishing",
    "storing",
    "unread",
):
    pytest.register_assert_rewrite(f"tests.contract.{_suite}")
