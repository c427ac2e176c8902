/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/fields.h"

#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [FIELD_STRING] = "a string",
    [FIELD_INTEGER] = "a whole number",
    [FIELD_BOOL] = "true or false",
    [FIELD_OBJECT] = "an object",
    [FIELD_ARRAY] = "an array",
};

static bool kind_fits(const json_t *value, enum field_kind kind)
{
    switch (kind) {
    case FIELD_STRING:
        return json_is_string(value);
    case FIELD_INTEGER:
        return json_is_integer(value);
    case FIELD_BOOL:
        return json_is_boolean(value);
    case FIELD_OBJECT:
        return json_is_object(value);
    case FIELD_ARRAY:
        return json_is_array(value);
    }
    return false;
}

static const struct field *field_find(const struct field *fields, const char *name)
{
    for (const struct field *f = fields; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

static int refuse_unknown(const char *name, const struct field *fields, const char *what,
                          struct error **err)
{
    char allowed[500] = "";
    size_t used = 0;

    for (const struct field *f = fields; f->name && used < sizeof(allowed); f++)
        used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s", used ? ", " : "",
                                 f->name);
    if (!used)
        return error_set(err, EINVAL, "unknown field '%s' in %s: no fields are allowed", name,
                         what);
    return error_set(err, EINVAL, "unknown field '%s' in %s: allowed are %s", name, what, allowed);
}

int fields_check(const json_t *object, const struct field *fields, const char *what,
                 struct error **err)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object))
        return error_set(err, EINVAL, "%s must be a JSON object", what);
    json_object_foreach((json_t *)object, name, value) {
        const struct field *f = field_find(fields, name);

        if (!f)
            return refuse_unknown(name, fields, what, err);
        if (!kind_fits(value, f->kind))
            return error_set(err, EINVAL, "field '%s' in %s must be %s", name, what,
                             kind_names[f->kind]);
    }
    for (const struct field *f = fields; f->name; f++)
        if (f->required && !json_object_get(object, f->name))
            return error_set(err, EINVAL, "field '%s' is missing in %s", f->name, what);
    return 0;
}

const char *field_string(const json_t *object, const char *name, const char *fallback)
{
    const char *s = json_string_value(json_object_get(object, name));

    return s ? s : fallback;
}

int64_t field_integer(const json_t *object, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(object, name);

    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool field_bool(const json_t *object, const char *name, bool fallback)
{
    const json_t *v = json_object_get(object, name);

    return json_is_boolean(v) ? json_is_true(v) : fallback;
}
