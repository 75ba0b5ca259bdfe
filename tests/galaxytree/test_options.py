"""Settings as options: names, variables, defaults and refusals derive from one class."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import click
import pytest
from click.testing import CliRunner
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from galaxytree.options import Options, env_prefix_of, options_of, settings_from


class Observing(Options):
    """Made-up settings with a field of each kind."""

    env_prefix: ClassVar[str] = "GALAXYTREE_OBSERVE_"

    exposure_time: Annotated[float, Field(gt=0, description="Time on the target in seconds")] = 30.0
    frames: Annotated[int, Field(ge=1, description="How many frames")] = 3
    target: Annotated[str, Field(min_length=2, description="What to look at")]
    guided: Annotated[bool, Field(description="Follow a star")] = True
    band: Annotated[Literal["g", "r", "i"], Field(description="Filter")] = "r"
    output: Annotated[Path | None, Field(description="Where to write")] = None


@click.command()
@options_of(Observing)
def observe(**given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Observe, and say what."""
    click.echo(settings_from(Observing, given).model_dump_json())


def seen(*words: str, **variables: str) -> Observing:
    result = CliRunner().invoke(observe, words, env=variables, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Observing.model_validate_json(result.stdout)


def refusal(*words: str, **variables: str) -> str:
    result = CliRunner().invoke(observe, words, env=variables, catch_exceptions=False)
    assert result.exit_code == 2
    return result.stderr


def test_defaults_are_those_of_the_class() -> None:
    assert seen("--target", "M 51") == Observing(target="M 51")


def test_every_field_is_an_option() -> None:
    given = ["--exposure-time=1.5", "--frames=7", "--target=M 31", "--no-guided", "--band=i", "--output=out/m31.fits"]
    assert seen(*given) == Observing(
        exposure_time=1.5, frames=7, target="M 31", guided=False, band="i", output=Path("out/m31.fits")
    )


def test_every_field_is_a_variable_which_an_option_overrules() -> None:
    variables = {
        "GALAXYTREE_OBSERVE_EXPOSURE_TIME": "2",
        "GALAXYTREE_OBSERVE_FRAMES": "9",
        "GALAXYTREE_OBSERVE_TARGET": "M 33",
        "GALAXYTREE_OBSERVE_GUIDED": "false",
        "GALAXYTREE_OBSERVE_BAND": "g",
        "GALAXYTREE_OBSERVE_OUTPUT": "m33.fits",
    }
    expected = Observing(exposure_time=2, frames=9, target="M 33", guided=False, band="g", output=Path("m33.fits"))
    assert seen(**variables) == expected
    assert seen("--frames", "4", "--guided", **variables) == expected.model_copy(update={"frames": 4, "guided": True})


def test_help_gives_units_defaults_and_variables_in_the_order_of_the_class() -> None:
    text = CliRunner().invoke(observe, ["--help"], terminal_width=200).stdout
    assert "Time on the target in seconds" in text
    assert "GALAXYTREE_OBSERVE_EXPOSURE_TIME" in text
    assert "default: 30.0" in text
    assert "required" in text
    assert "[g|r|i]" in text
    flags = ["--exposure-time", "--frames", "--target", "--guided / --no-guided", "--band", "--output"]
    places = [text.index(flag) for flag in flags]
    assert places == sorted(places)


def test_a_value_that_does_not_fit_is_refused_by_the_name_of_its_option() -> None:
    expected = "--exposure-time (GALAXYTREE_OBSERVE_EXPOSURE_TIME): Input should be greater than 0"
    assert expected in refusal("--target=M 1", "--exposure-time=-1")
    assert "--frames (" in refusal("--target=M 1", "--frames=0")
    complaints = refusal("--target=M", "--frames=0")
    assert "--frames (" in complaints
    assert "--target (" in complaints


def test_a_value_of_another_type_or_an_unknown_option_is_refused() -> None:
    assert "--frames" in refusal("--target=M 1", "--frames=many")
    assert "--band" in refusal("--target=M 1", "--band=x")
    assert "--gain" in refusal("--target=M 1", "--gain=3")
    assert "--target" in refusal()


def test_settings_that_do_not_fit_together_are_refused_in_their_own_words() -> None:
    class Exposing(Observing):
        """Made-up settings of which one limits another."""

        @model_validator(mode="after")
        def _fits_into_a_night(self) -> Self:
            if self.exposure_time * self.frames > 30_000:
                msg = "so many frames do not fit into a night"
                raise ValueError(msg)
            return self

    with pytest.raises(click.UsageError) as refused:
        settings_from(Exposing, {"target": "M 1", "frames": 10_000})
    assert refused.value.message == "so many frames do not fit into a night"


def test_settings_of_a_service_name_their_variables_themselves() -> None:
    class Serving(BaseSettings):
        """Made-up settings of pydantic's own kind."""

        model_config = SettingsConfigDict(env_prefix="GALAXYTREE_")
        port: Annotated[int, Field(description="Port")] = 8000

    assert env_prefix_of(Serving) == "GALAXYTREE_"
    assert env_prefix_of(Observing) == "GALAXYTREE_OBSERVE_"


def test_settings_cannot_be_changed_or_misspelt() -> None:
    settings = Observing(target="M 51")
    with pytest.raises(ValidationError, match="frozen"):
        settings.frames = 5  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Observing(target="M 51", frame=5)  # type: ignore[call-arg]
