/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/esp.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/align.h"
#include "base/str.h"

static const char *const roots[] = {"/boot/efi", "/efi", "/boot"};

char *esp_file(const struct tree *tree, const char *directory, const char *name)
{
    _cleanup_names_ char **names = NULL;

    if (tree_list(tree, directory, &names, NULL) < 0)
        return NULL;
    for (char **n = names; *n; n++)
        if (strcasecmp(*n, name) == 0)
            return str_format("%s/%s", directory, *n);
    return NULL;
}

int esp_find(const struct tree *tree, struct esp *ret_esp, struct error **err)
{
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        _cleanup_free_ char *efi =
            tree_kind(tree, roots[i]) == TREE_DIR ? esp_file(tree, roots[i], "EFI") : NULL;
        struct esp esp = {0};
        int r;

        /* /boot/efi is where the partition is mounted, when it is not /boot itself. */
        if (!efi || tree_kind(tree, efi) != TREE_DIR || strcmp(efi, "/boot/efi") == 0)
            continue;
        r = tree_list(tree, efi, &esp.names, err);
        if (r < 0)
            return r;
        esp.root = str_dup(roots[i]);
        esp.fallback = esp_file(tree, efi, "BOOT");
        if (!esp.fallback)
            esp.fallback = str_format("%s/BOOT", efi);
        esp.efi = steal_ptr(efi);
        *ret_esp = esp;
        return 1;
    }
    return 0;
}

void esp_done(struct esp *esp)
{
    tree_names_free(esp->names);
    free(esp->root);
    free(esp->efi);
    free(esp->fallback);
    *esp = (struct esp){0};
}

static uint32_t number(const unsigned char *p, int bytes)
{
    uint32_t v = 0;

    for (int i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

/* The optional header (24 bytes behind "PE\0\0") starts with 0x10b (32 bit) or 0x20b (64 bit); its
 * table of directories is at 96 or 112, and the fifth says where the signatures are. */
bool esp_is_signed(const void *image, size_t length)
{
    const unsigned char *p = image;
    uint64_t at;
    uint32_t magic;

    if (length < 0x40 || memcmp(p, "MZ", 2) != 0)
        return false;
    at = number(p + 0x3c, 4);
    if (!range_inside(at, 24 + 112 + 40, length) || memcmp(p + at, "PE\0\0", 4) != 0)
        return false;
    magic = number(p + at + 24, 2);
    at += 24 + (magic == 0x20b ? 112 : 96) + 4 * 8;
    return (magic == 0x10b || magic == 0x20b) && number(p + at, 4) > 0 && number(p + at + 4, 4) > 0;
}
