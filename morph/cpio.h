/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "newc" cpio format of initramfs archives: a reader that is fed bytes as they are
 * decompressed, and a writer.  Each entry is a 110 byte header of "070701" and thirteen 8-digit
 * hexadecimal numbers, the name (NUL-terminated), and the data; name and data are padded to 4
 * bytes.  An entry named TRAILER!!! ends one archive.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "morph/buffer.h"

#define CPIO_NAME_MAX 4096
#define CPIO_CONTENT_MAX ((size_t)1 << 20)

struct cpio_entry {
    const char *name; /* without leading "/" or "./" */
    uint32_t mode;    /* as st_mode */
    uint32_t size;
};

struct cpio_handler {
    /* True when the content of this file is wanted (files above CPIO_CONTENT_MAX are never kept).
     */
    bool (*want)(void *context, const struct cpio_entry *entry);
    /* Each entry; data is NULL unless it was wanted; NUL-terminated, valid during the call. */
    void (*entry)(void *context, const struct cpio_entry *entry, const char *data);
    void *context;
};

struct cpio_reader {
    struct cpio_handler handler;
    struct buffer piece; /* header, name or wanted content collected so far */
    struct buffer name;
    struct cpio_entry current;
    uint32_t name_size;
    uint64_t skip; /* bytes of data and padding to drop */
    size_t need;   /* bytes of the piece; 0: between archives */
    enum { CPIO_GAP, CPIO_HEADER, CPIO_NAME, CPIO_CONTENT } state;
    bool stop_at_trailer;
    bool trailer_seen; /* the last complete archive has ended */
};

/* stop_at_trailer: cpio_feed() takes nothing behind the first TRAILER!!! entry. */
void cpio_reader_init(struct cpio_reader *r, const struct cpio_handler *handler,
                      bool stop_at_trailer);
void cpio_reader_done(struct cpio_reader *r);

/* Takes bytes; returns how many were taken, or -EBADMSG for what is not cpio. */
ssize_t cpio_feed(struct cpio_reader *r, const void *data, size_t length);

/* Writer.  Parents must be written before what is below them. */
struct cpio_writer {
    struct buffer out;
    uint32_t inode;
};

void cpio_add_directory(struct cpio_writer *w, const char *name);
void cpio_add_file(struct cpio_writer *w, const char *name, const void *data, size_t length);

/* A file that can be executed. */
void cpio_add_program(struct cpio_writer *w, const char *name, const void *data, size_t length);

/* Adds the trailer; the archive is w->out then. */
void cpio_finish(struct cpio_writer *w);
