"""
Validates a file's values with a pydantic model, and reports every problem with file, line, path, found and accepted.

A file format is a model and these three steps. The last one raises ``ConfigError`` with all problems of the file::

    problems = read_document(data, path, secret_names)
    config = validate(Model, problems)
    problems.raise_any()

All values are text, also numbers and booleans: a model's types parse ``10s`` or ``true``. Pydantic collects the errors
and their paths. The line comes from the file. The words come from the error if a validator raised ``fault``. The keys
that a mapping accepts come from the model's JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import InitErrorDetails, PydanticCustomError

from exporter.config.errors import Problems, Steps
from exporter.config.values import describe

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails, core_schema

_ACCEPTED: Final = {
    "string_type": "text",
    "dict_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "string_too_short": "text of {min_length} or more characters",
    "string_too_long": "text of {max_length} or fewer characters",
    "string_pattern_mismatch": "text that matches {pattern}",
}


class Keys(BaseModel):
    """A mapping with these keys and no others."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def fault(accepted: str, found: str = "{}", *, key: str = "", name: bool = False) -> PydanticCustomError:
    """
    An error for validators to raise. Its words appear unchanged in the message.

    Args:
        found: ``{}`` stands for the value, of which secret-like parts are redacted.
        key: The key that has the value, if it is not the field's own key, such as ``server_secret_env``.
        name: Whether the value is a name, which may look like a secret without being one.
    """
    return PydanticCustomError("fault", "{accepted}", {"accepted": accepted, "found": found, "key": key, "name": name})


def words(error: PydanticCustomError) -> tuple[str, str]:
    """The accepted and the found part of a ``fault``."""
    context = error.context or {}
    return str(context["accepted"]), str(context["found"])


def faults(errors: Sequence[tuple[tuple[str | int, ...], PydanticCustomError]]) -> ValidationError:
    """Several errors for a validator to raise together. Each has its path, relative to the validated value."""
    return ValidationError.from_exception_data(
        "value", [InitErrorDetails(type=error, loc=path, input=None) for path, error in errors]
    )


def kind(wanted: type, accepted: str) -> BeforeValidator:
    """A validator that refuses values of another kind with these words."""

    def check(value: Any) -> Any:
        if not isinstance(value, wanted):
            raise fault(accepted, describe(value))
        return value

    return BeforeValidator(check)


def validate(model: Any, problems: Problems, context: object = None, path: Steps = ()) -> Any:
    """
    The model of the values at a path. If they are not valid, adds their problems and returns ``None``.

    Args:
        context: Passed to the model's validators.
        path: The path to the values; default: the whole file.
    """
    try:
        return _adapter(model).validate_python(problems.at(path)[0], context=context)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        # An unknown key may be the misspelling of a missing one, so report it first.
        for detail in sorted(details, key=lambda detail: detail["type"] != "extra_forbidden"):
            _note(detail, schema(model), problems, path)
        return None


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


@cache
def schema(model: Any) -> dict[str, Any]:
    """The JSON Schema of files with this model."""
    return _adapter(model).json_schema(schema_generator=_FileSchema)


class _FileSchema(GenerateJsonSchema):
    """Accepts numbers and booleans for text, since editors read ``007`` as a number. No key accepts null."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 as the base class has it

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        return super().str_schema(schema) | {"type": ["string", "number", "boolean"]}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return super().float_schema(schema) | {"type": ["number", "string"], "pattern": r"^[0-9.]+(e[+-]?[0-9]+)?$"}

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:  # noqa: ARG002 secrets and certificates are given as text
        return {"type": ["string", "number", "boolean"]}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if not isinstance(made.get("default"), str):
            made.pop("default", None)
        return made

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:  # noqa: ARG002 the models have a better order
        return value

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 a title would only repeat the key
        return False


def _note(detail: ErrorDetails, root: JsonSchemaValue, problems: Problems, path: Steps) -> None:
    """Add a problem for pydantic's error, in the words of people who write configs."""
    at, nodes = _place(detail["loc"], root)
    at, context = [*path, *at], detail.get("ctx", {})
    if detail["type"] == "extra_forbidden":
        problems.add_unknown_key(at, nodes[-2].get("properties", {}))
        return
    if detail["type"].startswith("union_tag"):
        at.append(context["discriminator"].strip("'"))
    elif context.get("key"):
        at[-1] = context["key"]
    found = context.get("found", "{}")
    if detail["type"].endswith("_type"):
        found = describe(problems.at(at)[0])
    elif detail["loc"][-1:] == ("[key]",):
        found = found.replace("{}", problems.show(str(at[-1])))
    elif "{}" in found:
        found = found.replace("{}", problems.show_at(at, name=context.get("name", False)))
    problems.add(at, found, _accepted(detail, nodes[-1], at))


def _place(loc: tuple[str | int, ...], root: JsonSchemaValue) -> tuple[list[str | int], list[JsonSchemaValue]]:
    """The path in the file, and the schemas along it. Unlike a path, a loc also names the chosen model of a union."""
    nodes, path = [root], list[str | int]()
    for step in loc:
        node = nodes[-1]
        if step == "[key]":
            continue
        if "discriminator" in node:
            nodes[-1] = _resolved({"$ref": node["discriminator"]["mapping"][step]}, root)
            continue
        path.append(step)
        if isinstance(step, int):
            nodes.append(_resolved(node.get("items", {}), root))
        else:
            nodes[-1] = next((each for each in _options(node, root) if "properties" in each), node)
            nodes.append(_resolved(nodes[-1].get("properties", {}).get(step, {}), root))
    return path, nodes


def _options(node: JsonSchemaValue, root: JsonSchemaValue) -> Iterator[JsonSchemaValue]:
    yield node
    yield from (_resolved(each, root) for each in node.get("anyOf", ()))


def _resolved(node: JsonSchemaValue, root: JsonSchemaValue) -> JsonSchemaValue:
    return root["$defs"][node["$ref"].rpartition("/")[2]] | node if "$ref" in node else node


def _accepted(detail: ErrorDetails, node: JsonSchemaValue, path: Sequence[str | int]) -> str:
    context = detail.get("ctx", {})
    if "accepted" in context:
        return str(context["accepted"])
    if detail["type"].startswith("union_tag"):
        return ", ".join(node["discriminator"]["mapping"])
    if detail["type"] == "missing":
        return f"a list of {path[-1]}" if node.get("type") == "array" else "a value"
    if detail["type"] in ("model_type", "mapping_type"):
        return f"a mapping{' with ' * ('properties' in node)}{', '.join(node.get('properties', ()))}"
    if detail["type"] == "literal_error":
        return ", ".join(filter(None, re.findall(r"'([^']*)'", context["expected"])))
    if detail["type"] in _ACCEPTED:
        return _ACCEPTED[detail["type"]].format(**context)
    return detail["msg"].removeprefix("Value error, ")
