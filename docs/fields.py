"""Prints the README's table of fields, made from their declarations and docstrings: ``python docs/fields.py``."""

import json
from dataclasses import MISSING, fields

from cosched import LinearCyclicalScheduler
from cosched.config.schemas import schema
from cosched.schedules.docstrings import meanings

said = meanings(LinearCyclicalScheduler)
config = schema("cosched/schema", "linear_cyclical")  # it has the fields of every cyclical shape, and one more
print("| field | meaning | default |\n| --- | --- | --- |")
for field in fields(config):
    default = json.dumps(field.default, default=lambda one: "" if one is MISSING else one.name).strip('"')
    if not field.name.startswith("_"):
        print(f"| `{field.name}` | {' '.join(said[field.name].split()).replace('``', '`').rstrip('.')} | {default} |")
