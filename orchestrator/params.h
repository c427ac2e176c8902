/* SPDX-License-Identifier: Apache-2.0 */
/* What a person may ask for in a migration: checked and completed here, nothing else. */
#pragma once

#include <jansson.h>
#include "base/error.h"

#define NAME_CHARACTERS_MAX 40

/* Names of sources and migrations: [A-Za-z0-9][A-Za-z0-9._-]*, at most NAME_CHARACTERS_MAX.
 * `what` is "source" or "migration". */
int name_check(const char *what, const char *name, struct error **err);

/* The name of a VM made to fit name_check; the caller frees. */
char *name_from_vm(const char *vm);

/*
 * Checks the body of POST /v1/migrations and completes it with the defaults:
 *   {source, vm, name, pool, networks: {SRC: DST}, shutdown_policy: "wait"|"force"|"fail",
 *    shutdown_timeout_s, on_failure: "restart"|"keep", morph: bool, instant: bool,
 *    morph_options?: ["--OPTION[=VALUE]"],
 *    accel: "auto"|"kvm"|"tcg",
 *    connections, boot_timeout_s, uuid?}
 * *ret_params is a new object.
 */
int params_complete(const json_t *body, const char *default_pool, json_t **ret_params,
                    struct error **err);

/* networks of the placement of node.h: every network of the description gets the mapped name or
 * its own.  A mapping of a network that the VM does not have is EINVAL.  New reference. */
int params_networks(const json_t *params, const json_t *description, json_t **ret_networks,
                    struct error **err);
