/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a plan's expansion share. */
#pragma once

#include "orchestrator/plan.h"

/* A VM that the plan moves. */
struct member {
    const json_t *vm;
    json_t *body;      /* as POST /v1/migrations takes it; owned */
    size_t *selectors; /* entries of vms that chose it, ascending; owned */
    size_t selector_count;
};

struct expansion {
    const struct plan *plan;
    const json_t *inventory, *known;
    struct problems *problems, *warnings;
    struct member *members; /* owned */
    size_t count;
    size_t *selected; /* how many VMs each entry of vms has chosen; owned */
};

/* plan-select.c */

/* Fills members and selected; entries and exceptions that are about no VM are problems. */
void plan_select(struct expansion *x);

/* plan-place.c */

/* networks and storage of each member's body, from its own fields and the plan's. */
void plan_map_networks(struct expansion *x);
void plan_map_storage(struct expansion *x);

/* plan-order.c */

/* Makes `after` of each body a list of migrations; unknown names and circles are problems. */
void plan_order(struct expansion *x);

/* plan-expand.c */

/* Where a field of a member's migration was written; the entry that chose the VM when nowhere. */
struct place member_place(const struct expansion *x, const struct member *m, const char *field);

/* The node of an entry of vms. */
const struct yaml_node *selector_node(const struct plan *plan, size_t i);

const char *member_vm(const struct member *m);
const char *member_name(const struct member *m);
