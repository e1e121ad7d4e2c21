"""Values as overrides: what was given is what is composed."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from omegaconf import OmegaConf

from hpsuite.overrides import as_override
from tests.wrong import texts


def composed(value: object) -> object:
    """What Hydra and OmegaConf make of a value that was written as an override."""
    found: Any = OverridesParser.create().parse_override(f"key={as_override(value)}").value()
    plain = OmegaConf.to_container(OmegaConf.create({"key": found}), resolve=True)
    assert isinstance(plain, dict)
    return plain["key"]


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(texts.filter(lambda text: text != "???"))  # which is OmegaConf's own
def test_texts(text: str) -> None:
    assert composed(text) == text
    assert composed([text, {"a": text}]) == [text, {"a": text}]


@pytest.mark.parametrize("text", ["a\\", "\\'", "\\\n", "${x}", "\\${x}", "\\\\${x}'", "$", "{"])
def test_texts_that_were_others(text: str) -> None:
    assert composed(text) == text


@pytest.mark.parametrize("name", ["learning rate", "a:b", "a,b", "a=b", "(a)", "a\\b"])
def test_names_of_keys(name: str) -> None:
    assert composed({name: 1}) == {name: 1}
