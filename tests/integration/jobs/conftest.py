import pytest
from sqlalchemy import Engine

from tests.small_market import Market, fill


@pytest.fixture
def market(engine: Engine) -> Market:
    """The small market in a database of its own."""
    return fill(engine)
