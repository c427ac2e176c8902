/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/volume.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define DISK_NUMBER_MAX 4096

struct volume *volume_add(struct volume_list *list, const char *device, int disk, int partition)
{
    struct volume *items = reallocarray(list->items, list->count + 1, sizeof(*items));
    struct volume *v;

    if (!items)
        abort();
    list->items = items;
    v = &items[list->count++];
    *v = (struct volume){.device = str_dup(device),
                         .disk = disk,
                         .partition = partition,
                         .type = str_dup(""),
                         .uuid = str_dup(""),
                         .label = str_dup(""),
                         .partuuid = str_dup(""),
                         .inside = str_dup(""),
                         .name = str_dup("")};
    return v;
}

void volume_list_done(struct volume_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].device);
        free(list->items[i].type);
        free(list->items[i].uuid);
        free(list->items[i].label);
        free(list->items[i].partuuid);
        free(list->items[i].inside);
        free(list->items[i].name);
    }
    free(list->items);
    *list = (struct volume_list){0};
}

/* A decimal number of 1 to 4 digits at *s, without leading zero (except 0 itself); moves *s. */
static int number_at(const char **s)
{
    const char *p = *s;
    int n = 0;

    if (!isdigit((unsigned char)*p) || (*p == '0' && isdigit((unsigned char)p[1])))
        return -1;
    while (isdigit((unsigned char)*p)) {
        n = n * 10 + (*p++ - '0');
        if (n > DISK_NUMBER_MAX)
            return -1;
    }
    *s = p;
    return n;
}

/* sda5, xvdb, vdaa1: letters count disks from a, aa follows z. */
static bool letters_parse(const char *s, struct source_name *ret)
{
    int disk = 0, partition = 0;

    if (!islower((unsigned char)*s))
        return false;
    while (islower((unsigned char)*s)) {
        disk = disk * 26 + (*s++ - 'a') + 1;
        if (disk > DISK_NUMBER_MAX)
            return false;
    }
    if (*s) {
        partition = number_at(&s);
        if (partition <= 0 || *s)
            return false;
    }
    *ret = (struct source_name){.disk = disk - 1, .partition = partition};
    return true;
}

/* "p3" or nothing at the end of nvme0n1p3 and mmcblk0p3. */
static bool p_suffix_parse(const char *s, int disk, struct source_name *ret)
{
    int partition = 0;

    if (*s) {
        if (*s++ != 'p')
            return false;
        partition = number_at(&s);
        if (partition <= 0 || *s)
            return false;
    }
    *ret = (struct source_name){.disk = disk, .partition = partition};
    return true;
}

static bool nvme_parse(const char *s, struct source_name *ret)
{
    int controller = number_at(&s), space;

    if (controller < 0 || *s++ != 'n')
        return false;
    space = number_at(&s);
    /* Second name spaces are not counted as disks in any order we know. */
    return space >= 1 && p_suffix_parse(s, space == 1 ? controller : -1, ret);
}

static bool mmc_parse(const char *s, struct source_name *ret)
{
    int disk = number_at(&s);

    return disk >= 0 && p_suffix_parse(s, disk, ret);
}

/* cciss/c0d1p2: the first controller's disks count as the VM's. */
static bool cciss_parse(const char *s, struct source_name *ret)
{
    int controller = number_at(&s), disk;

    if (controller < 0 || *s++ != 'd')
        return false;
    disk = number_at(&s);
    return disk >= 0 && p_suffix_parse(s, controller == 0 ? disk : -1, ret);
}

/* mpatha, mpatha2, mpathap2, mpatha-part2: multipath's names say nothing about the order. */
static bool mpath_parse(const char *s, struct source_name *ret)
{
    size_t letters = strspn(s, "abcdefghijklmnopqrstuvwxyz");
    int partition = 0;

    if (letters == 0)
        return false;
    s += letters;
    if (*s) {
        s += str_starts(s, "-part") ? strlen("-part") : 0;
        partition = number_at(&s);
        if (partition <= 0 || *s)
            return false;
    }
    *ret = (struct source_name){.disk = -1, .partition = partition};
    return true;
}

/* by-path and by-id: only the partition is told, by "-partN" at the end. */
static bool link_parse(const char *s, struct source_name *ret)
{
    static const char *const moving[] = {"dm-", "lvm-", "md-"}; /* with the data */
    const char *part = strstr(s, "-part"), *next;
    int partition = 0;

    if (!*s || strchr(s, '/'))
        return false;
    for (size_t i = 0; i < sizeof(moving) / sizeof(moving[0]); i++)
        if (str_starts(s, moving[i]))
            return false;
    while (part && (next = strstr(part + 1, "-part")))
        part = next;
    if (part) {
        part += strlen("-part");
        partition = number_at(&part);
        if (partition <= 0 || *part)
            return false;
    }
    *ret = (struct source_name){.disk = -1, .partition = partition};
    return true;
}

bool source_name_parse(const char *device, struct source_name *ret_name)
{
    static const struct {
        const char *prefix;
        bool (*parse)(const char *rest, struct source_name *ret);
    } kinds[] = {
        {"/dev/disk/by-path/", link_parse}, {"/dev/disk/by-id/", link_parse},
        {"/dev/mapper/mpath", mpath_parse}, {"/dev/cciss/c", cciss_parse},
        {"/dev/nvme", nvme_parse},          {"/dev/mmcblk", mmc_parse},
        {"/dev/xvd", letters_parse},        {"/dev/sd", letters_parse},
        {"/dev/hd", letters_parse},         {"/dev/vd", letters_parse},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_starts(device, kinds[i].prefix))
            return kinds[i].parse(device + strlen(kinds[i].prefix), ret_name);
    return false;
}

/* Is what blkid found what fstab says is there? */
static bool type_fits(const char *found, const char *expected)
{
    if (!expected || !*expected || strcmp(expected, "auto") == 0 || strcmp(expected, "none") == 0)
        return true;
    if (strncmp(found, "ext", 3) == 0 && strncmp(expected, "ext", 3) == 0)
        return true;
    if (strcmp(found, "vfat") == 0 && strcmp(expected, "msdos") == 0)
        return true;
    if (strcmp(found, "ntfs") == 0 && strncmp(expected, "ntfs", 4) == 0)
        return true;
    return strcmp(found, expected) == 0;
}

/* Does the name tell the disk, going by the order in which they were given? */
static int disk_of(const struct volume_list *list, const char *device,
                   const struct source_name *name)
{
    /* IDE letters are places on two cables, of which a CD-ROM takes one; Xen starts anywhere. */
    bool loose = str_starts(device, "/dev/hd") || str_starts(device, "/dev/xvd") ||
                 str_starts(device, "/dev/nvme");

    if (name->disk < 0 || (name->disk > 0 && str_starts(device, "/dev/hd")) ||
        (loose && list->disks == 1))
        return list->disks == 1 ? 0 : -1;
    return name->disk;
}

/* The only volume with this partition number and type on any disk (disk < 0) or on one. */
static const struct volume *resolve(const struct volume_list *list, const char *device,
                                    const char *type, const char **ret_why)
{
    const struct volume *found = NULL;
    bool other_type = false;
    struct source_name name;
    int disk;

    if (!source_name_parse(device, &name)) {
        *ret_why = "it is no device name of the source";
        return NULL;
    }
    disk = disk_of(list, device, &name);
    for (size_t i = 0; i < list->count; i++) {
        const struct volume *v = &list->items[i];

        if (v->disk < 0 || v->partition != name.partition || (disk >= 0 && v->disk != disk))
            continue;
        if (!type_fits(v->type, type)) {
            other_type = true;
        } else if (found) {
            *ret_why = "the name does not tell which of several disks is meant";
            return NULL;
        } else {
            found = v;
        }
    }
    if (!found)
        *ret_why = other_type ? "what is there is of another type, so the order of disks may differ"
                              : "no disk given with --disk has such a partition";
    return found;
}

const struct volume *volume_of_source_name(const struct volume_list *list, const char *device,
                                           const char *type, const char **ret_why)
{
    const struct volume *found = resolve(list, device, type, ret_why);

    if (found && !*found->uuid) {
        *ret_why = "what is there has no UUID";
        return NULL;
    }
    return found;
}

char *volume_lasting_name(const struct volume_list *list, const char *device, const char *type,
                          enum volume_form form, const char **ret_why)
{
    const struct volume *v = resolve(list, device, type, ret_why);
    bool path = form == VOLUME_PATH || str_starts(device, "/dev/disk/");

    if (!v)
        return NULL;
    if (*v->uuid && form != VOLUME_PARTITION)
        return str_format(path ? "/dev/disk/by-uuid/%s" : "UUID=%s", v->uuid);
    if (*v->partuuid)
        return str_format(path && form != VOLUME_PARTITION ? "/dev/disk/by-partuuid/%s"
                                                           : "PARTUUID=%s",
                          v->partuuid);
    *ret_why = "what is there has neither a UUID nor a partition UUID";
    return NULL;
}

/* Is `path` /dev/mapper/NAME of the logical volume `device` (/dev/VG/LV)?  The mapper doubles
 * hyphens inside the two names and puts a single one between them. */
static bool is_mapper_name(const char *path, const char *device)
{
    const char *p = path + strlen("/dev/mapper/"), *d = device + strlen("/dev/");

    if (!str_starts(path, "/dev/mapper/") || !str_starts(device, "/dev/") || !strchr(d, '/'))
        return false;
    for (; *p && *d; p++, d++) {
        if (*d == '/') {
            if (*p != '-')
                return false;
        } else if (*p != *d) {
            return false;
        } else if (*d == '-' && *++p != '-') {
            return false;
        }
    }
    return !*p && !*d;
}

/* spec without `tag` in front and without quotes, compared with value. */
static bool tag_is(const char *spec, const char *tag, const char *value, bool any_case)
{
    size_t length = strlen(tag), n;

    if (!*value || strncmp(spec, tag, length) != 0)
        return false;
    spec += length;
    n = strlen(spec);
    if (n >= 2 && spec[0] == '"' && spec[n - 1] == '"') {
        spec++;
        n -= 2;
    }
    if (n != strlen(value))
        return false;
    return (any_case ? strncasecmp(spec, value, n) : strncmp(spec, value, n)) == 0;
}

static bool volume_is(const struct volume *v, const char *spec)
{
    return tag_is(spec, "UUID=", v->uuid, true) || tag_is(spec, "LABEL=", v->label, false) ||
           tag_is(spec, "PARTUUID=", v->partuuid, true) ||
           tag_is(spec, "/dev/disk/by-uuid/", v->uuid, true) ||
           tag_is(spec, "/dev/disk/by-label/", v->label, false) ||
           tag_is(spec, "/dev/disk/by-partuuid/", v->partuuid, true) ||
           (*v->name && strcmp(spec, v->name) == 0) ||
           (v->disk < 0 && (strcmp(spec, v->device) == 0 || is_mapper_name(spec, v->device)));
}

const struct volume *volume_find(const struct volume_list *list, const char *spec)
{
    const char *why;

    for (size_t i = 0; i < list->count; i++)
        if (volume_is(&list->items[i], spec))
            return &list->items[i];
    return volume_of_source_name(list, spec, NULL, &why);
}

const struct volume *volume_find_type(const struct volume_list *list, const char *type)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].type, type) == 0)
            return &list->items[i];
    return NULL;
}

const struct volume *volume_find_device(const struct volume_list *list, const char *device)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].device, device) == 0)
            return &list->items[i];
    return NULL;
}
