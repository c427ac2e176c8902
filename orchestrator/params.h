/* SPDX-License-Identifier: Apache-2.0 */
/* What a person may ask for in a migration: one table, checked and completed here, nothing else. */
#pragma once

#include <jansson.h>
#include "base/error.h"
#include "orchestrator/fields.h"

#define NAME_CHARACTERS_MAX 40

/* Names of sources and migrations: [A-Za-z0-9][A-Za-z0-9._-]*, at most NAME_CHARACTERS_MAX.
 * `what` is "source", "migration", "plan" or "group". */
int name_check(const char *what, const char *name, struct error **err);

/* The name of a VM made to fit name_check; the caller frees. */
char *name_from_vm(const char *vm);

/* One field of a migration. */
struct param {
    const char *name;
    enum field_kind kind;
    bool required;
    const char *fallback;       /* JSON text of the default; NULL: absent unless given */
    const char *const *choices; /* of a string, NULL-terminated; NULL: any */
    int64_t min, max;           /* of a number; min == max: any */
    int (*check)(const json_t *value, const char *name, struct error **err); /* or NULL: more */
    bool late;        /* may be changed after the migration was created, until its cutover */
    const char *what; /* one sentence for people */
};

/* All of them; the last one has a NULL name. */
extern const struct param migration_params[];

/* The field of that name, or NULL. */
const struct param *param_find(const char *name);

/* Checks one value against the table: EINVAL and a sentence that names field, value and what is
 * allowed. */
int param_check(const struct param *param, const json_t *value, struct error **err);

/*
 * Checks the body of POST /v1/migrations against the table and completes it with the defaults;
 * *ret_params is a new object.
 */
int params_complete(const json_t *body, const char *default_pool, json_t **ret_params,
                    struct error **err);

/* params with the changes of a PATCH: only fields that may be changed late, all checked.  A new
 * object. */
int params_change(const json_t *params, const json_t *changes, json_t **ret_params,
                  struct error **err);

/* What depends on the VM: never smaller than the source unless forced, disks that exist, a machine
 * its firmware can have.  EINVAL and a sentence. */
int params_check_vm(const json_t *params, const json_t *description, struct error **err);

/* networks of the placement of node.h: every network of the description gets the mapped name or
 * its own.  A mapping of a network that the VM does not have is EINVAL.  New reference. */
int params_networks(const json_t *params, const json_t *description, json_t **ret_networks,
                    struct error **err);

/* The options of slipway-morph that the fields ask for, with morph_options; a new array. */
json_t *params_morph_options(const json_t *params);
