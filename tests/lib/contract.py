# SPDX-License-Identifier: Apache-2.0
"""Holds answers of slipwayd against docs/api.yaml: status, media type, every member of a body."""

import json
import re

import jsonschema
import yaml

from case import source

_METHODS = ("get", "post", "put", "patch", "delete")


def _schema(node, strict=True):
    """OpenAPI 3.0's dialect as JSON Schema.  Strict: a member that is not described is wrong."""
    if isinstance(node, list):
        return [_schema(item, strict) for item in node]
    if not isinstance(node, dict):
        return node
    if len(node.get("allOf", ())) == 1:
        node = {**node, **node["allOf"][0]}
        del node["allOf"]
    result = {}
    for key, value in node.items():
        if key in ("properties", "patternProperties"):
            result[key] = {name: _schema(schema, strict) for name, schema in value.items()}
        elif key in ("enum", "required", "default", "example"):
            result[key] = value
        elif key not in ("nullable", "description"):
            result[key] = _schema(value, strict)
    if strict and "properties" in node and "additionalProperties" not in node:
        result["additionalProperties"] = False
    if node.get("nullable"):
        return {"anyOf": [{"type": "null"}, result]}
    return result


class Contract:
    def __init__(self, loose=("Event",)):
        self.api = yaml.safe_load((source / "docs/api.yaml").read_text())
        schemas = {name: _schema(schema, name not in loose)
                   for name, schema in self.api["components"]["schemas"].items()}
        self.resolver = jsonschema.RefResolver("", {"components": {"schemas": schemas}})
        self.operations = {(method.upper(), path): operation
                           for path, item in self.api["paths"].items()
                           for method, operation in item.items() if method in _METHODS}
        self.seen = set()  # (method, path of the document, status)

    def route(self, method, path):
        """The path of the document that stands for this one, literal ones first; or None."""
        path = path.split("?")[0]
        for known in sorted({p for _, p in self.operations}, key=lambda p: p.count("{")):
            if re.fullmatch(re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(known)), path) and \
                    (method, known) in self.operations:
                return known
        return None

    def _resolve(self, node):
        while "$ref" in node:
            at = self.api
            for part in node["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            node = at
        return node

    def documented_errors(self):
        """{status: what it says} out of the description of the response Error."""
        text = " ".join(self.api["components"]["responses"]["Error"]["description"].split())
        return {int(n): what.strip(" ,") for n, what in
                re.findall(r"\b([45]\d\d) ((?:(?! [45]\d\d ).)*)", text)}

    def problems(self, method, path, status, media, body):
        """Sentences; none when the answer is as documented.  body: decoded JSON, or text."""
        known = self.route(method, path)
        if known is None:
            # Nothing is documented there: only an error may come back.
            schema = {"$ref": "#/components/schemas/Error"}
            return self._differences(schema, body) if status in (404, 405) else \
                [f"{method} {path} is not documented and answers {status}"]
        self.seen.add((method, known, status))
        responses = self.operations[method, known]["responses"]
        response = responses.get(str(status)) or (responses.get("default") if status >= 400 else
                                                  None)
        if response is None and status in (400, 403, 404, 405, 500):
            response = {"$ref": "#/components/responses/Error"}  # of every request
        if response is None:
            return [f"{method} {known} answers {status}, which is not documented"]
        content = self._resolve(response).get("content")
        if not content:
            return [] if body in (None, "") else [f"{method} {known} {status} has a body"]
        kind = (media or "").split(";")[0]
        if kind not in content:
            return [f"{method} {known} {status} is {media}, documented as {list(content)}"]
        return [f"{method} {known} {status}: {text}"
                for text in self._differences(content[kind]["schema"], body)]

    def _differences(self, schema, body):
        validator = jsonschema.Draft7Validator(_schema(schema), resolver=self.resolver)
        for error in sorted(validator.iter_errors(body), key=str)[:5]:
            while error.context:  # say what is wrong inside of an anyOf
                error = max(error.context, key=lambda e: len(e.absolute_path))
            yield f"/{'/'.join(map(str, error.absolute_path))}: {error.message}"


def decode(media, data):
    """What problems() wants, from the bytes of an answer."""
    if not data:
        return None
    return json.loads(data) if (media or "").startswith("application/json") else data.decode()
