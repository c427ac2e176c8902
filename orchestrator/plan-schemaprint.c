/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of plans as JSON Schema and as the tables of docs/PLANS.md. */
#include <string.h>

#include "base/str.h"
#include "orchestrator/plan-schema.h"

static json_t *object_json(const struct schema_object *object);

static json_t *text_pattern(const char *pattern)
{
    return json_pack("{s:s, s:s}", "type", "string", "pattern", pattern);
}

/* "manual, auto" as ["manual", "auto"]. */
static json_t *choices_json(const char *choices)
{
    json_t *list = json_array();

    for (const char *at = choices; at && *at;) {
        size_t length = strcspn(at, ",");

        json_array_append_new(list, json_stringn(at, length));
        at += length;
        at += strspn(at, ", ");
    }
    return list;
}

static json_t *choices_or(const struct schema_field *f, json_t *other)
{
    return json_pack("{s:[{s:o}, o]}", "anyOf", "enum", choices_json(f->choices), other);
}

static json_t *one_or_list(json_t *one)
{
    return json_pack("{s:[O, {s:s, s:o}]}", "anyOf", one, "type", "array", "items", one);
}

static json_t *number_or(const char *type, const struct schema_field *f, const char *pattern)
{
    return json_pack("{s:[{s:s, s:I, s:I}, o]}", "anyOf", "type", type, "minimum",
                     (json_int_t)f->min, "maximum", (json_int_t)f->max, text_pattern(pattern));
}

static json_t *map_of(json_t *value)
{
    return json_pack("{s:s, s:o}", "type", "object", "additionalProperties", value);
}

#define NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"
#define LENGTH_PATTERN "^[0-9]+[smhd]$"
#define SIZE_PATTERN "^[0-9]+[KMGT]?$"
#define PATH_PATTERN "^/"

static json_t *kind_json(const struct schema_field *f)
{
    switch (f->kind) {
    case SCHEMA_NAME:
        return text_pattern(NAME_PATTERN);
    case SCHEMA_GLOBS:
    case SCHEMA_NAMES:
    case SCHEMA_WINDOWS:
        return one_or_list(json_pack("{s:s}", "type", "string"));
    case SCHEMA_PATH:
        return text_pattern(PATH_PATTERN);
    case SCHEMA_KEYFILE:
        return text_pattern("^([^=/]+=)?/");
    case SCHEMA_UUID:
        return json_pack("{s:s, s:s}", "type", "string", "format", "uuid");
    case SCHEMA_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case SCHEMA_INTEGER:
        return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)f->min,
                         "maximum", (json_int_t)f->max);
    case SCHEMA_SECONDS:
        return number_or("integer", f, LENGTH_PATTERN);
    case SCHEMA_BYTES:
        return number_or("integer", f, SIZE_PATTERN);
    case SCHEMA_CHOICE:
        return json_pack("{s:o}", "enum", choices_json(f->choices));
    case SCHEMA_TIME:
        return choices_or(f, json_pack("{s:s, s:s}", "type", "string", "format", "date-time"));
    case SCHEMA_RHYTHM:
        return choices_or(f, text_pattern("^([0-9]+[smhd]|cron: .+)$"));
    case SCHEMA_VERDICT:
        return choices_or(f, text_pattern("^(console:.+|port:[0-9]+)$"));
    case SCHEMA_SPEED:
        return json_pack("{s:[s,s]}", "type", "integer", "string");
    case SCHEMA_OPTIONS:
        return json_pack("{s:s, s:o}", "type", "array", "items", text_pattern("^--"));
    case SCHEMA_TEXTS:
        return map_of(json_pack("{s:s, s:i}", "type", "string", "minLength", 1));
    case SCHEMA_PATHS:
        return map_of(text_pattern(PATH_PATTERN));
    case SCHEMA_COUNTS:
    case SCHEMA_SIZES:
        return one_or_list(json_pack("{s:[s,s]}", "type", "integer", "string"));
    case SCHEMA_OBJECT:
        return object_json(f->object);
    case SCHEMA_OBJECTS:
        return map_of(object_json(f->object));
    case SCHEMA_LIST:
        return json_pack("{s:s, s:i, s:o}", "type", "array", "minItems", 1, "items",
                         object_json(f->object));
    default:
        return json_pack("{s:s}", "type", "string");
    }
}

struct properties {
    json_t *all, *required;
};

static void add_property(const struct schema_field *f, void *context)
{
    struct properties *p = context;
    json_t *property = kind_json(f);

    json_object_set_new(property, "description", json_string(f->what));
    json_object_set_new(p->all, f->name, property);
    if (f->required)
        json_array_append_new(p->required, json_string(f->name));
}

static json_t *object_json(const struct schema_object *object)
{
    struct properties p = {json_object(), json_array()};

    schema_each(object, add_property, &p);
    return json_pack("{s:s, s:b, s:o, s:o}", "type", "object", "additionalProperties", 0,
                     "properties", p.all, "required", p.required);
}

json_t *schema_json(void)
{
    json_t *schema = object_json(&plan_schema);

    json_object_set_new(schema, "$schema",
                        json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(schema, "title", json_string("A plan of slipwayd"));
    return schema;
}

/* Bars would end a column. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '*')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_row(const struct schema_field *f, void *context)
{
    FILE *out = context;
    char *allowed = schema_allowed(f);

    fprintf(out, "| `%s`%s | ", f->name, f->required ? " (required)" : "");
    print_cell(out, f->what);
    fputs(" | ", out);
    print_cell(out, allowed);
    fputs(" | ", out);
    print_cell(out, f->fallback ? f->fallback : "");
    fprintf(out, " | %s |\n", f->fixed ? "no" : "");
    free(allowed);
}

static void print_table(FILE *out, const char *title, const struct schema_field *fields)
{
    const struct schema_object object = {title, {fields}};

    fprintf(out, "\n### %s\n\n| field | what | allowed | without it | later |\n"
                 "| --- | --- | --- | --- | --- |\n",
            title);
    schema_each(&object, print_row, out);
}

void schema_print_markdown(FILE *out)
{
    const struct schema_object *selector = schema_find(&plan_schema, "vms")->object;

    print_table(out, "The plan", plan_schema.tables[0]);
    print_table(out, "Selecting VMs: entries of `vms`", selector->tables[0]);
    print_table(out, "Attributes: `where`", schema_find(selector, "where")->object->tables[0]);
    print_table(out, "Entries of `limits`", schema_find(&plan_schema, "limits")->object->tables[0]);
    print_table(out, "Rules of a limit",
                schema_find(schema_find(&plan_schema, "limits")->object, "rules")
                    ->object->tables[0]);
    print_table(out, "Fields of a migration: `defaults`, `groups.NAME` and entries of `vms`",
                plan_schema_migration.tables[0]);
}
