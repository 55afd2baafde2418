"""The names of timm's models, and what it says of each without building it."""

from __future__ import annotations

from typing import Annotated, Any

from p2ptk import Choices, UserError

Model = Annotated[str, Choices("p2ptk_timm.names:models")]


def models() -> list[str]:
    """Every model of timm, each followed by its names with a tag of pretrained weights."""
    import timm

    return sorted({*timm.list_models(), *timm.list_models(pretrained=True)})


def config(model: str) -> Any:
    """timm's notes on a model: `mean`, `std`, `input_size`, `first_conv`, `has_weights`, ...

    Raises UserError for a model or tag that timm does not have.
    """
    import timm

    name = model.partition(".")[0]
    try:
        found = timm.models.get_pretrained_cfg(model) if timm.models.is_model(name) else None
    except RuntimeError:  # another model's tag
        found = None
    if found is None:
        raise UserError(
            f"timm has no model {model!r}: `p2ptk show encoder 'timm:model={name[:4]}*'` lists "
            f"models, and 'timm:model={name}.*' the tags of one."
        )
    return found
