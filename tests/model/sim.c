/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/sim.h"

#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/iszero.h"
#include "base/str.h"

#define TEAR UINT64_C(512)
#define PAGE UINT64_C(4096)

struct image {
    uint8_t *bytes;
    uint64_t size, room;
};

struct pending {
    struct pending *next;
    uint64_t offset, length;
    bool lost; /* an fdatasync that should have covered it failed */
    uint8_t bytes[];
};

struct inode {
    struct inode *next;
    unsigned number;
    unsigned tear; /* bytes that are written as a whole or not at all */
    bool folder;
    struct image now, durable;
    struct pending *first, **last; /* completed, not durable; oldest first */
};

struct name {
    struct name *next;
    char *path;
    struct inode *inode;
};

enum change_kind { CHANGE_ADD, CHANGE_REMOVE };

/* A rename is a remove and an add that stand or fall together (`more`). */
struct change {
    struct change *next;
    enum change_kind kind;
    bool more;
    char *path;
    struct inode *inode;
};

struct sim_flight {
    struct sim_flight *next;
    struct inode *inode;
    uint64_t offset, length;
    bool orphan; /* of a process that is gone */
    uint8_t bytes[];
};

struct open_file {
    struct inode *inode; /* NULL: free */
    bool direct, read_only, locked;
};

struct sim {
    struct io io;
    struct random random;
    struct inode *inodes;
    struct name *names, *durable_names;
    struct change *changes; /* of names, oldest first */
    struct sim_flight *flights;
    struct open_file files[256];
    unsigned next_inode, calls, fault_at, quiet, store_tear;
    uint32_t landing; /* orphaned writes land once in so many calls */
    enum sim_fault fault;
    bool dead, hit;
    uint32_t alignment;
    uint64_t free_space, file_max;
};

/* ---- images ---- */

/* Memory is there up to `room`; the rest of a file reads as zero. */
static void image_reserve(struct image *im, uint64_t room)
{
    if (room <= im->room)
        return;
    room = round_up(room, PAGE);
    im->bytes = realloc(im->bytes, room);
    if (!im->bytes)
        abort();
    memset(im->bytes + im->room, 0, room - im->room);
    im->room = room;
}

static void image_resize(struct image *im, uint64_t size)
{
    if (size < im->room)
        memset(im->bytes + size, 0, im->room - size);
    im->size = size;
}

static void image_write(struct image *im, uint64_t offset, const uint8_t *bytes, uint64_t length)
{
    if (length == 0)
        return;
    image_reserve(im, offset + length);
    im->size = MAX(im->size, offset + length);
    memcpy(im->bytes + offset, bytes, length);
}

static void image_read(const struct image *im, uint64_t offset, uint8_t *bytes, uint64_t length)
{
    uint64_t n = offset < im->room ? MIN(length, im->room - offset) : 0;

    if (n > 0)
        memcpy(bytes, im->bytes + offset, n);
    memset(bytes + n, 0, length - n);
}

static void image_copy(struct image *to, const struct image *from)
{
    uint64_t n = MIN(from->size, from->room);

    image_resize(to, 0);
    image_reserve(to, n);
    if (n > 0)
        memcpy(to->bytes, from->bytes, n);
    to->size = from->size;
}

/* ---- names ---- */

static struct name **name_find(struct name **list, const char *path)
{
    while (*list && strcmp((*list)->path, path) != 0)
        list = &(*list)->next;
    return list;
}

static void name_set(struct name **list, const char *path, struct inode *inode)
{
    struct name **at = name_find(list, path), *old = *at;

    if (inode && old) {
        old->inode = inode;
    } else if (inode) {
        *at = mem_new(1, sizeof(**at));
        **at = (struct name){.path = str_dup(path), .inode = inode};
    } else if (old) {
        *at = old->next;
        free(old->path);
        free(old);
    }
}

static struct inode *lookup(struct sim *s, const char *path)
{
    struct name *n = *name_find(&s->names, path);

    return n ? n->inode : NULL;
}

static void change_add(struct sim *s, enum change_kind kind, const char *path,
                       struct inode *inode, bool more)
{
    struct change **at = &s->changes;

    while (*at)
        at = &(*at)->next;
    *at = mem_new(1, sizeof(**at));
    **at = (struct change){
        .kind = kind, .path = str_dup(path), .inode = inode, .more = more};
    name_set(&s->names, path, kind == CHANGE_ADD ? inode : NULL);
}

static size_t parent_length(const char *path)
{
    return (size_t)(strrchr(path, '/') - path);
}

static bool same_system(const char *a, const char *b)
{
    size_t n = 1 + strcspn(a + 1, "/");

    return strncmp(a, b, n) == 0 && (b[n] == '/' || b[n] == '\0');
}

static struct change *change_take(struct change **at)
{
    struct change *c = *at;

    *at = c->next;
    return c;
}

static void change_harden(struct sim *s, struct change *c, bool keep)
{
    if (keep)
        name_set(&s->durable_names, c->path, c->kind == CHANGE_ADD ? c->inode : NULL);
    free(c->path);
    free(c);
}

/* The changes of path's file system up to the last one inside the folder `path`. */
static void harden_names(struct sim *s, const char *path)
{
    size_t length = strlen(path);
    struct change *last = NULL, *c, **at = &s->changes;

    for (c = s->changes; c; c = c->next)
        if (parent_length(c->path) == length && strncmp(c->path, path, length) == 0)
            last = c;
    for (bool done = last == NULL; !done;) {
        if (!same_system(path, (*at)->path)) {
            at = &(*at)->next;
            continue;
        }
        done = *at == last && !last->more;
        if (*at == last && last->more)
            last = last->next;
        change_harden(s, change_take(at), true);
    }
}

/* ---- faults and counting ---- */

enum effect { EFFECT_NONE, EFFECT_WHOLE, EFFECT_TORN };

static void land(struct sim *s, struct sim_flight **at);

static void land_some(struct sim *s)
{
    struct sim_flight **at = &s->flights;

    while (*at)
        if ((*at)->orphan && random_once_in(&s->random, s->landing))
            land(s, at);
        else
            at = &(*at)->next;
}

/* 0: go on; -errno: fail, after the effect in *ret_effect.  takes_space: ENOSPC is possible. */
static int enter(struct sim *s, bool takes_space, enum effect *ret_effect)
{
    *ret_effect = EFFECT_NONE;
    if (s->dead)
        return -EIO;
    if (s->quiet)
        return 0;
    s->calls++;
    land_some(s);
    if (s->fault == SIM_NO_FAULT || s->calls < s->fault_at || s->hit)
        return 0;
    if (s->fault == SIM_ENOSPC && !takes_space)
        return 0;
    s->hit = true;
    if (s->fault == SIM_ENOSPC)
        return -ENOSPC;
    *ret_effect = random_below(&s->random, 3);
    s->dead = s->fault == SIM_CRASH;
    return -EIO;
}

static int enter_plain(struct sim *s)
{
    enum effect effect;

    return enter(s, false, &effect);
}

static struct open_file *get_file(struct sim *s, int fd)
{
    return fd >= 0 && fd < (int)ARRAY_SIZE(s->files) && s->files[fd].inode ? &s->files[fd] : NULL;
}

/* ---- data ---- */

static void pending_free(struct inode *i)
{
    while (i->first) {
        struct pending *p = i->first;

        i->first = p->next;
        free(p);
    }
    i->last = &i->first;
}

/* bytes NULL: zeros. */
static void write_now(struct inode *i, uint64_t offset, const uint8_t *bytes, uint64_t length)
{
    struct pending *p = mem_new(1, sizeof(*p) + length);

    p->offset = offset;
    p->length = length;
    if (bytes)
        memcpy(p->bytes, bytes, length);
    *i->last = p;
    i->last = &p->next;
    image_write(&i->now, offset, p->bytes, length);
}

/* Any sectors of it, as a torn write leaves them. */
static void write_torn(struct sim *s, struct inode *i, uint64_t offset, const uint8_t *bytes,
                       uint64_t length)
{
    for (uint64_t at = 0; at < length;) {
        uint64_t n = MIN(length - at, (uint64_t)i->tear * (1 + random_below(&s->random, 8)));

        if (random_once_in(&s->random, 2))
            write_now(i, offset + at, bytes + at, n);
        at += n;
    }
}

static void write_effect(struct sim *s, struct inode *i, enum effect effect, uint64_t offset,
                         const uint8_t *bytes, uint64_t length)
{
    if (effect == EFFECT_WHOLE)
        write_now(i, offset, bytes, length);
    else if (effect == EFFECT_TORN)
        write_torn(s, i, offset, bytes, length);
}

static struct pending *pending_part(const struct pending *p, uint64_t from, uint64_t to)
{
    struct pending *part = mem_new(1, sizeof(*part) + (to - from));

    part->offset = from;
    part->length = to - from;
    part->lost = p->lost;
    memcpy(part->bytes, p->bytes + (from - p->offset), to - from);
    return part;
}

/* The range is durable in a newer version: what `*at` would put there no longer counts.  Returns
 * where to go on. */
static struct pending **pending_clip(struct pending **at, uint64_t offset, uint64_t length)
{
    struct pending *p = *at, *next = p->next;
    uint64_t end = offset + length, p_end = p->offset + p->length;

    if (!ranges_overlap(offset, length, p->offset, p->length))
        return &p->next;
    if (p_end > end) {
        *at = pending_part(p, end, p_end);
        (*at)->next = next;
        next = *at;
    }
    if (p->offset < offset) {
        *at = pending_part(p, p->offset, offset);
        (*at)->next = next;
        next = *at;
    }
    *at = next;
    free(p);
    return at;
}

static void pending_find_last(struct inode *i)
{
    i->last = &i->first;
    while (*i->last)
        i->last = &(*i->last)->next;
}

/* The newest write, and only it, becomes durable. */
static void harden_newest(struct inode *i)
{
    struct pending **at = &i->first, *newest = i->first;

    while (newest->next)
        newest = newest->next;
    image_write(&i->durable, newest->offset, newest->bytes, newest->length);
    while (*at != newest)
        at = pending_clip(at, newest->offset, newest->length);
    *at = NULL;
    i->last = at;
    free(newest);
}

/* All but the lost ones; those lose what a later write covers. */
static void harden(struct inode *i)
{
    struct pending *p;

    for (struct pending **at = &i->first; (p = *at);) {
        if (p->lost) {
            at = &p->next;
            continue;
        }
        image_write(&i->durable, p->offset, p->bytes, p->length);
        for (struct pending **old = &i->first; *old && *old != p;)
            old = pending_clip(old, p->offset, p->length);
        at = &i->first;
        while (*at != p)
            at = &(*at)->next;
        *at = p->next;
        free(p);
    }
    pending_find_last(i);
}

static void land(struct sim *s, struct sim_flight **at)
{
    struct sim_flight *f = *at;

    *at = f->next;
    write_now(f->inode, f->offset, f->bytes, f->length);
    free(f);
}

struct sim_flight *sim_submit(struct sim *s, int fd, const void *data, size_t length,
                              uint64_t offset, int *ret_error)
{
    struct open_file *f = get_file(s, fd);
    struct sim_flight *flight;

    *ret_error = s->dead ? -EIO : !f ? -EBADF : 0;
    if (*ret_error == 0 && f->direct && ((offset | length) & (s->alignment - 1)))
        *ret_error = -EINVAL;
    if (*ret_error)
        return NULL;
    flight = mem_new(1, sizeof(*flight) + length);
    flight->inode = f->inode;
    flight->offset = offset;
    flight->length = length;
    memcpy(flight->bytes, data, length);
    flight->next = s->flights;
    s->flights = flight;
    return flight;
}

int sim_complete(struct sim *s, struct sim_flight *flight)
{
    struct sim_flight **at = &s->flights;
    enum effect effect;
    int r = enter(s, true, &effect);

    if (s->dead) {
        flight->orphan = true;
        return -EIO;
    }
    while (*at != flight)
        at = &(*at)->next;
    if (r == 0) {
        land(s, at);
        return 0;
    }
    *at = flight->next;
    write_effect(s, flight->inode, effect, flight->offset, flight->bytes, flight->length);
    free(flight);
    return r;
}

/* ---- struct io ---- */

static struct sim *sim_of(struct io *io)
{
    return (struct sim *)io;
}

static int new_file(struct sim *s, const char *path, bool folder, struct inode **ret_inode)
{
    _cleanup_free_ char *parent = strndup(path, parent_length(path));
    struct inode *up = *parent ? lookup(s, parent) : NULL, *i;

    if (*parent && (!up || !up->folder))
        return -ENOENT;
    if (lookup(s, path))
        return -EEXIST;
    i = mem_new(1, sizeof(*i));
    i->number = ++s->next_inode;
    i->folder = folder;
    i->tear = str_starts(path, "/store/") ? s->store_tear : TEAR;
    i->last = &i->first;
    i->next = s->inodes;
    s->inodes = i;
    change_add(s, CHANGE_ADD, path, i, false);
    *ret_inode = i;
    return 0;
}

static int open_slot(struct sim *s, struct inode *i, int flags)
{
    for (unsigned fd = 3; fd < ARRAY_SIZE(s->files); fd++)
        if (!s->files[fd].inode) {
            s->files[fd] = (struct open_file){
                .inode = i, .direct = flags & IO_DIRECT, .read_only = flags & IO_RDONLY};
            return (int)fd;
        }
    return -EMFILE;
}

static int sim_open(struct io *io, const char *path, int flags)
{
    struct sim *s = sim_of(io);
    struct inode *i = lookup(s, path);
    enum effect effect;
    int r = enter(s, flags & IO_CREATE, &effect);

    if (r < 0 && effect == EFFECT_NONE)
        return r;
    if (flags & IO_CREATE) {
        int made = new_file(s, path, false, &i);

        r = r < 0 ? r : made;
    } else if (!i) {
        return r < 0 ? r : -ENOENT;
    } else if (i->folder) {
        return r < 0 ? r : -EISDIR;
    }
    return r < 0 ? r : open_slot(s, i, flags);
}

static void sim_close(struct io *io, int fd)
{
    struct open_file *f = get_file(sim_of(io), fd);

    if (f)
        *f = (struct open_file){0};
}

static ssize_t sim_pread(struct io *io, int fd, void *data, size_t length, uint64_t offset)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    int r = enter_plain(s);
    size_t n;

    if (r < 0 || !f)
        return r < 0 ? r : -EBADF;
    if (f->direct && ((offset | length) & (s->alignment - 1)))
        return -EINVAL;
    if (offset >= f->inode->now.size)
        return 0;
    n = (size_t)MIN((uint64_t)length, f->inode->now.size - offset);
    if (n > TEAR && !s->quiet && random_once_in(&s->random, 32))
        n = round_down(n / 2, TEAR); /* short reads happen */
    image_read(&f->inode->now, offset, data, n);
    return (ssize_t)n;
}

static ssize_t sim_pwrite(struct io *io, int fd, const void *data, size_t length,
                          uint64_t offset, bool dsync)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    enum effect effect;
    int r;

    if (!f || f->read_only)
        return -EBADF;
    if (offset + length > s->file_max)
        return -EFBIG;
    if (f->direct && ((offset | length) & (s->alignment - 1)))
        return -EINVAL;
    r = enter(s, !dsync, &effect); /* what is written dsync has its space */
    if (r < 0) {
        write_effect(s, f->inode, effect, offset, data, length);
        return r;
    }
    write_now(f->inode, offset, data, length);
    if (dsync)
        harden_newest(f->inode);
    return (ssize_t)length;
}

static int sim_fdatasync(struct io *io, int fd)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    int r = enter_plain(s);

    if (!f)
        return -EBADF;
    if (r < 0) {
        for (struct pending *p = f->inode->first; p; p = p->next)
            p->lost = true;
        return r;
    }
    harden(f->inode);
    image_resize(&f->inode->durable, f->inode->now.size);
    return 0;
}

static int sim_sync_dir(struct io *io, const char *path)
{
    struct sim *s = sim_of(io);
    struct inode *i = lookup(s, path);
    int r = enter_plain(s);

    if (r < 0 || !i || !i->folder)
        return r < 0 ? r : -ENOENT;
    harden_names(s, path);
    return 0;
}

static int sim_zero(struct io *io, int fd, uint64_t offset, uint64_t length, enum io_zero_how how)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    enum effect effect;
    int r = enter(s, true, &effect);
    uint64_t end;

    if (!f)
        return -EBADF;
    end = MIN(offset + length, f->inode->now.size);
    if ((r == 0 || effect != EFFECT_NONE) && end > offset)
        write_now(f->inode, offset, NULL, end - offset);
    return r;
}

static int sim_allocate(struct io *io, int fd, uint64_t offset, uint64_t length)
{
    enum effect effect;

    return enter(sim_of(io), true, &effect);
}

static int sim_truncate(struct io *io, int fd, uint64_t size)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    enum effect effect;
    int r = enter(s, true, &effect);

    if (!f || size > s->file_max)
        return f ? -EFBIG : -EBADF;
    if (r == 0 || effect != EFFECT_NONE)
        image_resize(&f->inode->now, size);
    return r;
}

static int sim_size(struct io *io, int fd, uint64_t *ret_size)
{
    struct open_file *f = get_file(sim_of(io), fd);
    int r = enter_plain(sim_of(io));

    if (r < 0 || !f)
        return r < 0 ? r : -EBADF;
    *ret_size = f->inode->now.size;
    return 0;
}

static int sim_mkdir(struct io *io, const char *path)
{
    struct inode *i;
    enum effect effect;
    int r = enter(sim_of(io), true, &effect), made = 0;

    if (r == 0 || effect != EFFECT_NONE)
        made = new_file(sim_of(io), path, true, &i);
    return r < 0 ? r : made;
}

static int sim_unlink(struct io *io, const char *path)
{
    struct sim *s = sim_of(io);
    struct inode *i = lookup(s, path);
    enum effect effect;
    int r = enter(s, false, &effect);

    if (!i || i->folder)
        return r < 0 ? r : i ? -EISDIR : -ENOENT;
    if (r == 0 || effect != EFFECT_NONE)
        change_add(s, CHANGE_REMOVE, path, i, false);
    return r;
}

static int sim_rmdir(struct io *io, const char *path)
{
    struct sim *s = sim_of(io);
    struct inode *i = lookup(s, path);
    enum effect effect;
    int r = enter(s, false, &effect);

    if (r < 0 || !i || !i->folder)
        return r < 0 ? r : i ? -ENOTDIR : -ENOENT;
    for (struct name *n = s->names; n; n = n->next)
        if (str_starts(n->path, path) && n->path[strlen(path)] == '/')
            return -ENOTEMPTY;
    change_add(s, CHANGE_REMOVE, path, i, false);
    return 0;
}

static int sim_rename(struct io *io, const char *from, const char *to)
{
    struct sim *s = sim_of(io);
    struct inode *i = lookup(s, from);
    enum effect effect;
    int r = enter(s, true, &effect);

    if (!i)
        return r < 0 ? r : -ENOENT;
    if (r == 0 || effect != EFFECT_NONE) {
        change_add(s, CHANGE_REMOVE, from, i, true);
        change_add(s, CHANGE_ADD, to, i, false);
    }
    return r;
}

static int sim_list(struct io *io, const char *path, int (*fn)(const char *, void *),
                    void *context)
{
    struct sim *s = sim_of(io);
    size_t length = strlen(path);
    int r = enter_plain(s);

    if (r == 0 && !lookup(s, path))
        return -ENOENT;
    for (struct name *n = s->names; r >= 0 && n; n = n->next)
        if (parent_length(n->path) == length && strncmp(n->path, path, length) == 0)
            r = fn(n->path + length + 1, context);
    return r < 0 ? r : 0;
}

static int sim_seek(struct io *io, int fd, uint64_t offset, uint64_t size, uint64_t *ret_data,
                    uint64_t *ret_end)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    int r = enter_plain(s);
    const struct image *im;
    uint64_t at = round_down(offset, PAGE);
    bool found = false;

    if (r < 0 || !f)
        return r < 0 ? r : -EBADF;
    for (im = &f->inode->now; at < MIN(im->size, im->room); at += PAGE) {
        bool zero = is_zero(im->bytes + at, (size_t)MIN(PAGE, im->size - at));

        if (!zero && !found)
            *ret_data = MAX(at, offset);
        if (zero && found)
            break;
        found |= !zero;
    }
    if (!found)
        return -ENXIO;
    *ret_end = MIN(at, im->size);
    return 0;
}

static int sim_lock(struct io *io, int fd, uint64_t timeout_ns, int *ret_owner)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    struct sim_flight **at = &s->flights;
    int r = enter_plain(s);

    if (r < 0 || !f)
        return r < 0 ? r : -EBADF;
    for (unsigned i = 0; i < ARRAY_SIZE(s->files); i++)
        if (s->files[i].inode == f->inode && s->files[i].locked && &s->files[i] != f) {
            *ret_owner = 4711;
            return -EBUSY;
        }
    while (*at)
        if ((*at)->inode == f->inode && (*at)->orphan)
            land(s, at);
        else
            at = &(*at)->next;
    f->locked = true;
    return 0;
}

static uint64_t sim_free_space(struct io *io, const char *path)
{
    return sim_of(io)->free_space;
}

static uint32_t sim_alignment(struct io *io, int fd)
{
    struct open_file *f = get_file(sim_of(io), fd);

    return f && f->direct ? sim_of(io)->alignment : 1;
}

static int sim_identity(struct io *io, int fd, uint8_t ret_id[16])
{
    struct open_file *f = get_file(sim_of(io), fd);
    int r = enter_plain(sim_of(io));

    if (r < 0 || !f)
        return r < 0 ? r : -EBADF;
    memset(ret_id, 0, 16);
    memcpy(ret_id, &f->inode->number, sizeof(f->inode->number));
    return 0;
}

static int sim_is_block(struct io *io, int fd)
{
    return 0;
}

static const struct io_ops sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .fdatasync = sim_fdatasync,
    .sync_dir = sim_sync_dir,
    .zero = sim_zero,
    .allocate = sim_allocate,
    .truncate = sim_truncate,
    .size = sim_size,
    .mkdir = sim_mkdir,
    .unlink = sim_unlink,
    .rmdir = sim_rmdir,
    .rename = sim_rename,
    .list = sim_list,
    .seek = sim_seek,
    .lock = sim_lock,
    .free_space = sim_free_space,
    .alignment = sim_alignment,
    .identity = sim_identity,
    .is_block = sim_is_block,
    .ring = simring_new,
};

/* ---- the hand of fate ---- */

void sim_kill(struct sim *s)
{
    memset(s->files, 0, sizeof(s->files));
    for (struct sim_flight *f = s->flights; f; f = f->next)
        f->orphan = true;
    for (struct inode *i = s->inodes; i; i = i->next)
        for (struct pending *p = i->first; p; p = p->next)
            p->lost = false; /* the operator saw to the disk before the restart */
    s->dead = false;
    s->landing = 16u << random_below(&s->random, 6);
    s->fault = SIM_NO_FAULT;
}

static void lose_data(struct sim *s, struct inode *i, enum sim_loss loss)
{
    bool size_kept = loss == SIM_LOSE_NOTHING ||
                     (loss != SIM_LOSE_ALL && random_once_in(&s->random, 2));

    for (struct pending *p = i->first; p; p = p->next) {
        unsigned fate = loss == SIM_LOSE_ALL ? 0 : loss == SIM_LOSE_NOTHING ? 1
                        : loss == SIM_LOSE_TORN ? 2 : random_below(&s->random, 3);

        for (uint64_t at = 0; at < p->length; at += i->tear)
            if (fate == 1 || (fate == 2 && random_once_in(&s->random, 2)))
                image_write(&i->durable, p->offset + at, p->bytes + at,
                            MIN((uint64_t)i->tear, p->length - at));
    }
    if (size_kept)
        image_resize(&i->durable, i->now.size);
    pending_free(i);
    image_copy(&i->now, &i->durable);
}

/* Each file system keeps a beginning of its changes. */
static void lose_names(struct sim *s, enum sim_loss loss)
{
    struct change *c;

    while (s->changes) {
        char *system = str_dup(s->changes->path);
        struct change **at = &s->changes;
        bool keep = loss != SIM_LOSE_ALL, together = false;

        while ((c = *at)) {
            if (!same_system(system, c->path)) {
                at = &c->next;
                continue;
            }
            if (keep && !together && loss != SIM_LOSE_NOTHING && random_once_in(&s->random, 6))
                keep = false;
            together = c->more;
            change_harden(s, change_take(at), keep);
        }
        free(system);
    }
    while (s->names)
        name_set(&s->names, s->names->path, NULL);
    for (struct name *n = s->durable_names; n; n = n->next)
        name_set(&s->names, n->path, n->inode);
}

void sim_power_loss(struct sim *s, enum sim_loss loss)
{
    sim_kill(s);
    while (s->flights)
        land(s, &s->flights); /* the disk had them; what it keeps is decided now */
    for (struct inode *i = s->inodes; i; i = i->next)
        lose_data(s, i, loss);
    lose_names(s, loss);
}

/* ---- from outside ---- */

struct sim *sim_new(void)
{
    struct sim *s = mem_new(1, sizeof(*s));

    s->io.ops = &sim_ops;
    s->alignment = 1;
    s->store_tear = TEAR;
    s->landing = 64;
    s->free_space = UINT64_MAX;
    s->file_max = UINT64_C(16) << 20;
    return s;
}

void sim_free(struct sim *s)
{
    struct inode *i;
    struct sim_flight *f;

    while (s->names)
        name_set(&s->names, s->names->path, NULL);
    while (s->durable_names)
        name_set(&s->durable_names, s->durable_names->path, NULL);
    while (s->changes)
        change_harden(s, change_take(&s->changes), false);
    while ((f = s->flights)) {
        s->flights = f->next;
        free(f);
    }
    while ((i = s->inodes)) {
        s->inodes = i->next;
        pending_free(i);
        free(i->now.bytes);
        free(i->durable.bytes);
        free(i);
    }
    free(s);
}

struct io *sim_io(struct sim *s)
{
    return &s->io;
}

struct random *sim_random(struct sim *s)
{
    return &s->random;
}

void sim_seed(struct sim *s, uint64_t seed)
{
    s->random.state = seed;
}

void sim_set_fault(struct sim *s, enum sim_fault fault, unsigned at)
{
    s->fault = fault;
    s->fault_at = at;
    s->calls = 0;
    s->hit = false;
}

void sim_set_alignment(struct sim *s, uint32_t alignment)
{
    s->alignment = alignment;
}

void sim_set_file_max(struct sim *s, uint64_t bytes)
{
    s->file_max = bytes;
}

void sim_set_store_tear(struct sim *s, unsigned bytes)
{
    s->store_tear = bytes;
}

void sim_set_free_space(struct sim *s, uint64_t bytes)
{
    s->free_space = bytes;
}

void sim_settle(struct sim *s)
{
    while (s->changes)
        change_harden(s, change_take(&s->changes), true);
    for (struct inode *i = s->inodes; i; i = i->next) {
        harden(i);
        image_resize(&i->durable, i->now.size);
    }
}

void sim_die(struct sim *s)
{
    s->dead = true;
}

unsigned sim_open_files(const struct sim *s)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(s->files); i++)
        count += s->files[i].inode != NULL;
    return count;
}

bool sim_dead(const struct sim *s)
{
    return s->dead;
}

bool sim_fault_hit(const struct sim *s)
{
    return s->hit;
}

unsigned sim_calls(const struct sim *s)
{
    return s->calls;
}

void sim_quiet_begin(struct sim *s)
{
    s->quiet++;
}

void sim_quiet_end(struct sim *s)
{
    s->quiet--;
}

const uint8_t *sim_file(struct sim *s, const char *path, uint64_t *ret_size)
{
    struct inode *i = lookup(s, path);

    if (!i)
        return NULL;
    image_reserve(&i->now, i->now.size + 1);
    *ret_size = i->now.size;
    return i->now.bytes;
}

void sim_put(struct sim *s, const char *path, const void *data, size_t length)
{
    struct inode *i = lookup(s, path);

    if (!i && new_file(s, path, false, &i) < 0)
        abort();
    pending_free(i);
    image_resize(&i->now, 0);
    image_write(&i->now, 0, data, length);
    image_copy(&i->durable, &i->now);
}

void sim_each(struct sim *s, void (*fn)(const char *, void *), void *context)
{
    for (struct name *n = s->names; n; n = n->next)
        fn(n->path, context);
}
