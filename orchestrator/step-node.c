/* SPDX-License-Identifier: Apache-2.0 */
/* Define and start the VM on the node. */
#include <string.h>

#include "base/accel.h"
#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/params.h"
#include "orchestrator/steps.h"

#define SETTLE_NS (10 * NS_PER_S)
/* A guest whose agent is switched on is not up before that answers; a broken agent must not make a
 * failure of a VM that runs, so the wait for it ends, too. */
#define AGENT_SETTLE_NS (300 * NS_PER_S)

const char *job_accel(const struct job *job)
{
    const char *accel = field_string(job->params, "accel", "auto");

    if (strcmp(accel, "auto") == 0)
        accel_choose(&accel);
    return accel;
}

/* One disk of a placement: a file, or an export of the engine. */
static json_t *disk_place(const struct daemon *d, const struct job *job, const char *name)
{
    bool through_engine = job_through_engine(job);
    _cleanup_free_ char *path = job_target(job, name), *store = job_store(d, job);
    _cleanup_free_ char *uri = engine_host_uri(store, name);

    return json_pack("{s:s, s:s, s:s}", "name", name, through_engine ? "nbd_uri" : "path",
                     through_engine ? uri : path, "format", "raw");
}

void placement_shape(const struct job *job, json_t *placement)
{
    static const char *const asked[] = {"vcpus", "memory_bytes", "disk_bus", "machine"};

    for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
        if (json_object_get(job->params, asked[i]))
            json_object_set(placement, asked[i], json_object_get(job->params, asked[i]));
}

int placement_make(const struct daemon *d, const struct job *job, json_t **ret_placement,
                   struct error **err)
{
    json_t *disks = json_array(), *networks = NULL, *disk;
    size_t i;
    int r = params_networks(job->params, job->description, &networks, err);

    if (r < 0) {
        json_decref(disks);
        return r;
    }
    json_array_foreach(json_object_get(job->description, "disks"), i, disk) {
        json_array_append_new(disks, disk_place(d, job, field_string(disk, "name", "")));
    }
    *ret_placement = json_pack(
        "{s:s, s:s*, s:s, s:o, s:o, s:O*}", "name", job->name, "uuid",
        field_string(job->params, "uuid", NULL), "accel", job_accel(job), "disks", disks,
        "networks", networks, "hints",
        json_object_get(json_object_get(job->facts, "morph"), "hints"));
    placement_shape(job, *ret_placement);
    return 0;
}

void placement_drop_tpm(struct run *run, json_t *placement)
{
    json_t *hints = json_object_get(placement, "hints");

    if (!json_is_true(json_object_get(hints, "tpm")) ||
        node_has_tpm(run->node, field_string(run->job->description, "arch", "x86_64")))
        return;
    hints = json_deep_copy(hints);
    json_object_set_new(hints, "tpm", json_false());
    json_object_set_new(placement, "hints", hints);
    run_note(run, "the guest would like a TPM, but the node has no swtpm: the VM gets none");
}

int step_define(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *placement = NULL;
    _cleanup_free_ char *xml = NULL;
    int r = placement_make(run->daemon, run->job, &placement, err);

    if (r == 0)
        r = run_open_node(run, err);
    if (r == 0)
        placement_drop_tpm(run, placement);
    if (r == 0)
        r = node_domain_xml(run->job->description, placement, &xml, err);
    return r == 0 ? node_define(run->node, xml, err) : r;
}

/* While the VM boots from the engine that one must be there. */
static bool start_interrupted(void *context)
{
    struct run *run = context;

    if (job_instant(run->job) && instant_upkeep(run, NULL, NULL) < 0)
        run_detach_engine(run);
    return run_interrupted(run);
}

int step_start(struct run *run, struct error **err)
{
    int64_t timeout_s = field_integer(run->job->params, "boot_timeout_s", 600);
    bool agent = field_bool(json_object_get(run->job->facts, "morph"), "guest_agent", false);
    const char *how;
    int r = run_open_node(run, err);

    if (r == 0 && !field_bool(run->job->params, "start", true)) {
        run_note(run, "the VM is defined and not started, as asked");
        return 0;
    }
    if (r == 0)
        r = node_start(run->node, run->job->name, err);
    if (r == 0)
        r = node_wait_up(run->node, run->job->name, (uint64_t)timeout_s * NS_PER_S,
                         agent ? AGENT_SETTLE_NS : SETTLE_NS, start_interrupted, run, &how, err);
    if (r < 0)
        return r;
    run_note(run, strcmp(how, "agent") == 0 ? "the guest agent answers"
                                            : "the VM has been running without a crash");
    return 0;
}
