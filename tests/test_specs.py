"""Specs: text <-> Spec <-> TOML table, exactly."""

from __future__ import annotations

import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from p2ptk.errors import UserError
from p2ptk.specs import Spec, read_value

names = st.from_regex(r"[a-z][a-z0-9-]{0,8}(/[a-z][a-z0-9]{0,4})?", fullmatch=True)
keys = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda k: k != "name")
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "none", "true", "1", "-2.5e-3", "C:\\Bilder\\été", "a b,c=d:e(f)[g]'h\"i", "straße/ö"]
    ),
)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False),
    texts.map(lambda t: t.replace("\x7f", "")),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.builds(Spec, names, st.dictionaries(keys, inner, max_size=3)),
    ),
    max_leaves=6,
)
specs = st.builds(Spec, names, st.dictionaries(keys, values, max_size=4))


@given(specs)
def test_text_round_trips_exactly(spec: Spec) -> None:
    again = Spec.parse(str(spec))
    assert again == spec
    assert repr(again) == repr(spec)  # 1 and 1.0 and True are equal, but not the same


@given(specs)
def test_toml_round_trips_exactly(spec: Spec) -> None:
    table = tomllib.loads(tomli_w.dumps({"spec": spec.table()}))["spec"]
    assert Spec.of(table) == spec


def test_nested_and_lists() -> None:
    spec = Spec.parse("unet:encoder=timm(model=resnet34,freeze=true),betas=[0.5,0.999],norm=none")
    assert spec.params["encoder"] == Spec("timm", {"model": "resnet34", "freeze": True})
    assert spec.params["betas"] == [0.5, 0.999]
    assert spec.params["norm"] == "none"


def test_dashes_in_parameter_names_are_underscores() -> None:
    assert Spec.parse("jitter:load-size=3") == Spec("jitter", {"load_size": 3})


def test_paths_need_no_quotes_where_they_are_plain() -> None:
    spec = Spec.parse("side-by-side:path=my data/façades,val_fraction=0.1")
    assert spec.params["path"] == "my data/façades"
    assert Spec.parse("x:path='a, b (1)'").params["path"] == "a, b (1)"
    assert Spec.parse(r"x:path=C:\data").params["path"] == r"C:\data"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unet:width", "'=' after 'width'"),
        ("unet width=3", "':'"),
        ("unet:width=", "a value"),
        ("unet:betas=[1,2", "',' or ']'"),
        ("unet:encoder=timm(model=x", "',' or ')'"),
        ("unet:path='a", "closing"),
        (":width=3", "a component name"),
        ("", "a component name"),
        ("unet:width=3,width=4", "given twice"),
    ],
)
def test_bad_text_names_the_place(text: str, expected: str) -> None:
    with pytest.raises(UserError, match=r"\.$") as error:
        Spec.parse(text)
    assert expected in str(error.value)


def test_values_of_settings() -> None:
    assert read_value("1e-4") == 1e-4
    assert read_value("[0.5, 0.999]") == [0.5, 0.999]
    assert read_value("unet:width=32,depth=5") == "unet:width=32,depth=5"
    assert read_value("unet(width=32)") == Spec("unet", {"width": 32})
    assert read_value("") == ""
