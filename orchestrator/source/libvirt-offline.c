/* SPDX-License-Identifier: Apache-2.0 */
/* A VM that is off: its images do not change, so qemu-nbd serves them with the bitmap of the last
 * checkpoint. */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static char *why_full(const json_t *disk, const struct image *image, const char *checkpoint)
{
    const char *name = text_of(disk, "name");
    const json_t *usable = checkpoint ? json_object_get(image->bitmaps, checkpoint) : NULL;

    if (!image->tracks)
        return str_format("disk %s is %s: changes can be tracked on qcow2 images (version 3) only, "
                          "so the whole disk is compared",
                          name,
                          strcmp(text_of(disk, "format"), "qcow2") == 0 ? "qcow2 version 2"
                                                                        : text_of(disk, "format"));
    if (!usable)
        return str_format("image %s has no change bitmap of the last checkpoint%s%s, so the whole "
                          "of disk %s is compared",
                          text_of(disk, "path"), checkpoint ? " " : "",
                          checkpoint ? checkpoint : "", name);
    if (!json_is_true(usable))
        return str_format("the change bitmap %s in %s is inconsistent (QEMU was killed before it "
                          "could store it), so the whole of disk %s is compared",
                          checkpoint, text_of(disk, "path"), name);
    return NULL;
}

#define WRITABLE "/write" /* cannot be the name of a bitmap of ours */

static char *socket_of(const char *directory, const char *disk)
{
    return str_format("%s/%s.sock", directory, disk);
}

/* bitmap: NULL for none; WRITABLE: for writing. */
static int serve(struct source *source, const json_t *disk, const char *bitmap, const char *socket,
                 struct error **err)
{
    /* --fork returns when the socket is listening; -e: as many connections as the engine wants. */
    static const char script[] =
        "path=$1 format=$2 name=$3 socket=$4 bitmap=$5\n"
        "set -- --fork -t -e 16 -f \"$format\" -x \"$name\" -k \"$socket\"\n"
        "case \"$bitmap\" in\n"
        "/write) ;;\n"
        "'') set -- \"$@\" -r ;;\n"
        "*) set -- \"$@\" -r -B \"$bitmap\" ;;\n"
        "esac\n"
        "exec qemu-nbd \"$@\" -- \"$path\"";
    const char *args[] = {text_of(disk, "path"), text_of(disk, "format"),
                          text_of(disk, "name"), socket,
                          bitmap ? bitmap : "",  NULL};
    int r = host_script(&source->host, script, args, IMAGE_TIMEOUT, NULL, err);

    return r < 0 ? error_prefix(err, "cannot open disk %s", text_of(disk, "name")) : 0;
}

/* Sockets become URIs only after the tunnel is there; until then private has the bare paths. */
static int serve_disk(struct source *source, const json_t *disk, const char *checkpoint,
                      json_t *private, struct error **err)
{
    const char *name = text_of(disk, "name"), *path = text_of(disk, "path");
    _cleanup_free_ char *why = NULL, *socket = NULL, *context = NULL;
    struct image image;
    int r;

    if (!path)
        return error_set(err, EOPNOTSUPP,
                         "disk %s is not a file or block device of the source host and cannot be "
                         "read while the VM is off; start the VM, or copy the disk there",
                         name);
    r = image_look(source, disk, &image, err);
    if (r == 0)
        why = why_full(disk, &image, checkpoint);
    image_done(&image);
    if (r < 0)
        return r;
    socket = socket_of(text_of(private, "directory"), name);
    r = serve(source, disk, why ? NULL : checkpoint, socket, err);
    if (r < 0)
        return r;
    context = str_format("qemu:dirty-bitmap:%s", checkpoint ? checkpoint : "");
    snapshot_add_disk(private, name, socket, why ? NULL : context,
                      json_object_get(private, "since") ? why : NULL);
    return 0;
}

static int open_sockets(struct source *source, json_t *private, struct error **err)
{
    json_t *disks = json_object_get(private, "disks"), *disk;
    size_t i, count = json_array_size(disks);
    _cleanup_free_ const char **sockets = mem_new(count, sizeof(*sockets));
    int r;

    json_array_foreach(disks, i, disk) sockets[i] = text_of(disk, "uri");
    r = tunnel_open(source, private, sockets, count, err);
    if (r < 0)
        return r;
    json_array_foreach(disks, i, disk)
    {
        _cleanup_free_ char *path = tunnel_path(source, private, text_of(disk, "uri"));
        _cleanup_free_ char *uri =
            str_format("nbd+unix:///%s?socket=%s", text_of(disk, "name"), path);

        json_object_set_new(disk, "uri", json_string(uri));
    }
    return 0;
}

static int announce(struct source *source, const json_t *description, const char *checkpoint,
                    json_t *private, struct error **err)
{
    const char *uuid = text_of(private, "vm");
    _cleanup_free_ char *token = snapshot_token(), *directory = snapshot_directory(uuid, token);
    _cleanup_free_ char *stamp = NULL, *id = NULL;
    int r = image_stamp(source, json_object_get(description, "disks"), &stamp, err);

    if (r == 0)
        r = snapshot_note(
            source, private,
            json_pack("{ss ss ss}", "kind", "nbd-server", "vm", uuid, "directory", directory), err);
    if (r < 0)
        return r;
    id = str_format(OFF_PREFIX "%s-%s", checkpoint ? checkpoint : "none", stamp);
    json_object_set_new(private, "mode", json_string("off"));
    json_object_set_new(private, "id", json_string(id));
    json_object_set_new(private, "stamp", json_string(stamp));
    json_object_set_new(private, "directory", json_string(directory));
    return 0;
}

int offline_begin(struct source *source, const json_t *description, const char *since,
                  json_t *private, struct error **err)
{
    _cleanup_free_ char *checkpoint = checkpoint_of_id(since);
    const json_t *disks = json_object_get(description, "disks"), *disk;
    size_t i;
    int r = announce(source, description, checkpoint, private, err);

    if (r == 0)
        r = host_make_directory(&source->host, text_of(private, "directory"), NULL, err);
    json_array_foreach(disks, i, disk) if (r == 0) r =
        serve_disk(source, disk, checkpoint, private, err);
    if (r == 0)
        r = open_sockets(source, private, err);
    return r < 0 ? error_prefix(err, "VM \"%s\"", text_of(description, "name")) : 0;
}

static int write_disk(struct source *source, const json_t *disk, json_t *private,
                      struct error **err)
{
    const char *name = text_of(disk, "name");
    _cleanup_free_ char *socket = socket_of(text_of(private, "directory"), name);
    int r;

    if (!text_of(disk, "path"))
        return error_set(err, EOPNOTSUPP,
                         "disk %s is not a file or block device of the source host and cannot be "
                         "written",
                         name);
    r = serve(source, disk, WRITABLE, socket, err);
    if (r == 0)
        snapshot_add_disk(private, name, socket, NULL, NULL);
    return r;
}

int offline_write(struct source *source, const json_t *description, json_t *private,
                  struct error **err)
{
    const json_t *disks = json_object_get(description, "disks"), *disk;
    size_t i;
    int r = announce(source, description, NULL, private, err);

    if (r == 0)
        r = host_make_directory(&source->host, text_of(private, "directory"), NULL, err);
    json_array_foreach(disks, i, disk) if (r == 0) r = write_disk(source, disk, private, err);
    if (r == 0)
        r = open_sockets(source, private, err);
    return r < 0 ? error_prefix(err, "VM \"%s\"", text_of(description, "name")) : 0;
}

bool offline_serves(struct source *source, const json_t *private)
{
    const json_t *disks = json_object_get(private, "disks"), *disk;
    size_t i;

    json_array_foreach(disks, i, disk)
    {
        _cleanup_free_ char *socket =
            socket_of(text_of(private, "directory"), text_of(disk, "name"));
        _cleanup_free_ char *path = tunnel_path(source, private, socket);

        if (!socket_answers(path))
            return false;
    }
    return json_array_size(disks) > 0;
}

bool offline_resumes(struct source *source, const json_t *description, const json_t *private)
{
    const json_t *disks = json_object_get(description, "disks");
    _cleanup_free_ char *stamp = NULL;
    const char *expected = text_of(private, "stamp");

    return expected && text_of(private, "directory") &&
           image_stamp(source, disks, &stamp, NULL) == 0 && strcmp(stamp, expected) == 0 &&
           offline_serves(source, private);
}

int offline_stop(struct source *source, const char *directory, struct error **err)
{
    int r;

    if (!host_own_directory(directory))
        return error_set(err, EINVAL, "%s is not a directory of Slipway", directory);
    r = host_end_processes(&source->host, "qemu-nbd", directory, err);
    return r < 0 ? r : host_remove_directory(&source->host, directory, err);
}
