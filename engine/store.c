/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/store.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/align.h"
#include "base/str.h"

#define VM_JSON_MAX (64 << 10)

void store_vm_done(struct store_vm *vm)
{
    for (unsigned i = 0; i < vm->disk_count; i++)
        free(vm->disks[i].target);
    free(vm->name);
    *vm = (struct store_vm){0};
}

int store_check_disk_name(const char *name, struct error **err)
{
    size_t length = strlen(name);

    if (length == 0 || length > DISK_NAME_MAX)
        return error_set(err, EINVAL, "disk name '%s' must have 1 to %d characters", name,
                         DISK_NAME_MAX);
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool first = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!first && (i == 0 || !strchr("._-", c)))
            return error_set(err, EINVAL,
                             "disk name '%s' may only have letters, digits and, after the first, "
                             "'.', '_' and '-'", name);
    }
    return 0;
}

static int parse_uuid(const char *text, uint8_t uuid[16])
{
    if (!text || strlen(text) != 32)
        return -EINVAL;
    for (int i = 0; i < 16; i++) {
        unsigned v;
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};

        if (sscanf(pair, "%2x", &v) != 1 || strspn(pair, "0123456789abcdef") != 2)
            return -EINVAL;
        uuid[i] = (uint8_t)v;
    }
    return 0;
}

static int parse_disk(const json_t *j, struct store_disk *d, const char *where,
                      struct error **err)
{
    const char *name = json_string_value(json_object_get(j, "name"));
    const char *target = json_string_value(json_object_get(j, "target"));
    json_int_t size = json_integer_value(json_object_get(j, "size"));

    if (!name || !target || target[0] != '/' || size <= 0 || size % SECTOR ||
        (uint64_t)size > DISK_SIZE_MAX)
        return error_set(err, EBADMSG, "%s: a disk lacks a name, an absolute target or a size "
                                       "that is a multiple of %d", where, SECTOR);
    if (store_check_disk_name(name, err) < 0)
        return error_prefix(err, "%s", where), -EBADMSG;
    snprintf(d->name, sizeof(d->name), "%s", name);
    d->target = str_dup(target);
    d->size = (uint64_t)size;
    return 0;
}

static int parse_disks(const json_t *disks, struct store_vm *vm, const char *where,
                       struct error **err)
{
    if (json_array_size(disks) == 0 || json_array_size(disks) > DISKS_MAX)
        return error_set(err, EBADMSG, "%s: a VM has 1 to %d disks", where, DISKS_MAX);
    for (size_t i = 0; i < json_array_size(disks); i++) {
        int r = parse_disk(json_array_get(disks, i), &vm->disks[i], where, err);

        if (r < 0)
            return r;
        vm->disk_count++;
        for (size_t k = 0; k < i; k++)
            if (strcmp(vm->disks[i].name, vm->disks[k].name) == 0)
                return error_set(err, EBADMSG, "%s: disk '%s' is there twice", where,
                                 vm->disks[i].name);
    }
    return 0;
}

int store_vm_parse(const char *text, size_t length, const char *where, struct store_vm *ret_vm,
                   struct error **err)
{
    struct store_vm vm = {0};
    json_error_t why;
    json_t *j = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    const char *name;
    int r = 0;

    if (!j)
        return error_set(err, EBADMSG, "%s is damaged (line %d: %s); restore it from a backup",
                         where, why.line, why.text);
    name = json_string_value(json_object_get(j, "name"));
    if (json_integer_value(json_object_get(j, "format")) != STORE_FORMAT)
        r = error_set(err, EPROTO, "%s: the store has another format than %d; use the Slipway "
                                   "version that wrote it", where, STORE_FORMAT);
    else if (!name || parse_uuid(json_string_value(json_object_get(j, "uuid")), vm.uuid) < 0)
        r = error_set(err, EBADMSG, "%s is damaged: name or uuid is missing", where);
    else
        r = parse_disks(json_object_get(j, "disks"), &vm, where, err);
    if (r == 0)
        vm.name = str_dup(name);
    json_decref(j);
    if (r < 0) {
        store_vm_done(&vm);
        return r;
    }
    *ret_vm = vm;
    return 0;
}

int store_vm_read(struct io *io, const char *store, struct store_vm *ret_vm, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/vm.json", store);
    _cleanup_free_ char *text = NULL;
    uint64_t size = 0;
    int fd = io->ops->open(io, path, IO_RDONLY), r;

    if (fd == -ENOENT)
        return error_set(err, ENOENT,
                         "%s is not a store (it has no vm.json); make one with 'slipway engine "
                         "create'", store);
    if (fd < 0)
        return error_set_errno(err, -fd, "cannot open %s", path);
    r = io->ops->size(io, fd, &size);
    if (r == 0 && size > VM_JSON_MAX)
        r = -EFBIG;
    if (r == 0)
        text = mem_new(size + 1, 1);
    if (r == 0)
        r = io_read(io, fd, text, size, 0);
    io->ops->close(io, fd);
    if (r < 0)
        return error_set_errno(err, -r, "cannot read %s", path);
    return store_vm_parse(text, size, path, ret_vm, err);
}

/* ---- create ---- */

struct creation {
    struct io *io;
    const char *store;
    struct store_vm *vm;
    struct super super;
    bool store_existed, target_made[DISKS_MAX];
    struct target targets[DISKS_MAX]; /* held until the end: no other store takes them meanwhile */
    unsigned target_count;
};

static int write_new_file(struct io *io, const char *path, const void *data, size_t length)
{
    int fd = io->ops->open(io, path, IO_CREATE), r;

    if (fd < 0)
        return fd;
    r = io_write(io, fd, data, length, 0, false);
    if (r == 0)
        r = io_fdatasync(io, fd);
    io->ops->close(io, fd);
    return r;
}

static int sync_parent(struct io *io, const char *path)
{
    size_t length = (size_t)(strrchr(path, '/') - path);
    _cleanup_free_ char *parent = str_format("%.*s", (int)MAX(length, (size_t)1), path);

    return io->ops->sync_dir(io, parent);
}

static int make_target(struct creation *c, unsigned i, struct error **err)
{
    struct store_disk *d = &c->vm->disks[i];
    int fd, r;

    if (d->preseed)
        return error_set(err, ENOENT,
                         "target %s of disk %s does not exist, so it holds no old copy; name the "
                         "one that does, or leave --preseed out", d->target, d->name);
    if (d->size == 0)
        return error_set(err, ENOENT,
                         "target %s of disk %s does not exist; give its size (%s=%s:SIZE) to have "
                         "it made", d->target, d->name, d->name, d->target);
    fd = c->io->ops->open(c->io, d->target, IO_CREATE);
    if (fd < 0)
        return error_set_errno(err, -fd, "cannot make target %s of disk %s", d->target, d->name);
    c->target_made[i] = true;
    r = c->io->ops->truncate(c->io, fd, d->size);
    if (r == 0)
        r = io_fdatasync(c->io, fd);
    c->io->ops->close(c->io, fd);
    if (r == 0)
        r = sync_parent(c->io, d->target);
    return r < 0 ? error_set_errno(err, -r, "cannot make target %s of disk %s", d->target, d->name)
                 : 0;
}

/* Opens the target; one that an earlier disk has opened is locked, and has its identity. */
static int take_target(struct creation *c, unsigned i, const uint8_t id[16], struct error **err)
{
    struct store_disk *d = &c->vm->disks[i];
    _cleanup_error_ struct error *e = NULL;
    int r = target_open(c->io, d->target, d->size, 0, &c->targets[i], &e);

    for (unsigned k = 0; r == -EBUSY && k < i; k++)
        if (memcmp(c->super.disks[k].target_id, id, 16) == 0)
            return error_set(err, EINVAL,
                             "target %s of disk %s is that of disk %s; each disk needs its own",
                             d->target, d->name, c->vm->disks[k].name);
    if (r < 0) {
        error_prefix(&e, "disk %s", d->name);
        return error_move(err, &e);
    }
    memcpy(c->super.disks[i].target_id, c->targets[i].id, 16);
    c->target_count = i + 1;
    return 0;
}

/* Learns size and identity of the target, making it first when it is not there. */
static int prepare_target(struct creation *c, unsigned i, struct error **err)
{
    struct store_disk *d = &c->vm->disks[i];
    uint8_t id[16] = {0};
    uint64_t size = 0;
    int fd = c->io->ops->open(c->io, d->target, IO_RDONLY), r = 0;

    if (fd == -ENOENT)
        r = make_target(c, i, err);
    else if (fd < 0)
        return error_set_errno(err, -fd, "cannot open target %s of disk %s", d->target, d->name);
    else if (c->io->ops->size(c->io, fd, &size) < 0)
        r = error_set(err, EINVAL, "target %s of disk %s is neither a regular file nor a block "
                                   "device", d->target, d->name);
    else if ((r = c->io->ops->identity(c->io, fd, id)) < 0)
        error_set_errno(err, -r, "cannot identify target %s of disk %s", d->target, d->name);
    if (fd >= 0)
        c->io->ops->close(c->io, fd);
    if (r < 0)
        return r;
    if (d->size == 0)
        d->size = size;
    if (d->size == 0 || d->size % SECTOR)
        return error_set(err, EINVAL, "disk %s: a size of %" PRIu64 " bytes is not a multiple of "
                                      "%d", d->name, d->size, SECTOR);
    return take_target(c, i, id, err);
}

static int make_disk_folder(struct creation *c, unsigned i)
{
    struct store_disk *d = &c->vm->disks[i];
    struct super_disk *sd = &c->super.disks[i];
    _cleanup_free_ char *folder = str_format("%s/%s", c->store, d->name);
    _cleanup_free_ char *map_path = str_format("%s/map.1", folder);
    _cleanup_free_ char *digest_path = str_format("%s/dig", folder);
    uint64_t blocks = div_up(d->size, BLOCK_SIZE);
    struct map *map = NULL;
    int r = c->io->ops->mkdir(c->io, folder), fd;

    sd->size = d->size;
    sd->base_gen = NO_GENERATION;
    sd->map_epoch = 1;
    sd->flags = c->target_made[i] ? SUPER_DISK_EMPTY : d->preseed ? SUPER_DISK_PRESEED : 0;
    if (r < 0)
        return r;
    fd = c->io->ops->open(c->io, digest_path, IO_CREATE);
    if (fd < 0)
        return fd;
    r = c->io->ops->truncate(c->io, fd, blocks * DIGEST_SIZE);
    if (r == 0)
        r = io_fdatasync(c->io, fd);
    c->io->ops->close(c->io, fd);
    if (r == 0)
        r = map_create(c->io, map_path, folder, 1, blocks, &map);
    map_free(map);
    return r;
}

static char *vm_json_text(const struct store_vm *vm)
{
    char uuid[33];
    json_t *disks = json_array(), *j;
    char *text;

    for (int i = 0; i < 16; i++)
        snprintf(uuid + 2 * i, 3, "%02x", vm->uuid[i]);
    for (unsigned i = 0; i < vm->disk_count; i++)
        json_array_append_new(disks, json_pack("{s:s, s:s, s:I}", "name", vm->disks[i].name,
                                               "target", vm->disks[i].target, "size",
                                               (json_int_t)vm->disks[i].size));
    j = json_pack("{s:i, s:s, s:s, s:o}", "format", STORE_FORMAT, "uuid", uuid, "name", vm->name,
                  "disks", disks);
    text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    json_decref(j);
    return text;
}

/* The superblock last: a folder without a valid one is no store. */
static int write_root(struct creation *c)
{
    _cleanup_free_ char *json_path = str_format("%s/vm.json", c->store);
    _cleanup_free_ char *super_path = str_format("%s/super", c->store);
    _cleanup_free_ char *json = vm_json_text(c->vm);
    uint8_t slots[2 * META_PAGE] = {0};
    int r = json ? write_new_file(c->io, json_path, json, strlen(json)) : -ENOMEM;

    c->super.seq = 1;
    c->super.mode = MODE_INIT;
    c->super.clean = 1;
    c->super.cur_gen = NO_GENERATION;
    c->super.keep = c->vm->keep;
    c->super.disk_count = (uint16_t)c->vm->disk_count;
    memcpy(c->super.vm_uuid, c->vm->uuid, 16);
    super_encode(&c->super, slots + META_PAGE);
    if (r == 0)
        r = write_new_file(c->io, super_path, slots, sizeof(slots));
    if (r == 0)
        r = c->io->ops->sync_dir(c->io, c->store);
    return r;
}

static void unlink_in(struct creation *c, const char *folder, const char *name)
{
    _cleanup_free_ char *path = str_format("%s/%s", folder, name);

    c->io->ops->unlink(c->io, path);
}

/* check_empty() saw none of these names. */
static void undo(struct creation *c)
{
    static const char *const files[] = {"map.1", "dig"};

    unlink_in(c, c->store, "super");
    unlink_in(c, c->store, "vm.json");
    for (unsigned i = 0; i < c->vm->disk_count; i++) {
        _cleanup_free_ char *folder = str_format("%s/%s", c->store, c->vm->disks[i].name);

        for (size_t k = 0; k < ARRAY_SIZE(files); k++)
            unlink_in(c, folder, files[k]);
        c->io->ops->rmdir(c->io, folder);
        if (c->target_made[i])
            c->io->ops->unlink(c->io, c->vm->disks[i].target);
    }
    if (!c->store_existed)
        c->io->ops->rmdir(c->io, c->store);
}

/* Names of a store in the folder: a whole one, one whose superblock is lost, or one that was never
 * finished.  Whatever it is, it is not ours to replace. */
static int check_empty(struct io *io, const char *store, const struct store_vm *vm,
                       struct error **err)
{
    const char *names[DISKS_MAX + 2] = {"super", "vm.json"};

    for (unsigned i = 0; i < vm->disk_count; i++)
        names[2 + i] = vm->disks[i].name;
    for (unsigned i = 0; i < vm->disk_count + 2; i++) {
        _cleanup_free_ char *path = str_format("%s/%s", store, names[i]);
        int fd = io->ops->open(io, path, IO_RDONLY);

        if (fd == -ENOENT)
            continue;
        if (fd >= 0)
            io->ops->close(io, fd);
        if (fd >= 0 && i == 0)
            return error_set(err, EEXIST, "%s already holds a store; choose another folder",
                             store);
        if (fd >= 0 || fd == -EISDIR)
            return error_set(err, EEXIST,
                             "%s holds '%s', perhaps of a store that was not finished or lost its "
                             "superblock; choose another folder, or remove that one", store,
                             names[i]);
        return error_set_errno(err, -fd, "cannot look for a store in %s", store);
    }
    return 0;
}

int store_create(struct io *io, const char *store, struct store_vm *vm, struct error **err)
{
    struct creation c = {.io = io, .store = store, .vm = vm};
    int r = check_empty(io, store, vm, err);

    if (r < 0)
        return r;
    if (getrandom(vm->uuid, sizeof(vm->uuid), 0) < 0)
        return error_set_errno(err, errno, "cannot make an identity for the store");
    r = io->ops->mkdir(io, store);
    if (r < 0 && r != -EEXIST)
        return error_set_errno(err, -r, "cannot make the folder %s", store);
    c.store_existed = r == -EEXIST;
    r = 0;
    for (unsigned i = 0; r == 0 && i < vm->disk_count; i++)
        r = prepare_target(&c, i, err);
    for (unsigned i = 0; r == 0 && i < vm->disk_count; i++) {
        r = make_disk_folder(&c, i);
        if (r < 0)
            error_set_errno(err, -r, "cannot make the files of disk %s in %s", vm->disks[i].name,
                            store);
    }
    if (r == 0) {
        r = write_root(&c);
        if (r < 0)
            error_set_errno(err, -r, "cannot write the store %s", store);
    }
    for (unsigned i = 0; i < c.target_count; i++)
        target_close(&c.targets[i]);
    if (r < 0)
        undo(&c);
    return r;
}
