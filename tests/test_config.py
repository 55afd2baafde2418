"""RunConfig: layers, keys, TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from p2ptk.components import list_components
from p2ptk.config import RunConfig, options
from p2ptk.errors import UserError
from p2ptk.layers import layers_of, parse_setting, read_toml
from p2ptk.specs import Spec

RECIPES = [p.name for p in list_components("recipe")]


def config_of(*settings: str, recipe: str = "pix2pix") -> RunConfig:
    return RunConfig.of(*layers_of({}, recipe), *(parse_setting(s) for s in settings))


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_are_valid_and_round_trip(recipe: str) -> None:
    config = config_of(recipe=recipe)
    again = RunConfig.of(*layers_of(tomllib.loads(config.toml())))
    assert again == config
    assert config.recipe == recipe


def test_the_reference_recipe_is_the_papers() -> None:
    config = config_of()
    assert (config.generator, config.discriminator) == (Spec("unet"), Spec("patchgan"))
    assert config.losses == {"gan": Spec("gan"), "l1": Spec("l1", {"weight": 100})}
    assert config.size == (256, 256)
    train = config.train
    assert (train.epochs, train.batch_size, train.lr, train.betas) == (200, 1, 2e-4, (0.5, 0.999))


def test_settings_reach_every_level() -> None:
    config = config_of(
        "train.lr=1e-3", "generator.width=32", "losses.l1.weight=50", "size=128x64", "seed=3"
    )
    assert config.train.lr == 1e-3
    assert config.generator == Spec("unet", {"width": 32})
    assert config.losses["l1"].params["weight"] == 50
    assert config.size == (128, 64)


def test_a_name_replaces_and_a_list_replaces() -> None:
    assert config_of("generator=resnet:blocks=6").generator == Spec("resnet", {"blocks": 6})
    config = RunConfig.of(*layers_of({}), {"losses": ["l2", "l1:as=far,weight=3"]})
    assert list(config.losses) == ["l2", "far"]
    assert config.losses["far"] == Spec("l1", {"weight": 3})
    assert "gan" not in config_of("losses.gan=false").losses
    assert config_of("discriminator=none").discriminator is None


def test_removed_parts_stay_removed_in_the_file() -> None:
    config = config_of("losses.gan=false", "discriminator=none", "augmentations.jitter=false")
    again = RunConfig.of(*layers_of(tomllib.loads(config.toml())))
    assert again == config


def test_epochs_and_steps_replace_each_other_between_layers() -> None:
    assert config_of("train.steps=7").train.epochs is None
    with pytest.raises(UserError, match="not both"):
        RunConfig.of({"train": {"epochs": 1, "steps": 2}})


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("train.lrr=3", "there is no option 'train.lrr': did you mean 'train.lr'?"),
        ("lr=3", "did you mean 'train.lr'?"),
        ("train.lr=fast", "train.lr should be a valid number"),
        ("train.batch_size=-1", "train.batch_size should be greater than or equal to 0 (got -1)."),
        ("train.batch_size=many", "train.batch_size should be a valid integer"),
        ("size=axb", "size"),
        ("losses=3", "expected a table or a list"),
        ("format=99", "newer p2ptk"),
        ("direction=BtoC", "direction should be 'AtoB' or 'BtoA'"),
    ],
)
def test_wrong_settings_get_one_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        config_of(setting)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_setting_needs_a_value() -> None:
    with pytest.raises(UserError, match="KEY=VALUE"):
        parse_setting("train.lr")


def test_broken_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("size = ")
    with pytest.raises(UserError, match="can't be read as TOML"):
        read_toml(tmp_path / "bad.toml")
    with pytest.raises(UserError, match="no config file"):
        read_toml(tmp_path / "none.toml")


def test_every_option_says_what_it_is() -> None:
    for name, info in options().items():
        assert info.description, name
