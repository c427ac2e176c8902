/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compressions an initramfs may have.  The only file that sees zlib, bzip2, liblzma, libzstd,
 * liblz4.  LZO, which the kernel knows too, is told but not read: no family uses it by default.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

enum unpack_kind {
    UNPACK_NONE, /* not a compression known here */
    UNPACK_GZIP,
    UNPACK_XZ,
    UNPACK_LZMA,
    UNPACK_ZSTD,
    UNPACK_BZIP2,
    UNPACK_LZ4, /* the legacy frames the kernel uses */
    UNPACK_LZO  /* cannot be decompressed here */
};

/* What starts at data. */
enum unpack_kind unpack_kind_of(const void *data, size_t length);
const char *unpack_kind_name(enum unpack_kind kind);

/*
 * Decompresses one stream that starts at data; its bytes go to sink(context, …), which returns 0
 * or -errno.  *ret_used says where the stream ended.  -EFBIG past `max` bytes of output, -EBADMSG
 * for damaged data, -EOPNOTSUPP for what cannot be decompressed here.
 */
int unpack_stream(enum unpack_kind kind, const void *data, size_t length, uint64_t max,
                  int (*sink)(void *context, const void *data, size_t length), void *context,
                  size_t *ret_used);

/* `data` as a stream of the kernel's lz4 legacy format; the caller frees *ret_data. */
int unpack_pack_lz4(const void *data, size_t length, char **ret_data, size_t *ret_length);
