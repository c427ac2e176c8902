/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers and the guest agent for one Windows, taken from a virtio-win directory or ISO of the
 * host.  driverset.c is the only file that sees libarchive.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "morph/windows.h"

struct driver_file {
    const char *driver; /* of drivertable.h; static */
    unsigned rank;
    char *name;   /* lower case, without directories: "viostor.sys" */
    char *origin; /* where it was read */
    char *data;
    size_t length;
};

struct driver_set {
    struct driver_file *items; /* by name */
    size_t count;
};

/* Where the drivers are when the caller does not say: the package's ISO or directory; NULL when
 * there is neither.  Static. */
const char *driverset_default(void);

/* Reads what fits from a directory or an ISO.  Nothing fits: an empty set.  -ENOENT and others with
 * a sentence when the source cannot be read. */
int driverset_load(const char *source, const struct windows *w, struct driver_set *ret_set,
                   struct error **err);
void driverset_done(struct driver_set *set);

const struct driver_file *driverset_find(const struct driver_set *set, const char *name);
