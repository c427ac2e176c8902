/* SPDX-License-Identifier: Apache-2.0 */
/* Engines that only count: the host that starts them, and the client's side of their protocol. */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "tests/fake/sim.h"

#define RATE_BYTES_S (UINT64_C(200) << 20)
#define OVERHEAD_NS (3 * NS_PER_S) /* of a pass: map, seal, commit */
#define PROGRESS_STEPS 8

struct control {
    struct sim_record *record;
    char *line; /* as much as the real client has */
};

struct verb {
    const char *name;
    int (*run)(struct control *c, const json_t *args, control_event_fn *event, void *context,
               json_t **ret_result, struct error **err);
};

static const char *const mode_names[] = {"init", "mirror", "owner", "detached"};

static struct sim_record *record_of(const char *store)
{
    const char *slash = strrchr(store, '/');

    return sim_record("engine", slash ? slash + 1 : store);
}

int engine_host_create(const char *store, const char *vm_name, const struct engine_disk_spec *disks,
                       size_t disk_count, struct error **err)
{
    struct sim_record *record;
    bool there;

    sim_lock();
    record = record_of(store);
    there = record->exists;
    record->exists = true;
    sim_unlock();
    return there ? error_set(err, EEXIST, "%s already holds a store", store) : 0;
}

static int open_control(const char *store, struct control **ret_control, struct error **err)
{
    struct control *c = mem_new(1, sizeof(*c));

    sim_lock();
    c->record = record_of(store);
    sim_unlock();
    if (!c->record->exists) {
        free(c);
        return error_set(err, ENOENT, "%s holds no store", store);
    }
    c->line = malloc(CONTROL_LINE_MAX + 1);
    *ret_control = c;
    return 0;
}

int engine_host_attach(const char *store, struct control **ret_control, bool *ret_started,
                       struct error **err)
{
    return open_control(store, ret_control, err);
}

int control_connect(const char *socket_path, struct control **ret_control, struct error **err)
{
    _cleanup_free_ char *store = str_dup(socket_path);

    *strrchr(store, '/') = '\0';
    return open_control(store, ret_control, err);
}

struct control *control_close(struct control *c)
{
    if (c)
        free(c->line);
    free(c);
    return NULL;
}

/* Its store is removed by whoever stops it. */
int engine_host_stop(const char *store, struct error **err)
{
    return 0;
}

char *engine_host_uri(const char *store, const char *export_name)
{
    return str_format("nbd+unix:///%s?socket=%s/" NBD_SOCKET_NAME, export_name, store);
}

static json_t *status_of(const struct sim_record *record)
{
    char point[32] = "";

    if (record->point)
        snprintf(point, sizeof(point), "point-%lld", (long long)record->point);
    return json_pack("{s:s, s:o, s:s, s:b, s:[], s:n, s:{s:{s:I, s:I}, s:{}}, s:n}", "mode",
                     mode_names[record->mode], "generation",
                     record->generation ? json_integer(record->generation - 1) : json_null(),
                     "snapshot", point, "local_changes", 0, "drafts", "operation", "limits", "vm",
                     "source_bytes_s", (json_int_t)record->limit_bytes_s, "source_iops",
                     (json_int_t)0, "disks", "sync");
}

int engine_host_rest_status(const char *store, json_t **ret_status, struct error **err)
{
    sim_lock();
    *ret_status = status_of(record_of(store));
    sim_unlock();
    return 0;
}

static int do_status(struct control *c, const json_t *args, control_event_fn *event, void *context,
                     json_t **ret_result, struct error **err)
{
    *ret_result = status_of(c->record);
    return 0;
}

static int do_limit(struct control *c, const json_t *args, control_event_fn *event, void *context,
                    json_t **ret_result, struct error **err)
{
    c->record->limit_bytes_s = (uint64_t)field_integer(args, "source_bytes_s",
                                                       (int64_t)c->record->limit_bytes_s);
    *ret_result = json_pack("{s:{s:I, s:I}, s:{}}", "vm", "source_bytes_s",
                            (json_int_t)c->record->limit_bytes_s, "source_iops", (json_int_t)0,
                            "disks");
    return 0;
}

/* What has changed in a VM between its two newest points in time. */
static uint64_t delta_bytes(const struct sim_record *vm, const char *name)
{
    uint64_t all = sim_disk_bytes(name) / 2;
    double changed = (double)(vm->frozen_ns - vm->before_ns) / (double)NS_PER_S *
                     (double)sim_dirty_bytes_s(name);

    return changed < (double)all ? (uint64_t)changed : all;
}

/* Called with the lock, which is given back while time passes. */
static int copy(struct control *c, uint64_t bytes, control_event_fn *event, void *context,
                struct error **err)
{
    for (uint64_t step = 0; step < PROGRESS_STEPS; step++) {
        uint64_t limit = c->record->limit_bytes_s;
        uint64_t rate = limit && limit < RATE_BYTES_S ? limit : RATE_BYTES_S;
        _cleanup_json_ json_t *body = json_pack(
            "{s:s, s:s, s:I, s:I, s:f, s:f}", "event", "progress", "phase", "copy", "done_bytes",
            (json_int_t)(bytes * step / PROGRESS_STEPS), "total_bytes", (json_int_t)bytes,
            "rate_bytes_s", (double)rate, "eta_s", (double)bytes / (double)rate);
        int r;

        sim_unlock();
        r = event ? event(body, context) : 0;
        if (r == 0)
            clock_sleep_ns((uint64_t)((double)bytes / (double)rate * (double)NS_PER_S +
                                      (double)OVERHEAD_NS) / PROGRESS_STEPS);
        sim_lock();
        if (r < 0)
            return error_set(err, -r, "the sync was given up");
    }
    return 0;
}

static int do_sync(struct control *c, const json_t *args, control_event_fn *event, void *context,
                   json_t **ret_result, struct error **err)
{
    const json_t *disk = json_array_get(json_object_get(args, "disks"), 0);
    const char *vm = field_string(disk, "uri", "sim://?") + strlen("sim://");
    int64_t point = strtoll(field_string(args, "snapshot", "point-0") + strlen("point-"), NULL, 10);
    bool delta = c->record->generation && field_string(disk, "bitmap", NULL);
    uint64_t bytes = delta ? delta_bytes(sim_record("vm", vm), vm) : sim_disk_bytes(vm) / 2;
    bool already = c->record->generation && c->record->point == point;
    int r = 0;

    if (c->record->mode > SIM_MIRROR)
        return error_set(err, EPERM, "'sync' does not fit the mode");
    if (!already)
        r = copy(c, bytes, event, context, err);
    if (r < 0)
        return r;
    if (!already) {
        c->record->generation++;
        c->record->point = point;
        c->record->mode = SIM_MIRROR;
    }
    *ret_result = json_pack("{s:I, s:[{s:s, s:I, s:I, s:I, s:f}], s:b}", "generation",
                            (json_int_t)c->record->generation - 1, "passes", "disk", "vda", "bytes",
                            (json_int_t)bytes, "zero_bytes", (json_int_t)0, "changed_bytes",
                            (json_int_t)bytes, "seconds", (double)bytes / (double)RATE_BYTES_S,
                            "already", already);
    return 0;
}

static int do_flip(struct control *c, const json_t *args, control_event_fn *event, void *context,
                   json_t **ret_result, struct error **err)
{
    c->record->mode = SIM_OWNER;
    *ret_result = json_pack("{s:s, s:I}", "mode", "owner", "generation",
                            (json_int_t)c->record->generation - 1);
    return 0;
}

static int do_detach(struct control *c, const json_t *args, control_event_fn *event, void *context,
                     json_t **ret_result, struct error **err)
{
    c->record->mode = SIM_DETACHED;
    *ret_result = json_pack("{s:s}", "mode", "detached");
    return 0;
}

static int do_nothing(struct control *c, const json_t *args, control_event_fn *event, void *context,
                      json_t **ret_result, struct error **err)
{
    *ret_result = json_object();
    return 0;
}

static const struct verb verbs[] = {
    {"status", do_status}, {"limit", do_limit},    {"sync", do_sync},    {"flip", do_flip},
    {"detach", do_detach}, {"cancel", do_nothing}, {"stop", do_nothing}, {NULL, NULL},
};

int control_call(struct control *c, const char *verb, json_t *args, control_event_fn *event,
                 void *context, json_t **ret_result, struct error **err)
{
    json_t *result = NULL;
    int r = error_set(NULL, ENOSYS, "?");

    sim_lock();
    for (const struct verb *v = verbs; v->name; v++)
        if (strcmp(v->name, verb) == 0)
            r = v->run(c, args, event, context, &result, err);
    sim_unlock();
    if (r == -ENOSYS)
        return error_set(err, ENOSYS, "the simulated engine has no verb '%s'", verb);
    if (r == 0 && ret_result)
        *ret_result = result;
    else
        json_decref(result);
    return r;
}
