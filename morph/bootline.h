/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel command lines inside boot configuration.  Every kind of file keeps them elsewhere on a
 * line; the words themselves are the same everywhere.  Nothing but the words asked for changes.
 * Pure: texts come from the guest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/buffer.h"

enum bootline_form {
    BOOTLINE_GRUB,     /* grub.cfg: linux, linux16, linuxefi, module of a kernel; set kernelopts= */
    BOOTLINE_LEGACY,   /* menu.lst: kernel, module; update-grub's "# kopt=" */
    BOOTLINE_ENTRY,    /* Boot Loader Specification: options */
    BOOTLINE_EXTLINUX, /* append */
    BOOTLINE_ENV,      /* grubenv: kernelopts= */
    BOOTLINE_SHELL, /* assignments: GRUB_CMDLINE_…, default_kernel_opts, DEFAULT_APPEND, root … */
    BOOTLINE_WORDS /* /etc/kernel/cmdline: words only, # starts a comment line */
};

/*
 * True when the line carries kernel words: they are at [*ret_start, *ret_end) of it, without quotes
 * around them and blanks behind them.
 */
bool bootline_find(enum bootline_form form, const char *line, size_t length, size_t *ret_start,
                   size_t *ret_end);

/*
 * Copies text to out.  Each /dev/… that is the value of a word that names a device (root=, resume=,
 * cryptdevice=, …) is offered to replace(context, key, device), which returns what stands there
 * instead (freed here) or NULL to keep it.  Returns how many were replaced.
 */
size_t bootline_rewrite(enum bootline_form form, const char *text, struct buffer *out,
                        char *(*replace)(void *context, const char *key, const char *device),
                        void *context);

/* True when a command line in text has the word `word`, or one that goes on with ',' . */
bool bootline_has_word(enum bootline_form form, const char *text, const char *word);

/* The consoles of one command line. */
struct bootline_consoles {
    bool any;
    bool serial; /* ttyS0 */
    bool screen; /* a virtual terminal */
    bool lost;   /* the last one, which is /dev/console, is of hardware that stays behind */
};

void bootline_consoles(const char *words, size_t length, struct bootline_consoles *ret);

/*
 * Copies text to out with console=ttyS0,115200n8 on every command line that boots something (has
 * root=, or is all there is) and has it not.  What was /dev/console stays it: the screen where
 * nothing was said, the last console= where one was; only where that one was a console of the
 * source's hardware ttyS0 takes its place.  Returns how many lines changed.  For BOOTLINE_SHELL one
 * variable gets it, and where `text` has none that fits, 0 is returned.
 */
size_t bootline_add_console(enum bootline_form form, const char *text, struct buffer *out);
