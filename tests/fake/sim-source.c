/* SPDX-License-Identifier: Apache-2.0 */
/* Sources of records.  Snapshots are announced like everything that lasts on a source. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/source/source.h"
#include "tests/fake/sim.h"

#define SCHEME "sim://"

struct source {
    char *name;
    unsigned count;
    struct source_journal journal;
};

static bool sim_accepts(const char *uri)
{
    return str_starts(uri, SCHEME) && strchr(uri + strlen(SCHEME), '/');
}

static int sim_open(const char *uri, const char *password, const struct source_journal *journal,
                    struct source **ret_source, struct error **err)
{
    struct source *s = mem_new(1, sizeof(*s));
    char *slash;

    s->name = str_dup(uri + strlen(SCHEME));
    slash = strchr(s->name, '/');
    s->count = (unsigned)strtoul(slash + 1, NULL, 10);
    *slash = '\0';
    if (journal)
        s->journal = *journal;
    *ret_source = s;
    return 0;
}

static void sim_close(struct source *s)
{
    free(s->name);
    free(s);
}

static json_t *description(const struct source *s, const char *vm, unsigned number)
{
    char uuid[40], mac[20];

    snprintf(uuid, sizeof(uuid), "%08x-0000-4000-8000-%012x",
             (unsigned)sim_number(s->name, "uuid", UINT32_MAX), number);
    snprintf(mac, sizeof(mac), "52:54:00:%02x:%02x:%02x",
             (unsigned)sim_number(s->name, "mac", 256), number >> 8 & 255, number & 255);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:i, s:s, s:s, s:s, s:b, s:s,"
        " s:[{s:s, s:I, s:I, s:s, s:s, s:b}], s:[{s:s, s:s, s:s, s:s}]}",
        "id", uuid, "name", vm, "uuid", uuid, "state", "running", "memory_bytes",
        (json_int_t)2 << 30, "vcpus", 2, "arch", "x86_64", "machine", "q35", "firmware", "bios",
        "serial", 1, "native", "", "disks", "name", "vda", "size_bytes",
        (json_int_t)sim_disk_bytes(vm), "allocated_bytes", (json_int_t)sim_disk_bytes(vm) / 2,
        "format", "qcow2", "bus", "virtio", "cbt", 1, "nics", "mac", mac, "model", "e1000",
        "network", "default", "network_type", "network");
}

static int sim_list(struct source *s, json_t **ret_vms, struct error **err)
{
    json_t *vms = json_array();

    for (unsigned i = 1; i <= s->count; i++) {
        _cleanup_free_ char *vm = str_format("%s-%04u", s->name, i);

        json_array_append_new(vms, description(s, vm, i));
    }
    *ret_vms = vms;
    return 0;
}

static int sim_describe(struct source *s, const char *vm, json_t **ret_description,
                        struct error **err)
{
    const char *dash = strrchr(vm, '-');
    unsigned number = dash ? (unsigned)strtoul(dash + 1, NULL, 10) : 0;

    if (!str_starts(vm, s->name) || number < 1 || number > s->count)
        return error_set(err, ENOENT, "the source has no VM '%s'", vm);
    *ret_description = description(s, vm, number);
    return 0;
}

static struct source_snapshot *snapshot_make(const char *vm, const char *since,
                                             const json_t *private)
{
    struct source_snapshot *snapshot = mem_new(1, sizeof(*snapshot));

    snapshot->id = str_dup(field_string(private, "id", ""));
    snapshot->disk_count = 1;
    snapshot->disks = mem_new(1, sizeof(*snapshot->disks));
    snapshot->disks[0].name = str_dup("vda");
    snapshot->disks[0].uri = str_format(SCHEME "%s", vm);
    snapshot->disks[0].bitmap = str_dup(since ? "changes" : NULL);
    snapshot->private = json_incref((json_t *)private);
    return snapshot;
}

static int64_t next_point(const char *vm)
{
    struct sim_record *record;
    int64_t point;

    sim_lock();
    record = sim_record("vm", vm);
    point = ++record->point;
    record->before_ns = record->frozen_ns;
    record->frozen_ns = (int64_t)clock_now_ns();
    sim_unlock();
    return point;
}

static int sim_snapshot_begin(struct source *s, const char *vm, const char *since,
                              const json_t *resume, struct source_snapshot **ret_snapshot,
                              struct error **err)
{
    _cleanup_json_ json_t *thing = NULL, *private = NULL;
    int64_t key = 0;
    int r;

    if (resume) {
        *ret_snapshot = snapshot_make(vm, since, resume);
        return 0;
    }
    thing = json_pack("{s:s, s:s}", "kind", "snap", "vm", vm);
    r = s->journal.add(s->journal.context, thing, &key, err);
    if (r < 0)
        return r;
    private = json_pack("{s:o, s:I}", "id", json_sprintf("point-%lld", (long long)next_point(vm)),
                        "key", (json_int_t)key);
    *ret_snapshot = snapshot_make(vm, since, private);
    return 0;
}

static int sim_snapshot_end(struct source *s, const char *vm, struct source_snapshot *snapshot,
                            bool committed, struct error **err)
{
    int64_t key = field_integer(snapshot->private, "key", 0);

    source_snapshot_free(snapshot);
    return s->journal.remove(s->journal.context, key, err);
}

static void set_off(const char *vm, bool off)
{
    sim_lock();
    sim_record("vm", vm)->off = off;
    sim_unlock();
}

static int sim_power(struct source *s, const char *vm, enum source_power *ret_power,
                     struct error **err)
{
    sim_lock();
    *ret_power = sim_record("vm", vm)->off ? SOURCE_OFF : SOURCE_RUNNING;
    sim_unlock();
    return 0;
}

static int sim_shutdown(struct source *s, const char *vm, uint64_t timeout_ns,
                        enum source_stop_policy policy, bool (*cancelled)(void *), void *context,
                        struct error **err)
{
    clock_sleep_ns((5 + sim_number(vm, "shutdown", 20)) * NS_PER_S);
    if (cancelled(context))
        return error_set(err, ECANCELED, "interrupted");
    set_off(vm, true);
    return 0;
}

static int sim_start(struct source *s, const char *vm, struct error **err)
{
    set_off(vm, false);
    return 0;
}

static int sim_cleanup(struct source *s, const json_t *thing, struct error **err)
{
    return 0;
}

static const struct source_ops sim_ops = {
    .name = "sim",
    .accepts = sim_accepts,
    .open = sim_open,
    .close = sim_close,
    .list = sim_list,
    .describe = sim_describe,
    .snapshot_begin = sim_snapshot_begin,
    .snapshot_end = sim_snapshot_end,
    .power = sim_power,
    .shutdown = sim_shutdown,
    .start = sim_start,
    .cleanup = sim_cleanup,
};

const struct source_ops *source_ops_for(const char *uri, struct error **err)
{
    if (sim_accepts(uri))
        return &sim_ops;
    error_set(err, EINVAL, "no provider speaks '%s'; supported are: sim://NAME/COUNT", uri);
    return NULL;
}

void source_snapshot_free(struct source_snapshot *snapshot)
{
    if (!snapshot)
        return;
    for (size_t i = 0; i < snapshot->disk_count; i++) {
        free(snapshot->disks[i].name);
        free(snapshot->disks[i].uri);
        free(snapshot->disks[i].bitmap);
        free(snapshot->disks[i].why_full);
    }
    free(snapshot->disks);
    free(snapshot->id);
    json_decref(snapshot->private);
    free(snapshot);
}
