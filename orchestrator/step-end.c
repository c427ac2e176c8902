/* SPDX-License-Identifier: Apache-2.0 */
/* How a migration ends: finished, taken back, cancelled, forgotten. */
#include <string.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/rehearsal.h"
#include "orchestrator/steps.h"

/* The VM runs on the node; the source has nothing to serve any more.  One that cannot be told now
 * does not undo that: what is left stays in the journal for the commit. */
int step_finish(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    int r = pass_discard(run, &failure);

    if (r == -ECANCELED && run_interrupted(run))
        return error_move(err, &failure);
    if (r < 0)
        run_note(run,
                 "the source could not be told that it is read no longer: %s; the commit tries "
                 "again",
                 error_text(failure));
    return 0;
}

int source_restore(struct run *run, struct error **err)
{
    const char *was = field_string(run->job->facts, "source_was", NULL);
    enum source_power power;
    int r = 0;

    if (!was)
        return 0;
    r = source_unguard(run, err);
    if (r == 0 && strcmp(was, "running") == 0) {
        r = run_open_source(run, err);
        if (r == 0)
            r = run->ops->power(run->source, run->job->vm, &power, err);
        if (r == 0 && power == SOURCE_OFF)
            r = run->ops->start(run->source, run->job->vm, err);
        if (r < 0)
            return error_prefix(err, "the source could not be started again");
    }
    if (r < 0)
        return r;
    r = job_set_fact(run->daemon, run->job, "stop", NULL, err);
    return r < 0 ? r : job_set_fact(run->daemon, run->job, "source_was", NULL, err);
}


static int remove_targets(const struct job *job, struct error **err)
{
    json_t *disk;
    size_t i;

    json_array_foreach(json_object_get(job->description, "disks"), i, disk) {
        const char *name = field_string(disk, "name", "");
        _cleanup_free_ char *path = job_target(job, name);
        _cleanup_free_ char *folder = job_target_folder(job, name);

        if (unlink(path) < 0 && errno != ENOENT)
            return error_set_errno(err, errno, "cannot remove %s", path);
        if (rmdir(folder) < 0 && errno != ENOENT && errno != ENOTEMPTY)
            return error_set_errno(err, errno, "cannot remove %s", folder);
    }
    return 0;
}

static int remove_store(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    int r;

    run_detach_engine(run);
    r = engine_host_stop(store, err);
    if (r < 0)
        return r;
    r = fdio_remove_tree(store);
    return r < 0 ? error_set_errno(err, -r, "cannot remove the store %s", store) : 0;
}

/* True when an instant flip has taken the mirror, or may have. */
static bool mirror_is_gone(struct run *run)
{
    struct engine_status status = {0};
    bool gone;

    if (!job_fact(run->job, "instant_flipped"))
        return false;
    gone = engine_settle(run, &status, NULL) < 0 || strcmp(status.mode, "mirror") != 0;
    engine_status_done(&status);
    return gone;
}

static int forget_facts(struct run *run, struct error **err)
{
    static const char *const facts[] = {"generation", "instant_flipped", "to_hydrate", "sealed",
                                        "unflipped", "made", "flipped", "detached", "hydrated",
                                        "morph", "send_back", "sent_back", "instant"};
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(facts) && r == 0; i++)
        r = job_set_fact(run->daemon, run->job, facts[i], NULL, err);
    return r;
}

/* There is no way from owner to mirror, and nothing on the target is worth keeping: the source runs
 * again and has everything.  A new mirror is begun. */
static int revert_afresh(struct run *run, struct error **err)
{
    int r = job_set_fact(run->daemon, run->job, "afresh", json_true(), err);

    if (r == 0)
        r = pass_discard(run, err);
    if (r == 0)
        r = leftovers_clean(run, -1, err);
    if (r == 0)
        r = remove_store(run, err);
    if (r == 0)
        r = remove_targets(run->job, err);
    return r < 0 ? r : forget_facts(run, err);
}

/* The source first: every second counts.  The mirror is kept if there is one. */
int step_revert(struct run *run, struct error **err)
{
    int r = source_restore(run, err);

    if (r == 0 && (job_fact(run->job, "afresh") || mirror_is_gone(run)))
        return revert_afresh(run, err);
    if (r == 0)
        r = job_set_fact(run->daemon, run->job, "instant_flipped", NULL, err);
    if (r == 0)
        r = pass_discard(run, err);
    return r == 0 ? draft_drop(run, err) : r;
}

int step_cancel(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    int r;

    rehearsal_end(run);
    r = source_restore(run, err);
    engine_cancel_sync(store);
    if (r == 0)
        r = pass_discard(run, err);
    if (r == 0)
        r = leftovers_clean(run, -1, err);
    if (r < 0 || !job_fact(run->job, "made"))
        return r;
    if (job_fact(run->job, "rehearsed"))
        r = run_open_node(run, err) < 0 ? -EIO : node_undefine(run->node, run->job->name, err);
    if (r == 0)
        r = remove_store(run, err);
    return r < 0 ? r : remove_targets(run->job, err);
}

static int remove_vm(struct run *run, struct error **err)
{
    int r = run_open_node(run, err);

    if (r == 0)
        r = node_stop(run->node, run->job->name, true, err);
    if (r == 0)
        r = node_undefine(run->node, run->job->name, err);
    return r == 0 ? remove_targets(run->job, err) : r;
}

int remove_traces(struct daemon *d, struct job *job, bool with_vm, struct error **err)
{
    struct run run = {.daemon = d, .job = job,
                      .owner = {.source = job->source, .migration = job->name}};
    int r = rehearsal_end_job(d, job, err);

    if (r == 0)
        r = leftovers_clean(&run, -1, err);
    if (r == 0 && job_fact(job, "made"))
        r = remove_store(&run, err);
    if (r == 0 && with_vm)
        r = remove_vm(&run, err);
    run_disconnect(&run);
    return r;
}
