from dataclasses import fields
from pathlib import Path

import pytest

from candlecast.settings import BadSetting, JobSettings
from gateway.settings import GatewaySettings
from inference_server.settings import ServerSettings

ROOT = Path(__file__).resolve().parents[3]


def test_the_example_file_names_exactly_the_settings_that_exist() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    deployables = (JobSettings, GatewaySettings, ServerSettings)
    known = {setting.metadata["env"] for settings in deployables for setting in fields(settings)}

    assert known == named


def test_an_empty_value_means_the_default() -> None:
    assert JobSettings.from_env({"HORIZON": "", "MODEL_NAME": " "}) == JobSettings()


@pytest.mark.parametrize("value", ["many", "-1", "0", "1025", "1.5", "１２"])
def test_a_number_out_of_its_range_is_refused_with_the_range(value: str) -> None:
    with pytest.raises(BadSetting, match="HORIZON is .* a whole number from 1 to 1024"):
        JobSettings.from_env({"HORIZON": value})


def test_secrets_never_show_up_in_the_repr() -> None:
    env = {
        "DATABASE_URL": "postgresql://u:canary@h/d",
        "INFERENCE_TOKEN": "canary",
        "CF_ACCESS_CLIENT_ID": "canary",
        "CF_ACCESS_CLIENT_SECRET": "canary",
    }

    assert "canary" not in repr(JobSettings.from_env(env))
