/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan: which VMs of one source move, and how.  Parsing and expansion are pure: text and inventory
 * in, bodies of POST /v1/migrations or problems out.
 *
 * What a field of a VM's migration is: the last entry of `vms` that selects the VM and has it, or else
 * the group's, or else that of `defaults`.  Maps (networks, storage) are merged in the same order.
 */
#pragma once

#include "orchestrator/plan-yaml.h"

struct plan {
    json_t *document; /* plan-values.h; entries of vms and groups as in the tree */
    struct yaml_node *tree;
};

/* The text with all problems that can be seen without an inventory; -EINVAL after any. */
int plan_parse(const char *text, size_t length, struct plan **ret_plan, struct problems *problems);
struct plan *plan_free(struct plan *plan);
DEFINE_CLEANUP(struct plan *, plan_free)

const char *plan_name(const struct plan *plan);
const char *plan_source(const struct plan *plan);

/* Its limits, each as govern-limit.h takes it; borrowed, NULL when there are none. */
const json_t *plan_limits(const struct plan *plan);

/* Names of the VMs in `list` (source_ops.list) whose description plan_expand() needs: those that
 * may be selected.  New reference. */
json_t *plan_wanted(const struct plan *plan, const json_t *list);

/*
 * inventory: array of descriptions (source_ops.describe), or entries of the list for VMs that
 * plan_wanted() does not name.  known: names of migrations outside of the plan, which `after` may
 * name, as keys of an object.
 * 0 and *ret_migrations: [{vm, line, column, body}], in the order of the inventory; otherwise
 * -EINVAL and at least one problem.  warnings: what may well be meant so.
 */
int plan_expand(const struct plan *plan, const json_t *inventory, const json_t *known,
                json_t **ret_migrations, struct problems *problems, struct problems *warnings);
