/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images at rest: which change bitmaps a qcow2 holds and whether they can be trusted. */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static const char *disk_string(const json_t *disk, const char *key)
{
    return json_string_value(json_object_get(disk, key));
}

/* A bitmap with the flag in-use was not stored by its last user (QEMU was killed). */
static bool bitmap_usable(const json_t *bitmap)
{
    const json_t *flag;
    size_t i;

    json_array_foreach(json_object_get(bitmap, "flags"), i,
                       flag) if (strcmp(json_string_value(flag), "in-use") == 0) return false;
    return true;
}

static void read_info(const json_t *info, struct image *image)
{
    const json_t *data = json_object_get(json_object_get(info, "format-specific"), "data");
    const char *compat = disk_string(data, "compat");
    const json_t *bitmap;
    size_t i;

    image->tracks = compat && strcmp(compat, "0.10") != 0;
    json_array_foreach(json_object_get(data, "bitmaps"), i, bitmap) json_object_set_new(
        image->bitmaps, disk_string(bitmap, "name"), json_boolean(bitmap_usable(bitmap)));
}

int image_look(struct source *source, const json_t *disk, struct image *image, struct error **err)
{
    const char *path = disk_string(disk, "path"), *args[] = {path, NULL};
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *info = NULL;
    int r;

    memset(image, 0, sizeof(*image));
    image->bitmaps = json_object();
    if (strcmp(disk_string(disk, "format"), "qcow2") != 0)
        return 0;
    if (!path) {
        /* On network storage only QEMU itself can look; it refuses the checkpoint if it cannot. */
        image->tracks = true;
        return 0;
    }
    r = host_script(&source->host, "exec qemu-img info -U -f qcow2 --output=json -- \"$1\"", args,
                    IMAGE_TIMEOUT, &text, err);
    info = r == 0 ? json_loads(text, 0, NULL) : NULL;
    if (r == 0 && !info)
        r = error_set(err, EPROTO,
                      "qemu-img does not describe %s as JSON; qemu-utils 6.0 or "
                      "later is needed on the source",
                      path);
    if (r == 0)
        read_info(info, image);
    else
        image_done(image);
    return r;
}

void image_done(struct image *image)
{
    json_decref(image->bitmaps);
    image->bitmaps = NULL;
}

int image_bitmap_remove(struct source *source, const json_t *disk, const char *bitmap,
                        struct error **err)
{
    const char *args[] = {disk_string(disk, "path"), bitmap, NULL};

    return host_script(&source->host, "exec qemu-img bitmap --remove -f qcow2 -- \"$1\" \"$2\"",
                       args, IMAGE_TIMEOUT, NULL, err);
}

static uint64_t fnv1a(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

int image_stamp(struct source *source, const json_t *disks, char **ret_stamp, struct error **err)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const json_t *disk;
    size_t i;

    json_array_foreach(disks, i, disk)
    {
        const char *args[] = {disk_string(disk, "path"), NULL};
        _cleanup_free_ char *text = NULL;
        int r = host_script(&source->host, "exec stat -L -c '%n %d:%i %s %.9Y' -- \"$1\"", args,
                            IMAGE_TIMEOUT, &text, err);

        if (r < 0)
            return r;
        hash = fnv1a(hash, text);
    }
    *ret_stamp = str_format("%016llx", (unsigned long long)hash);
    return 0;
}
