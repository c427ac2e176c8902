/* SPDX-License-Identifier: Apache-2.0 */
/* fsck in the owner modes: masks, dirty planes, activity log, and where the source is. */
#include <inttypes.h>

#include "engine/actlog.h"
#include "engine/fsck-inside.h"
#include "engine/map.h"
#include "engine/owner.h"
#include "engine/sourcefile.h"

#include "base/str.h"

#define NOT_REPLACED "restore it from a backup: what the guest wrote since the flip is in the " \
                     "target, but which blocks of it count is told by this file"

/* Reads all pages of one kind in the map file; how many cannot be read. */
static uint32_t read_pages(struct pagefile *pf)
{
    uint8_t payload[PAGE_PAYLOAD];
    uint32_t bad = 0;

    for (uint32_t i = 0; i < pf->count; i++)
        bad += pagefile_read(pf, i, payload) < 0;
    return bad;
}

static void check_part(struct fsck *f, int fd, const char *path, uint16_t kind, uint64_t epoch,
                       uint32_t first, uint32_t count, const char *what)
{
    struct pagefile pf = {0};
    uint32_t bad;

    if (pagefile_init(&pf, f->io, fd, kind, epoch, first, count) < 0)
        return;
    bad = read_pages(&pf);
    if (bad)
        find(f, DAMAGE, path, NOT_REPLACED, "%u of its %s pages are damaged in both "
                                                      "slots", bad, what);
    fsck_check_pages(f, &pf, path, what);
    pagefile_done(&pf);
}

static void check_map(struct fsck *f, const struct disk *d, const struct super_disk *sd)
{
    _cleanup_free_ char *path = disk_map_path(d, sd->map_epoch);
    uint32_t masks = map_pages(d->blocks), planes = owner_plane_pages(d);
    int fd = fsck_open_sized(f, path, pagefile_bytes(masks + planes), false, NOT_REPLACED);

    if (fd < 0)
        return;
    check_part(f, fd, path, KIND_MAP_MISSING, sd->map_epoch, 0, masks, "map");
    check_part(f, fd, path, KIND_PLANES, sd->map_epoch, masks, planes, "dirty plane");
    f->io->ops->close(f->io, fd);
}

static void check_log(struct fsck *f, const struct disk *d, const struct super_disk *sd)
{
    _cleanup_free_ char *path = owner_log_path(d, sd->map_epoch);
    struct actlog *log = NULL;
    int r = actlog_inspect(f->io, path, sd->map_epoch, d->size, &log);

    if (r < 0)
        find(f, DAMAGE, path, NOT_REPLACED, "the log of where the guest may have written "
                                                      "%s (%s)",
                  r == -EBADMSG ? "is damaged" : "cannot be read", strerror(-r));
    else
        fsck_check_pages(f, &log->file, path, "log");
    actlog_free(log);
}

void fsck_check_owner_disk(struct fsck *f, const struct disk *d, const struct super_disk *sd)
{
    check_map(f, d, sd);
    check_log(f, d, sd);
}

static void check_source(struct fsck *f)
{
    _cleanup_free_ char *path = str_format("%s/source.json", f->store);
    _cleanup_error_ struct error *e = NULL;
    struct sourcefile file = {0};
    int r = sourcefile_read(f->io, f->store, &file, &e);

    if (r == -ENOENT)
        find(f, NOTE, path, "if blocks are missing: 'slipway engine source' tells where "
                                      "the source is", "it is not there: the next engine does not "
                  "know where the missing blocks are read");
    else if (r < 0)
        find(f, NOTE, path, "'slipway engine source' tells anew where the source is",
                  "%s", e ? error_text(e) : strerror(-r));
    else if (strcmp(file.snapshot, f->super.snapshot) != 0)
        find(f, NOTE, path, "'slipway engine source' tells anew where the source is",
                  "it is about snapshot '%s', the store about '%s'", file.snapshot,
                  f->super.snapshot);
    sourcefile_done(&file);
}

void fsck_check_owner(struct fsck *f)
{
    if (f->super.mode == MODE_OWNER_HYD)
        check_source(f);
    if (f->super.flags & SUPER_LATCHED)
        find(f, DAMAGE, f->store, "see to the device, check the guest's file systems, "
                                            "and serve with --accept-loss",
                  "a flush of the VM's disks failed once: writes that the guest takes for durable "
                  "may be lost");
    if (!f->super.clean)
        find(f, NOTE, f->store, "nothing; the next start of the engine goes on",
                  "the last engine did not end in order: as long as this machine is not "
                  "restarted, its live files hold what is newer than the maps here");
}
