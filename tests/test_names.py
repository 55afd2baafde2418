"""Parameters that take one of many names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import pytest

from p2ptk.errors import UserError
from p2ptk.names import Choices
from p2ptk.schema import describe_type, parameters, validate

MODULE = "names_that_only_this_test_has"


@pytest.fixture
def choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choices:
    (tmp_path / f"{MODULE}.py").write_text(
        "asked = 0\n"
        "def models():\n"
        "    global asked\n"
        "    asked += 1\n"
        "    yield from ('resnet18', 'resnet34', 'resnet34.a1', 'resnet34.a2', 'vgg')\n"
        "def many():\n"
        "    return [f'model{i}' for i in range(2000)]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return Choices(f"{MODULE}:models")


def checked(choices: Choices, **params: Any) -> dict[str, Any]:
    def build(*, model: Annotated[str, choices] | None = "resnet18", width: int = 3) -> None: ...

    # Text annotations can't see a local name, so this is what they would come to.
    build.__annotations__["model"] = Annotated[str, choices] | None
    return validate(parameters(build), params, "encoder 'net'")


def test_names_are_asked_for_once_and_only_when_one_is_given(choices: Choices) -> None:
    assert checked(choices)["model"] == "resnet18"
    assert checked(choices, model="none")["model"] is None
    assert checked(choices, model="resnet18", width=4)["width"] == 4
    assert MODULE not in sys.modules
    for _ in range(3):
        assert checked(choices, model="resnet34.a2")["model"] == "resnet34.a2"
    assert sys.modules[MODULE].asked == 1


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("resnet35", "encoder 'net' knows no model 'resnet35': did you mean 'resnet34'?"),
        ("swin", "choose from resnet18, resnet34, resnet34.a1, resnet34.a2, vgg."),
        ("res*", "knows no model 'res*': choose from resnet18, resnet34."),
        ("swin*", "choose from resnet18, resnet34, resnet34.a1, resnet34.a2, vgg."),
    ],
)
def test_another_name_is_refused_with_the_nearest(
    choices: Choices, model: str, sentence: str
) -> None:
    with pytest.raises(UserError) as error:
        checked(choices, model=model)
    assert str(error.value).endswith(sentence)


def test_a_long_list_is_not_printed(choices: Choices) -> None:
    with pytest.raises(UserError, match=r"no model 'zzz': there are 2,000, and '\*' lists them."):
        checked(Choices(f"{MODULE}:many"), model="zzz")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["resnet18", "resnet34", "vgg"]),
        ("*34", ["resnet34"]),
        ("resnet[12]?", ["resnet18"]),
        ("resnet34.*", ["resnet34.a1", "resnet34.a2"]),
        ("*.*2", ["resnet34.a2"]),
        ("RES*", []),
        ("vgg", ["vgg"]),
    ],
)
def test_wildcards_stop_at_dots(choices: Choices, pattern: str, names: list[str]) -> None:
    assert choices.matching(pattern) == names


def test_it_says_how_to_list_them(choices: Choices) -> None:
    words = describe_type(Annotated[str, choices] | None)
    assert words == "str, one of those that a wildcard such as '*' lists | none"
