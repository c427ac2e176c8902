/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last step of an instant cutover: the VM has used the engine's exports, and now that nothing
 * is missing it gets the targets themselves, while it runs.  QEMU exchanges what is below each disk
 * (blockdev-reopen drains it first), then the engine lets go.  Where that is not possible the VM
 * goes on through the engine, which is looked after here until the VM is switched off.
 */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/steps.h"

#define LOOK_NS NS_PER_S
#define TELL_AFTER 5 /* tries: a connection that broke lets the first ones fail */

/* Placement with the targets as files, whatever the VM uses now. */
static json_t *file_places(const struct job *job)
{
    json_t *places = json_array(), *disk;
    size_t i;

    json_array_foreach(json_object_get(job->description, "disks"), i, disk) {
        const char *name = field_string(disk, "name", "");
        _cleanup_free_ char *path = job_target(job, name);

        json_array_append_new(places, json_pack("{s:s, s:s}", "name", name, "path", path));
    }
    return places;
}

/* 1: no VM uses the engine any more; 0: one does. */
static int free_engine(struct run *run, unsigned *tries, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    _cleanup_json_ json_t *places = file_places(run->job);
    const char *state;
    int r = run_open_node(run, err);

    if (r == 0)
        r = node_state(run->node, run->job->name, &state, err);
    if (r < 0)
        return r;
    if (strcmp(state, "running") != 0 && strcmp(state, "paused") != 0)
        return 1;
    r = node_reopen_disks(run->node, run->job->name, places, &failure);
    if (r == 0)
        return 1;
    if (++*tries == TELL_AFTER)
        run_note(run, "the VM cannot change to its targets while it runs (%s); it goes on through "
                 "the engine, and changes when that is possible or when it is switched off",
                 error_text(failure));
    return 0;
}

/* EBUSY: a client is still connected, be it a VM that was started again meanwhile. */
static int let_go(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    int r = engine_detach_store(run, &failure);

    return r < 0 && r != -EBUSY ? error_move(err, &failure) : r;
}

static int detach_live(struct run *run, struct error **err)
{
    unsigned tries = 0;

    for (;;) {
        int r = free_engine(run, &tries, err);

        if (r > 0)
            r = let_go(run, err);
        else if (r == 0)
            r = instant_upkeep(run, NULL, err) < 0 ? -EIO : -EBUSY;
        if (r != -EBUSY)
            return r;
        if (run_interrupted(run))
            return error_set(err, ECANCELED, "interrupted while the VM used the engine");
        clock_sleep_ns(LOOK_NS);
    }
}

int step_detach(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    int r = job_fact(run->job, "detached") ? 0 : detach_live(run, err);

    run_detach_engine(run);
    if (r == 0)
        r = step_define(run, err); /* with the targets: what the next start uses */
    return r < 0 ? r : engine_host_stop(store, err);
}
