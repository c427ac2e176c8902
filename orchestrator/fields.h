/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON objects that people wrote: wrong or unknown fields become sentences. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

enum field_kind { FIELD_STRING, FIELD_INTEGER, FIELD_BOOL, FIELD_OBJECT, FIELD_ARRAY };

struct field {
    const char *name;
    enum field_kind kind;
    bool required;
};

/* EINVAL when `object` is not an object, a field is unknown (the sentence lists the allowed ones),
 * has the wrong type or a required one is missing.  fields ends with a NULL name.
 * `what` names the object in the sentence. */
int fields_check(const json_t *object, const struct field *fields, const char *what,
                 struct error **err);

/* The value or the default when the field is absent. */
const char *field_string(const json_t *object, const char *name, const char *fallback);
int64_t field_integer(const json_t *object, const char *name, int64_t fallback);
bool field_bool(const json_t *object, const char *name, bool fallback);

/* jansson brings json_decrefp() itself. */
#define _cleanup_json_ _cleanup_(json_decrefp)
