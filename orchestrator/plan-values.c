/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan-values.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/calendar.h"
#include "orchestrator/fields.h"
#include "orchestrator/govern-limit.h"
#include "orchestrator/params.h"

#define SHOWN_BYTES 60

/* One value; NULL: it is not allowed, and *err may say why in other words than the schema. */
typedef json_t *convert_fn(const struct schema_field *f, const json_t *value, struct error **err);

static json_t *same(const json_t *value)
{
    return json_incref((json_t *)value);
}

static json_t *convert_text(const struct schema_field *f, const json_t *value, struct error **err)
{
    const char *text = json_string_value(value);

    if (json_is_number(value) || json_is_boolean(value))
        error_set(err, EINVAL, "a %s is no text: put it in quotes",
                  json_is_number(value) ? "number" : "truth value");
    return text && *text ? same(value) : NULL;
}

static json_t *convert_name(const struct schema_field *f, const json_t *value, struct error **err)
{
    const char *text = json_string_value(value);

    if (!text)
        return convert_text(f, value, err);
    return name_check(f->name, text, NULL) == 0 ? same(value) : NULL;
}

/* With the longest name of a VM in its place it may become too long: that is seen when it is. */
static json_t *convert_pattern(const struct schema_field *f, const json_t *value,
                               struct error **err)
{
    const char *text = json_string_value(value), *hole = text ? strstr(text, "{name}") : NULL;
    _cleanup_free_ char *name = NULL;

    if (!text)
        return convert_text(f, value, err);
    name = hole ? str_format("%.*sx%s", (int)(hole - text), text, hole + strlen("{name}"))
                : str_dup(text);
    return name_check(f->name, name, NULL) == 0 ? same(value) : NULL;
}

/* One text as a list of one; NULL when it is neither. */
static json_t *convert_texts_list(const struct schema_field *f, const json_t *value,
                                  struct error **err)
{
    json_t *entry;
    size_t i;

    if (!json_is_array(value)) {
        entry = convert_text(f, value, err);
        return entry ? json_pack("[o]", entry) : NULL;
    }
    json_array_foreach(value, i, entry)
        if (!json_is_string(entry) || !*json_string_value(entry))
            return NULL;
    return same(value);
}

static json_t *convert_path(const struct schema_field *f, const json_t *value, struct error **err)
{
    const char *text = json_string_value(value);

    return text && text[0] == '/' ? same(value) : NULL;
}

static json_t *convert_keyfile(const struct schema_field *f, const json_t *value,
                               struct error **err)
{
    const char *text = json_string_value(value), *file = text ? strchr(text, '=') : NULL;

    if (!text || (text[0] != '/' && (!file || file == text || file[1] != '/')))
        return NULL;
    return same(value);
}

static json_t *convert_uuid(const struct schema_field *f, const json_t *value, struct error **err)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    const char *text = json_string_value(value);

    if (!text || strlen(text) != strlen(form))
        return NULL;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == '-' ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
            return NULL;
    return same(value);
}

static json_t *convert_bool(const struct schema_field *f, const json_t *value, struct error **err)
{
    return json_is_boolean(value) ? same(value) : NULL;
}

static bool in_range(const struct schema_field *f, int64_t n)
{
    return n >= f->min && n <= f->max;
}

static json_t *convert_integer(const struct schema_field *f, const json_t *value,
                               struct error **err)
{
    return json_is_integer(value) && in_range(f, json_integer_value(value)) ? same(value) : NULL;
}

/* "5m" as seconds; -1: it is not that. */
static int64_t seconds_of(const json_t *value)
{
    int64_t ns;

    if (!json_is_string(value) || calendar_interval_parse(json_string_value(value), &ns, NULL) < 0)
        return -1;
    return ns / (int64_t)NS_PER_S;
}

static json_t *convert_seconds(const struct schema_field *f, const json_t *value,
                               struct error **err)
{
    int64_t n = json_is_integer(value) ? json_integer_value(value) : seconds_of(value);

    return n >= 0 && in_range(f, n) ? json_integer(n) : NULL;
}

/* "8G" and "8GiB" as bytes; false: it is not that. */
static bool bytes_of(const json_t *value, int64_t *ret_bytes)
{
    const char *text = json_string_value(value);
    _cleanup_free_ char *plain = str_dup(text);
    uint64_t bytes;
    size_t length = plain ? strlen(plain) : 0;

    if (json_is_integer(value)) {
        *ret_bytes = json_integer_value(value);
        return *ret_bytes >= 0;
    }
    if (!plain)
        return false;
    if (length > 3 && strcmp(plain + length - 2, "iB") == 0)
        plain[length - 2] = '\0';
    if (str_to_bytes(plain, &bytes) < 0 || bytes > INT64_MAX)
        return false;
    *ret_bytes = (int64_t)bytes;
    return true;
}

static json_t *convert_bytes(const struct schema_field *f, const json_t *value, struct error **err)
{
    int64_t bytes;

    return bytes_of(value, &bytes) && in_range(f, bytes) ? json_integer(bytes) : NULL;
}

static bool is_choice(const struct schema_field *f, const json_t *value)
{
    const char *text = json_string_value(value);

    for (const char *at = f->choices; text && at && *at;) {
        size_t length = strcspn(at, ",");

        if (strlen(text) == length && memcmp(at, text, length) == 0)
            return true;
        at += length;
        at += strspn(at, ", ");
    }
    return false;
}

static json_t *convert_choice(const struct schema_field *f, const json_t *value,
                              struct error **err)
{
    return is_choice(f, value) ? same(value) : NULL;
}

static json_t *convert_time(const struct schema_field *f, const json_t *value, struct error **err)
{
    int64_t at;

    if (is_choice(f, value))
        return same(value);
    return json_is_string(value) && calendar_time_parse(json_string_value(value), &at, NULL) == 0
               ? same(value) : NULL;
}

static json_t *convert_rhythm(const struct schema_field *f, const json_t *value,
                              struct error **err)
{
    struct calendar_rhythm rhythm;
    const char *text = json_string_value(value);

    if (!text)
        return NULL;
    /* Only of a cron line one wants to know what is wrong in it. */
    return calendar_rhythm_parse(text, &rhythm, str_starts(text, "cron") ? err : NULL) == 0
               ? same(value) : NULL;
}

static json_t *convert_windows(const struct schema_field *f, const json_t *value,
                               struct error **err)
{
    _cleanup_json_ json_t *list = json_is_array(value) ? same(value) : json_pack("[O]", value);
    struct calendar_window window;
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
        if (!json_is_string(entry) ||
            calendar_window_parse(json_string_value(entry), &window, err) < 0)
            return NULL;
    return steal_ptr(list);
}

static json_t *convert_speed(const struct schema_field *f, const json_t *value, struct error **err)
{
    uint64_t speed;

    return govern_bandwidth_parse(value, &speed, NULL) == 0 ? same(value) : NULL;
}

static json_t *convert_verdict(const struct schema_field *f, const json_t *value,
                               struct error **err)
{
    const char *text = json_string_value(value);

    if (!text)
        return NULL;
    if (str_starts(text, "port:")) {
        char *end;
        long port = strtol(text + strlen("port:"), &end, 10);

        return !*end && port >= 1 && port <= 65535 ? same(value) : NULL;
    }
    return is_choice(f, value) || (str_starts(text, "console:") && text[strlen("console:")])
               ? same(value) : NULL;
}

static json_t *convert_options(const struct schema_field *f, const json_t *value,
                               struct error **err)
{
    json_t *entry;
    size_t i;

    if (!json_is_array(value))
        return NULL;
    json_array_foreach(value, i, entry) {
        const char *text = json_string_value(entry);

        if (!text || !str_starts(text, "--") || !text[2])
            return NULL;
    }
    return same(value);
}

/* "<= 8G" as {op, value}; without an operator it must be equal. */
static json_t *comparison(const struct schema_field *f, const json_t *value)
{
    static const char *const ops[] = {"<=", ">=", "<", ">", "="};
    const char *text = json_string_value(value), *op = "=";
    _cleanup_json_ json_t *number = NULL;
    int64_t n;
    char *end;

    for (size_t i = 0; text && i < sizeof(ops) / sizeof(ops[0]); i++)
        if (str_starts(text, ops[i])) {
            op = ops[i];
            text += strlen(op);
            break;
        }
    if (text)
        text += strspn(text, " ");
    number = text ? json_string(text) : same(value);
    if (f->kind == SCHEMA_SIZES && !bytes_of(number, &n))
        return NULL;
    if (f->kind == SCHEMA_COUNTS && !text) {
        if (!json_is_integer(number))
            return NULL;
        n = json_integer_value(number);
    } else if (f->kind == SCHEMA_COUNTS) {
        n = strtoll(text, &end, 10);
        if (end == text || *end)
            return NULL;
    }
    return json_pack("{s:s, s:I}", "op", op, "value", (json_int_t)n);
}

static json_t *convert_comparisons(const struct schema_field *f, const json_t *value,
                                   struct error **err)
{
    _cleanup_json_ json_t *list = json_is_array(value) ? same(value) : json_pack("[O]", value);
    _cleanup_json_ json_t *result = json_array();
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry) {
        json_t *one = comparison(f, entry);

        if (!one)
            return NULL;
        json_array_append_new(result, one);
    }
    return steal_ptr(result);
}

static convert_fn *const converts[SCHEMA_KIND_COUNT] = {
    [SCHEMA_TEXT] = convert_text,
    [SCHEMA_NAME] = convert_name,
    [SCHEMA_PATTERN] = convert_pattern,
    [SCHEMA_GLOB] = convert_text,
    [SCHEMA_GLOBS] = convert_texts_list,
    [SCHEMA_NAMES] = convert_texts_list,
    [SCHEMA_PATH] = convert_path,
    [SCHEMA_KEYFILE] = convert_keyfile,
    [SCHEMA_UUID] = convert_uuid,
    [SCHEMA_BOOL] = convert_bool,
    [SCHEMA_INTEGER] = convert_integer,
    [SCHEMA_SECONDS] = convert_seconds,
    [SCHEMA_BYTES] = convert_bytes,
    [SCHEMA_CHOICE] = convert_choice,
    [SCHEMA_TIME] = convert_time,
    [SCHEMA_RHYTHM] = convert_rhythm,
    [SCHEMA_WINDOWS] = convert_windows,
    [SCHEMA_SPEED] = convert_speed,
    [SCHEMA_VERDICT] = convert_verdict,
    [SCHEMA_OPTIONS] = convert_options,
    [SCHEMA_COUNTS] = convert_comparisons,
    [SCHEMA_SIZES] = convert_comparisons,
};

/* How many bytes of a text are shown; never a part of a character. */
static int shown_length(const char *text)
{
    size_t length = strlen(text);

    if (length <= SHOWN_BYTES)
        return (int)length;
    for (length = SHOWN_BYTES; length > 0 && (text[length] & 0xc0) == 0x80;)
        length--;
    return (int)length;
}

/* A value as a sentence shows it. */
static char *shown(const json_t *value)
{
    char *dump, *text;

    if (json_is_string(value))
        return str_format("'%.*s'", shown_length(json_string_value(value)),
                          json_string_value(value));
    if (json_is_array(value))
        return str_dup(json_array_size(value) ? "this list" : "an empty list");
    if (json_is_object(value))
        return str_dup("what is below it");
    dump = json_dumps(value, JSON_ENCODE_ANY);
    text = str_format("%.*s", SHOWN_BYTES, dump ? dump : "this");
    free(dump);
    return text;
}

/* "'tomorow' is not allowed: manual, auto, or …". */
static void refuse(const struct schema_field *f, const struct yaml_node *node,
                   const struct error *why, struct problems *problems)
{
    _cleanup_free_ char *allowed = schema_allowed(f), *value = shown(node->value);

    if (json_is_null(node->value))
        problem_add(problems, node->at, f->name, "has no value: %s", allowed);
    else if (why)
        problem_add(problems, node->at, f->name, "%s", error_text(why));
    else
        problem_add(problems, node->at, f->name, "%s is not allowed: %s", value, allowed);
}

static json_t *read_scalar(const struct schema_field *f, const struct yaml_node *node,
                           struct problems *problems)
{
    _cleanup_error_ struct error *err = NULL;
    json_t *value = json_is_null(node->value) ? NULL : converts[f->kind](f, node->value, &err);

    if (!value)
        refuse(f, node, err, problems);
    return value;
}

/* Names chosen by the admin, each with a value of the same kind. */
static json_t *read_map(const struct schema_field *f, const struct yaml_node *node,
                        struct problems *problems)
{
    bool paths = f->kind == SCHEMA_PATHS;
    json_t *map = json_object();

    for (const struct yaml_node *c = node->children; c; c = c->next) {
        struct schema_field entry = {c->name, paths ? SCHEMA_PATH : SCHEMA_TEXT};
        json_t *value = read_scalar(&entry, c, problems);

        if (value)
            json_object_set_new(map, c->name, value);
    }
    return map;
}

static json_t *read_objects(const struct schema_field *f, const struct yaml_node *node,
                            struct problems *problems)
{
    json_t *map = json_object();

    for (const struct yaml_node *c = node->children; c; c = c->next) {
        _cleanup_error_ struct error *err = NULL;

        if (name_check("group", c->name, &err) < 0)
            problem_add(problems, c->key, f->name, "%s", error_text(err));
        else if (json_is_null(c->value)) /* a group without fields of its own */
            json_object_set_new(map, c->name, json_object());
        else
            json_object_set_new(map, c->name, values_read(c, f->object, problems));
    }
    return map;
}

static json_t *read_list(const struct schema_field *f, const struct yaml_node *node,
                         struct problems *problems)
{
    json_t *list = json_array();

    for (const struct yaml_node *c = node->children; c; c = c->next)
        json_array_append_new(list, values_read(c, f->object, problems));
    return list;
}

static json_t *read_field(const struct schema_field *f, const struct yaml_node *node,
                          struct problems *problems)
{
    bool list = f->kind == SCHEMA_LIST;

    switch (f->kind) {
    case SCHEMA_TEXTS:
    case SCHEMA_PATHS:
    case SCHEMA_OBJECT:
    case SCHEMA_OBJECTS:
    case SCHEMA_LIST:
        if (list ? !json_is_array(node->value) || !node->children : !json_is_object(node->value)) {
            refuse(f, node, NULL, problems);
            return NULL;
        }
        return list                          ? read_list(f, node, problems)
               : f->kind == SCHEMA_OBJECT  ? values_read(node, f->object, problems)
               : f->kind == SCHEMA_OBJECTS ? read_objects(f, node, problems)
                                           : read_map(f, node, problems);
    default:
        return read_scalar(f, node, problems);
    }
}

#define NAMES_MAX 100

struct names {
    const char *list[NAMES_MAX];
    size_t count;
};

static void add_name(const struct schema_field *f, void *context)
{
    struct names *names = context;

    if (names->count < NAMES_MAX)
        names->list[names->count++] = f->name;
}

static void refuse_unknown(const struct yaml_node *node, const struct schema_object *object,
                           struct problems *problems)
{
    struct names names = {.count = 0};
    char allowed[1200] = "";
    const char *nearest;
    size_t used = 0;

    schema_each(object, add_name, &names);
    for (size_t i = 0; i < names.count && used < sizeof(allowed); i++)
        used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s", i ? ", " : "",
                                 names.list[i]);
    nearest = problem_nearest(node->name, names.list, names.count);
    problem_add(problems, node->key, NULL, "unknown field '%.*s' in %s%s%s%s: allowed are %s",
                shown_length(node->name), node->name, object->what,
                nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "",
                allowed);
}

struct missing {
    const struct yaml_node *node;
    const struct schema_object *object;
    struct problems *problems;
};

static void check_missing(const struct schema_field *f, void *context)
{
    struct missing *m = context;

    if (f->required && !plan_yaml_child(m->node, f->name))
        problem_add(m->problems, m->node->at, NULL, "field '%s' is missing in %s: %s", f->name,
                    m->object->what, f->what);
}

json_t *values_read(const struct yaml_node *node, const struct schema_object *object,
                    struct problems *problems)
{
    json_t *values = json_object();
    struct missing missing = {node, object, problems};

    if (!json_is_object(node->value)) {
        problem_add(problems, node->at, node->name, "%s must have fields, such as '%s: …'",
                    object->what, object->tables[0][0].name);
        return values;
    }
    for (const struct yaml_node *c = node->children; c; c = c->next) {
        const struct schema_field *f = schema_find(object, c->name);
        json_t *value = f ? read_field(f, c, problems) : NULL;

        if (!f)
            refuse_unknown(c, object, problems);
        if (value)
            json_object_set_new(values, f->name, value);
    }
    schema_each(object, check_missing, &missing);
    return values;
}
