/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Put into a program with LD_PRELOAD: makes system calls on chosen files fail.  FAULTS names a file
 * that may come and go while the program runs; each line of it is
 *
 *   CALL SUFFIX ERRNO [SKIP [COUNT]]
 *
 * CALL: fdatasync, fsync, pwrite, pread, fallocate, open; or short-pwrite and short-pread, which
 * transfer half of what was asked for (ERRNO is not used).  SUFFIX: how the path of the file ends.
 * SKIP: so many calls go well first (0); COUNT: so many fail, then all go well again (0: all).
 * Calls are counted from when the line was first seen.  What a failed fdatasync should have made
 * durable is not; a failed write has written nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FAULTS_MAX 16

struct fault {
    char call[16], suffix[64];
    int code;
    unsigned skip, count, seen;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault faults[FAULTS_MAX];
static unsigned fault_count;
static struct timespec read_at; /* time stamp of what was read */
static ino_t read_inode;

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static void read_lines(const char *path)
{
    FILE *f = fopen(path, "re");
    char line[200];

    fault_count = 0;
    while (f && fault_count < FAULTS_MAX && fgets(line, sizeof(line), f)) {
        struct fault *fault = &faults[fault_count];

        memset(fault, 0, sizeof(*fault));
        if (sscanf(line, "%15s %63s %d %u %u", fault->call, fault->suffix, &fault->code,
                   &fault->skip, &fault->count) >= 3)
            fault_count++;
    }
    if (f)
        fclose(f);
}

/* Takes up a file of faults that is new, or gone. */
static void look_locked(void)
{
    const char *path = getenv("FAULTS");
    struct stat st;

    if (!path || stat(path, &st) < 0) {
        fault_count = 0;
        read_inode = 0;
    } else if (st.st_ino != read_inode || st.st_mtim.tv_sec != read_at.tv_sec ||
               st.st_mtim.tv_nsec != read_at.tv_nsec) {
        read_inode = st.st_ino;
        read_at = st.st_mtim;
        read_lines(path);
    }
}

static bool ends_with(const char *path, const char *suffix)
{
    size_t a = strlen(path), b = strlen(suffix);

    return a >= b && strcmp(path + a - b, suffix) == 0;
}

/* The errno this call is to fail with; 0: none. */
static int fault_for(const char *call, const char *path)
{
    int code = 0;

    pthread_mutex_lock(&lock);
    look_locked();
    for (unsigned i = 0; i < fault_count && code == 0; i++) {
        struct fault *f = &faults[i];

        if (strcmp(f->call, call) != 0 || !ends_with(path, f->suffix))
            continue;
        f->seen++;
        if (f->seen > f->skip && (f->count == 0 || f->seen <= f->skip + f->count))
            code = f->code ? f->code : EIO;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int fault_of_fd(const char *call, int fd)
{
    char link[40], path[PATH_MAX];
    ssize_t n;
    int saved = errno, code;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    code = fault_for(call, path);
    errno = code ? code : saved;
    return code;
}

int fdatasync(int fd)
{
    int (*real)(int) = next("fdatasync");

    return fault_of_fd("fdatasync", fd) ? -1 : real(fd);
}

int fsync(int fd)
{
    int (*real)(int) = next("fsync");

    return fault_of_fd("fsync", fd) ? -1 : real(fd);
}

static int fallocate_next(int fd, int mode, off_t offset, off_t length)
{
    int (*real)(int, int, off_t, off_t) = next("fallocate64");

    return fault_of_fd("fallocate", fd) ? -1 : real(fd, mode, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    return fallocate_next(fd, mode, offset, length);
}

ssize_t pread(int fd, void *data, size_t length, off_t offset)
{
    ssize_t (*real)(int, void *, size_t, off_t) = next("pread64");

    if (fault_of_fd("pread", fd))
        return -1;
    if (length > 1024 && fault_of_fd("short-pread", fd))
        length = length / 2 / 512 * 512;
    return real(fd, data, length, offset);
}

ssize_t pwritev2(int fd, const struct iovec *v, int count, off_t offset, int flags)
{
    ssize_t (*real)(int, const struct iovec *, int, off_t, int) = next("pwritev64v2");
    struct iovec half = v[0];

    if (fault_of_fd("pwrite", fd))
        return -1;
    if (count == 1 && v[0].iov_len > 1024 && fault_of_fd("short-pwrite", fd)) {
        half.iov_len = half.iov_len / 2 / 512 * 512;
        v = &half;
    }
    return real(fd, v, count, offset, flags);
}

int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...) = next("open64");
    va_list ap;
    int mode, code;

    va_start(ap, flags);
    mode = va_arg(ap, int);
    va_end(ap);
    code = fault_for("open", path);
    errno = code ? code : errno;
    return code ? -1 : real(path, flags, mode);
}
