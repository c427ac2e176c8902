/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every field a plan may have, as one table: what checks a plan (plan-values.h), what `slipway plan
 * schema` prints and the tables in docs/PLANS.md are made of it.  Pure data, no foreign library but
 * jansson.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum schema_kind {
    SCHEMA_TEXT,
    SCHEMA_NAME,     /* of a source, plan, migration or group */
    SCHEMA_PATTERN,  /* a name with {name} in it */
    SCHEMA_GLOB,     /* "web-*" */
    SCHEMA_GLOBS,    /* one or a list of them */
    SCHEMA_NAMES,    /* one name or a list */
    SCHEMA_PATH,     /* absolute */
    SCHEMA_KEYFILE,  /* FILE or USER=FILE */
    SCHEMA_UUID,
    SCHEMA_BOOL,
    SCHEMA_INTEGER,  /* min..max */
    SCHEMA_SECONDS,  /* whole seconds min..max, or "30s", "5m" */
    SCHEMA_BYTES,    /* bytes, or "8G" */
    SCHEMA_CHOICE,   /* one of choices */
    SCHEMA_TIME,     /* one of choices, or RFC 3339 */
    SCHEMA_RHYTHM,   /* one of choices, "15m" or "cron: …" */
    SCHEMA_WINDOWS,  /* one or a list of windows of a week */
    SCHEMA_SPEED,    /* bytes per second, or "100M", "200Mbit", "fast" */
    SCHEMA_VERDICT,  /* one of choices, "console:REGEX" or "port:N" */
    SCHEMA_OPTIONS,  /* of slipway-morph */
    SCHEMA_TEXTS,    /* text → text */
    SCHEMA_PATHS,    /* text → absolute path */
    SCHEMA_COUNTS,   /* "<= 4", or a list of such: all must hold */
    SCHEMA_SIZES,    /* "<= 8G", likewise */
    SCHEMA_OBJECT,   /* fields of `object` */
    SCHEMA_OBJECTS,  /* name → fields of `object` */
    SCHEMA_LIST,     /* list of `object` */
    SCHEMA_KIND_COUNT
};

struct schema_field {
    const char *name;    /* NULL ends a table */
    enum schema_kind kind;
    const char *choices; /* "manual, auto" */
    int64_t min, max;
    const char *fallback; /* what counts without it, for people; NULL: nothing does */
    const char *what;     /* one sentence without full stop */
    const struct schema_object *object;
    bool required;
    bool fixed; /* cannot be changed once the migration was made */
};

struct schema_object {
    const char *what; /* "a plan": in sentences */
    const struct schema_field *tables[3]; /* NULL ends them */
};

/* The whole document. */
extern const struct schema_object plan_schema;

/* The fields of a migration that `defaults`, `groups` and `vms` may give. */
extern const struct schema_object plan_schema_migration;

/* The field of that name, or NULL. */
const struct schema_field *schema_find(const struct schema_object *object, const char *name);

/* Calls fn for each field. */
void schema_each(const struct schema_object *object,
                 void (*fn)(const struct schema_field *field, void *context), void *context);

/* What a field may hold, in words: "manual, auto, or a time such as …".  The caller frees. */
char *schema_allowed(const struct schema_field *field);

/* The table as a JSON Schema (draft 2020-12); a new reference. */
json_t *schema_json(void);

/* The tables of docs/PLANS.md. */
void schema_print_markdown(FILE *out);
