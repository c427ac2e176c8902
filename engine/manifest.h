/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manifest: what the disks of a VM held at a moment, so that others can check it later without
 * the engine (docs/FORMATS.md).  Made by reading every byte, not from stored digests.
 */
#pragma once

#include <jansson.h>
#include "engine/verify.h"

/*
 * Mirror: of the latest generation, while syncs and readers go on; a flip ends it.  Owner: of the
 * targets; EBUSY when something has them open for writing, then or meanwhile.
 * key: PEM file with an Ed25519 private key, or NULL for a manifest without signature.
 * `stop`: as with verify_run().
 */
int manifest_make(struct verify *stop, struct engine *engine, const char *key,
                  progress_fn *progress, void *context, json_t **ret_manifest, struct error **err);

/* Checks the text of a manifest, which is not trusted, and its signature.  where: names it in
 * sentences.  public_key: PEM file that must be the signer's, or NULL.  EBADMSG: it is damaged,
 * changed or not that signer's. */
int manifest_parse(const char *text, size_t length, const char *where, const char *public_key,
                   json_t **ret_manifest, struct error **err);

/* Reads the bytes of a disk of a parsed manifest from a raw file or device. 1: they are the same,
 * 0: they are not, -errno with a sentence. */
int manifest_check_disk(const json_t *manifest, const char *disk, struct io *io, const char *path,
                        progress_fn *progress, void *context, struct error **err);
