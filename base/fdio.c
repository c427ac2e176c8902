/* SPDX-License-Identifier: Apache-2.0 */
#include "fdio.h"

#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int fdio_write_all(int fd, const void *data, size_t length)
{
    const char *p = data;

    while (length > 0) {
        ssize_t n = write(fd, p, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

ssize_t fdio_read_all(int fd, void *data, size_t length)
{
    char *p = data;
    size_t done = 0;

    while (done < length) {
        ssize_t n = read(fd, p + done, length - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int fdio_read_file(const char *path, size_t max, char **ret_text, size_t *ret_length)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *text = NULL;
    ssize_t n;

    if (fd < 0)
        return -errno;
    text = malloc(max + 2);
    if (!text)
        return -ENOMEM;
    n = fdio_read_all(fd, text, max + 1);
    if (n < 0)
        return (int)n;
    if ((size_t)n > max)
        return -EFBIG;
    text[n] = '\0';
    *ret_text = steal_ptr(text);
    if (ret_length)
        *ret_length = (size_t)n;
    return 0;
}

int fdio_sync_parent(const char *path)
{
    char copy[PATH_MAX];
    _cleanup_close_ int fd = -1;

    if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
        return -ENAMETOOLONG;
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

int fdio_replace_file(const char *path, const void *data, size_t length, mode_t mode)
{
    char temp[PATH_MAX];
    _cleanup_close_ int fd = -1;
    int r;

    if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >= sizeof(temp))
        return -ENAMETOOLONG;
    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    r = fdio_write_all(fd, data, length);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(temp, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(temp);
        return r;
    }
    return fdio_sync_parent(path);
}

int fdio_make_dirs(const char *path, mode_t mode)
{
    char copy[PATH_MAX];

    if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
        return -ENAMETOOLONG;
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    if (mkdir(copy, mode) < 0 && errno != EEXIST)
        return -errno;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int fdio_remove_tree(const char *path)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}

int fdio_set_nonblock(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}
