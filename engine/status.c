/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/draft.h"
#include "engine/failback.h"
#include "engine/export.h"
#include "engine/fold.h"
#include "engine/hydrate.h"
#include "engine/load.h"
#include "engine/owner.h"
#include "engine/ring.h"
#include "engine/room.h"
#include "engine/sync.h"
#include "engine/status.h"

static json_t *generation_json(uint64_t gen)
{
    return gen == NO_GENERATION ? json_null() : json_integer((json_int_t)gen);
}

static json_t *layers_json(const struct super_disk *d)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < d->layer_count; i++)
        json_array_append_new(list, json_integer((json_int_t)d->layers[i]));
    return list;
}

json_t *status_disk(const struct super_disk *d, const char *name, const char *target)
{
    return json_pack("{s:s, s:s, s:I, s:o, s:b, s:o}", "name", name, "target", target,
                     "size_bytes", (json_int_t)d->size, "base_generation",
                     generation_json(d->base_gen), "folding", d->folding != 0, "layers",
                     layers_json(d));
}

json_t *status_policy(unsigned keep, enum when_full when_full, uint64_t space_budget)
{
    return json_pack("{s:i, s:s, s:I}", "keep", (int)keep, "when_full", when_full_name(when_full),
                     "space_budget_bytes", (json_int_t)space_budget);
}

json_t *status_root(const struct super *s, const char *store, const char *vm)
{
    json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:s, s:b}", "store", store, "vm", vm, "mode",
                          store_mode_name(s->mode), "generation", generation_json(s->cur_gen),
                          "snapshot", s->snapshot, "local_changes",
                          (s->flags & SUPER_LOCAL_CHANGES) != 0);

    json_object_update_new(j, status_policy(s->keep, s->when_full, s->space_budget));
    return j;
}

json_t *status_limits(const struct limit_table *table, const struct limitfile_names *names)
{
    json_t *disks = json_object();

    for (unsigned i = 0; i < names->count; i++)
        json_object_set_new(disks, names->names[i], limitfile_rates(&table->disks[i]));
    return json_pack("{s:o, s:o}", "vm", limitfile_rates(&table->vm), "disks", disks);
}

static json_t *sync_json(const struct sync *s)
{
    struct progress_report p;
    json_t *disks;

    if (!s)
        return json_null();
    sync_progress(s, &p);
    disks = json_array();
    for (unsigned i = 0; i < s->disk_count; i++) {
        const struct sync_disk *sd = &s->disks[i];
        uint64_t read_ns = sd->pull_ready ? atomic_load(&sd->pull.read_ns) : 0;

        if (read_ns)
            json_array_append_new(disks, json_pack("{s:s, s:I}", "name", sd->disk->name,
                                                   "read_latency_us",
                                                   (json_int_t)((read_ns + 999) / 1000)));
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "snapshot", s->snapshot, "phase", p.phase,
                     "done_bytes", (json_int_t)p.done_bytes, "total_bytes",
                     (json_int_t)p.total_bytes, "disks", disks);
}

static const char *const source_words[] = {
    [SOURCE_NONE] = "unknown", [SOURCE_CONNECTING] = "connecting", [SOURCE_UP] = "up",
    [SOURCE_LOST] = "lost"};

static void add_hydration(json_t *j, struct hydrator *h)
{
    struct hydrator_status s;

    hydrator_get_status(h, &s);
    json_object_set_new(
        j, "hydration",
        json_pack("{s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s}", "source",
                  source_words[s.state], "since_s", (double)(clock_now_ns() - s.since_ns) / 1e9,
                  "fetched_bytes", (json_int_t)s.fetched_bytes, "local_bytes",
                  (json_int_t)s.local_bytes, "zero_bytes", (json_int_t)s.zero_bytes,
                  "rate_bytes_s", (json_int_t)s.rate_bytes_s, "waits", (json_int_t)s.demand_count,
                  "failed_waits", (json_int_t)s.demand_errors, "error", s.error, "setback",
                  s.setback));
}

static void add_owner(json_t *j, struct owner *o)
{
    json_object_set_new(j, "missing_bytes", json_integer((json_int_t)owner_missing_bytes(o)));
    json_object_set_new(j, "dirty_bytes",
                        json_integer((json_int_t)(owner_count_dirty(o) * BLOCK_SIZE)));
    if (o->hydrator && !owner_is_complete(o))
        add_hydration(j, o->hydrator);
}

static json_t *load_json(const struct load *l)
{
    uint64_t received = 0;

    if (!l)
        return json_null();
    for (unsigned i = 0; i < l->disk_count; i++)
        received += atomic_load(&l->disks[i].received_bytes);
    return json_pack("{s:s, s:b, s:b, s:i, s:I}", "snapshot", l->snapshot, "initial", l->initial,
                     "resumed", l->resumed, "connections", (int)l->users, "received_bytes",
                     (json_int_t)received);
}

static json_t *draft_json(const struct engine *e, const struct draft *dr)
{
    json_t *disks = json_array();
    struct tm tm;
    char created[32] = "";

    if (gmtime_r(&dr->created_s, &tm))
        strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &tm);
    for (unsigned i = 0; i < e->disk_count; i++)
        json_array_append_new(disks, json_pack("{s:s, s:I}", "name", e->disks[i].name,
                                               "written_bytes",
                                               (json_int_t)atomic_load(&dr->written_bytes[i])));
    return json_pack("{s:s, s:I, s:i, s:s, s:o}", "name", dr->name, "generation",
                     (json_int_t)dr->gen, "connections", (int)dr->users, "created", created,
                     "disks", disks);
}

json_t *status_drafts_locked(const struct engine *e)
{
    json_t *list = json_array();

    for (const struct draft *dr = e->drafts; dr; dr = dr->next)
        if (dr->state != DRAFT_MAKING)
            json_array_append_new(list, draft_json(e, dr));
    return list;
}

static json_t *failback_json(const struct failback *f)
{
    if (!f)
        return json_null();
    return json_pack("{s:b, s:s, s:I, s:I}", "final", f->request->final, "phase", f->report.phase,
                     "done_bytes", (json_int_t)f->report.done_bytes, "total_bytes",
                     (json_int_t)f->report.total_bytes);
}

static json_t *retained_json_locked(const struct engine *e)
{
    json_t *list = json_array();
    uint64_t gen = e->cur_gen;

    while (e->mode == MODE_MIRROR && view_is_readable_locked(e, gen)) {
        json_array_insert_new(list, 0, json_integer((json_int_t)gen));
        if (gen-- == 0)
            break;
    }
    return list;
}

/* Connections and drafts per generation that they hold, oldest first. */
static json_t *pin_json_locked(const struct engine *e, uint64_t gen)
{
    uint64_t now = clock_now_ns(), revoke_at = 0;
    json_t *drafts = json_array(), *j;
    int connections = 0;
    bool revoked = false;

    for (const struct export *x = e->exports; x; x = x->next)
        connections += x->view && x->view->gen == gen;
    for (const struct draft *dr = e->drafts; dr; dr = dr->next)
        if (dr->gen == gen)
            json_array_append_new(drafts, json_string(dr->name));
    for (const struct view *v = e->views; v; v = v->next) {
        if (v->gen != gen)
            continue;
        revoke_at = v->revoke_at_ns ? v->revoke_at_ns : revoke_at;
        revoked |= atomic_load(&v->revoked);
    }
    j = json_pack("{s:I, s:i, s:o, s:b}", "generation", (json_int_t)gen, "connections", connections,
                  "drafts", drafts, "revoked", revoked);
    json_object_set_new(j, "revoke_in_s", revoke_at && !revoked
                        ? json_real(revoke_at > now ? (double)(revoke_at - now) / 1e9 : 0)
                        : json_null());
    return j;
}

static json_t *pins_json_locked(const struct engine *e)
{
    json_t *list = json_array();
    uint64_t from = 0;

    for (;;) {
        uint64_t gen = NO_GENERATION;

        for (const struct view *v = e->views; v; v = v->next)
            if (v->gen >= from && v->gen < gen && (v != e->latest || v->refs > 1))
                gen = v->gen;
        if (gen == NO_GENERATION)
            return list;
        json_array_append_new(list, pin_json_locked(e, gen));
        from = gen + 1;
    }
}

static void add_room_locked(const struct engine *e, json_t *j)
{
    json_object_set_new(j, "retained", retained_json_locked(e));
    json_object_set_new(j, "pins", pins_json_locked(e));
    json_object_set_new(j, "layer_bytes", json_integer((json_int_t)room_layer_bytes_locked(e)));
    json_object_set_new(j, "fold_pending",
                        json_boolean(e->fold_error == 0 &&
                                     (e->folding || fold_is_possible_locked(e))));
    json_object_set_new(j, "fold_error", e->fold_error < 0 ? json_string(strerror(-e->fold_error))
                                                           : json_null());
    json_object_set_new(j, "revoked", json_integer((json_int_t)e->revoked_count));
    json_object_set_new(j, "revoked_generation",
                        e->revoked_count ? json_integer((json_int_t)e->revoked_gen) : json_null());
}

static void add_live_locked(struct engine *e, json_t *j)
{
    add_room_locked(e, j);
    json_object_set_new(j, "drafts", status_drafts_locked(e));
    json_object_set_new(j, "running", json_true());
    json_object_set_new(j, "failed", json_boolean(e->failed));
    json_object_set_new(j, "operation", e->operation ? json_string(e->operation) : json_null());
    json_object_set_new(j, "connections", json_integer(e->open_exports));
    json_object_set_new(j, "sync", sync_json(e->sync));
    json_object_set_new(j, "load", load_json(e->load));
    json_object_set_new(j, "failback", failback_json(e->failback));
    json_object_set_new(j, "pid", json_integer(getpid()));
    json_object_set_new(j, "io", json_string(ring_kind()));
}

void *engine_status(struct engine *e)
{
    struct super root = superfile_get(&e->super);
    json_t *j = status_root(&root, e->store, e->vm_name);
    json_t *disks = json_array();

    json_object_set_new(j, "limits", engine_limits_json(e));
    LOCK_FOR_SCOPE(&e->lock);
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];
        json_t *jd = status_disk(&root.disks[i], d->name, d->target_path);

        if (d->owner && store_mode_is_owner(e->mode))
            add_owner(jd, d->owner);
        if (root.mode == MODE_INIT && d->map)
            json_object_set_new(jd, "missing_bytes",
                                json_integer((json_int_t)(d->map->missing_blocks * BLOCK_SIZE)));
        json_array_append_new(disks, jd);
    }
    json_object_set_new(j, "disks", disks);
    add_live_locked(e, j);
    return j;
}
