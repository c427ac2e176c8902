/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/bootfile.h"

#include <string.h>
#include <strings.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/grubenv.h"

#define FILES_MAX 512 /* boot entries of a guest are its own business, up to here */

struct place {
    const char *path; /* or a directory that is listed, when suffix is not NULL */
    const char *suffix;
    enum bootline_form form;
    bool live;
};

static const struct place places[] = {
    {"/boot/grub/grub.cfg", NULL, BOOTLINE_GRUB, true},
    {"/boot/grub/custom.cfg", NULL, BOOTLINE_GRUB, true},
    {"/boot/grub2/grub.cfg", NULL, BOOTLINE_GRUB, true},
    {"/boot/grub2/custom.cfg", NULL, BOOTLINE_GRUB, true},
    {"/boot/grub/menu.lst", NULL, BOOTLINE_LEGACY, true},
    {"/boot/grub/grub.conf", NULL, BOOTLINE_LEGACY, true},
    {"/boot/loader/entries", ".conf", BOOTLINE_ENTRY, true},
    {"/boot/efi/loader/entries", ".conf", BOOTLINE_ENTRY, true},
    {"/efi/loader/entries", ".conf", BOOTLINE_ENTRY, true},
    {"/boot/grub/grubenv", NULL, BOOTLINE_ENV, true},
    {"/boot/grub2/grubenv", NULL, BOOTLINE_ENV, true},
    {"/boot/extlinux.conf", NULL, BOOTLINE_EXTLINUX, true},
    {"/boot/extlinux/extlinux.conf", NULL, BOOTLINE_EXTLINUX, true},
    {"/boot/syslinux/syslinux.cfg", NULL, BOOTLINE_EXTLINUX, true},
    {"/boot/syslinux/extlinux.conf", NULL, BOOTLINE_EXTLINUX, true},
    {"/extlinux.conf", NULL, BOOTLINE_EXTLINUX, true},
    {"/etc/default/grub", NULL, BOOTLINE_SHELL, false},
    {"/etc/default/grub.d", ".cfg", BOOTLINE_SHELL, false},
    {"/etc/grub.d/40_custom", NULL, BOOTLINE_GRUB, false},
    {"/etc/grub.d/41_custom", NULL, BOOTLINE_GRUB, false},
    {"/etc/sysconfig/bootloader", NULL, BOOTLINE_SHELL, false},
    {"/etc/update-extlinux.conf", NULL, BOOTLINE_SHELL, false},
    {"/etc/dracut.conf", NULL, BOOTLINE_SHELL, false},
    {"/etc/dracut.conf.d", ".conf", BOOTLINE_SHELL, false},
    {"/etc/kernel/cmdline", NULL, BOOTLINE_WORDS, false},
    {"/etc/kernel/cmdline.d", ".conf", BOOTLINE_WORDS, false},
    {"/etc/cmdline.d", ".conf", BOOTLINE_WORDS, false},
};

/* Where the EFI system partition is mounted; each vendor's directory may have its own files. */
static const char *const esp_roots[] = {"/boot/efi/EFI", "/efi/EFI", "/boot/EFI"};

static void add(struct bootfile_list *list, const struct tree *tree, const char *path,
                enum bootline_form form, bool live)
{
    struct bootfile *items;

    if (list->count == FILES_MAX || tree_kind(tree, path) != TREE_FILE)
        return;
    items = reallocarray(list->items, list->count + 1, sizeof(*items));
    if (!items)
        abort();
    list->items = items;
    items[list->count++] = (struct bootfile){.path = str_dup(path), .form = form, .live = live};
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n > m && strcasecmp(name + n - m, suffix) == 0;
}

static int add_directory(struct bootfile_list *list, const struct tree *tree,
                         const struct place *place, struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = tree_list(tree, place->path, &names, err);

    for (char **n = names; r >= 0 && *n; n++) {
        _cleanup_free_ char *path = str_format("%s/%s", place->path, *n);

        if (ends_with(*n, place->suffix))
            add(list, tree, path, place->form, place->live);
    }
    return r;
}

static int add_vendors(struct bootfile_list *list, const struct tree *tree, const char *root,
                       struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = tree_list(tree, root, &names, err);

    for (char **n = names; r >= 0 && *n; n++) {
        _cleanup_free_ char *config = str_format("%s/%s/grub.cfg", root, *n);
        _cleanup_free_ char *legacy = str_format("%s/%s/grub.conf", root, *n);
        _cleanup_free_ char *env = str_format("%s/%s/grubenv", root, *n);

        add(list, tree, config, BOOTLINE_GRUB, true);
        add(list, tree, legacy, BOOTLINE_LEGACY, true);
        add(list, tree, env, BOOTLINE_ENV, true);
    }
    return r;
}

/* Is the path in a directory that is a link, so that it has another name as well? */
static bool is_second_name(const struct tree *tree, const char *path)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *directory = str_format("%.*s", (int)(slash - path), path);

    return *directory && tree_kind(tree, directory) == TREE_LINK;
}

int bootfile_list(const struct tree *tree, struct bootfile_list *ret_list, struct error **err)
{
    struct bootfile_list list = {0};
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(places); i++) {
        if (places[i].suffix && tree_kind(tree, places[i].path) == TREE_DIR)
            r = add_directory(&list, tree, &places[i], err);
        else if (!places[i].suffix && !is_second_name(tree, places[i].path))
            add(&list, tree, places[i].path, places[i].form, places[i].live);
    }
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(esp_roots); i++)
        if (tree_kind(tree, esp_roots[i]) == TREE_DIR)
            r = add_vendors(&list, tree, esp_roots[i], err);
    if (r < 0) {
        bootfile_list_done(&list);
        return r;
    }
    *ret_list = list;
    return 0;
}

void bootfile_list_done(struct bootfile_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
    *list = (struct bootfile_list){0};
}

void bootfile_write(struct plan *plan, const char *change, const struct bootfile *file,
                    const char *old, struct buffer *out, char *what, const char *why)
{
    size_t length;

    if (file->form == BOOTLINE_ENV && !grubenv_fit(out, strlen(old))) {
        plan_warn(plan, change,
                  "%s has no room for what should be changed in it (%s): shorten kernelopts in the "
                  "source with grub2-editenv",
                  file->path, what);
        free(what);
        buffer_done(out);
        return;
    }
    length = out->length;
    plan_edit(plan, EDIT_WRITE, change, file->path, buffer_steal(out), length, what, str_dup(why));
}
