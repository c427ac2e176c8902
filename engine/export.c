/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/export.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/str.h"
#include "engine/draft.h"
#include "engine/load.h"
#include "engine/store.h"

/* "NAME@GENERATION" → name and generation; gen stays NO_GENERATION without one. */
static int split_name(const char *text, char *name, size_t size, uint64_t *gen)
{
    const char *at = strrchr(text, '@');
    size_t length = at ? (size_t)(at - text) : strlen(text);
    char *end;

    if (length >= size)
        return -ENOENT;
    memcpy(name, text, length);
    name[length] = '\0';
    *gen = NO_GENERATION;
    if (!at)
        return 0;
    if (at[1] < '0' || at[1] > '9')
        return -ENOENT;
    errno = 0;
    *gen = strtoull(at + 1, &end, 10);
    return errno || *end || *gen == NO_GENERATION ? -ENOENT : 0;
}

static int open_draft_locked(struct engine *e, const char *name, struct export *x)
{
    const char *slash = strchr(name, '/');
    struct draft *dr = draft_find_locked(e, name, (size_t)(slash - name));

    if (!dr || dr->state != DRAFT_OPEN)
        return -ENOENT;
    x->disk = engine_disk(e, slash + 1);
    if (!x->disk)
        return -ENOENT;
    x->ops = &export_draft_ops;
    x->draft = dr;
    dr->users++;
    return 0;
}

static bool ends_so(const char *name, const char *suffix)
{
    size_t length = strlen(name), n = strlen(suffix);

    return length >= n && strcmp(name + length - n, suffix) == 0;
}

static bool is_load_name(const char *name)
{
    return ends_so(name, LOAD_SUFFIX);
}

static int open_early_locked(struct engine *e, const char *name, struct export *x)
{
    size_t length = strlen(name) - strlen(EARLY_SUFFIX);
    const char *slash = memchr(name, '/', length);
    _cleanup_free_ char *draft = slash ? strndup(name, (size_t)(slash - name)) : NULL;
    _cleanup_free_ char *disk =
        slash ? strndup(slash + 1, length - (size_t)(slash + 1 - name)) : NULL;

    if (!draft || !disk || store_check_disk_name(draft, NULL) < 0)
        return -ENOENT;
    x->disk = engine_disk(e, disk);
    if (!x->disk)
        return -ENOENT;
    x->ops = &export_early_ops;
    x->early_name = steal_ptr(draft);
    return 0;
}

static int open_load_locked(struct engine *e, const char *name, struct export *x)
{
    _cleanup_free_ char *disk = strndup(name, strlen(name) - strlen(LOAD_SUFFIX));

    x->disk = disk && *disk ? engine_disk(e, disk) : &e->disks[0];
    if (!x->disk)
        return -ENOENT;
    if (!e->load || e->load->closing)
        return -EBUSY;
    x->ops = &export_load_ops;
    x->load = e->load;
    x->load->users++;
    return 0;
}

static int open_locked(struct engine *e, const char *name, struct export *x)
{
    char disk_name[DISK_NAME_MAX + 1];
    uint64_t gen;

    if (is_load_name(name))
        return open_load_locked(e, name, x);
    if (ends_so(name, EARLY_SUFFIX))
        return open_early_locked(e, name, x);
    if (strchr(name, '/'))
        return open_draft_locked(e, name, x);
    if (split_name(name, disk_name, sizeof(disk_name), &gen) < 0)
        return -ENOENT;
    x->disk = disk_name[0] ? engine_disk(e, disk_name) : &e->disks[0];
    if (!x->disk)
        return -ENOENT;
    if (store_mode_is_owner(e->mode) && e->flipping)
        return -ESHUTDOWN;
    if (store_mode_is_owner(e->mode) && gen == NO_GENERATION) {
        if (e->returning)
            return -EBUSY;
        x->ops = &export_owner_ops;
        e->owner_opens++;
        return 0;
    }
    x->ops = &export_view_ops;
    return view_get_locked(e, gen, &x->view);
}

unsigned export_count_owner_locked(const struct engine *e)
{
    unsigned count = 0;

    for (const struct export *x = e->exports; x; x = x->next)
        count += x->ops == &export_owner_ops;
    return count;
}

static int refuse(struct engine *e, const char *name, int r, struct error **err)
{
    if (r == -EBUSY && is_load_name(name))
        return error_set(err, EBUSY, "the push to %s is being ended; try again", e->store);
    if (r == -ESHUTDOWN && e->mode == MODE_INIT)
        return error_set(err, EAGAIN, "%s: nothing can be read before the initial sync is "
                                      "complete", e->store);
    if (r == -EBUSY)
        return error_set(err, EBUSY, "%s: the final pass of a failback runs, its disks are not "
                                     "served meanwhile", e->store);
    if (r == -ESHUTDOWN)
        return error_set(err, ESHUTDOWN, "%s: mode %s offers no export '%s' (now)", e->store,
                         store_mode_name(e->mode), name);
    if (r == -ENOENT)
        return error_set(err, ENOENT,
                         "%s has no export '%s'; it offers DISK, DISK@GENERATION for retained "
                         "generations, DRAFT/DISK, DRAFT/DISK+early before there is that draft, "
                         "and DISK+load to push to", e->store, name);
    return error_set_errno(err, -r, "cannot open export '%s' of %s", name, e->store);
}

int engine_export_open(struct engine *e, const char *name, struct export **ret_export,
                       struct error **err)
{
    struct export *x;
    int r = is_load_name(name) ? load_ensure(e, err) : 0;

    if (r < 0)
        return r;
    x = mem_new(1, sizeof(*x));
    LOCK_FOR_SCOPE(&e->lock);
    x->engine = e;
    r = open_locked(e, name, x);
    if (r < 0) {
        free(x);
        return refuse(e, name, r, err);
    }
    x->next = e->exports;
    if (x->next)
        x->next->prev = x;
    e->exports = x;
    e->open_exports++;
    *ret_export = x;
    return 0;
}

void export_close(struct export *x)
{
    struct engine *e = x->engine;

    pthread_mutex_lock(&e->lock);
    if (x->prev)
        x->prev->next = x->next;
    else
        e->exports = x->next;
    if (x->next)
        x->next->prev = x->prev;
    e->open_exports--;
    if (x->ops->close_locked)
        x->ops->close_locked(x);
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    if (x->ops == &export_load_ops)
        load_left(e);
    free(x);
}

static int list_disk_locked(struct engine *e, const struct disk *d,
                            int (*fn)(const char *, const char *, void *), void *context)
{
    char name[2 * DISK_NAME_MAX + 32], text[64];
    int r;

    if (e->load) {
        snprintf(name, sizeof(name), "%s%s", d->name, LOAD_SUFFIX);
        r = fn(name, "read-write, the push that is open", context);
        if (r < 0)
            return r;
    }
    if (store_mode_is_owner(e->mode))
        return fn(d->name, "read-write, the truth", context);
    if (e->mode != MODE_MIRROR)
        return 0;
    snprintf(text, sizeof(text), "read-only, generation %" PRIu64, e->cur_gen);
    r = fn(d->name, text, context);
    for (uint64_t gen = e->cur_gen; r == 0 && gen > 0 && view_is_readable_locked(e, gen - 1);
         gen--) {
        snprintf(name, sizeof(name), "%s@%" PRIu64, d->name, gen - 1);
        r = fn(name, "read-only, an older generation that is retained", context);
    }
    for (const struct draft *dr = e->drafts; r == 0 && dr; dr = dr->next) {
        if (dr->state != DRAFT_OPEN)
            continue;
        snprintf(name, sizeof(name), "%s/%s", dr->name, d->name);
        snprintf(text, sizeof(text), "read-write draft over generation %" PRIu64, dr->gen);
        r = fn(name, text, context);
    }
    return r;
}

int engine_export_list(struct engine *e, int (*fn)(const char *, const char *, void *),
                       void *context)
{
    int r = 0;

    LOCK_FOR_SCOPE(&e->lock);
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
        r = list_disk_locked(e, &e->disks[i], fn, context);
    return r;
}

uint64_t export_size(const struct export *x)
{
    return x->disk->size;
}

bool export_writable(const struct export *x)
{
    return x->ops->pwrite != NULL;
}

uint32_t export_minimum_block(const struct export *x)
{
    if (x->ops == &export_owner_ops && x->disk->target.block_device)
        return x->disk->target.alignment;
    return 1;
}

int export_pread(struct export *x, void *data, uint32_t length, uint64_t offset)
{
    uint64_t began = yield_begin(&x->engine->yield);
    int r = x->ops->pread(x, data, length, offset);

    yield_end(&x->engine->yield, began);
    return r;
}

int export_pwrite(struct export *x, const void *data, uint32_t length, uint64_t offset,
                  unsigned flags)
{
    uint64_t began;
    int r;

    if (!x->ops->pwrite)
        return -EROFS;
    began = yield_begin(&x->engine->yield);
    r = x->ops->pwrite(x, data, length, offset, flags);
    yield_end(&x->engine->yield, began);
    return r;
}

int export_zero(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    return x->ops->zero ? x->ops->zero(x, length, offset, flags) : -EROFS;
}

int export_trim(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    if (!x->ops->pwrite)
        return -EROFS;
    return x->ops->trim ? x->ops->trim(x, length, offset, flags) : 0;
}

int export_flush(struct export *x)
{
    uint64_t began;
    int r;

    if (!x->ops->flush)
        return 0;
    began = yield_begin(&x->engine->yield);
    r = x->ops->flush(x);
    yield_end(&x->engine->yield, began);
    return r;
}

int export_cache(struct export *x, uint32_t length, uint64_t offset)
{
    return x->ops->cache ? x->ops->cache(x, length, offset) : 0;
}

int export_extents(struct export *x, uint64_t length, uint64_t offset,
                   int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    return x->ops->extents(x, MIN(length, x->disk->size - offset), offset, fn, context);
}
