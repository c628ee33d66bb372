"""Settings from the environment."""

import pytest

from candlecast.settings import BadSetting
from gateway.settings import GatewaySettings


def test_an_empty_environment_gives_the_defaults_of_the_requirements() -> None:
    settings = GatewaySettings.from_env({"GATEWAY_CACHE_SIZE": " "})

    assert (settings.cache_ttl_s, settings.cache_entries, settings.poll_s) == (1800.0, 1024, 5.0)


@pytest.mark.parametrize("value", ["soon", "0", "-1", "1e9", "nan"])
def test_a_number_that_cannot_be_used_is_refused_by_name(value: str) -> None:
    with pytest.raises(BadSetting, match="GATEWAY_CACHE_TTL"):
        GatewaySettings.from_env({"GATEWAY_CACHE_TTL": value})


def test_the_database_address_stays_out_of_the_repr() -> None:
    settings = GatewaySettings.from_env({"DATABASE_URL": "postgresql://u:secret@h/d"})

    assert settings.database_url == "postgresql://u:secret@h/d"
    assert "secret" not in repr(settings)


def test_hosts_are_a_list_of_names_in_lower_case() -> None:
    settings = GatewaySettings.from_env({"GATEWAY_HOSTS": " Forecasts.Example.org, , other.example"})

    assert settings.hosts == ("forecasts.example.org", "other.example")
