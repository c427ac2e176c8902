/* SPDX-License-Identifier: Apache-2.0 */
/* The EFI system partition of a guest, mounted where distributions put it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/tree.h"

struct esp {
    char *root;     /* where it is mounted: /boot/efi, /efi or /boot */
    char *efi;      /* its directory EFI, as it is spelled there */
    char *fallback; /* EFI/BOOT, as it is or would be spelled */
    char **names;   /* what is in EFI; ended by NULL */
};

/* 1 and *ret_esp (esp_done() frees), 0 when there is none with a directory EFI. */
int esp_find(const struct tree *tree, struct esp *ret_esp, struct error **err);
void esp_done(struct esp *esp);

/* The path of `name` in a directory of the partition, in whatever case it is written there (the
 * filesystem does not care, and installers differ); NULL when it is not there.  Owned. */
char *esp_file(const struct tree *tree, const char *directory, const char *name);

/* True when the bytes are an EFI program with a signature, as Secure Boot wants it.  Pure. */
bool esp_is_signed(const void *image, size_t length);
