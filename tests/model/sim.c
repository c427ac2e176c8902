/* SPDX-License-Identifier: Apache-2.0 */
/* struct io over files in memory. */
#include "tests/model/siminside.h"

#include <string.h>

#include "base/align.h"
#include "base/iszero.h"
#include "base/str.h"

/* ---- faults and counting ---- */

enum effect { EFFECT_NONE, EFFECT_WHOLE, EFFECT_TORN };

static void land_some(struct sim *s)
{
    struct sim_flight **at = &s->flights;

    while (*at)
        if ((*at)->orphan && random_once_in(&s->random, s->landing))
            flight_land(s, at);
        else
            at = &(*at)->next;
}

static void let_others(struct sim *s)
{
    if (s->yield && !s->quiet)
        s->yield();
}

/* The call has had its effect; whether the caller gets to know is another matter. */
static int leave(struct sim *s, int r)
{
    let_others(s);
    return s->dead && !s->quiet ? -EIO : r;
}

/* 0: go on; -errno: fail, after the effect in *ret_effect.  takes_space: ENOSPC is possible. */
static int enter(struct sim *s, bool takes_space, enum effect *ret_effect)
{
    *ret_effect = EFFECT_NONE;
    let_others(s);
    if (s->dead)
        return -EIO;
    if (s->quiet)
        return 0;
    s->calls++;
    land_some(s);
    if (s->fault == SIM_NO_FAULT || s->fault == SIM_SYNC_EIO || s->calls < s->fault_at || s->hit)
        return 0;
    if (s->fault == SIM_ENOSPC && !takes_space)
        return 0;
    s->hit = true;
    if (s->fault == SIM_ENOSPC)
        return -ENOSPC;
    *ret_effect = random_below(&s->random, 3);
    if (s->fault == SIM_CRASH)
        sim_die(s);
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

/* Any sectors of it, as a torn write leaves them. */
static void write_torn(struct sim *s, struct inode *i, uint64_t offset, const uint8_t *bytes,
                       uint64_t length)
{
    for (uint64_t at = 0; at < length;) {
        uint64_t n = MIN(length - at, (uint64_t)i->tear * (1 + random_below(&s->random, 8)));

        if (random_once_in(&s->random, 2))
            inode_write(s, i, offset + at, bytes ? bytes + at : NULL, n);
        at += n;
    }
}

static void write_effect(struct sim *s, struct inode *i, enum effect effect, uint64_t offset,
                         const uint8_t *bytes, uint64_t length)
{
    if (effect == EFFECT_WHOLE)
        inode_write(s, i, offset, bytes, length);
    else if (effect == EFFECT_TORN)
        write_torn(s, i, offset, bytes, length);
}

static struct sim_flight *flight_new(struct sim *s, struct inode *i, const void *data,
                                     size_t length, uint64_t offset)
{
    struct sim_flight *flight = mem_new(1, sizeof(*flight) + length);

    *flight = (struct sim_flight){
        .next = s->flights, .inode = i, .offset = offset, .length = length};
    if (data)
        memcpy(flight->bytes, data, length);
    s->flights = flight;
    return flight;
}

struct sim_flight *sim_submit(struct sim *s, int fd, const void *data, size_t length,
                              uint64_t offset, int *ret_error)
{
    struct open_file *f = get_file(s, fd);

    *ret_error = s->dead ? -EIO : !f ? -EBADF : 0;
    if (*ret_error == 0 && f->direct && ((offset | length) & (s->alignment - 1)))
        *ret_error = -EINVAL;
    return *ret_error ? NULL : flight_new(s, f->inode, data, length, offset);
}

int sim_complete(struct sim *s, struct sim_flight *flight)
{
    struct sim_flight **at = &s->flights;
    enum effect effect;
    int r = enter(s, !flight->reserved, &effect);

    if (s->dead) {
        flight->orphan = true;
        return -EIO;
    }
    while (*at != flight)
        at = &(*at)->next;
    if (r == 0) {
        flight_land(s, at);
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
    struct inode *i = name_lookup(s, path);
    enum effect effect;
    int r = enter(s, flags & IO_CREATE, &effect);

    if (r < 0 && effect == EFFECT_NONE)
        return r;
    if (flags & IO_CREATE) {
        int made = inode_new(s, path, false, &i);

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
    if (n >= 2 * TEAR && !s->quiet && random_once_in(&s->random, 32))
        n = round_down(n / 2, TEAR); /* short reads happen */
    image_read(&f->inode->now, offset, data, n);
    flight_read(s, f->inode, offset, data, n);
    r = leave(s, 0);
    return r < 0 ? r : (ssize_t)n;
}

static int write_now(struct sim *s, struct inode *i, const void *data, size_t length,
                     uint64_t offset, bool reserved)
{
    enum effect effect;
    int r = enter(s, !reserved, &effect);

    if (r == 0)
        inode_write(s, i, offset, data, length);
    else
        write_effect(s, i, effect, offset, data, length);
    return r;
}

/* In flight for a while: other threads see any part of it, and so may the next process. */
static int write_flying(struct sim *s, struct inode *i, const void *data, size_t length,
                        uint64_t offset, bool reserved)
{
    struct sim_flight *flight;

    if (s->dead)
        return -EIO;
    flight = flight_new(s, i, data, length, offset);
    flight->call = true;
    flight->reserved = reserved;
    while (!s->dead && random_once_in(&s->random, 3))
        s->yield();
    return sim_complete(s, flight);
}

static ssize_t sim_pwrite(struct io *io, int fd, const void *data, size_t length,
                          uint64_t offset, bool dsync)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    uint64_t before = s->writes;
    struct inode *i;
    int r;

    if (!f || f->read_only)
        return -EBADF;
    if (offset + length > s->file_max)
        return -EFBIG;
    if (f->direct && ((offset | length) & (s->alignment - 1)))
        return -EINVAL;
    i = f->inode;
    if (s->yield && !s->quiet) /* dsync: it has its space */
        r = write_flying(s, i, data, length, offset, dsync);
    else
        r = write_now(s, i, data, length, offset, dsync);
    if (dsync && r == 0)
        inode_harden_newest(i);
    if (dsync && r < 0)
        inode_lose(i, before);
    r = leave(s, r);
    s->syncs_failed += dsync && r < 0 && !s->dead; /* now it is known */
    return r < 0 ? r : (ssize_t)length;
}

static int sync_fault(struct sim *s)
{
    if (s->fault != SIM_SYNC_EIO || s->quiet || s->hit || ++s->syncs < s->fault_at)
        return 0;
    s->hit = true;
    return -EIO;
}

static int sim_fdatasync(struct io *io, int fd)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    struct inode *i = f ? f->inode : NULL;
    uint64_t upto = s->writes; /* what completes during the call is not covered */
    int r = enter_plain(s);

    if (r == 0)
        r = sync_fault(s);
    if (!i)
        return -EBADF;
    if (r < 0) {
        s->syncs_failed += !s->dead;
        inode_lose(i, 0);
        return r;
    }
    inode_harden(i, upto);
    image_resize(&i->durable, i->now.size);
    return leave(s, 0);
}

static int sim_sync_dir(struct io *io, const char *path)
{
    struct sim *s = sim_of(io);
    struct inode *i = name_lookup(s, path);
    int r = enter_plain(s);

    if (r < 0 || !i || !i->folder)
        return r < 0 ? r : -ENOENT;
    name_harden(s, path);
    return leave(s, 0);
}

static int sim_zero(struct io *io, int fd, uint64_t offset, uint64_t length, enum io_zero_how how)
{
    struct sim *s = sim_of(io);
    struct open_file *f = get_file(s, fd);
    uint64_t end;
    int r;

    if (!f)
        return -EBADF;
    end = MIN(offset + length, f->inode->now.size);
    length = end > offset ? end - offset : 0;
    if (s->yield && !s->quiet)
        r = write_flying(s, f->inode, NULL, length, offset, false);
    else
        r = write_now(s, f->inode, NULL, length, offset, false);
    return leave(s, r);
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
    if (r < 0 && effect == EFFECT_NONE)
        return r;
    /* What is cut off does not come back when the file grows again, not even after a power loss
     * that an fdatasync has preceded. */
    if (size < f->inode->now.size)
        inode_write(s, f->inode, size, NULL, f->inode->now.size - size);
    image_resize(&f->inode->now, size);
    return leave(s, r);
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
        made = inode_new(sim_of(io), path, true, &i);
    return r < 0 ? r : made;
}

static int sim_unlink(struct io *io, const char *path)
{
    struct sim *s = sim_of(io);
    struct inode *i = name_lookup(s, path);
    enum effect effect;
    int r = enter(s, false, &effect);

    if (!i || i->folder)
        return r < 0 ? r : i ? -EISDIR : -ENOENT;
    if (r == 0 || effect != EFFECT_NONE)
        change_add(s, CHANGE_REMOVE, path, i, false);
    return leave(s, r);
}

static int sim_rmdir(struct io *io, const char *path)
{
    struct sim *s = sim_of(io);
    struct inode *i = name_lookup(s, path);
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
    struct inode *i = name_lookup(s, from);
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

    if (r == 0 && !name_lookup(s, path))
        return -ENOENT;
    for (struct name *n = s->names; r >= 0 && n; n = n->next)
        if (name_parent_length(n->path) == length && strncmp(n->path, path, length) == 0)
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

/* A thread that was killed in pwrite: some of it was written, and the process could only go, and
 * with it its locks, when the call had ended. */
static void end_call(struct sim *s, struct sim_flight **at)
{
    struct sim_flight *f = *at;

    *at = f->next;
    write_effect(s, f->inode, random_below(&s->random, 3), f->offset, f->bytes, f->length);
    free(f);
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
        if ((*at)->orphan && (*at)->call)
            end_call(s, at);
        else if ((*at)->orphan && (*at)->inode == f->inode)
            flight_land(s, at);
        else
            at = &(*at)->next;
    f->locked = true;
    return leave(s, 0);
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

const struct io_ops sim_ops = {
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
    .map = sim_map,
    .unmap = sim_unmap,
    .map_drop = sim_map_drop,
    .map_unlink = sim_map_unlink,
    .boot_id = sim_boot_id,
    .ring = simring_new,
};
