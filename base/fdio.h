/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes on file descriptors, and small files as a unit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "error.h"

/* Writes all of it, across short writes and EINTR.  0 or -errno. */
int fdio_write_all(int fd, const void *data, size_t length);

/* Reads up to `length` bytes until end of file.  Bytes read or -errno. */
ssize_t fdio_read_all(int fd, void *data, size_t length);

/* Reads a file of at most `max` bytes; the caller frees *ret_text, which is NUL-terminated.
 * -EFBIG when it is larger. */
int fdio_read_file(const char *path, size_t max, char **ret_text, size_t *ret_length);

/* Replaces a file as a whole: temporary file, fsync, rename, fsync of the directory. */
int fdio_replace_file(const char *path, const void *data, size_t length, mode_t mode);

/* fsync of the directory that holds path. */
int fdio_sync_parent(const char *path);

/* mkdir -p; 0 when it is there already. */
int fdio_make_dirs(const char *path, mode_t mode);

/* rm -rf, without following links.  0 when it is not there. */
int fdio_remove_tree(const char *path);

/* Sets or clears O_NONBLOCK. */
int fdio_set_nonblock(int fd, bool on);
