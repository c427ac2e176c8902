/* SPDX-License-Identifier: Apache-2.0 */
/* Users in the guest's /etc/passwd and /etc/shadow, see passwd(5) and shadow(5).  Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "morph/buffer.h"

struct account {
    uint32_t uid, gid;
    char *home; /* an absolute path without "." and ".." */
};

/* What useradd takes: letters, digits, ._- and not - first, at most 32. */
bool account_name_is_valid(const char *name);

/* The user's line of passwd; false when there is none that can be used.  Free account.home. */
bool account_find(const char *passwd, const char *name, struct account *ret_account);

/*
 * Adds shadow to out with every password locked that could be used ("!" before its hash, as usermod
 * -L does it).  Names of the users go to `users`, ", " between.  Returns how many there were.
 */
size_t shadow_lock(const char *shadow, struct buffer *out, struct buffer *users);
