"""A checked filter in the language of Milvus, as far as that can say it.

The items' columns are keys of one JSON field. SQL knows three answers: a comparison with a missing value is neither
true nor false, and what is not true is not found. Milvus knows two. So NOT is moved inwards first: `NOT size > 3`
becomes `size <= 3`, which a missing value does not satisfy either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from crossbit.errors import UserError
from crossbit.index.columns import INTEGER, REAL, TEXT, TEXTS, TRUTH, WORDS
from crossbit.index.filters import Filter
from crossbit.index.mistakes import short, wrong

ITEM = "item"  # the field that holds the columns
LOWEST = -(2**63)  # an id that Milvus cannot read in an expression
PLAIN = re.compile(r"\w[\w .:-]*")  # names of columns that it reads as they are
COMPARED = {
    "COMPARE_EQUAL": ("==", "!="),
    "COMPARE_NOTEQUAL": ("!=", "=="),
    "COMPARE_LESSTHAN": ("<", ">="),
    "COMPARE_GREATERTHAN": (">", "<="),
    "COMPARE_LESSTHANOREQUALTO": ("<=", ">"),
    "COMPARE_GREATERTHANOREQUALTO": (">=", "<"),
}
TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
LISTS = {
    **dict.fromkeys(("list_contains", "list_has", "array_contains", "contains"), "json_contains"),
    "list_has_any": "json_contains_any",
    "list_has_all": "json_contains_all",
}
LIKE = {"~~": True, "!~~": False}
START = ("starts_with", "prefix")
LITERALS = {"INTEGER": INTEGER, "NUMERIC": REAL, "STRING": TEXT, "BOOLEAN": TRUTH}
NUMBERS = (INTEGER, REAL)
SAID = (
    "columns compared with values, IN, BETWEEN, IS NULL, LIKE 'start%', starts_with, list_contains, list_has_any, "
    "list_has_all, AND, OR, NOT"
)

Node = Mapping[str, Any]
Said = str | bool  # an expression of Milvus, or what is true, or false, of every item


def expression(condition: Filter, kinds: Mapping[str, str]) -> Said:
    """A filter as an expression of Milvus; True or False where it is that for every item.

    Args:
        condition: from `crossbit.index.filters.parse`; DuckDB has found no fault with its types.
        kinds: the columns and their types.

    Raises:
        UserError: Milvus has no such expression.

    >>> import duckdb
    >>> from crossbit.index.filters import parse
    >>> kinds = {"size": INTEGER, "tags": TEXTS}
    >>> wanted = parse("NOT (size > 3 OR list_contains(tags, 'red'))", kinds, duckdb.connect())
    >>> expression(wanted, kinds)
    '(item["size"] <= 3 and ((exists item["tags"]) and not json_contains(item["tags"], "red")))'
    """
    return _Translation(condition, kinds).said(condition.tree, True)


class _Translation:
    def __init__(self, condition: Filter, kinds: Mapping[str, str]) -> None:
        self.text = condition.text
        self.kinds = {name.casefold(): (name, kind) for name, kind in kinds.items()}

    def said(self, node: Node, wanted: bool) -> Said:
        """When a part is true, or, where that is wanted, when it is false."""
        match node["class"], node["type"]:
            case "CONJUNCTION", kind:
                parts = [self.said(child, wanted) for child in node["children"]]
                return _joined(parts, (kind == "CONJUNCTION_AND") == wanted)
            case "OPERATOR", "OPERATOR_NOT":
                return self.said(node["children"][0], not wanted)
            case "OPERATOR", ("OPERATOR_IS_NULL" | "OPERATOR_IS_NOT_NULL") as kind:
                return self.known(node["children"][0], (kind == "OPERATOR_IS_NOT_NULL") == wanted)
            case "OPERATOR", ("COMPARE_IN" | "COMPARE_NOT_IN") as kind:
                column, *values = node["children"]
                return self.among(column, values, (kind == "COMPARE_IN") == wanted)
            case "COMPARISON", kind if kind in COMPARED:
                return self.compared(node["left"], node["right"], COMPARED[kind][not wanted])
            case "BETWEEN", _:
                sides = ("lower", "COMPARE_GREATERTHANOREQUALTO"), ("upper", "COMPARE_LESSTHANOREQUALTO")
                both = [self.compared(node["input"], node[side], COMPARED[kind][not wanted]) for side, kind in sides]
                return _joined(both, wanted)
            case "COLUMN_REF", _:
                name, kind = self.column(node)
                return f"{name} == {str(wanted).lower()}" if kind == TRUTH else self.refused("a column that is no bool")
            case "CONSTANT", _ if node["literal"]["kind"] == "NULL_LITERAL":
                return False
            case "CONSTANT", _ if node["literal"]["kind"] == "BOOLEAN":
                return (node["literal"]["text"] == "true") == wanted
            case "FUNCTION", _:
                return self.called(node, wanted)
        return self.refused(_name_of(node))

    def compared(self, left: Node, right: Node, sign: str) -> Said:
        if left["class"] == "CONSTANT":
            left, right, sign = right, left, TURNED.get(sign, sign)
        name, kind = self.column(left)
        found = f"{name} {sign} {self.value(right, kind, id=name == 'id')}"
        return self.there(name, found) if sign == "!=" else found

    def among(self, column: Node, values: list[Node], wanted: bool) -> Said:
        name, kind = self.column(column)
        if len({value.get("literal", {}).get("kind") for value in values}) > 1:  # Milvus ends with an error
            return _joined([self.compared(column, value, "==" if wanted else "!=") for value in values], not wanted)
        listed = ", ".join(self.value(value, kind, id=name == "id") for value in values)
        return f"{name} in [{listed}]" if wanted else self.there(name, f"{name} not in [{listed}]")

    def known(self, column: Node, wanted: bool) -> Said:
        name, _ = self.column(column)
        return wanted if name == "id" else f"{'' if wanted else 'not '}(exists {name})"

    def called(self, node: Node, wanted: bool) -> Said:
        called = node["function_name"].casefold()
        arguments = [each["expression"] for each in node["arguments"]]
        if called in LISTS:
            name, kind = self.column(arguments[0])
            if kind != TEXTS:
                self.refused(f"{called} of what is no list")
            return self.either(name, f"{LISTS[called]}({name}, {self.listed(called, arguments[1])})", wanted)
        if called in LIKE or called in START:
            name, kind = self.column(arguments[0])
            if kind != TEXT:
                self.refused(f"{called} of what is no text")
            text = self.text_of(arguments[1])
            start, rest = (text, "%") if called in START else (text.rstrip("%"), text[len(text.rstrip("%")) :])
            if re.search(r"[%_\\]", start):
                self.refused(f"the pattern {text!r}, with more than a % at its end")
            found = f"{name} like {json.dumps(start + '%', ensure_ascii=False)}" if rest else f"{name} == {_text(text)}"
            return self.either(name, found, wanted == LIKE.get(called, True))
        return self.refused(_name_of(node))

    def listed(self, called: str, node: Node) -> str:
        if LISTS[called] == "json_contains":
            return _text(self.text_of(node))
        if node["class"] != "FUNCTION" or node["function_name"] != "list_value" or not node["arguments"]:
            self.refused(f"{called} with what is no list of texts")
        return f"[{', '.join(_text(self.text_of(each['expression'])) for each in node['arguments'])}]"

    def either(self, name: str, found: str, wanted: bool) -> str:
        return found if wanted else self.there(name, f"not {found}")

    def there(self, name: str, found: str) -> str:
        """What Milvus would say of a missing value, too, and SQL does not."""
        return found if name == "id" else f"((exists {name}) and {found})"

    def column(self, node: Node) -> tuple[str, str]:
        """A column as Milvus spells it, and its type."""
        if node["class"] != "COLUMN_REF":
            self.refused(_name_of(node))
        given = node["column_names"][0].casefold()
        if given == "id":
            return "id", INTEGER
        name, kind = self.kinds[given]
        if not PLAIN.fullmatch(name):
            self.refused(f"the column {name!r}")
        return f'{ITEM}["{name}"]', kind

    def value(self, node: Node, kind: str, *, id: bool = False) -> str:
        """A value that a column of some type is compared with."""
        if node["class"] != "CONSTANT" or node["literal"]["kind"] not in LITERALS:
            self.refused(_name_of(node))
        text, given = node["literal"]["text"], LITERALS[node["literal"]["kind"]]
        if given != kind and not (given in NUMBERS and kind in NUMBERS and not id):
            told = f"a column of {WORDS[kind]} is compared with {WORDS[given]}: {text!r}"
            raise wrong(self.text, told, ["id", *(name for name, _ in self.kinds.values())])
        if given == INTEGER and not LOWEST < int(text) < -LOWEST:
            self.refused(f"the number {text}")
        return _text(text) if given == TEXT else text

    def text_of(self, node: Node) -> str:
        if node["class"] != "CONSTANT" or node["literal"]["kind"] != "STRING":
            self.refused(_name_of(node))
        return str(node["literal"]["text"])

    def refused(self, what: str) -> NoReturn:
        raise UserError(
            f"the filter {short(self.text)} holds {what}, which Milvus cannot look for; an index in Milvus takes {SAID}"
        )


def _joined(parts: list[Said], every: bool) -> Said:
    """All parts, or any of them."""
    if (not every) in parts:
        return not every
    said = [part for part in parts if isinstance(part, str)]
    return f"({(' and ' if every else ' or ').join(said)})" if said else every


def _name_of(node: Node) -> str:
    kind: str = node["class"]
    if kind == "FUNCTION":
        return f"the function {node['function_name']}"
    if kind == "CONSTANT":
        return f"the value {node['literal']['text'] or 'NULL'}"
    return f"a {kind.lower().replace('_', ' ')}" if kind != "OPERATOR" else f"{node['type'].lower().replace('_', ' ')}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
