"""A test that fails, so that its report can be looked at."""

from test_sample import connect


def test_that_fails(latchkey, latchkey_device):
    _, answer = connect(latchkey, latchkey_device(), "wrong")
    assert answer == 0
