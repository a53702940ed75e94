"""Settings: read once, validated when read; an error message gives the name that the user set."""

import os
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from runtime.durations import parse_duration, render_duration
from runtime.settings import PREFIX, Settings, load_settings
from schemas.errors import SettingsError

FIELDS = Settings.model_fields
SECRETS = [name for name, field in FIELDS.items() if "SecretStr" in str(field.annotation)]
DURATIONS = [name for name, field in FIELDS.items() if isinstance(field.default, timedelta)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("0s", 0),
        ("2s", 2),
        ("1.5s", 1.5),
        ("15m", 900),
        ("15min", 900),
        ("2880m", 172_800),
        ("48h", 172_800),
        ("90d", 7_776_000),
        (" 5 s ", 5),
        ("36500d", 3_153_600_000),
    ],
)
def test_durations_are_written_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "s", "-5s", "+5s", "5 weeks", "1e3s", "5s5", "1h30m", "nan", "5S", "\u0663s"),
        *("36501d", "9" * 400 + "d"),
    ],
)
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


@given(st.integers(0, 10**12).map(lambda milliseconds: timedelta(milliseconds=milliseconds)))
def test_a_duration_is_read_as_it_was_written(duration: timedelta) -> None:
    assert parse_duration(render_duration(duration)) == duration


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_says_what_it_is_for(name: str) -> None:
    description = FIELDS[name].description
    assert description
    assert description.endswith(".")


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - {"home", "log_file", *SECRETS}))
def test_a_mistake_names_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", "nonsense")
    with pytest.raises(SettingsError, match=f"{PREFIX}{name.upper()}"):
        load_settings()


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(loader_threads="0", batch_size="a", retention="1h")
    for name in ("LOADER_THREADS", "BATCH_SIZE", "RETENTION"):
        assert PREFIX + name in str(error.value)


@pytest.mark.parametrize("name", DURATIONS)
def test_no_duration_is_negative(name: str) -> None:
    with pytest.raises(SettingsError):
        load_settings(**{name: "-1s"})


def test_a_flag_beats_a_variable_and_a_variable_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().batch_linger == timedelta(milliseconds=50)
    monkeypatch.setenv("STATESYS_BATCH_LINGER", "2s")
    assert load_settings(batch_linger=None).batch_linger == timedelta(seconds=2)
    assert load_settings(batch_linger="3s").batch_linger == timedelta(seconds=3)


@pytest.mark.parametrize(("processors", "threads"), [(1, 2), (2, 2), (3, 3), (4, 4), (64, 4)])
def test_a_loader_has_a_thread_for_each_processor_within_limits(
    processors: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(processors)))
    assert load_settings().threads == threads
    assert load_settings(loader_threads="7").threads == 7


def test_the_defaults_are_those_of_the_site_control_file() -> None:
    settings = Settings.model_construct()
    assert settings.loader_chunk_size == 256
    assert settings.max_chunks_fetched == 100
    assert settings.resync_check_interval == timedelta(minutes=60)
    assert settings.min_missing_message_age == timedelta(minutes=2880)
    assert settings.resync_merge_interval == timedelta(hours=72)
    assert settings.heartbeat_interval == timedelta(minutes=15)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().batch_size = 1  # type: ignore[misc]


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    secret = "very-secret"
    settings = load_settings(**dict.fromkeys(SECRETS, f"amqp://u:{secret}@h/"))
    assert len(SECRETS) == 5
    for shown in (
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(),
    ):
        assert secret not in shown
    assert all(isinstance(getattr(settings, name), SecretStr) for name in SECRETS)


def test_durations_are_shown_as_they_are_written() -> None:
    assert '"resync_merge_interval":"3d"' in load_settings().model_dump_json()


def test_without_servers_it_says_how_to_get_them(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)
    settings = load_settings(home=tmp_path_factory.mktemp("home"))
    for url, variable in (
        (settings.required_amqp_url, "STATESYS_AMQP_URL"),
        (settings.required_database_url, "STATESYS_DATABASE_URL"),
    ):
        with pytest.raises(SettingsError, match=f"statesys up.*{variable}"):
            url()
    assert settings.optional_management_url() is None
