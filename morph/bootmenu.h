/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which entry of a boot menu starts a given kernel, and making that entry the default.  Entries for
 * recovery are never chosen.  Pure: texts come from the guest, and what is not understood is left
 * alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/buffer.h"

/* A kernel as menus name it. */
struct bootmenu_kernel {
    const char *image;   /* path in the guest: the last part counts */
    const char *version; /* a directory of the path may be called so */
};

/* GRUB 2 (grub.cfg): "ID" or "SUBMENU-ID>ID" (titles where there are no ids), owned; NULL: none. */
char *bootmenu_grub_find(const char *text, const struct bootmenu_kernel *kernel);

/* True when grub.cfg takes its default from the environment block (saved_entry). */
bool bootmenu_grub_saves(const char *text);

/* Copies text with `set default="value"`, except where the next boot only is chosen.  Returns how
 * many lines changed. */
size_t bootmenu_grub_set(const char *text, const char *value, struct buffer *out);

/* GRUB legacy: number of the entry, from 0; -1: none. */
int bootmenu_legacy_find(const char *text, const struct bootmenu_kernel *kernel);
size_t bootmenu_legacy_set(const char *text, int entry, struct buffer *out);

/* extlinux: the label, owned; NULL: none.  The default is a DEFAULT line or "MENU DEFAULT". */
char *bootmenu_extlinux_find(const char *text, const struct bootmenu_kernel *kernel);
size_t bootmenu_extlinux_set(const char *text, const char *label, struct buffer *out);

/* Does this entry of the Boot Loader Specification start the kernel? */
bool bootmenu_entry_is(const char *text, const struct bootmenu_kernel *kernel);

/* Copies text with the value of the last line `key VALUE` or key=VALUE (kept as it is written)
 * replaced, or with the line `add` at the end where there is none.  1 when something changed. */
size_t bootmenu_setting(const char *text, const char *key, const char *value, const char *add,
                        struct buffer *out);

/* Inside: the line at *cursor without blanks around it; moves *cursor behind it.  False at the
 * end. */
struct menuline {
    const char *raw; /* with blanks, as long as *cursor moved */
    const char *text;
    size_t length;
};

bool menuline_next(const char **cursor, struct menuline *ret_line);
/* What follows the word `word` (any case) at the line's start; NULL when it starts otherwise. */
const char *menuline_after(const struct menuline *line, const char *word, size_t *ret_length);
/* Is the path at the start of [text, text+length) that kernel's? */
bool menuline_is_kernel(const char *text, size_t length, const struct bootmenu_kernel *kernel);
/* True when [text, text+length) has `word`, in any case. */
bool menuline_has(const char *text, size_t length, const char *word);
