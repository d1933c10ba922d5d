"""What users see of the public names without the manual: ``help``, signatures, what a field means."""

import inspect
import pydoc
import re
import sys
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import get_type_hints

import pytest

import cosched
from cosched.config.schemas import Binding
from cosched.loops.ignite import scheduler as binding

PUBLIC = {name: getattr(cosched, name) for name in cosched.__all__}
ALIASES = ("Duration", "Group")  # of types, for annotations
FUNCTIONS = [name for name, one in PUBLIC.items() if inspect.isfunction(one)]
CLASSES = [name for name, one in PUBLIC.items() if inspect.isclass(one) and not issubclass(one, (Exception, Enum))]
BOUND = [name for name in CLASSES if name not in ALIASES and issubclass(PUBLIC[name], cosched.BoundScheduler)]
OF_ONE_SHAPE = sorted({*BOUND} - {"BoundScheduler", "RegisteredScheduler"})


def parameters(name):
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {key: one for key, one in inspect.signature(PUBLIC[name]).parameters.items() if one.kind not in variable}


@pytest.mark.parametrize("name", PUBLIC)
def test_help_can_be_rendered(name):
    assert name in pydoc.render_doc(PUBLIC[name], renderer=pydoc.plaintext) or name in ALIASES


@pytest.mark.parametrize("name", CLASSES)
def test_help_says_of_each_field_what_it_means(name):
    page = pydoc.render_doc(PUBLIC[name], renderer=pydoc.plaintext)
    said = re.findall(r"^ \|      (\w+): \S+ \S+", page, flags=re.MULTILINE)
    assert [one for one in parameters(name) if one not in said] == []
    assert len(said) == len(set(said)), "each is said once"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_speaks_of_each_argument_of_a_function(name):
    assert all(re.search(rf"\b{one}\b", PUBLIC[name].__doc__) for one in parameters(name))


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS])
def test_every_signature_can_be_read_with_its_types(name):
    one = PUBLIC[name]
    hints = get_type_hints(one)  # those of a function, or of the fields of a dataclass
    if name in CLASSES and not is_dataclass(one):
        hints = get_type_hints(one.__init__)
    assert not parameters(name).keys() - hints.keys()


@pytest.mark.parametrize("name", OF_ONE_SHAPE)
def test_a_bound_scheduler_takes_the_fields_of_its_shape_and_what_a_binding_has(name):
    shape = PUBLIC[name.removesuffix("Scheduler")]
    of_shape = {f.name: f.default if f.default is not MISSING else inspect.Parameter.empty for f in fields(shape)}
    of_binding = {key: one.default for key, one in parameters("BoundScheduler").items() if key != "schedule"}
    defaults = {key: one.default for key, one in parameters(name).items()}
    assert defaults == of_binding | {"param_name": inspect.Parameter.empty} | of_shape


@pytest.mark.parametrize("name", OF_ONE_SHAPE)
def test_type_checkers_are_told_the_types_that_the_fields_have(name):
    declared = PUBLIC[name].__init__.__wrapped__.__annotations__
    scope = vars(sys.modules[PUBLIC[name].__module__])
    options = scope[declared["options"].removeprefix("Unpack[").removesuffix("]")]
    told = {key: eval(kind, scope) for key, kind in declared.items() if key not in ("options", "return")}
    told |= get_type_hints(options)
    assert told.keys() == parameters(name).keys()
    known = get_type_hints(cosched.BoundScheduler.__init__) | get_type_hints(PUBLIC[name.removesuffix("Scheduler")])
    # A config says Any, where OmegaConf has no word for it.
    narrower = ("durations", "factors", "levels", "milestones", "phases", "schedule")
    assert {key: kind for key, kind in told.items() if kind != known[key]}.keys() <= set(narrower)


def test_a_config_binds_with_the_arguments_of_a_bound_scheduler():
    arguments = parameters("BoundScheduler")
    assert {f.name for f in fields(Binding)} == arguments.keys() - {"optimizer", "schedule"}
    assert all(f.default == arguments[f.name].default for f in fields(Binding))
    keywords = {key for key, one in arguments.items() if one.kind is one.KEYWORD_ONLY}
    assert get_type_hints(binding.BindingOptions).keys() == keywords


def test_a_shape_of_another_package_says_what_its_inherited_fields_mean():
    class Slow(cosched.CosineAnnealing):
        """Anneals slowly.

        Attributes:
            pace: how slowly.

        Raises:
            ValueError: it is in a hurry.
        """

    intro, fields_, raises = Slow.__doc__.split("\n\n")
    assert (intro, raises) == ("Anneals slowly.", "Raises:\n    ValueError: it is in a hurry.")
    assert fields_.startswith("Attributes:\n    start_value: ")
    assert fields_.endswith("\n    pace: how slowly.")


def test_a_shape_without_a_docstring_says_what_its_inherited_fields_mean():
    class Bare(cosched.CosineAnnealing):
        pass

    assert Bare.__doc__.startswith("Attributes:\n    start_value: ")
