/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: the change bitmaps of all disks of a VM under one name. */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/source/libvirt-xml.h"

char *checkpoint_of_id(const char *id)
{
    const char *start, *end;

    if (id && str_starts(id, CHECKPOINT_PREFIX))
        return str_dup(id);
    if (!id || !str_starts(id, OFF_PREFIX CHECKPOINT_PREFIX))
        return NULL;
    start = id + strlen(OFF_PREFIX);
    end = strrchr(start, '-');
    return str_format("%.*s", (int)(end - start), start);
}

int64_t checkpoint_key(const char *name)
{
    return str_starts(name, CHECKPOINT_PREFIX) ? strtoll(name + strlen(CHECKPOINT_PREFIX), NULL, 10)
                                               : 0;
}

int checkpoint_lookup(virDomainPtr domain, const char *name, virDomainCheckpointPtr *ret_checkpoint)
{
    *ret_checkpoint = virDomainCheckpointLookupByName(domain, name, 0);
    return *ret_checkpoint ? 0 : -ENOENT;
}

/* Removes a bitmap from the images of a VM that is off. */
static int remove_stored(struct source *source, virDomainPtr domain, const char *name,
                         struct error **err)
{
    _cleanup_json_ json_t *vm = NULL;
    int r = virt_describe_domain(domain, &vm, err);
    json_t *disk;
    size_t i;

    json_array_foreach(json_object_get(vm, "disks"), i, disk)
    {
        struct image image;

        r = image_look(source, disk, &image, err);
        if (r == 0 && json_object_get(image.bitmaps, name))
            r = image_bitmap_remove(source, disk, name, err);
        image_done(&image);
        if (r < 0)
            return error_prefix(err, "cannot remove change bitmap %s of VM \"%s\"", name,
                                virDomainGetName(domain));
    }
    return r;
}

/* Those disks of a checkpoint that have its bitmap at all, be it inconsistent: QEMU knows the sound
 * ones (libvirt gives their size), the image knows those that an earlier QEMU stored. */
static int disks_with_bitmap(struct source *source, virDomainPtr domain, const char *xml,
                             const char *name, json_t **ret_disks, struct error **err)
{
    _cleanup_json_ json_t *vm = NULL, *disks = NULL;
    int r = xml_checkpoint_disks(xml, &disks, err);
    json_t *disk;
    size_t i;

    if (r == 0)
        r = virt_describe_domain(domain, &vm, err);
    json_array_foreach(json_object_get(vm, "disks"), i, disk)
    {
        const char *disk_name = json_string_value(json_object_get(disk, "name"));
        struct image image;

        if (!json_is_null(json_object_get(disks, disk_name)))
            continue;
        r = image_look(source, disk, &image, err);
        if (r == 0 && !json_object_get(image.bitmaps, name))
            json_object_del(disks, disk_name);
        image_done(&image);
        if (r < 0)
            return r;
    }
    if (r == 0)
        *ret_disks = steal_ptr(disks);
    return r;
}

/*
 * libvirt refuses to delete a checkpoint when one of its bitmaps is missing.  So the checkpoint is
 * redefined to be about those disks only that have the bitmap, and deleted then.
 */
static int delete_broken(struct source *source, virDomainPtr domain,
                         virDomainCheckpointPtr checkpoint, const char *name, struct error **err)
{
    _cleanup_free_ char *sized = NULL, *plain = NULL, *kept = NULL;
    _cleanup_checkpoint_ virDomainCheckpointPtr rest = NULL;
    _cleanup_json_ json_t *disks = NULL;
    int r;

    plain = virDomainCheckpointGetXMLDesc(checkpoint, 0);
    if (!plain && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN_CHECKPOINT)
        return 0; /* it has gone meanwhile */
    sized =
        plain ? virDomainCheckpointGetXMLDesc(checkpoint, VIR_DOMAIN_CHECKPOINT_XML_SIZE) : NULL;
    if (!sized)
        return virt_error(err, "cannot read checkpoint %s of VM \"%s\"", name,
                          virDomainGetName(domain));
    r = disks_with_bitmap(source, domain, sized, name, &disks, err);
    if (r == 0)
        r = xml_checkpoint_keep(plain, disks, &kept, err);
    if (r < 0)
        return r;
    if (virDomainCheckpointDelete(checkpoint, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY) < 0)
        return virt_error(err, "cannot delete checkpoint %s of VM \"%s\"", name,
                          virDomainGetName(domain));
    if (json_object_size(disks) == 0)
        return 0;
    rest = virDomainCheckpointCreateXML(domain, kept, VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE);
    if (!rest || virDomainCheckpointDelete(rest, 0) < 0)
        return virt_error(err, "cannot delete what is left of checkpoint %s of VM \"%s\"", name,
                          virDomainGetName(domain));
    return 0;
}

int checkpoint_delete(struct source *source, virDomainPtr domain, const char *name,
                      struct error **err)
{
    _cleanup_checkpoint_ virDomainCheckpointPtr checkpoint = NULL;
    int r = checkpoint_lookup(domain, name, &checkpoint);

    if (virt_power(domain) != SOURCE_OFF) {
        if (r < 0 || virDomainCheckpointDelete(checkpoint, 0) == 0)
            return 0;
        return delete_broken(source, domain, checkpoint, name, err);
    }
    r = remove_stored(source, domain, name, err);
    if (r < 0 || !checkpoint)
        return r;
    if (virDomainCheckpointDelete(checkpoint, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY) < 0)
        return virt_error(err, "cannot delete checkpoint %s of VM \"%s\"", name,
                          virDomainGetName(domain));
    return 0;
}

int checkpoint_drop_since(struct source *source, virDomainPtr domain, const char *since,
                          const char *keep, struct error **err)
{
    _cleanup_free_ char *name = checkpoint_of_id(since);
    _cleanup_checkpoint_ virDomainCheckpointPtr checkpoint = NULL;
    int r;

    if (!name || (keep && strcmp(name, keep) == 0) ||
        checkpoint_lookup(domain, name, &checkpoint) < 0)
        return 0;
    r = checkpoint_delete(source, domain, name, err);
    return r < 0 ? r : virt_forget(source, checkpoint_key(name), err);
}

static bool has_token(const char *name, const char *token)
{
    return str_starts(name, CHECKPOINT_PREFIX) && strcmp(strrchr(name, '-') + 1, token) == 0;
}

/* Checkpoints that libvirt knows. */
static int delete_known_token(struct source *source, virDomainPtr domain, const char *token,
                              struct error **err)
{
    virDomainCheckpointPtr *all = NULL;
    int r = 0, count = virDomainListAllCheckpoints(domain, &all, 0);

    if (count < 0)
        return virt_error(err, "cannot list the checkpoints of VM \"%s\"",
                          virDomainGetName(domain));
    for (int i = 0; i < count; i++) {
        const char *name = virDomainCheckpointGetName(all[i]);

        if (r == 0 && has_token(name, token))
            r = checkpoint_delete(source, domain, name, err);
        virDomainCheckpointFree(all[i]);
    }
    free(all);
    return r;
}

/* Bitmaps in images whose checkpoint libvirt has forgotten (or never knew). */
static int delete_stored_token(struct source *source, virDomainPtr domain, const char *token,
                               struct error **err)
{
    _cleanup_json_ json_t *vm = NULL;
    int r = virt_describe_domain(domain, &vm, err);
    struct image image;
    const char *name;
    json_t *disk, *usable;
    size_t i;

    json_array_foreach(json_object_get(vm, "disks"), i, disk)
    {
        if (r == 0)
            r = image_look(source, disk, &image, err);
        if (r < 0)
            return r;
        json_object_foreach(image.bitmaps, name,
                            usable) if (r == 0 && str_starts(name, CHECKPOINT_PREFIX) &&
                                        strcmp(strrchr(name, '-') + 1, token) == 0) r =
            image_bitmap_remove(source, disk, name, err);
        image_done(&image);
    }
    return r;
}

int checkpoint_delete_token(struct source *source, virDomainPtr domain, const char *token,
                            struct error **err)
{
    int r = delete_known_token(source, domain, token, err);

    if (r < 0 || virt_power(domain) != SOURCE_OFF)
        return r;
    return delete_stored_token(source, domain, token, err);
}
