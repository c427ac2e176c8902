/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in an initramfs, as far as a change needs to know.  An initramfs file is a row of cpio
 * archives, each plain or compressed, with zero bytes between; later files replace earlier ones of
 * the same name.  That is why something can be added without unpacking: append an archive.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "morph/buffer.h"
#include "morph/cpio.h"
#include "morph/unpack.h"

#define INITRAMFS_MAX ((size_t)768 << 20)

struct initramfs {
    char **modules; /* paths below modules_directory */
    size_t module_count;
    char *modules_directory; /* "usr/lib/modules/VERSION"; never NULL */
    char **directories;      /* all of them */
    size_t directory_count;
    char **links;            /* pairs: name of a .link file, its text */
    size_t link_count;       /* of pairs */
    char *link_directory;    /* where udev's .link files are; NULL when it has none */
    char *conf_modules;      /* text of conf/modules; "" when it has none */
    char *conf_resume;       /* text of conf/conf.d/resume, or NULL */
    bool is_initramfs_tools; /* has Debian's scripts */
    enum unpack_kind last;   /* compression of the last archive */
    bool ends_padded;        /* zero bytes follow it */
};

/* Reads all archives of `data`.  -EBADMSG with a sentence for what is no initramfs. */
int initramfs_read(const void *data, size_t length, const char *version, struct initramfs **ret,
                   struct error **err);
struct initramfs *initramfs_free(struct initramfs *i);
DEFINE_CLEANUP(struct initramfs *, initramfs_free)
#define _cleanup_initramfs_ _cleanup_(initramfs_freep)

/* True when it holds module `name`. */
bool initramfs_has_module(const struct initramfs *i, const char *name);

/* Adds the missing parent directories of `name`, then the file. */
void initramfs_add_file(struct initramfs *i, struct cpio_writer *w, const char *name,
                        const void *data, size_t length);

/*
 * The bytes to append to a file of `size` bytes so that the kernel reads the archive w as well:
 * padding to 4 bytes and the plain archive.  Behind an lz4 stream it must be lz4 too: kernels take
 * what follows as the size of another lz4 chunk.
 */
int initramfs_appendix(const struct initramfs *i, uint64_t size, const struct cpio_writer *w,
                       char **ret_data, size_t *ret_length);
