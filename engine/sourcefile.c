/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sourcefile.h"

#include <jansson.h>
#include <stdio.h>

#include "base/str.h"

#define FILE_MAX (1 << 20)

static int write_text(struct io *io, const char *path, const char *text)
{
    int fd, r;

    io->ops->unlink(io, path); /* of a write that was interrupted */
    fd = io->ops->open(io, path, IO_CREATE);
    if (fd < 0)
        return fd;
    r = io_write(io, fd, text, strlen(text), 0, false);
    if (r == 0)
        r = io_fdatasync(io, fd);
    io->ops->close(io, fd);
    return r;
}

int sourcefile_write(struct io *io, const char *store, const struct sync_source *sources,
                     unsigned count, const char *snapshot)
{
    _cleanup_free_ char *path = str_format("%s/source.json", store);
    _cleanup_free_ char *fresh = str_format("%s/source.json.new", store);
    _cleanup_free_ char *text = NULL;
    json_t *j = json_pack("{s:i, s:s, s:[]}", "format", 1, "snapshot", snapshot, "disks");
    json_t *disks = json_object_get(j, "disks");
    int r;

    for (unsigned i = 0; i < count; i++)
        json_array_append_new(disks, json_pack("{s:s, s:s}", "name", sources[i].name, "uri",
                                               sources[i].uri));
    text = json_dumps(j, JSON_INDENT(2));
    json_decref(j);
    if (!text)
        return -ENOMEM;
    r = write_text(io, fresh, text);
    if (r == 0)
        r = io->ops->rename(io, fresh, path);
    return r < 0 ? r : io->ops->sync_dir(io, store);
}

static int refuse(const char *where, struct error **err)
{
    return error_set(err, EBADMSG, "%s is damaged; tell the engine where the source is with "
                                   "'slipway engine source'", where);
}

static int parse_disk(const json_t *j, struct sourcefile *f)
{
    const char *name = json_string_value(json_object_get(j, "name"));
    const char *uri = json_string_value(json_object_get(j, "uri"));

    if (!name || !uri || strlen(name) > DISK_NAME_MAX)
        return -EBADMSG;
    f->names[f->count] = str_dup(name);
    f->uris[f->count++] = str_dup(uri);
    return 0;
}

int sourcefile_parse(const char *text, size_t length, const char *where,
                     struct sourcefile *ret_file, struct error **err)
{
    struct sourcefile f = {0};
    json_t *j = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *disks = json_object_get(j, "disks");
    const char *snapshot = json_string_value(json_object_get(j, "snapshot"));
    size_t count = json_array_size(disks);
    int r = 0;

    if (json_integer_value(json_object_get(j, "format")) != 1 || !snapshot ||
        strlen(snapshot) > SNAPSHOT_ID_MAX || count == 0 || count > DISKS_MAX)
        r = -EBADMSG;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = parse_disk(json_array_get(disks, i), &f);
    if (r == 0)
        snprintf(f.snapshot, sizeof(f.snapshot), "%s", snapshot);
    json_decref(j);
    if (r < 0) {
        sourcefile_done(&f);
        return refuse(where, err);
    }
    *ret_file = f;
    return 0;
}

int sourcefile_read(struct io *io, const char *store, struct sourcefile *ret_file,
                    struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/source.json", store);
    _cleanup_free_ char *text = NULL;
    uint64_t size = 0;
    int fd = io->ops->open(io, path, IO_RDONLY), r;

    if (fd < 0)
        return fd;
    r = io->ops->size(io, fd, &size);
    if (r == 0 && size > FILE_MAX)
        r = -EBADMSG;
    if (r == 0) {
        text = malloc(size + 1);
        r = text ? io_read(io, fd, text, size, 0) : -ENOMEM;
    }
    io->ops->close(io, fd);
    if (r < 0 && r != -EBADMSG)
        return error_set_errno(err, -r, "cannot read %s", path);
    return r < 0 ? refuse(path, err) : sourcefile_parse(text, size, path, ret_file, err);
}

void sourcefile_done(struct sourcefile *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        free(f->names[i]);
        free(f->uris[i]);
    }
    *f = (struct sourcefile){0};
}

const char *sourcefile_uri(const struct sourcefile *f, const char *disk)
{
    for (unsigned i = 0; i < f->count; i++)
        if (strcmp(f->names[i], disk) == 0)
            return f->uris[i];
    return NULL;
}

int sourcefile_remove(struct io *io, const char *store)
{
    _cleanup_free_ char *path = str_format("%s/source.json", store);
    int r = io->ops->unlink(io, path);

    return r == -ENOENT ? 0 : r;
}
