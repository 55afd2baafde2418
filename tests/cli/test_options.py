"""What `-d` means."""

from __future__ import annotations

import pytest

from p2ptk import UserError, open_data
from p2ptk.cli.options import data_spec


def test_a_url_needs_a_word_on_what_lies_there() -> None:
    with pytest.raises(UserError, match=r"webdataset:path=s3://bucket/pairs for tar shards"):
        open_data("s3://bucket/pairs")
    spec, said = data_spec("hf:path=s3://bucket/pairs,a=left")
    assert (spec.name, spec.params["path"], said) == ("hf", "s3://bucket/pairs", None)


def test_a_name_is_opened() -> None:
    assert open_data("demo").splits() == ("train", "val", "test")
