/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/driverset.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/drivertable.h"

#define FILE_LIMIT (64 << 20)
#define FILES_LIMIT 256
#define BLOCK 65536
#define PLACE "/usr/share/virtio-win"

const char *driverset_default(void)
{
    static const char *const places[] = {PLACE "/virtio-win.iso", PLACE};

    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

static void file_done(struct driver_file *f)
{
    free(f->name);
    free(f->origin);
    free(f->data);
}

void driverset_done(struct driver_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        file_done(&set->items[i]);
    free(set->items);
    *set = (struct driver_set){0};
}

const struct driver_file *driverset_find(const struct driver_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->items[i].name, name) == 0)
            return &set->items[i];
    return NULL;
}

static char *lower_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = str_dup(slash ? slash + 1 : path);

    for (char *p = name; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return name;
}

/* True when a file of this rank is wanted: none of a better fitting directory is here yet.  What
 * fits worse is dropped. */
static bool make_room(struct driver_set *set, const struct drivermatch *match, const char *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct driver_file *f = &set->items[i];

        if (strcmp(f->driver, match->driver) == 0 &&
            (f->rank < match->rank || (f->rank == match->rank && strcmp(f->name, name) == 0)))
            return false;
    }
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->items[i].driver, match->driver) == 0 && set->items[i].rank > match->rank)
            file_done(&set->items[i]);
        else
            set->items[kept++] = set->items[i];
    }
    set->count = kept;
    return kept < FILES_LIMIT;
}

/* Notes the file `path` when it is wanted; its content will be read from `origin`. */
static void choose(struct driver_set *set, const struct windows *w, const char *path,
                   const char *origin)
{
    struct driver_file *items;
    struct drivermatch match;
    _cleanup_free_ char *name = NULL;

    if (!drivertable_match(path, w, &match))
        return;
    name = lower_name(path);
    if (!make_room(set, &match, name))
        return;
    items = reallocarray(set->items, set->count + 1, sizeof(*items));
    if (!items)
        abort();
    set->items = items;
    items[set->count++] = (struct driver_file){.driver = match.driver,
                                               .rank = match.rank,
                                               .name = steal_ptr(name),
                                               .origin = str_dup(origin)};
}

static int by_fts_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int load_directory(const char *source, const struct windows *w, struct driver_set *set,
                          struct error **err)
{
    char *roots[] = {(char *)source, NULL};
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_fts_name);
    int r = 0;
    FTSENT *e;

    if (!walk)
        return error_set_errno(err, errno, "cannot read the Windows drivers in '%s'", source);
    while ((e = fts_read(walk)))
        if (e->fts_info == FTS_F)
            choose(set, w, e->fts_path + strlen(source), e->fts_path);
    fts_close(walk);
    for (size_t i = 0; r == 0 && i < set->count; i++) {
        struct driver_file *f = &set->items[i];
        struct stat st;

        r = stat(f->origin, &st) < 0 ? -errno : st.st_size > FILE_LIMIT ? -EFBIG : 0;
        if (r == 0)
            r = fdio_read_file(f->origin, (size_t)st.st_size, &f->data, &f->length);
        if (r < 0)
            error_set_errno(err, -r, "cannot read the Windows driver '%s'", f->origin);
    }
    return r;
}

/* Calls visit for each regular file.  ISOs keep equal files once; libarchive tells the second one
 * as a link to the first, without content. */
static int walk_iso(const char *source,
                    int (*visit)(struct archive *a, struct archive_entry *entry, void *context),
                    void *context, struct error **err)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    int r = 0, status;

    if (!a)
        abort();
    archive_read_support_format_iso9660(a);
    status = archive_read_open_filename(a, source, BLOCK);
    while (r == 0 && (status == ARCHIVE_OK || status == ARCHIVE_WARN)) {
        status = archive_read_next_header(a, &entry);
        if ((status == ARCHIVE_OK || status == ARCHIVE_WARN) && archive_entry_pathname(entry) &&
            archive_entry_filetype(entry) == AE_IFREG)
            r = visit(a, entry, context);
    }
    if (r == 0 && status != ARCHIVE_EOF)
        r = -EIO;
    if (r < 0)
        error_set(err, -r, "cannot read the Windows drivers in '%s': %s", source,
                  archive_error_string(a) ? archive_error_string(a) : "it ends too early");
    archive_read_free(a);
    return r;
}

struct iso_walk {
    struct driver_set *set;
    const struct windows *windows;
};

static int choose_entry(struct archive *a, struct archive_entry *entry, void *context)
{
    const struct iso_walk *walk = context;
    const char *path = archive_entry_pathname(entry), *first = archive_entry_hardlink(entry);

    choose(walk->set, walk->windows, path, first ? first : path);
    return 0;
}

/* The content of this file, for all that were chosen with it. */
static int fill_entry(struct archive *a, struct archive_entry *entry, void *context)
{
    const struct iso_walk *walk = context;
    const char *path = archive_entry_pathname(entry);
    int64_t size = archive_entry_size(entry);
    _cleanup_free_ char *data = NULL;

    if (archive_entry_hardlink(entry))
        return 0;
    for (size_t i = 0; i < walk->set->count; i++) {
        struct driver_file *f = &walk->set->items[i];

        if (strcmp(f->origin, path) != 0)
            continue;
        if (size < 0 || size > FILE_LIMIT)
            return -EFBIG;
        if (!data) {
            data = mem_new((size_t)size + 1, 1);
            if (archive_read_data(a, data, (size_t)size) != size)
                return -EIO;
        }
        f->data = mem_new((size_t)size + 1, 1);
        memcpy(f->data, data, (size_t)size);
        f->length = (size_t)size;
    }
    return 0;
}

static int load_iso(const char *source, const struct windows *w, struct driver_set *set,
                    struct error **err)
{
    struct iso_walk walk = {.set = set, .windows = w};
    int r = walk_iso(source, choose_entry, &walk, err);

    if (r == 0 && set->count > 0)
        r = walk_iso(source, fill_entry, &walk, err);
    for (size_t i = 0; r == 0 && i < set->count; i++)
        if (!set->items[i].data)
            r = error_set(err, EIO, "the Windows driver '%s' in '%s' has no content",
                          set->items[i].origin, source);
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct driver_file *)a)->name, ((const struct driver_file *)b)->name);
}

int driverset_load(const char *source, const struct windows *w, struct driver_set *ret_set,
                   struct error **err)
{
    struct driver_set set = {0};
    struct stat st;
    int r;

    if (stat(source, &st) < 0)
        return error_set_errno(err, errno, "the Windows drivers '%s' cannot be opened", source);
    r = S_ISDIR(st.st_mode) ? load_directory(source, w, &set, err) : load_iso(source, w, &set, err);
    if (r < 0) {
        driverset_done(&set);
        return r;
    }
    if (set.count > 0)
        qsort(set.items, set.count, sizeof(*set.items), by_name);
    *ret_set = set;
    return 0;
}
