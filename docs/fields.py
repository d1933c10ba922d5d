"""Prints the README's table of fields, made from their declarations and docstrings: ``python docs/fields.py``."""

from tables import default, described, rows

from cosched.config.schemas import schema

config = schema("cosched/schema", "linear_cyclical")  # it has the fields of every cyclical shape, and one more
lines = ((f"`{one.name}`", meaning.rstrip("."), default(one)) for one, _, meaning in described(config))
print(rows(lines, "field", "meaning", "default"))
