/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STORE/limits.json: the limits, for the next engine of the store, and their JSON form, which the
 * control verb and the status object share (docs/FORMATS.md).
 */
#pragma once

#include <jansson.h>
#include "engine/io.h"
#include "engine/limit.h"

#define LIMITFILE_NAME "limits.json"

/* {"source_bytes_s", "source_iops", "target_bytes_s", "target_iops"}; a new reference. */
json_t *limitfile_rates(const struct limit_rates *rates);

/* Takes those of the four that `j` has; other names are the caller's.  EINVAL with a sentence. */
int limitfile_take_rates(const json_t *j, struct limit_rates *rates, struct error **err);

/* Names of disks in the order of their index. */
struct limitfile_names {
    const char *names[DISKS_MAX];
    unsigned count;
};

/* Parses the text of a limits.json, which is not trusted.  where: names the file in sentences. */
int limitfile_parse(const char *text, size_t length, const char *where,
                    const struct limitfile_names *names, struct limit_table *ret_table,
                    struct error **err);

/* Reads it; a store without one has no limits.  EBADMSG, EPROTO: damaged, of another version. */
int limitfile_read(struct io *io, const char *store, const struct limitfile_names *names,
                   struct limit_table *ret_table, struct error **err);

/* Replaces it as a whole: what is there is the old one or the new one, whatever happens; durable
 * when it returns 0. */
int limitfile_write(struct io *io, const char *store, const struct limitfile_names *names,
                    const struct limit_table *table);
