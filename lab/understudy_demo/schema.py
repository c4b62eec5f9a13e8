# SPDX-License-Identifier: Apache-2.0
"""The part of JSON Schema that report.schema.json uses: type, enum, pattern, minimum, required, properties,
additionalProperties, items, anyOf and $ref into the same file. A keyword beyond these is an error, never skipped."""
import json
import os
import re

FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "report.schema.json")
KNOWN = {"$schema", "$ref", "title", "description", "definitions", "type", "enum", "pattern", "minimum", "required",
         "properties", "additionalProperties", "items", "minItems", "anyOf"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def load():
    with open(FILE, encoding="utf-8") as file:
        return json.load(file)


def is_type(value, name):
    if name in ("number", "integer"):
        return not isinstance(value, bool) and isinstance(value, int if name == "integer" else (int, float))
    return isinstance(value, TYPES[name])


def problems(value, schema, root=None, where="report"):
    """Sentences, empty when the value is as it should be."""
    root = root or schema
    if unknown := set(schema) - KNOWN:
        raise ValueError(f"{where}: the schema uses {sorted(unknown)}, which is not understood here")
    if "$ref" in schema:
        return problems(value, root["definitions"][schema["$ref"].removeprefix("#/definitions/")], root, where)
    if "anyOf" in schema:
        tried = [problems(value, option, root, where) for option in schema["anyOf"]]
        return [] if any(not found for found in tried) else min(tried, key=len)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(is_type(value, name) for name in types):
        return [f"{where}: {json.dumps(value)[:60]} is no {' or '.join(types)}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        found.append(f"{where}: {value!r} does not match {schema['pattern']}")
    if "minimum" in schema and is_type(value, "number") and value < schema["minimum"]:
        found.append(f"{where}: {value} is below {schema['minimum']}")
    if isinstance(value, dict):
        found += object_problems(value, schema, root, where)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            found.append(f"{where}: fewer than {schema['minItems']} items")
        for index, item in enumerate(value):
            found += problems(item, schema.get("items", {}), root, f"{where}[{index}]")
    return found


def object_problems(value, schema, root, where):
    found = [f"{where}: {key!r} is missing" for key in schema.get("required", []) if key not in value]
    listed, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, item in value.items():
        if key in listed:
            found += problems(item, listed[key], root, f"{where}.{key}")
        elif others is False:
            found.append(f"{where}: {key!r} is not known")
        elif isinstance(others, dict):
            found += problems(item, others, root, f"{where}.{key}")
    return found
