/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel behind struct io.  The lock note: flock(2) on the open file description that carries
 * the I/O outlives a killed process until its io_uring writes have landed (liburing issue 1627
 * describes the effect); a lock on another file would be free at once.
 */
#include "engine/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/proc.h"
#include "engine/digest.h"

#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x00002000U
#endif

static int posix_open(struct io *io, const char *path, int flags)
{
    int o = O_CLOEXEC | (flags & IO_RDONLY ? O_RDONLY : O_RDWR);
    struct stat st;
    int fd;

    if (flags & IO_CREATE)
        o |= O_CREAT | O_EXCL | O_NOFOLLOW;
    else if ((flags & IO_EXCLUSIVE_BLOCK) && stat(path, &st) == 0 && S_ISBLK(st.st_mode))
        o |= O_EXCL;
    fd = open(path, o | (flags & IO_DIRECT ? O_DIRECT : 0), 0600);
    if (fd < 0 && errno == EINVAL && (flags & IO_DIRECT)) {
        if (flags & IO_CREATE)
            unlink(path); /* the failed O_DIRECT open of tmpfs and the like leaves the file */
        fd = open(path, o, 0600);
    }
    return fd < 0 ? -errno : fd;
}

static void posix_close(struct io *io, int fd)
{
    close(fd);
}

static ssize_t posix_pread(struct io *io, int fd, void *data, size_t length, uint64_t offset)
{
    ssize_t n = pread(fd, data, length, (off_t)offset);

    return n < 0 ? -errno : n;
}

static ssize_t posix_pwrite(struct io *io, int fd, const void *data, size_t length,
                            uint64_t offset, bool dsync)
{
    struct iovec v = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
    ssize_t n = pwritev2(fd, &v, 1, (off_t)offset, dsync ? RWF_DSYNC : 0);

    return n < 0 ? -errno : n;
}

static int posix_fdatasync(struct io *io, int fd)
{
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int posix_sync_dir(struct io *io, const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int posix_zero(struct io *io, int fd, uint64_t offset, uint64_t length,
                      enum io_zero_how how)
{
    int mode = how == IO_ZERO_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

    while (fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) < 0) {
        if (errno == EINTR)
            continue;
        /* Block devices refuse ranges that are not whole logical blocks with EINVAL. */
        return errno == ENOTTY || errno == EINVAL || errno == ENODEV ? -EOPNOTSUPP : -errno;
    }
    return 0;
}

static int posix_allocate(struct io *io, int fd, uint64_t offset, uint64_t length)
{
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0)
        return 0;
    return errno == ENOSPC ? -ENOSPC : -EOPNOTSUPP;
}

static void posix_write_soon(struct io *io, int fd, uint64_t offset, uint64_t length)
{
    (void)sync_file_range(fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
}

static int posix_truncate(struct io *io, int fd, uint64_t size)
{
    return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

static int posix_size(struct io *io, int fd, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISBLK(st.st_mode))
        return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int posix_mkdir(struct io *io, const char *path)
{
    return mkdir(path, 0700) < 0 ? -errno : 0;
}

static int posix_unlink(struct io *io, const char *path)
{
    return unlink(path) < 0 ? -errno : 0;
}

static int posix_rmdir(struct io *io, const char *path)
{
    return rmdir(path) < 0 ? -errno : 0;
}

static int posix_rename(struct io *io, const char *from, const char *to)
{
    return rename(from, to) < 0 ? -errno : 0;
}

static int posix_list(struct io *io, const char *path, int (*fn)(const char *, void *),
                      void *context)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    int r = 0;

    if (!dir)
        return -errno;
    while (r >= 0 && (e = readdir(dir)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = fn(e->d_name, context);
    closedir(dir);
    return r < 0 ? r : 0;
}

static int posix_seek(struct io *io, int fd, uint64_t offset, uint64_t size, uint64_t *ret_data,
                      uint64_t *ret_end)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA), end;

    if (data < 0 && errno == ENXIO)
        return -ENXIO;
    end = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    *ret_data = data < 0 ? offset : (uint64_t)data;
    *ret_end = end < 0 ? size : (uint64_t)end;
    return 0;
}

/* The pid /proc/locks names for a lock on this file; 0 when nobody holds one. */
static int lock_owner(int fd)
{
    _cleanup_fclose_ FILE *f = fopen("/proc/locks", "re");
    unsigned major_no, minor_no;
    uint64_t inode;
    struct stat st;
    char line[256];
    int pid;

    if (!f || fstat(fd, &st) < 0)
        return 0;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%" SCNu64, &pid, &major_no, &minor_no,
                   &inode) == 4 &&
            inode == st.st_ino && major_no == major(st.st_dev) && minor_no == minor(st.st_dev))
            return pid;
    return 0;
}

static int posix_lock(struct io *io, int fd, uint64_t timeout_ns, int *ret_owner)
{
    uint64_t start = clock_now_ns();

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        *ret_owner = lock_owner(fd);
        if (*ret_owner > 0 && proc_alive(*ret_owner))
            return -EBUSY;
        if (clock_now_ns() - start > timeout_ns)
            return -EBUSY;
        clock_sleep_ns(10 * NS_PER_MS);
    }
    return 0;
}

static uint64_t posix_free_space(struct io *io, const char *path)
{
    struct statvfs v;

    if (statvfs(path, &v) < 0)
        return UINT64_MAX;
    return (uint64_t)v.f_bavail * v.f_frsize;
}

static uint32_t posix_alignment(struct io *io, int fd)
{
    struct stat st;
    int size;

    if (!(fcntl(fd, F_GETFL) & O_DIRECT))
        return 1;
    if (fstat(fd, &st) == 0 && S_ISBLK(st.st_mode) && ioctl(fd, BLKSSZGET, &size) == 0)
        return (uint32_t)size;
    return 4096; /* what every file system accepts; finer alignments are not worth the probing */
}

static int posix_identity(struct io *io, int fd, uint8_t ret_id[16])
{
    struct statx sx;
    char text[256];

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &sx) < 0)
        return -errno;
    if (S_ISBLK(sx.stx_mode))
        snprintf(text, sizeof(text), "block %u:%u", sx.stx_rdev_major, sx.stx_rdev_minor);
    else
        snprintf(text, sizeof(text), "file %" PRIu64 " %" PRIi64 ".%u", (uint64_t)sx.stx_ino,
                 sx.stx_mask & STATX_BTIME ? (int64_t)sx.stx_btime.tv_sec : 0,
                 sx.stx_mask & STATX_BTIME ? sx.stx_btime.tv_nsec : 0);
    digest_block(text, strlen(text), ret_id);
    return 0;
}

static int posix_is_block(struct io *io, int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISBLK(st.st_mode);
}

/* Folders in memory are not there after a boot. */
static int make_folders(const char *path)
{
    _cleanup_free_ char *copy = strdup(path);

    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return copy ? 0 : -ENOMEM;
}

static int posix_map(struct io *io, const char *path, size_t size, size_t reserve,
                     void **ret_base)
{
    bool create = reserve > 0;
    _cleanup_close_ int fd = -1;
    struct stat st;
    void *base;

    if (create && unlink(path) < 0 && errno != ENOENT)
        return -errno;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_EXCL : 0), 0600);
    if (fd < 0 && errno == ENOENT && create && make_folders(path) == 0)
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return -errno;
    if (create && (posix_fallocate(fd, 0, (off_t)reserve) != 0 || ftruncate(fd, (off_t)size) < 0))
        return unlink(path), -ENOSPC;
    if (fstat(fd, &st) < 0 || (size_t)st.st_size != size)
        return -ESTALE;
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    *ret_base = base;
    return 0;
}

static void posix_unmap(struct io *io, void *base, size_t size)
{
    munmap(base, size);
}

static void posix_map_drop(struct io *io, void *base, size_t size)
{
    if (madvise(base, size, MADV_REMOVE) < 0)
        memset(base, 0, size);
}

/* The folder goes with its last file. */
static int posix_map_unlink(struct io *io, const char *path)
{
    _cleanup_free_ char *folder = strdup(path);

    if (unlink(path) < 0)
        return -errno;
    if (folder) {
        *strrchr(folder, '/') = '\0';
        rmdir(folder);
    }
    return 0;
}

static int posix_boot_id(struct io *io, uint8_t ret_id[16])
{
    _cleanup_free_ char *text = NULL;
    int r = fdio_read_file("/proc/sys/kernel/random/boot_id", 64, &text, NULL);

    if (r == 0)
        digest_block(text, strlen(text), ret_id);
    return r;
}

static const struct io_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pwrite = posix_pwrite,
    .fdatasync = posix_fdatasync,
    .sync_dir = posix_sync_dir,
    .zero = posix_zero,
    .allocate = posix_allocate,
    .write_soon = posix_write_soon,
    .truncate = posix_truncate,
    .size = posix_size,
    .mkdir = posix_mkdir,
    .unlink = posix_unlink,
    .rmdir = posix_rmdir,
    .rename = posix_rename,
    .list = posix_list,
    .seek = posix_seek,
    .lock = posix_lock,
    .free_space = posix_free_space,
    .alignment = posix_alignment,
    .identity = posix_identity,
    .is_block = posix_is_block,
    .map = posix_map,
    .unmap = posix_unmap,
    .map_drop = posix_map_drop,
    .map_unlink = posix_map_unlink,
    .boot_id = posix_boot_id,
};

static struct io posix_io = {.ops = &posix_ops};

struct io *io_posix(void)
{
    return &posix_io;
}
