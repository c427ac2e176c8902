/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of encrypted volumes, from files of the host: the content of a key file of the guest, or a
 * passphrase, which a text editor may have ended with a newline.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "morph/volume.h"

/* cryptsetup's own limit is 8 MiB; nobody's key is that long. */
#define KEY_MAX ((size_t)1 << 20)

struct key {
    char *device; /* the volume it belongs to, as in fstab; NULL: try it on all */
    char *file;
    char *data; /* NUL-terminated besides */
    size_t length;
};

struct key_list {
    struct key *items;
    size_t count;
};

/* Splits "[DEVICE=]FILE", where DEVICE begins with /dev/ or is UUID=… or LABEL=…; nothing is read.
 * -EINVAL without a sentence when a part is missing. */
int key_parse(const char *text, struct key *ret_key);

/* Reads the files of `count` texts.  On failure a sentence, and nothing is to be released. */
int keys_read(char *const *texts, size_t count, struct key_list *ret_list, struct error **err);

/* Overwrites what was secret. */
void key_list_done(struct key_list *list);

/* May this key be tried on this volume? */
bool key_fits(const struct key *key, const struct volume_list *volumes,
              const struct volume *volume);
