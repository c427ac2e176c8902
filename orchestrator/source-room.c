/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/source-room.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/fields.h"

#define LOOK_NS (30 * NS_PER_S)

static bool below(uint64_t free_bytes, uint64_t size, unsigned percent)
{
    return (double)free_bytes < (double)size * percent / 100;
}

static uint64_t interval_ns(void)
{
    const char *text = getenv("SLIPWAY_ROOM_LOOK_MS"); /* as in pause.h, for tests */
    unsigned long ms = text ? strtoul(text, NULL, 10) : 0;

    return ms ? ms * NS_PER_MS : LOOK_NS;
}

static void tell_low(struct run *run, uint64_t free_bytes)
{
    char text[32];

    if (!run->source_low)
        run_note(run, "the storage of the source has %s free, and its snapshot grows there; below "
                 "%d %% of it the sync is given up", str_from_bytes(free_bytes, text, sizeof(text)),
                 SOURCE_ROOM_FULL_PERCENT);
    run->source_low = true;
}

int source_room_look(struct run *run)
{
    uint64_t now = clock_now_ns(), size = 0;
    _cleanup_error_ struct error *err = NULL;
    int r;

    if (!run->serving || run->job->state != JOB_SYNCING || !run->source || !run->ops->room ||
        (run->room_looked_ns && now - run->room_looked_ns < interval_ns()))
        return 0;
    run->room_looked_ns = now;
    r = run->ops->room(run->source, run->serving, &run->source_free, &size, &err);
    if (r < 0) {
        log_debug("%s: the room on its source is not known: %s", run->job->name, error_text(err));
        return 0;
    }
    if (below(run->source_free, size, SOURCE_ROOM_LOW_PERCENT))
        tell_low(run, run->source_free);
    run->source_full = below(run->source_free, size, SOURCE_ROOM_FULL_PERCENT);
    return run->source_full ? -ENOSPC : 0;
}

int source_room_give_up(struct run *run, int64_t pass, struct source_snapshot *snapshot,
                        struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    struct engine_status status = {0};
    char text[32];
    int r;

    engine_cancel_sync(store);
    r = engine_settle(run, &status, err);
    engine_status_done(&status);
    if (r < 0) {
        source_snapshot_free(snapshot);
        return r;
    }
    r = pass_end(run, pass, snapshot, false, false, err);
    if (r < 0)
        return r;
    return error_set(err, ENOSPC, "the storage of the source has only %s free, so the sync was "
                     "given up and its snapshot ended; make room there, then resume (it is tried "
                     "again by itself, too)",
                     str_from_bytes(run->source_free, text, sizeof(text)));
}
