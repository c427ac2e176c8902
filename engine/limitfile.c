/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/limitfile.h"

#include <inttypes.h>

#include "base/align.h"
#include "base/str.h"

#define FILE_MAX (UINT64_C(64) << 10)
#define ACTION "correct it, or remove it: without it nothing is limited"

static uint64_t *rate_field(struct limit_rates *r, const char *name)
{
    if (strcmp(name, "source_bytes_s") == 0)
        return &r->bytes_s[LIMIT_SOURCE];
    if (strcmp(name, "source_iops") == 0)
        return &r->iops[LIMIT_SOURCE];
    if (strcmp(name, "target_bytes_s") == 0)
        return &r->bytes_s[LIMIT_TARGET];
    if (strcmp(name, "target_iops") == 0)
        return &r->iops[LIMIT_TARGET];
    return NULL;
}

json_t *limitfile_rates(const struct limit_rates *r)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "source_bytes_s",
                     (json_int_t)r->bytes_s[LIMIT_SOURCE], "source_iops",
                     (json_int_t)r->iops[LIMIT_SOURCE], "target_bytes_s",
                     (json_int_t)r->bytes_s[LIMIT_TARGET], "target_iops",
                     (json_int_t)r->iops[LIMIT_TARGET]);
}

int limitfile_take_rates(const json_t *j, struct limit_rates *r, struct error **err)
{
    struct limit_rates fresh = *r;
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)j, key, value) {
        uint64_t *field = rate_field(&fresh, key);

        if (!field)
            continue;
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            (uint64_t)json_integer_value(value) > LIMIT_MAX)
            return error_set(err, EINVAL,
                             "limit '%s' must be a whole number from 0 (unlimited) to %" PRIu64,
                             key, LIMIT_MAX);
        *field = (uint64_t)json_integer_value(value);
    }
    *r = fresh;
    return 0;
}

static int parse_rates(const json_t *j, const char *where, const char *thing,
                       struct limit_rates *rates, struct error **err)
{
    struct limit_rates ignored;
    const char *key;
    json_t *value;

    if (!json_is_object(j))
        return error_set(err, EBADMSG, "%s is damaged: the limits of %s are no object; %s", where,
                         thing, ACTION);
    json_object_foreach((json_t *)(uintptr_t)j, key, value)
        if (!rate_field(&ignored, key))
            return error_set(err, EBADMSG, "%s is damaged: %s cannot have a limit '%s'; %s", where,
                             thing, key, ACTION);
    if (limitfile_take_rates(j, rates, err) < 0)
        return error_prefix(err, "%s is damaged, %s: %s", where, ACTION, thing), -EBADMSG;
    return 0;
}

static int parse_disks(const json_t *disks, const char *where, const struct limitfile_names *names,
                       struct limit_table *table, struct error **err)
{
    const char *key;
    json_t *value;
    int r = 0;

    json_object_foreach((json_t *)(uintptr_t)disks, key, value) {
        unsigned i = 0;

        while (i < names->count && strcmp(names->names[i], key) != 0)
            i++;
        if (i == names->count)
            return error_set(err, EBADMSG, "%s is damaged or of another store: the VM has no disk "
                                           "'%s'; %s", where, key, ACTION);
        r = parse_rates(value, where, key, &table->disks[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

int limitfile_parse(const char *text, size_t length, const char *where,
                    const struct limitfile_names *names, struct limit_table *ret_table,
                    struct error **err)
{
    struct limit_table table = {0};
    json_error_t why;
    json_t *j = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    const json_t *disks = json_object_get(j, "disks");
    int r;

    if (!j)
        return error_set(err, EBADMSG, "%s is damaged (line %d: %s); %s", where, why.line,
                         why.text, ACTION);
    if (json_integer_value(json_object_get(j, "format")) != 1)
        r = error_set(err, EPROTO, "%s has a format that this program does not know; %s", where,
                      ACTION);
    else if (!json_is_object(disks))
        r = error_set(err, EBADMSG, "%s is damaged: it has no limits of disks; %s", where, ACTION);
    else
        r = parse_rates(json_object_get(j, "vm"), where, "the VM", &table.vm, err);
    if (r == 0)
        r = parse_disks(disks, where, names, &table, err);
    json_decref(j);
    if (r == 0)
        *ret_table = table;
    return r;
}

int limitfile_read(struct io *io, const char *store, const struct limitfile_names *names,
                   struct limit_table *ret_table, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/" LIMITFILE_NAME, store);
    _cleanup_free_ char *text = NULL;
    int fd = io->ops->open(io, path, IO_RDONLY), r;
    uint64_t size = 0;

    *ret_table = (struct limit_table){0};
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return error_set_errno(err, -fd, "cannot open %s", path);
    r = io->ops->size(io, fd, &size);
    if (r == 0 && size > FILE_MAX)
        r = -EFBIG;
    if (r == 0)
        text = mem_new(size + 1, 1);
    if (r == 0)
        r = io_read(io, fd, text, size, 0);
    io->ops->close(io, fd);
    if (r < 0)
        return error_set_errno(err, -r, "cannot read %s", path);
    return limitfile_parse(text, size, path, names, ret_table, err);
}

static char *table_text(const struct limitfile_names *names, const struct limit_table *table)
{
    json_t *disks = json_object(), *j;
    char *text;

    for (unsigned i = 0; i < names->count; i++)
        json_object_set_new(disks, names->names[i], limitfile_rates(&table->disks[i]));
    j = json_pack("{s:i, s:o, s:o}", "format", 1, "vm", limitfile_rates(&table->vm), "disks",
                  disks);
    text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    json_decref(j);
    return text;
}

/* A new file, durable under its own name only once it is complete. */
static int write_new(struct io *io, const char *path, const char *text)
{
    int fd, r;

    io->ops->unlink(io, path); /* of an attempt that was interrupted */
    fd = io->ops->open(io, path, IO_CREATE);
    if (fd < 0)
        return fd;
    r = io_write(io, fd, text, strlen(text), 0, false);
    if (r == 0)
        r = io_fdatasync(io, fd);
    io->ops->close(io, fd);
    return r;
}

int limitfile_write(struct io *io, const char *store, const struct limitfile_names *names,
                    const struct limit_table *table)
{
    _cleanup_free_ char *path = str_format("%s/" LIMITFILE_NAME, store);
    _cleanup_free_ char *fresh = str_format("%s.new", path);
    _cleanup_free_ char *text = table_text(names, table);
    int r = text ? write_new(io, fresh, text) : -ENOMEM;

    if (r == 0)
        r = io->ops->rename(io, fresh, path);
    if (r == 0)
        r = io->ops->sync_dir(io, store);
    if (r < 0)
        io->ops->unlink(io, fresh);
    return r;
}
