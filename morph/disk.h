/* SPDX-License-Identifier: Apache-2.0 */
/* Where one disk of the guest is: an NBD URI or a local raw image file. */
#pragma once

#include <stdint.h>
#include "base/error.h"

struct disk_spec {
    char *file;        /* local file; everything below is NULL then */
    char *socket;      /* unix socket, or NULL for TCP */
    char *host;        /* TCP */
    uint16_t port;     /* TCP */
    char *export_name; /* "" for the default export */
};

/*
 * Understands nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH and paths; %XX is decoded.
 * -EINVAL with a sentence otherwise.  Release with disk_spec_done().
 */
int disk_spec_parse(const char *text, struct disk_spec *ret_spec, struct error **err);
void disk_spec_done(struct disk_spec *spec);
