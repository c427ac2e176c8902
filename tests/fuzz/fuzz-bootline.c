/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text files of a guest that decide how it boots.  The first byte chooses the kind of file, the
 * rest is its text.  Whatever it says: what is not replaced stays byte for byte, and a text that
 * was changed once is not changed again.
 */
#include <string.h>

#include "base/str.h"
#include "morph/bootline.h"
#include "morph/bootmenu.h"
#include "morph/fstab.h"
#include "morph/grubenv.h"
#include "morph/lvmconf.h"
#include "tests/fuzz/fuzz.h"

#define FORMS (BOOTLINE_WORDS + 1)

static char *keep(void *context, const char *key, const char *device)
{
    return NULL;
}

static char *replace(void *context, const char *key, const char *device)
{
    return str_dup("UUID=0");
}

static bool same(const struct buffer *b, const char *text)
{
    return strcmp(b->data ? b->data : "", text) == 0;
}

static void check_lines(enum bootline_form form, const char *text)
{
    struct buffer kept = {0}, once = {0}, twice = {0}, serial = {0}, again = {0};

    FUZZ_ASSERT(bootline_rewrite(form, text, &kept, keep, NULL) == 0 && same(&kept, text));
    bootline_rewrite(form, text, &once, replace, NULL);
    FUZZ_ASSERT(bootline_rewrite(form, once.data ? once.data : "", &twice, replace, NULL) == 0);
    if (bootline_add_console(form, text, &serial) > 0) {
        FUZZ_ASSERT(serial.length > strlen(text));
        FUZZ_ASSERT(bootline_has_word(form, serial.data, "console=ttyS0"));
        FUZZ_ASSERT(bootline_add_console(form, serial.data, &again) == 0);
    } else {
        FUZZ_ASSERT(same(&serial, text));
    }
    buffer_done(&kept);
    buffer_done(&once);
    buffer_done(&twice);
    buffer_done(&serial);
    buffer_done(&again);
}

static void check_table(const char *text)
{
    struct buffer out = {0};
    const char *cursor = text;
    struct fstab_line line;

    while (fstab_next(&cursor, &line)) {
        for (size_t i = 0; i < line.fields; i++)
            FUZZ_ASSERT(line.offset[i] + line.size[i] <= line.length);
        fstab_copy(&out, &line, 0, NULL, cursor);
    }
    FUZZ_ASSERT(same(&out, text));
    buffer_done(&out);
}

static void check_environment(const char *text)
{
    struct buffer out = {0};

    if (grubenv_is_valid(text) && grubenv_set(text, "saved_entry", "a>b", &out)) {
        char *value = grubenv_get(out.data, "saved_entry");

        FUZZ_ASSERT(out.length == strlen(text));
        FUZZ_ASSERT(grubenv_is_valid(out.data) && value && strcmp(value, "a>b") == 0);
        free(value);
    }
    buffer_done(&out);
}

static void check_menus(const char *text)
{
    const struct bootmenu_kernel kernel = {.image = "/boot/vmlinuz-1", .version = "1"};
    char *entry = bootmenu_grub_find(text, &kernel), *label = bootmenu_extlinux_find(text, &kernel);
    struct buffer a = {0}, b = {0}, c = {0}, again = {0};
    int number = bootmenu_legacy_find(text, &kernel);

    bootmenu_grub_saves(text);
    bootmenu_entry_is(text, &kernel);
    if (entry && bootmenu_grub_set(text, "id", &a) > 0)
        FUZZ_ASSERT(bootmenu_grub_set(a.data, "id", &again) == 0);
    buffer_done(&again);
    if (number >= 0 && bootmenu_legacy_set(text, number, &b) > 0)
        FUZZ_ASSERT(bootmenu_legacy_set(b.data, number, &again) == 0);
    buffer_done(&again);
    if (label && bootmenu_extlinux_set(text, label, &c) > 0)
        FUZZ_ASSERT(bootmenu_extlinux_set(c.data, label, &again) == 0);
    buffer_done(&again);
    buffer_done(&a);
    buffer_done(&b);
    buffer_done(&c);
    free(entry);
    free(label);
}

static void check_lvm(const char *text)
{
    struct buffer out = {0}, what = {0}, again = {0};

    if (lvmconf_admit(text, &out, &what) > 0)
        FUZZ_ASSERT(lvmconf_admit(out.data, &again, &what) == 0);
    buffer_done(&out);
    buffer_done(&what);
    buffer_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0 || memchr(data, '\0', size)) /* tree_text() does not let these through */
        return 0;
    text = str_format("%.*s", (int)(size - 1), (const char *)data + 1);
    check_lines((enum bootline_form)(data[0] % FORMS), text);
    check_table(text);
    check_environment(text);
    check_menus(text);
    check_lvm(text);
    free(text);
    return 0;
}
