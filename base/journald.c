/* SPDX-License-Identifier: Apache-2.0 */
#include "journald.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

bool journald_has_stream(int fd, const char *journal_stream)
{
    unsigned long long device, inode;
    struct stat st;
    char end;

    if (!journal_stream || sscanf(journal_stream, "%llu:%llu%c", &device, &inode, &end) != 2)
        return false;
    return fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static bool add(char *out, size_t size, size_t *used, const void *data, size_t length)
{
    if (length > size - *used)
        return false;
    memcpy(out + *used, data, length);
    *used += length;
    return true;
}

/* "NAME=value\n"; a value of several lines is counted instead: "NAME\n", length, value, "\n". */
static bool add_field(char *out, size_t size, size_t *used, const struct journald_field *f)
{
    size_t length = strlen(f->value);
    uint64_t count = htole64(length);
    bool counted = memchr(f->value, '\n', length);

    return add(out, size, used, f->name, strlen(f->name)) &&
           add(out, size, used, counted ? "\n" : "=", 1) &&
           (!counted || add(out, size, used, &count, sizeof(count))) &&
           add(out, size, used, f->value, length) && add(out, size, used, "\n", 1);
}

size_t journald_format(const struct journald_field *fields, size_t count, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++)
        if (fields[i].value && !add_field(out, size, &used, &fields[i]))
            return 0;
    return used;
}

int journald_send(int fd, const char *path, const char *data, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ssize_t n;

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    do
        n = sendto(fd, data, length, MSG_NOSIGNAL, (const struct sockaddr *)&address,
                   sizeof(address));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}
