/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to the NBD server of an engine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nbd_handle;

/*
 * Connects to the export, asking for its allocation.  ENOENT: the engine is there, and has no such
 * export (now); ECONNREFUSED: no engine, or none that answers in a few seconds; ECANCELED.
 */
int link_open(const char *socket, const char *export_name, bool (*cancelled)(void *context),
              void *context, struct nbd_handle **ret_nbd);

/* Bytes; -EIO. */
int link_size(struct nbd_handle *nbd, uint64_t *ret_size);
