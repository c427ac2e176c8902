/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/mounts.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/fstab.h"

#define FSTAB "/etc/fstab"

/* The value of "key=…" among comma-separated options, or NULL. */
static char *option_value(const char *options, const char *key)
{
    size_t n = strlen(key);

    for (const char *at = options; *at; at += strcspn(at, ","), at += *at == ',') {
        size_t length = strcspn(at, ",");

        if (length > n && strncmp(at, key, n) == 0 && at[n] == '=')
            return str_format("%.*s", (int)(length - n - 1), at + n + 1);
    }
    return NULL;
}

static bool has_option(const char *options, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = options; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == n && strncmp(at, name, n) == 0)
            return true;
    return false;
}

/* What has to be said to mount(8) so that the right subvolume is mounted. */
static char *subvolume_option(const char *options)
{
    _cleanup_free_ char *path = option_value(options, "subvol");
    _cleanup_free_ char *id = option_value(options, "subvolid");

    if (path)
        return str_format("subvol=%s", path);
    return id ? str_format("subvolid=%s", id) : str_dup("");
}

/* Not on a disk of the VM: memory, the network, another directory. */
static bool is_elsewhere(const char *spec, const char *type, const char *options)
{
    static const char *const types[] = {"tmpfs",   "nfs", "nfs4", "cifs",
                                        "overlay", "9p",  "ceph", "virtiofs"};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return has_option(options, "bind") || has_option(options, "rbind") ||
           (*spec != '/' && !strchr(spec, '='));
}

static void add(struct mount_list *list, const struct volume *volume, const char *directory,
                char *options)
{
    list->items[list->count++] =
        (struct mount){.volume = volume, .directory = str_dup(directory), .options = options};
}

static int add_line(struct mount_list *list, const struct volume_list *volumes,
                    const struct fstab_line *line, const char *directory, struct error **err)
{
    _cleanup_free_ char *spec = fstab_field(line, 0), *type = fstab_field(line, 2);
    _cleanup_free_ char *options = fstab_field(line, 3);
    const struct volume *volume = volume_find(volumes, spec);

    if (is_elsewhere(spec, type, options))
        return 0;
    if (volume && strcmp(volume->type, "crypto_LUKS") == 0)
        volume = NULL;
    if (volume) {
        add(list, volume, directory, subvolume_option(options));
        return 0;
    }
    if (has_option(options, "nofail"))
        return 0;
    return error_set(err, ENOENT,
                     volume_find_type(volumes, "crypto_LUKS")
                         ? "the guest's fstab mounts '%s' on %s, but that is on none of the disks, "
                           "or inside an encrypted volume that no --key opens"
                         : "the guest's fstab mounts '%s' on %s, but that is on none of the disks; "
                           "give all disks of the VM, in their order",
                     spec, directory);
}

static bool has_mount(const struct mount_list *list, const char *directory)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].directory, directory) == 0)
            return true;
    return false;
}

static bool is_empty_directory(const struct tree *tree, const char *path)
{
    _cleanup_names_ char **names = NULL;

    return tree_kind(tree, path) == TREE_DIR && tree_list(tree, path, &names, NULL) == 0 &&
           !names[0];
}

/* systemd mounts the EFI system partition on /efi where that exists, otherwise on an empty /boot.
 */
static void add_esp(struct mount_list *list, const struct tree *tree,
                    const struct volume_list *volumes)
{
    const struct volume *esp = NULL;
    const char *directory = tree_kind(tree, "/efi") == TREE_DIR ? "/efi" : "/boot";

    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].volume->type, "vfat") == 0)
            return;
    for (size_t i = 0; i < volumes->count; i++) {
        if (!volumes->items[i].esp)
            continue;
        if (esp)
            return; /* which one cannot be told */
        esp = &volumes->items[i];
    }
    if (esp && list->count < MOUNTS_MAX && !has_mount(list, directory) &&
        is_empty_directory(tree, directory))
        add(list, esp, directory, str_dup(""));
}

/* fstab may write a directory with a slash at its end. */
static char *directory_of(const struct fstab_line *line)
{
    char *directory = fstab_field(line, 1);
    size_t n = strlen(directory);

    while (n > 1 && directory[n - 1] == '/')
        directory[--n] = '\0';
    return directory;
}

int mounts_of_fstab(const struct tree *tree, const struct volume_list *volumes,
                    struct mount_list *ret_mounts, struct error **err)
{
    static const char *const wanted[] = {"/usr",      "/var", "/root",    "/boot",
                                         "/boot/efi", "/efi", "/boot/EFI"};
    _cleanup_free_ char *text = NULL;
    int r = tree_text(tree, FSTAB, &text, err);

    *ret_mounts = (struct mount_list){0};
    for (size_t i = 0; r >= 0 && text && i < ARRAY_SIZE(wanted); i++) {
        const char *cursor = text;
        struct fstab_line line;

        while (r >= 0 && fstab_next(&cursor, &line)) {
            _cleanup_free_ char *directory = directory_of(&line);

            if (strcmp(directory, wanted[i]) == 0) {
                r = add_line(ret_mounts, volumes, &line, directory, err);
                break;
            }
        }
    }
    if (r < 0)
        mount_list_done(ret_mounts);
    else
        add_esp(ret_mounts, tree, volumes);
    return r < 0 ? r : 0;
}

/* True when directory is path or above it; "/" is not. */
static bool is_above(const char *directory, const char *path)
{
    size_t n = strlen(directory);

    return n > 1 && strncmp(directory, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The line of the outermost directory that is longer than `longer` bytes and above path. */
static bool next_above(const char *text, const char *path, size_t longer,
                       struct fstab_line *ret_line, size_t *ret_length)
{
    struct fstab_line line;
    bool found = false;

    while (fstab_next(&text, &line)) {
        _cleanup_free_ char *directory = directory_of(&line);
        size_t n = strlen(directory);

        if (n <= longer || !is_above(directory, path) || (found && n >= *ret_length))
            continue;
        *ret_line = line;
        *ret_length = n;
        found = true;
    }
    return found;
}

int mounts_add_above(const struct tree *tree, const struct volume_list *volumes, const char *path,
                     struct mount_list *mounts, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    struct fstab_line line;
    size_t length = 0;
    int r = tree_text(tree, FSTAB, &text, err);

    while (r >= 0 && text && mounts->count < MOUNTS_MAX &&
           next_above(text, path, length, &line, &length)) {
        _cleanup_free_ char *directory = directory_of(&line);

        if (!has_mount(mounts, directory))
            r = add_line(mounts, volumes, &line, directory, err);
    }
    return r < 0 ? r : 0;
}

void mount_list_done(struct mount_list *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->items[i].directory);
        free(mounts->items[i].options);
    }
    *mounts = (struct mount_list){0};
}

int mounts_root_subvolume(const struct tree *tree, char **ret_path, unsigned long long *ret_id,
                          struct error **err)
{
    _cleanup_free_ char *text = NULL;
    struct fstab_line line;
    const char *cursor;
    int r = tree_text(tree, FSTAB, &text, err);

    *ret_path = NULL;
    *ret_id = 0;
    cursor = text;
    while (r > 0 && fstab_next(&cursor, &line)) {
        _cleanup_free_ char *directory = fstab_field(&line, 1), *options = fstab_field(&line, 3);
        _cleanup_free_ char *path = NULL, *id = NULL;

        if (strcmp(directory, "/") != 0)
            continue;
        path = option_value(options, "subvol");
        id = option_value(options, "subvolid");
        if (path)
            *ret_path = str_dup(path + strspn(path, "/"));
        if (id)
            *ret_id = strtoull(id, NULL, 10);
        break;
    }
    return r < 0 ? r : 0;
}

int mounts_name_opened(const struct tree *tree, struct volume_list *volumes, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    struct fstab_line line;
    const char *cursor;
    int r = tree_text(tree, "/etc/crypttab", &text, err);

    cursor = text;
    while (r > 0 && fstab_next(&cursor, &line)) {
        _cleanup_free_ char *name = fstab_field(&line, 0), *source = fstab_field(&line, 1);
        const struct volume *outer = volume_find(volumes, source);

        for (size_t i = 0; outer && i < volumes->count; i++) {
            struct volume *v = &volumes->items[i];

            if (strcmp(v->inside, outer->device) != 0)
                continue;
            free(v->name);
            v->name = str_format("/dev/mapper/%s", name);
        }
    }
    return r < 0 ? r : 0;
}
