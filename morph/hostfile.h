/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the host that options name: read at once, so that a wrong one is wrong use. */
#pragma once

#include <stdbool.h>
#include "base/error.h"
#include "morph/request.h"

/* "USER=FILE" of --ssh-key: adds the file's public keys.  -EINVAL with a sentence. */
int hostfiles_add_keys(struct hostfiles *list, const char *text, struct error **err);

/* A script that begins with #!, or one of Windows for its first boot.  `option` is for the sentence of an error. */
int hostfiles_add_script(struct hostfiles *list, const char *option, const char *path,
                         struct error **err);

/* True for a name that ends with .cmd, .bat or .ps1. */
bool hostfile_is_windows_script(const char *name);

/* Every file of a directory whose name ends with one of `endings` (ended by NULL), by name.  The
 * files together are at most `max` bytes.  0, or -errno with a sentence. */
int hostfiles_add_directory(struct hostfiles *list, const char *directory,
                            const char *const *endings, size_t max, struct error **err);

void hostfiles_done(struct hostfiles *list);
#define _cleanup_hostfiles_ _cleanup_(hostfiles_done)
