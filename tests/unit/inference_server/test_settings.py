from dataclasses import fields, replace

import pytest

from candlecast.settings import BadSetting
from inference_server.settings import OpenToTheNetwork, ServerSettings


def test_an_empty_environment_binds_to_this_machine_on_port_8200() -> None:
    settings = ServerSettings.from_env({"INFERENCE_PORT": "", "UNRELATED": "x"})

    assert settings == ServerSettings()
    assert (settings.host, settings.port, settings.token, settings.queue_depth) == ("127.0.0.1", 8200, None, 2)


def test_every_setting_can_come_from_the_environment() -> None:
    env = {
        "INFERENCE_HOST": "::1",
        "INFERENCE_PORT": "0",
        "INFERENCE_TOKEN": "secret",
        "KRONOS_WEIGHTS": "folder",
        "KRONOS_NAME": "kronos-x",
        "KRONOS_MAX_CONTEXT": "2048",
        "INFERENCE_DEVICE": "cpu",
        "INFERENCE_THREADS": "1",
        "INFERENCE_QUEUE_DEPTH": "0",
        "INFERENCE_BODY_LIMIT_MB": "7",
        "INFERENCE_HEARTBEAT_S": "0.5",
        "INFERENCE_DRAIN_S": "1.5",
        "LOG_LEVEL": "DEBUG",
        "CHRONOS2_WEIGHTS": "folder-2",
        "INFERENCE_CLIENT_S": "2.5",
        "INFERENCE_CANARY_S": "60",
        "INFERENCE_RESULTS_MB": "9",
        "INFERENCE_DTYPE": "bfloat16",
    }

    settings = ServerSettings.from_env(env)

    assert {one.metadata["env"] for one in fields(ServerSettings)} == set(env)
    assert settings == ServerSettings(
        "::1",
        0,
        "secret",
        "folder",
        "kronos-x",
        2048,
        "cpu",
        1,
        0,
        7,
        0.5,
        1.5,
        "DEBUG",
        "folder-2",
        2.5,
        60.0,
        9,
        "bfloat16",
    )
    assert (settings.body_limit, settings.results_bytes) == (7_000_000, 9_000_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INFERENCE_PORT", "65536"),
        ("INFERENCE_PORT", "http"),
        ("INFERENCE_QUEUE_DEPTH", "-1"),
        ("INFERENCE_QUEUE_DEPTH", "1.5"),
        ("INFERENCE_HEARTBEAT_S", "11"),
        ("INFERENCE_HEARTBEAT_S", "nan"),
        ("KRONOS_MAX_CONTEXT", "many"),
        ("LOG_LEVEL", "LOUD"),
        ("INFERENCE_DTYPE", "float64"),
    ],
)
def test_a_number_that_is_none_or_out_of_range_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"{name} is '{value}'"):
        ServerSettings.from_env({name: value})


def test_the_token_stays_out_of_the_repr() -> None:
    assert "k-7c1f" not in repr(ServerSettings(token="k-7c1f"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_key(host: str) -> None:
    ServerSettings(host=host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gpu.example"])
def test_the_network_needs_a_key(host: str) -> None:
    with pytest.raises(OpenToTheNetwork):
        ServerSettings(host=host).check()
    replace(ServerSettings(host=host), token="secret").check()
