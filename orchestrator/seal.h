/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small secret as bytes that only its key opens: AES-256-GCM by OpenSSL, with a random nonce.  The
 * head of the file and the name of the secret are authenticated with it, so that one secret cannot
 * be put in the place of another.  docs/FORMATS.md has the format.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

#define SEAL_KEY_BYTES 32
#define SEAL_ID_BYTES 8
#define SEAL_TEXT_MAX 4096
#define SEAL_HEAD_BYTES 44
#define SEAL_BYTES_MAX (SEAL_HEAD_BYTES + SEAL_TEXT_MAX)

struct seal_key {
    uint8_t bytes[SEAL_KEY_BYTES];
    uint8_t id[SEAL_ID_BYTES]; /* tells keys apart, and nothing about them */
};

/* Makes a key of 32 random bytes. */
int seal_key_init(struct seal_key *key, const uint8_t bytes[SEAL_KEY_BYTES], struct error **err);

/* A new random key. */
int seal_key_make(struct seal_key *ret_key, struct error **err);

/* Seals a text of at most SEAL_TEXT_MAX bytes (E2BIG) under its name.  The caller frees. */
int seal_close(const struct seal_key *key, const char *name, const char *text, size_t length,
               uint8_t **ret_data, size_t *ret_length, struct error **err);

/* Whose key it is, without any key.  EBADMSG: this is not a seal; EPROTO: of a newer version. */
int seal_key_id(const uint8_t *data, size_t length, uint8_t ret_id[SEAL_ID_BYTES],
                struct error **err);

/* Opens it; *ret_text is NUL-terminated, to be freed with seal_text_free().  As seal_key_id(), and
 * EKEYREJECTED when another key is needed, EBADMSG when anything was changed. */
int seal_open(const struct seal_key *key, const char *name, const uint8_t *data, size_t length,
              char **ret_text, struct error **err);

/* Frees a text after overwriting it; NULL is fine. */
void seal_text_free(char *text);
