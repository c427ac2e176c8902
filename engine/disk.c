/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/disk.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "engine/owner.h"
#include "engine/super.h"

void disk_done(struct disk *d)
{
    for (unsigned i = 0; i < d->layer_count; i++)
        layer_unref(d->layers[i]);
    layer_unref(d->loading);
    map_free(d->map);
    owner_free(d->owner);
    if (d->digest_fd >= 0)
        d->io->ops->close(d->io, d->digest_fd);
    if (d->target.path)
        target_close(&d->target);
    free(d->name);
    free(d->folder);
    free(d->target_path);
    *d = (struct disk){.digest_fd = -1};
}

char *disk_layer_stem(const struct disk *d, uint64_t gen)
{
    return str_format("%s/L%" PRIu64, d->folder, gen);
}

char *disk_map_path(const struct disk *d, uint64_t epoch)
{
    return str_format("%s/map.%" PRIu64, d->folder, epoch);
}

int disk_sync_target(void *context)
{
    struct disk *d = context;
    int r = target_sync(&d->target);

    return r < 0 ? r : io_fdatasync(d->io, d->digest_fd);
}

struct sweep {
    struct disk *disk;
    const struct super_disk *super;
    enum store_mode mode;
    bool drafts;
    char *names[64]; /* to remove; what does not fit goes at the next start */
    unsigned count;
};

static bool layer_is_wanted(const struct sweep *s, uint64_t gen)
{
    if (s->disk->loading && s->disk->loading->gen == gen)
        return true;
    for (unsigned i = 0; i < s->super->layer_count; i++)
        if (s->super->layers[i] == gen)
            return true;
    return false;
}

static int sweep_name(const char *name, void *context)
{
    struct sweep *s = context;
    unsigned long long number;
    char rest[16];
    bool wanted = true;

    if (sscanf(name, "L%llu.%15s", &number, rest) == 2)
        wanted = layer_is_wanted(s, number);
    else if (sscanf(name, "map.%llu", &number) == 1)
        wanted = number == s->super->map_epoch;
    else if (sscanf(name, "al.%llu", &number) == 1)
        wanted = number == s->super->map_epoch && s->mode >= MODE_OWNER_HYD;
    else if (str_starts(name, "draft-"))
        wanted = !s->drafts;
    if (!wanted && s->count < sizeof(s->names) / sizeof(s->names[0]))
        s->names[s->count++] = str_format("%s/%s", s->disk->folder, name);
    return 0;
}

int disk_sweep(struct disk *d, const struct super *super, bool drafts)
{
    struct sweep s = {.disk = d, .super = &super->disks[d->index],
                      .mode = super->mode, .drafts = drafts};
    int r = d->io->ops->list(d->io, d->folder, sweep_name, &s);

    for (unsigned i = 0; i < s.count; i++) {
        int u = d->io->ops->unlink(d->io, s.names[i]);

        if (u < 0 && u != -ENOENT && r == 0)
            r = u;
        free(s.names[i]);
    }
    return r;
}
