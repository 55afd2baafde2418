"""Parameters from signatures: strict, and refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from p2ptk.errors import UserError
from p2ptk.schema import BadSignature, Part, describe_type, parameters, plain, validate
from p2ptk.specs import Spec


class Net:
    def __init__(
        self,
        *,
        source_channels: int,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Literal["batch", "none"] = "batch",
        limit: int | None = 3,
        rate: float = 0.5,
        betas: tuple[float, float] = (0.5, 0.999),
        copy: bool = False,
        weights: Path | None = None,
        encoder: Annotated[Spec, Part("encoder")] | None = None,
    ) -> None: ...


FIELDS = parameters(Net, ("source_channels",))


def checked(**params: Any) -> dict[str, Any]:
    return validate(FIELDS, params, "generator 'net'")


def test_defaults_and_types() -> None:
    assert checked()["width"] == 64
    assert checked(betas=[0.1, 0.2])["betas"] == (0.1, 0.2)
    assert checked(weights="a/b.pt")["weights"] == Path("a/b.pt")
    assert checked(rate=1)["rate"] == 1.0
    assert checked(encoder="conv:depth=3")["encoder"] == Spec("conv", {"depth": 3})


def test_none_is_none_only_where_it_may_be() -> None:
    assert checked(norm="none")["norm"] == "none"
    assert checked(limit="none")["limit"] is None
    with pytest.raises(UserError, match="width"):
        checked(width="none")


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"width": 0}, "generator 'net': width should be greater than 0 (got 0)."),
        ({"width": True}, "width should be a valid integer"),
        ({"width": 1.5}, "width should be a valid integer"),
        ({"copy": 1}, "copy should be a valid boolean"),
        ({"norm": "bach"}, "norm should be 'batch' or 'none' (got 'bach')."),
        ({"widht": 3}, "generator 'net' has no parameter 'widht': did you mean 'width'?"),
        ({"source_channels": 3}, "has no parameter 'source_channels'"),
    ],
)
def test_wrong_values_get_one_sentence(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        checked(**params)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_plain_values_validate_to_the_same() -> None:
    params = checked(limit="none", encoder="conv", betas=[0.1, 0.2], weights="w.pt")
    assert validate(FIELDS, plain(FIELDS, params), "net") == params


def test_nested_kind_and_words() -> None:
    by_name = {p.name: p for p in FIELDS}
    assert by_name["encoder"].nested == "encoder"
    assert by_name["width"].nested is None
    assert describe_type(by_name["width"].annotation) == "int, > 0"
    assert describe_type(by_name["norm"].annotation) == "batch | none"


def test_signatures_that_can_be_no_schema() -> None:
    def loose(**kwargs: Any) -> None: ...

    def bare(*, width=3) -> None: ...  # type: ignore[no-untyped-def]

    def positional(width: int = 3) -> None: ...

    def reserved(*, weight: float = 1.0) -> None: ...

    for target, words in (
        (loose, "name every parameter"),
        (bare, "annotate the parameter 'width'"),
        (positional, "keyword-only"),
        (reserved, "belongs to p2ptk"),
    ):
        with pytest.raises(BadSignature, match=words):
            parameters(target)
