/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords at rest: FOLDER/NAME.sealed, see seal.h.  The key is the systemd credential
 * "slipway-key" (32 bytes) where there is one, otherwise FOLDER/key, made when the first secret is.
 *
 * A secret that was encrypted with an older key (the credential "slipway-key-old", FOLDER/key of
 * before there was a credential, or the key of before a rotation) is encrypted anew when the folder
 * is opened; so an interrupted rotation ends at the next start.
 *
 * Threads: any; one lock inside.
 */
#pragma once

#include <stddef.h>
#include "base/error.h"

struct secrets;

/* credentials: $CREDENTIALS_DIRECTORY, or NULL.  EBADMSG when a key is not 32 bytes, EINVAL when its
 * file is open to others.  A secret that cannot be read is no failure yet. */
int secrets_open(const char *folder, const char *credentials, struct secrets **ret_secrets,
                 struct error **err);
struct secrets *secrets_close(struct secrets *secrets);

/* Durable when it returns 0. */
int secrets_put(struct secrets *secrets, const char *name, const char *value, struct error **err);

/* *ret_value is freed with seal_text_free().  The sentence says what to do when the key is another
 * one or the file damaged. */
int secrets_get(struct secrets *secrets, const char *name, char **ret_value, struct error **err);

/* Fine when there is none. */
int secrets_remove(struct secrets *secrets, const char *name, struct error **err);

/* Takes over a password that an earlier version kept as plain text in FOLDER/NAME: encrypts and
 * overwrites it.  Fine when there is none. */
int secrets_take_plain(struct secrets *secrets, const char *name, struct error **err);

/* Makes a new key and encrypts everything with it; *ret_count: how many.  EPERM when the key is a
 * credential. */
int secrets_rotate(struct secrets *secrets, size_t *ret_count, struct error **err);
