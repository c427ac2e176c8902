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

/* Who made it, which decides how modules are loaded in it (see loadlist.h). */
enum initramfs_kind {
    INITRAMFS_UNKNOWN,
    INITRAMFS_TOOLS,      /* initramfs-tools: Debian, Ubuntu */
    INITRAMFS_DRACUT,     /* Red Hat since 7, Fedora, SUSE since 12 */
    INITRAMFS_DRACUT_OLD, /* with its hooks in the root directory: Red Hat 6 */
    INITRAMFS_MKINITCPIO, /* Arch */
    INITRAMFS_MKINITFS,   /* Alpine */
    INITRAMFS_SUSE,       /* mkinitrd of SUSE up to 11 */
    INITRAMFS_NASH        /* mkinitrd of Red Hat up to 5 */
};

const char *initramfs_kind_name(enum initramfs_kind kind); /* "dracut"; static */

struct initramfs {
    enum initramfs_kind kind;
    char **modules; /* paths below modules_directory */
    size_t module_count;
    char *modules_directory; /* "usr/lib/modules/VERSION" (NASH: "lib"); never NULL */
    char **directories;      /* all of them */
    size_t directory_count;
    char **texts;          /* pairs: name of a file that was kept, its text */
    size_t text_count;     /* of pairs */
    char *link_directory;  /* where udev's .link files are; NULL when it has none */
    enum unpack_kind last; /* compression of the last archive */
    bool ends_padded;      /* zero bytes follow it */
};

/* Reads all archives of `data`.  -EBADMSG with a sentence for what is no initramfs,
 * -EOPNOTSUPP for one that cannot be decompressed here. */
int initramfs_read(const void *data, size_t length, const char *version, struct initramfs **ret,
                   struct error **err);
struct initramfs *initramfs_free(struct initramfs *i);
DEFINE_CLEANUP(struct initramfs *, initramfs_free)
#define _cleanup_initramfs_ _cleanup_(initramfs_freep)

/* True when it holds module `name`. */
bool initramfs_has_module(const struct initramfs *i, const char *name);

bool initramfs_has_directory(const struct initramfs *i, const char *name);

/* The text of a file: those that loadlist.c changes, .link files, the resume device.  NULL when it
 * has none.  Owned by i. */
const char *initramfs_text(const struct initramfs *i, const char *name);

/* The same for a file of modules_directory: modules.dep, modules.alias. */
const char *initramfs_module_text(const struct initramfs *i, const char *name);

/* Adds the missing parent directories of `name`, then the file. */
void initramfs_add_file(struct initramfs *i, struct cpio_writer *w, const char *name,
                        const void *data, size_t length);
void initramfs_add_program(struct initramfs *i, struct cpio_writer *w, const char *name,
                           const void *data, size_t length);

/*
 * The bytes to append to a file of `size` bytes so that the kernel reads the archive w as well:
 * padding to 4 bytes and the plain archive.  Behind an lz4 stream it must be lz4 too: kernels take
 * what follows as the size of another lz4 chunk.
 */
int initramfs_appendix(const struct initramfs *i, uint64_t size, const struct cpio_writer *w,
                       char **ret_data, size_t *ret_length);
