/* SPDX-License-Identifier: Apache-2.0 */
/* What answers a request: one function per route, the routes are listed in api.c.  Handlers of one
 * area stand together in api-AREA.c. */
#pragma once

#include "orchestrator/api.h"

/* body: parsed, NULL when there was none; name: what stood in the place of {name}, or NULL.  0 with
 * answer->body (or ->stream) set, or -errno and a sentence. */
typedef int handler_fn(struct daemon *d, const struct api_request *request, const json_t *body,
                       const char *name, struct api_answer *answer, struct error **err);

/* api-govern.c */
handler_fn get_forecast, get_limits, put_limit, delete_limit, post_pause, post_resume;

/* api-metrics.c */
handler_fn get_metrics;

/* api-status.c */
handler_fn get_status;

/* All migrations, oldest first; new reference. */
json_t *migrations_json_locked(const struct daemon *d);

/* api-schedule.c */
handler_fn get_explain, get_schedule, post_plans_simulate;

/* api-group.c */
handler_fn get_groups, post_group_cutover, post_group_sync, post_group_commit;
handler_fn post_group_rollback;

/* api-plan.c */
handler_fn get_plans, post_plans, post_plans_check, get_plan, delete_plan;
