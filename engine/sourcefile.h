/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STORE/source.json: where a hydrating owner reads its source, so that a restarted engine finds it.
 * {"format": 1, "snapshot": text, "disks": [{"name", "uri"}]}; written by rename, durably.
 */
#pragma once

#include "engine/sync.h"

struct sourcefile {
    char snapshot[SNAPSHOT_ID_MAX + 1];
    unsigned count;
    char *names[DISKS_MAX], *uris[DISKS_MAX];
};

/* Durable when it returns 0. */
int sourcefile_write(struct io *io, const char *store, const struct sync_source *sources,
                     unsigned count, const char *snapshot);

/* 0; -ENOENT: there is none; -EBADMSG with a sentence: not what we wrote; other -errno: I/O. */
int sourcefile_read(struct io *io, const char *store, struct sourcefile *ret_file,
                    struct error **err);
void sourcefile_done(struct sourcefile *file);

/* Parses its text, which is not trusted. */
int sourcefile_parse(const char *text, size_t length, const char *where,
                     struct sourcefile *ret_file, struct error **err);

/* NULL: the disk is not in it. */
const char *sourcefile_uri(const struct sourcefile *file, const char *disk);

int sourcefile_remove(struct io *io, const char *store); /* none there is fine */
