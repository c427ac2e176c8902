/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the control verbs share: one call, and a table of verbs per file. */
#pragma once

#include "engine/ctlserver.h"
#include "engine/meter.h"
#include "engine/sync.h"

struct call {
    struct engine *engine;
    const json_t *args;
    verb_event_fn *event;
    void *context;
    uint64_t last_event_ns;
    char last_phase[16];
    struct meter meter;
};

struct verb {
    const char *name;
    int (*run)(struct call *call, json_t **ret_result, struct error **err);
    const char *args; /* names of allowed arguments, each between spaces */
};

/* Each ends with a verb without a name. */
extern const struct verb verbs_sync[], verbs_proof[], verbs_draft[], verbs_owner[], verbs_limit[],
    verbs_load[], verbs_failback[], verbs_room[], verbs_diff[];

const char *text_arg(const struct call *call, const char *name); /* NULL: not given */

/* The argument "name"; EINVAL without it. */
int need_name(const struct call *call, const char **ret_name, struct error **err);

/* The argument "generation"; NO_GENERATION when it is not given, EINVAL when it is negative. */
int generation_arg(const struct call *call, uint64_t *ret_generation, struct error **err);

/* The argument "token" as roots keep it: in `token`, and *ret_token points there, or NULL without
 * one.  true: the root says that the command took effect already. */
bool token_done(const struct call *call, uint8_t token[16], const uint8_t **ret_token);

/* The argument "grace_s" in ns. */
uint64_t grace_arg(const struct call *call, uint64_t fallback_s);

/* A progress_fn for struct call: at most four events a second, and each change of phase. */
void report_progress(const struct progress_report *report, void *context);

/* The argument "disks": 1 to DISKS_MAX sources with their URIs, borrowed from the arguments. */
int parse_sources(const struct call *call, struct sync_source sources[DISKS_MAX],
                  unsigned *ret_count, struct error **err);
