/* SPDX-License-Identifier: Apache-2.0 */
/* The verb "limit", and the limits between restarts. */
#include "base/str.h"
#include "engine/limitfile.h"
#include "engine/status.h"
#include "engine/verbcall.h"

static struct limitfile_names disk_names(const struct engine *e)
{
    struct limitfile_names n = {.count = e->disk_count};

    for (unsigned i = 0; i < e->disk_count; i++)
        n.names[i] = e->disks[i].name;
    return n;
}

int engine_limits_open(struct engine *e, struct error **err)
{
    struct limitfile_names names = disk_names(e);
    struct limit_table table;
    int r = limitfile_read(e->io, e->store, &names, &table, err);

    if (r == 0)
        limits_set(e->limits, &table);
    return r;
}

/* First the file: limits that are gone after a restart would be a surprise at a bad time. */
int engine_limit(struct engine *e, struct disk *disk, const void *rates, struct error **err)
{
    struct limitfile_names names = disk_names(e);
    struct limit_table table;
    int r;

    LOCK_FOR_SCOPE(&e->limit_lock);
    table = limits_get(e->limits);
    r = limitfile_take_rates(rates, disk ? &table.disks[disk->index] : &table.vm, err);
    if (r < 0)
        return r;
    r = limitfile_write(e->io, e->store, &names, &table);
    if (r < 0)
        return error_set_errno(err, -r, "cannot write %s/" LIMITFILE_NAME "; the limits are as "
                                        "they were", e->store);
    limits_set(e->limits, &table);
    return 0;
}

static bool wants_change(const struct call *c)
{
    return json_object_size(c->args) > (json_object_get(c->args, "disk") ? 1 : 0);
}

void *engine_limits_json(struct engine *e)
{
    struct limit_table table = limits_get(e->limits);
    struct limitfile_names names = disk_names(e);

    return status_limits(&table, &names);
}

static int verb_limit(struct call *c, json_t **ret_result, struct error **err)
{
    const char *name = text_arg(c, "disk");
    struct disk *disk = name ? engine_disk(c->engine, name) : NULL;
    int r = 0;

    if (name && !disk)
        return error_set(err, ENOENT, "%s has no disk '%s'", c->engine->store, name);
    if (wants_change(c))
        r = engine_limit(c->engine, disk, c->args, err);
    if (r == 0)
        *ret_result = engine_limits_json(c->engine);
    return r;
}

const struct verb verbs_limit[] = {
    {"limit", verb_limit, " disk source_bytes_s source_iops target_bytes_s target_iops "},
    {0},
};
