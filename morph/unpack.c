/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each decompressor is a loop "give it input, hand on its output" around struct pump.  The lz4
 * legacy format is: magic, then chunks of (32-bit little-endian size, block of at most 8 MiB when
 * decompressed); it has no end mark, so it ends at the end of the data, at another magic (which
 * starts a stream that belongs to it, as the kernel sees it), or at a size of zero (padding).
 */
#include "morph/unpack.h"

#include <bzlib.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/align.h"
#include "morph/buffer.h"

#define CHUNK ((size_t)256 << 10)
#define LZ4_MAGIC 0x184c2102u
#define LZ4_BLOCK ((size_t)8 << 20)
#define MEMORY_MAX ((uint64_t)256 << 20)

struct pump {
    const unsigned char *data;
    size_t length;
    uint64_t left; /* output still allowed */
    int (*sink)(void *context, const void *data, size_t length);
    void *context;
    unsigned char *out;
};

static int pump_out(struct pump *p, size_t length)
{
    if (length > p->left)
        return -EFBIG;
    p->left -= length;
    return length > 0 ? p->sink(p->context, p->out, length) : 0;
}

static uint32_t le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

enum unpack_kind unpack_kind_of(const void *data, size_t length)
{
    const unsigned char *p = data;

    if (length >= 6 && memcmp(p,
                              "\xfd"
                              "7zXZ\0",
                              6) == 0)
        return UNPACK_XZ;
    if (length >= 5 && memcmp(p, "\x89LZO", 5) == 0)
        return UNPACK_LZO;
    if (length >= 4 && le32(p) == 0xfd2fb528u)
        return UNPACK_ZSTD;
    if (length >= 4 && le32(p) == LZ4_MAGIC)
        return UNPACK_LZ4;
    if (length >= 3 && p[0] == 0x5d && p[1] == 0 && p[2] == 0)
        return UNPACK_LZMA;
    if (length >= 4 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9')
        return UNPACK_BZIP2;
    if (length >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        return UNPACK_GZIP;
    return UNPACK_NONE;
}

const char *unpack_kind_name(enum unpack_kind kind)
{
    static const char *const names[] = {"none", "gzip",  "xz",  "lzma",
                                        "zstd", "bzip2", "lz4", "LZO"};

    return names[kind];
}

static int gunzip(struct pump *p, size_t *ret_used)
{
    z_stream z = {.next_in = (Bytef *)p->data, .avail_in = (uInt)p->length};
    int r = 0, status = Z_OK;

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return -ENOMEM;
    while (r == 0 && status != Z_STREAM_END) {
        z.next_out = p->out;
        z.avail_out = CHUNK;
        status = inflate(&z, Z_NO_FLUSH);
        if (status != Z_OK && status != Z_STREAM_END)
            r = -EBADMSG;
        else
            r = pump_out(p, CHUNK - z.avail_out);
    }
    *ret_used = p->length - z.avail_in;
    inflateEnd(&z);
    return r;
}

static int bunzip2(struct pump *p, size_t *ret_used)
{
    bz_stream z = {.next_in = (char *)p->data, .avail_in = (unsigned)p->length};
    int r = 0, status = BZ_OK;

    if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
        return -ENOMEM;
    while (r == 0 && status != BZ_STREAM_END) {
        z.next_out = (char *)p->out;
        z.avail_out = CHUNK;
        status = BZ2_bzDecompress(&z);
        if (status != BZ_OK && status != BZ_STREAM_END)
            r = -EBADMSG;
        else if (status == BZ_OK && z.avail_in == 0 && z.avail_out == CHUNK)
            r = -EBADMSG; /* cut short */
        else
            r = pump_out(p, CHUNK - z.avail_out);
    }
    *ret_used = p->length - z.avail_in;
    BZ2_bzDecompressEnd(&z);
    return r;
}

static int unlzma(struct pump *p, lzma_ret started, lzma_stream *z, size_t *ret_used)
{
    lzma_ret status = started;
    int r = status == LZMA_OK ? 0 : -ENOMEM;

    z->next_in = p->data;
    z->avail_in = p->length;
    while (r == 0 && status != LZMA_STREAM_END) {
        z->next_out = p->out;
        z->avail_out = CHUNK;
        status = lzma_code(z, LZMA_RUN);
        if (status != LZMA_OK && status != LZMA_STREAM_END)
            r = -EBADMSG;
        else if (status == LZMA_OK && z->avail_in == 0 && z->avail_out == CHUNK)
            r = -EBADMSG; /* cut short */
        else
            r = pump_out(p, CHUNK - z->avail_out);
    }
    *ret_used = p->length - z->avail_in;
    lzma_end(z);
    return r;
}

static int unzstd(struct pump *p, size_t *ret_used)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer in = {.src = p->data, .size = p->length};
    size_t status = 1;
    int r = z ? 0 : -ENOMEM;

    while (r == 0 && status != 0) {
        ZSTD_outBuffer out = {.dst = p->out, .size = CHUNK};
        size_t before = in.pos;

        status = ZSTD_decompressStream(z, &out, &in);
        if (ZSTD_isError(status) || (status != 0 && in.pos == before && out.pos == 0))
            r = -EBADMSG;
        else
            r = pump_out(p, out.pos);
    }
    *ret_used = in.pos;
    ZSTD_freeDStream(z);
    return r;
}

static int unlz4(struct pump *p, size_t *ret_used)
{
    size_t at = 4;
    int r = 0;

    while (r == 0 && p->length - at >= 4) {
        uint32_t size = le32(p->data + at);
        int n;

        if (size == 0)
            break;
        at += 4;
        if (size == LZ4_MAGIC)
            continue;
        if (size > p->length - at || size > (uint32_t)LZ4_compressBound((int)LZ4_BLOCK))
            return -EBADMSG;
        n = LZ4_decompress_safe((const char *)p->data + at, (char *)p->out, (int)size,
                                (int)LZ4_BLOCK);
        if (n < 0)
            return -EBADMSG;
        at += size;
        r = pump_out(p, (size_t)n);
    }
    *ret_used = at;
    return r;
}

int unpack_stream(enum unpack_kind kind, const void *data, size_t length, uint64_t max,
                  int (*sink)(void *context, const void *data, size_t length), void *context,
                  size_t *ret_used)
{
    struct pump pump = {.data = data, .left = max, .sink = sink, .context = context};
    _cleanup_free_ unsigned char *out = malloc(kind == UNPACK_LZ4 ? LZ4_BLOCK : CHUNK);
    lzma_stream z = LZMA_STREAM_INIT;

    if (!out)
        return -ENOMEM;
    pump.length = MIN(length, (size_t)UINT32_MAX);
    pump.out = out;
    switch (kind) {
    case UNPACK_GZIP:
        return gunzip(&pump, ret_used);
    case UNPACK_XZ:
        return unlzma(&pump, lzma_stream_decoder(&z, MEMORY_MAX, 0), &z, ret_used);
    case UNPACK_LZMA:
        return unlzma(&pump, lzma_alone_decoder(&z, MEMORY_MAX), &z, ret_used);
    case UNPACK_ZSTD:
        return unzstd(&pump, ret_used);
    case UNPACK_BZIP2:
        return bunzip2(&pump, ret_used);
    case UNPACK_LZ4:
        return unlz4(&pump, ret_used);
    case UNPACK_LZO:
        return -EOPNOTSUPP;
    case UNPACK_NONE:
        break;
    }
    return -EBADMSG;
}

static void add_le32(struct buffer *b, uint32_t v)
{
    unsigned char p[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                          (unsigned char)(v >> 24)};

    buffer_add(b, p, sizeof(p));
}

int unpack_pack_lz4(const void *data, size_t length, char **ret_data, size_t *ret_length)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *block = malloc((size_t)LZ4_compressBound((int)LZ4_BLOCK));

    if (!block)
        return -ENOMEM;
    add_le32(&out, LZ4_MAGIC);
    for (size_t at = 0; at < length;) {
        int n = (int)MIN(length - at, LZ4_BLOCK);
        int size = LZ4_compress_default((const char *)data + at, block, n,
                                        LZ4_compressBound((int)LZ4_BLOCK));

        if (size <= 0)
            return -EIO;
        add_le32(&out, (uint32_t)size);
        buffer_add(&out, block, (size_t)size);
        at += (size_t)n;
    }
    *ret_length = out.length;
    *ret_data = buffer_steal(&out);
    return 0;
}
