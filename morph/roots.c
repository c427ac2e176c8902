/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/roots.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/buffer.h"
#include "morph/inspect.h"
#include "morph/mounts.h"
#include "morph/windows.h"

#define TOLD_MAX 12 /* volumes that a sentence lists */

/* ── a folder of a tree as a tree of its own ────────────────────────────────────────────────── */

struct below {
    const struct tree *tree;
    const char *path;
};

static int below_read(void *self, const char *path, size_t max, char **ret_data, size_t *ret_length,
                      struct error **err)
{
    const struct below *b = self;
    _cleanup_free_ char *all = str_format("%s%s", b->path, path);

    return tree_read(b->tree, all, max, ret_data, ret_length, err);
}

static int below_list(void *self, const char *path, char ***ret_names, struct error **err)
{
    const struct below *b = self;
    _cleanup_free_ char *all = str_format("%s%s", b->path, path);

    return tree_list(b->tree, all, ret_names, err);
}

static int below_readlink(void *self, const char *path, char **ret_target)
{
    const struct below *b = self;
    _cleanup_free_ char *all = str_format("%s%s", b->path, path);

    return tree_readlink(b->tree, all, ret_target);
}

static enum tree_kind below_kind(void *self, const char *path)
{
    const struct below *b = self;
    _cleanup_free_ char *all = str_format("%s%s", b->path, path);

    return tree_kind(b->tree, all);
}

static const struct tree_ops below_ops = {
    .read = below_read,
    .list = below_list,
    .readlink = below_readlink,
    .kind = below_kind,
};

/* ── finding ────────────────────────────────────────────────────────────────────────────────── */

static void add(struct root_list *list, const struct volume *volume, unsigned long long subvolume,
                const char *path, const char *pretty)
{
    struct root *items = reallocarray(list->items, list->count + 1, sizeof(*items));

    if (!items)
        abort();
    list->items = items;
    items[list->count++] = (struct root){.volume = volume,
                                         .subvolume = subvolume,
                                         .path = str_dup(path ? path : ""),
                                         .pretty = str_dup(pretty)};
}

int root_list_look(struct root_list *list, const struct tree *tree, const struct volume *volume,
                   unsigned long long subvolume, const char *path, struct error **err)
{
    struct os os = {0};
    int r;

    if (strcmp(volume->type, "ntfs") == 0) {
        _cleanup_free_ char *windows = windows_find_root(tree);

        if (windows)
            add(list, volume, 0, NULL, "Windows");
        return 0;
    }
    if (!inspect_is_root(tree))
        return 0;
    r = inspect_os(tree, &os, err);
    if (r == 0)
        add(list, volume, subvolume, path, os.pretty);
    os_done(&os);
    return r;
}

void root_list_done(struct root_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
        free(list->items[i].pretty);
    }
    free(list->items);
    *list = (struct root_list){0};
}

/* Where snapshots and the roots of containers are kept. */
static bool is_kept_aside(const char *path)
{
    static const char *const places[] = {
        ".snapshots",      "snapshots", "@snapshots", "@.snapshots",  "var/lib/",
        "timeshift-btrfs", "timeshift", "@/var/lib/", "@/.snapshots", "btrbk_snapshots"};

    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (str_starts(path, places[i]))
            return true;
    return strstr(path, "/.snapshots/") || strstr(path, "/snapshots/") || strstr(path, "/var/lib/");
}

enum standing { NO_ROOT, NAMED_OTHERWISE, LIKELY, NAMED }; /* a higher one is preferred */

static int standing_of(const struct tree *tree, const struct subvolume *s, enum standing *ret,
                       struct error **err)
{
    _cleanup_free_ char *path = NULL;
    unsigned long long id;
    int r;

    *ret = NO_ROOT;
    if (!inspect_is_root(tree))
        return 0;
    r = mounts_root_subvolume(tree, &path, &id, err);
    if (r < 0)
        return r;
    if ((path && strcmp(path, s->path) == 0) || (!path && id == s->id))
        *ret = NAMED;
    else if (path || id || is_kept_aside(s->path))
        *ret = NAMED_OTHERWISE;
    else
        *ret = LIKELY;
    return 0;
}

int root_list_look_btrfs(struct root_list *list, const struct tree *top,
                         const struct volume *volume, const struct subvolume *subvolumes,
                         size_t count, unsigned long long default_id, struct error **err)
{
    enum standing best = NAMED_OTHERWISE;
    size_t first = list->count;

    for (size_t i = 0; i < count; i++) {
        const struct subvolume *s = &subvolumes[i];
        _cleanup_free_ char *path = *s->path ? str_format("/%s", s->path) : str_dup("");
        struct below below = {.tree = top, .path = path};
        const struct tree tree = {.ops = &below_ops, .self = &below};
        enum standing standing;
        int r = standing_of(&tree, s, &standing, err);

        if (r == 0 && standing != NO_ROOT && s->id == default_id && default_id != TOP_LEVEL_ID)
            standing = NAMED + 1;
        if (r == 0 && standing > best) {
            while (list->count > first) {
                struct root *worse = &list->items[--list->count];

                free(worse->path);
                free(worse->pretty);
            }
            best = standing;
        }
        if (r == 0 && standing == best && best > NAMED_OTHERWISE)
            r = root_list_look(list, &tree, volume, s->id, s->path, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ── choosing ───────────────────────────────────────────────────────────────────────────────── */

/* "/dev/sda1 (ext4), /dev/sda2 (swap)"; owned by the caller. */
static char *tell_volumes(const struct volume_list *volumes)
{
    struct buffer out = {0};

    for (size_t i = 0; i < volumes->count && i < TOLD_MAX; i++)
        buffer_printf(&out, "%s%s (%s)", i ? ", " : "", volumes->items[i].device,
                      *volumes->items[i].type ? volumes->items[i].type : "nothing known");
    if (volumes->count > TOLD_MAX)
        buffer_printf(&out, " and %zu more", volumes->count - TOLD_MAX);
    return out.length ? buffer_steal(&out) : str_dup("nothing");
}

/* What the person at the command line calls it: /dev/vdb2 is a partition of the second disk. */
static const struct volume *find_named(const struct volume_list *volumes, const char *text)
{
    const struct volume *found = volume_find_device(volumes, text);
    struct source_name name;

    if (found || !source_name_parse(text, &name) || name.disk < 0)
        return found ? found : volume_find(volumes, text);
    for (size_t i = 0; i < volumes->count && !found; i++)
        if (volumes->items[i].disk == name.disk && volumes->items[i].partition == name.partition)
            found = &volumes->items[i];
    return found;
}

static const struct volume *find_wanted(const struct volume_list *volumes, const char *text)
{
    const struct volume *found = find_named(volumes, text);

    if (found && strcmp(found->type, "crypto_LUKS") == 0)
        for (size_t i = 0; i < volumes->count; i++)
            if (strcmp(volumes->items[i].inside, found->device) == 0)
                return &volumes->items[i];
    return found;
}

int root_wanted(const struct volume_list *volumes, const char *wanted,
                const struct volume **ret_volume, char **ret_subvolume, struct error **err)
{
    size_t length = strcspn(wanted, "["), n = strlen(wanted);
    _cleanup_free_ char *device = str_format("%.*s", (int)length, wanted), *told = NULL;

    *ret_subvolume = NULL;
    *ret_volume = find_wanted(volumes, device);
    if (*ret_volume) {
        if (n > length + 1 && wanted[n - 1] == ']') {
            length += 1 + strspn(wanted + length + 1, "/");
            *ret_subvolume = str_format("%.*s", (int)(n - length - 1), wanted + length);
        }
        return 0;
    }
    told = tell_volumes(volumes);
    return error_set(err, ENOENT, "--root %s is on none of the disks, which hold %s", wanted, told);
}

static int tell_choice(const struct root_list *list, struct error **err)
{
    struct buffer out = {0};
    int r;

    for (size_t i = 0; i < list->count; i++) {
        const struct root *root = &list->items[i];

        buffer_printf(&out, "%s%s%s%s%s (%s)", i ? ", " : "", root->volume->device,
                      *root->path ? "[" : "", root->path, *root->path ? "]" : "", root->pretty);
    }
    r = error_set(err, ENOTUNIQ, "the disks hold %zu operating systems; choose one with --root: %s",
                  list->count, out.data);
    buffer_done(&out);
    return r;
}

static int tell_none(const struct volume_list *volumes, const char *wanted, const char *complaint,
                     size_t keys, struct error **err)
{
    const struct volume *luks = volume_find_type(volumes, "crypto_LUKS");
    const struct volume *bitlocker = volume_find_type(volumes, "BitLocker");
    const struct volume *named = wanted ? find_named(volumes, wanted) : luks;
    _cleanup_free_ char *told = tell_volumes(volumes);
    bool opened = false;

    for (size_t i = 0; luks && i < volumes->count; i++)
        opened |= strcmp(volumes->items[i].inside, luks->device) == 0;
    if (complaint)
        return error_set(err, ENOENT, "no Linux root filesystem was found%s%s: %s",
                         wanted ? " on " : "", wanted ? wanted : "", complaint);
    if (wanted && (!named || strcmp(named->type, "crypto_LUKS") != 0))
        return error_set(err, ENOENT, "%s is not the root filesystem of a guest", wanted);
    if (luks && !opened && keys == 0)
        return error_set(err, ENOKEY,
                         "no Linux root filesystem was found, but %s is encrypted (LUKS); give its "
                         "key with --key FILE",
                         luks->device);
    if (luks && !opened)
        return error_set(err, EKEYREJECTED,
                         "no Linux root filesystem was found, and no --key that was given opens "
                         "the encrypted volume %s (LUKS)",
                         luks->device);
    if (wanted)
        return error_set(err, ENOENT, "%s is not the root filesystem of a guest", wanted);
    if (bitlocker)
        return error_set(err, EACCES,
                         "the guest's volume %s is encrypted by BitLocker; switch it off in the "
                         "source (manage-bde -off), wait until it is decrypted, and sync again",
                         bitlocker->device);
    return error_set(err, ENOENT,
                     "no Linux root filesystem and no Windows was found on the disks, which hold "
                     "%s; give all disks of the VM",
                     told);
}

int root_choose(const struct root_list *list, const struct volume_list *volumes, const char *wanted,
                const char *complaint, size_t keys, const struct root **ret_root,
                struct error **err)
{
    if (list->count > 1)
        return tell_choice(list, err);
    if (list->count == 0)
        return tell_none(volumes, wanted, complaint, keys, err);
    *ret_root = &list->items[0];
    return 0;
}
