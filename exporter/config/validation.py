"""
From a file's values to a pydantic model, or to every problem with file, line, path, what was found, what is accepted.

A file format is a model and these steps, at whose end ``ConfigError`` tells all problems of the file at once::

    problems = read_document(data, path, secret_names)
    config = validate(Model, problems)
    problems.raise_any()

Values arrive as text, whatever YAML makes of them: a model's types read ``10s`` or ``true``. Pydantic collects the
errors and says where they are; the line comes from the file, the words from the error itself if a validator raised
``fault``, and the keys that a mapping may have from the model's JSON Schema.
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
    An error for validators to raise whose words are told as they stand.

    Args:
        found: ``{}`` stands for the value, which is shown without what looks like a secret.
        key: The key beside the value's own that it came from.
        name: The value may look like a secret without being one.
    """
    return PydanticCustomError("fault", "{accepted}", {"accepted": accepted, "found": found, "key": key, "name": name})


def words(error: PydanticCustomError) -> tuple[str, str]:
    """What a ``fault`` says is accepted, and what was found."""
    context = error.context or {}
    return str(context["accepted"]), str(context["found"])


def faults(errors: Sequence[tuple[tuple[str | int, ...], PydanticCustomError]]) -> ValidationError:
    """Several errors for a validator to raise, each with the path to it from the value that is validated."""
    return ValidationError.from_exception_data(
        "value", [InitErrorDetails(type=error, loc=path, input=None) for path, error in errors]
    )


def kind(wanted: type, accepted: str) -> BeforeValidator:
    """Refuses values of another kind in these words."""

    def check(value: Any) -> Any:
        if not isinstance(value, wanted):
            raise fault(accepted, describe(value))
        return value

    return BeforeValidator(check)


def validate(model: Any, problems: Problems, context: object = None, path: Steps = ()) -> Any:
    """
    The model made of the values there; ``None`` if there are problems, which are noted.

    Args:
        context: For the model's validators.
        path: Of the values, if they are not the whole file.
    """
    try:
        return _adapter(model).validate_python(problems.at(path)[0], context=context)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        # A key that nobody reads may be one that is missing, so it is told first.
        for detail in sorted(details, key=lambda detail: detail["type"] != "extra_forbidden"):
            _note(detail, schema(model), problems, path)
        return None


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


@cache
def schema(model: Any) -> dict[str, Any]:
    """The JSON Schema of files that hold such a model."""
    return _adapter(model).json_schema(schema_generator=_FileSchema)


class _FileSchema(GenerateJsonSchema):
    """Editors read ``007`` as a number, where we read the text that somebody wrote. No key has null as its value."""

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
    """Note pydantic's error in the words of people who write such files."""
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
    """The path in the file and the schemas along it; a loc also names which model of several a value was read as."""
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
