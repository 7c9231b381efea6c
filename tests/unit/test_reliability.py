"""The table of faults in docs/reliability.md and the tests that it names."""

from __future__ import annotations

from tests.rule_tables import absent, listed, unlisted


def test_every_fault_has_its_test() -> None:
    """The table of faults names a test for each fault, every file with tests of it, and no test that is not there."""
    held = listed("docs/reliability.md", "Faults, ", "F")
    assert absent(held) == set()
    assert unlisted("F", held) == set()
    assert {row for row, *_ in held} == {*range(1, 59)}
