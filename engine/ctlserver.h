/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's side of the control socket (engine/control.h has the protocol). */
#pragma once

#include "engine/control.h"
#include "engine/vm.h"

struct ctlserver;

/* Listens on the path (a stale socket is replaced) with a thread of its own. */
int ctlserver_start(struct engine *engine, const char *path, struct ctlserver **ret_server,
                    struct error **err);

/* Stops listening, cancels a running sync, waits for the requests under way.  NULL is fine. */
void ctlserver_stop(struct ctlserver *server);

/*
 * Carries out one request (verbs.c).  event: receives progress objects (borrowed).  Returns 0 and
 * a new reference in *ret_result, or -errno with a sentence.
 */
typedef void verb_event_fn(json_t *event, void *context);
int verb_run(struct engine *engine, const char *verb, const json_t *args, verb_event_fn *event,
             void *context, json_t **ret_result, struct error **err);
