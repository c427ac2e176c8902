/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manifest rests on: SHA-256 trees and Ed25519 signatures, by OpenSSL.
 *
 * The tree over a disk: a leaf is SHA-256(0x00 || 64 KiB of data; the last one may be shorter), a
 * node is SHA-256(0x01 || left || right); of n > 1 leaves the left part has the largest power of
 * two below n (the shape of RFC 6962).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

#define ATTEST_HASH 32
#define ATTEST_PUBLIC 32
#define ATTEST_SIGNATURE 64

struct attest_tree {
    uint8_t hashes[64][ATTEST_HASH]; /* roots of complete subtrees, the largest first */
    uint8_t levels[64];
    unsigned count;
    uint8_t zero_leaf[ATTEST_HASH]; /* of a whole block of zeros */
    bool zero_known;
};

/* Adds the next block; length is BLOCK_SIZE but for the last one.  0 or -EIO (OpenSSL refused). */
int attest_tree_add(struct attest_tree *tree, const void *data, size_t length);
/* -EINVAL for a tree without leaves. */
int attest_tree_root(const struct attest_tree *tree, uint8_t ret_root[ATTEST_HASH]);

/* Makes a key: the private one in `path` (mode 0600), the public one in `path`.pub, both PEM.
 * EEXIST when one is there. */
int attest_key_create(const char *path, struct error **err);

/* The public key of a PEM file that holds a public or a private one. */
int attest_key_public(const char *path, uint8_t ret_public[ATTEST_PUBLIC], struct error **err);

/* Signs with the private key in a PEM file that others cannot read. */
int attest_sign(const char *path, const void *data, size_t length,
                uint8_t ret_signature[ATTEST_SIGNATURE], struct error **err);

/* 0: the signature is that key's over this data; -EBADMSG: it is not. */
int attest_check(const uint8_t public[ATTEST_PUBLIC], const void *data, size_t length,
                 const uint8_t signature[ATTEST_SIGNATURE]);
