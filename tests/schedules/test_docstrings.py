"""What ``help`` says of the shapes: each field once, and examples that run."""

import dataclasses
import doctest
import importlib
import inspect
import pkgutil

import pytest

import cosched.schedules
from cosched.schedules.registry import registered

MODULES = [f"cosched.schedules.{found.name}" for found in pkgutil.iter_modules(cosched.schedules.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("shape", registered().values(), ids=registered())
def test_every_field_is_explained(shape):
    text = inspect.cleandoc(shape.__doc__)
    assert text.partition("\n")[0].endswith((".", "``."))
    for field in dataclasses.fields(shape):
        assert text.count(f"\n    {field.name}: ") == 1
