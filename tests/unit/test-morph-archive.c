/* SPDX-License-Identifier: Apache-2.0 */
/* cpio archives, their compressions, module tables and kmod's indexes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/align.h"
#include "base/str.h"
#include "morph-tree.h"
#include "morph/cpio.h"
#include "morph/initramfs.h"
#include "morph/kmodindex.h"
#include "morph/modules.h"
#include "morph/unpack.h"

#define VERSION "6.1.0-1-amd64"

static bool want_all(void *context, const struct cpio_entry *entry)
{
    return true;
}

static void list_entry(void *context, const struct cpio_entry *entry, const char *data)
{
    buffer_printf(context, "%s%s=%s;", entry->name, S_ISDIR(entry->mode) ? "/" : "",
                  data ? data : "");
}

static void write_sample(struct cpio_writer *w)
{
    cpio_add_directory(w, "conf");
    cpio_add_file(w, "conf/modules", "ext4\n", 5);
    cpio_add_file(w, "empty", "", 0);
    cpio_add_file(w, "abc", "0123456", 7);
    cpio_finish(w);
}

static void test_cpio_is_read_in_any_pieces(void **state)
{
    struct cpio_writer w = {0};

    write_sample(&w);
    for (size_t piece = 1; piece < 200; piece += 7) {
        _cleanup_buffer_ struct buffer seen = {0};
        const struct cpio_handler handler = {want_all, list_entry, &seen};
        struct cpio_reader r;

        cpio_reader_init(&r, &handler, false);
        for (size_t at = 0; at < w.out.length; at += piece)
            assert_int_equal(cpio_feed(&r, w.out.data + at, MIN(piece, w.out.length - at)),
                             (ssize_t)MIN(piece, w.out.length - at));
        assert_true(r.trailer_seen);
        assert_string_equal(seen.data, "conf/=;conf/modules=ext4\n;empty=;abc=0123456;");
        cpio_reader_done(&r);
    }
    buffer_done(&w.out);
}

static void drop_entry(void *context, const struct cpio_entry *entry, const char *data)
{
    assert_true(strlen(entry->name) < CPIO_NAME_MAX);
}

static void read_cpio(const char *text, size_t length)
{
    const struct cpio_handler handler = {want_all, drop_entry, NULL};
    struct cpio_reader r;

    cpio_reader_init(&r, &handler, false);
    cpio_feed(&r, text, length);
    cpio_reader_done(&r);
}

static void test_damaged_cpio_is_harmless(void **state)
{
    struct cpio_writer w = {0};

    write_sample(&w);
    mutate(w.out.data, w.out.length, 5000, read_cpio);
    buffer_done(&w.out);
}

static void gzip(const struct buffer *in, struct buffer *out)
{
    uLong bound = compressBound(in->length) + 64;
    char *data = mem_new(bound, 1);
    z_stream z = {.next_in = (Bytef *)in->data,
                  .avail_in = (uInt)in->length,
                  .next_out = (Bytef *)data,
                  .avail_out = (uInt)bound};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buffer_add(out, data, bound - z.avail_out);
    deflateEnd(&z);
    free(data);
}

static void xz(const struct buffer *in, struct buffer *out)
{
    size_t bound = lzma_stream_buffer_bound(in->length), length = 0;
    uint8_t *data = mem_new(bound, 1);

    assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, (const uint8_t *)in->data,
                                             in->length, data, &length, bound),
                     LZMA_OK);
    buffer_add(out, data, length);
    free(data);
}

static void zstd(const struct buffer *in, struct buffer *out)
{
    size_t bound = ZSTD_compressBound(in->length), length;
    char *data = mem_new(bound, 1);

    length = ZSTD_compress(data, bound, in->data, in->length, 3);
    assert_false(ZSTD_isError(length));
    buffer_add(out, data, length);
    free(data);
}

static void bzip2(const struct buffer *in, struct buffer *out)
{
    unsigned length = (unsigned)in->length + in->length / 100 + 601;
    char *data = mem_new(length, 1);

    assert_int_equal(
        BZ2_bzBuffToBuffCompress(data, &length, in->data, (unsigned)in->length, 9, 0, 0), BZ_OK);
    buffer_add(out, data, length);
    free(data);
}

static void lzma(const struct buffer *in, struct buffer *out)
{
    size_t bound = lzma_stream_buffer_bound(in->length) + 64;
    uint8_t *data = mem_new(bound, 1);
    lzma_stream z = LZMA_STREAM_INIT;
    lzma_options_lzma options;

    assert_false(lzma_lzma_preset(&options, 6));
    assert_int_equal(lzma_alone_encoder(&z, &options), LZMA_OK);
    z.next_in = (const uint8_t *)in->data;
    z.avail_in = in->length;
    z.next_out = data;
    z.avail_out = bound;
    assert_int_equal(lzma_code(&z, LZMA_FINISH), LZMA_STREAM_END);
    buffer_add(out, data, bound - z.avail_out);
    lzma_end(&z);
    free(data);
}

static void lz4(const struct buffer *in, struct buffer *out)
{
    char *data;
    size_t length;

    assert_int_equal(unpack_pack_lz4(in->data, in->length, &data, &length), 0);
    buffer_add(out, data, length);
    free(data);
}

static void plain(const struct buffer *in, struct buffer *out)
{
    buffer_add(out, in->data, in->length);
}

static void (*const packers[])(const struct buffer *, struct buffer *) = {plain, gzip,  xz,  zstd,
                                                                          lz4,   bzip2, lzma};

/* An early plain archive, then the main one, as Debian's with microcode are. */
static void make_initramfs(size_t packer, struct buffer *out)
{
    struct cpio_writer early = {0}, main_one = {0};

    cpio_add_file(&early, "kernel", "microcode", 9);
    cpio_finish(&early);
    buffer_add(out, early.out.data, early.out.length);
    buffer_add_zeros(out, round_up(out->length, 512) - out->length);
    cpio_add_directory(&main_one, "conf");
    cpio_add_file(&main_one, "conf/modules", "ext4", 4);
    cpio_add_file(&main_one, "scripts/functions", "x", 1);
    cpio_add_directory(&main_one, "usr/lib/systemd/network");
    cpio_add_file(&main_one, "usr/lib/modules/" VERSION "/kernel/fs/ext4/ext4.ko", "elf", 3);
    cpio_add_file(&main_one, "usr/lib/modules/other/kernel/fs/xfs.ko", "elf", 3);
    cpio_finish(&main_one);
    packers[packer](&main_one.out, out);
    buffer_done(&early.out);
    buffer_done(&main_one.out);
}

static void test_appended_archive_is_found(void **state)
{
    for (size_t packer = 0; packer < ARRAY_SIZE(packers); packer++) {
        _cleanup_buffer_ struct buffer file = {0};
        struct cpio_writer w = {0};
        struct initramfs *i;
        size_t length;
        char *more;

        make_initramfs(packer, &file);
        assert_int_equal(initramfs_read(file.data, file.length, VERSION, &i, NULL), 0);
        assert_int_equal(i->kind, INITRAMFS_TOOLS);
        assert_int_equal(i->module_count, 1);
        assert_true(initramfs_has_module(i, "ext4"));
        assert_false(initramfs_has_module(i, "virtio_blk"));
        assert_string_equal(i->modules_directory, "usr/lib/modules/" VERSION);
        assert_string_equal(i->link_directory, "usr/lib/systemd/network");
        assert_string_equal(initramfs_text(i, "conf/modules"), "ext4");
        initramfs_add_file(i, &w, "usr/lib/modules/" VERSION "/kernel/virtio-blk.ko", "elf", 3);
        cpio_finish(&w);
        assert_int_equal(initramfs_appendix(i, file.length, &w, &more, &length), 0);
        buffer_add(&file, more, length);
        initramfs_free(i);
        assert_int_equal(initramfs_read(file.data, file.length, VERSION, &i, NULL), 0);
        assert_true(initramfs_has_module(i, "ext4"));
        assert_true(initramfs_has_module(i, "virtio_blk"));
        initramfs_free(i);
        buffer_done(&w.out);
        free(more);
    }
}

static void read_initramfs(const char *text, size_t length)
{
    struct initramfs *i;

    if (initramfs_read(text, length, VERSION, &i, NULL) == 0)
        initramfs_free(i);
}

static void test_damaged_initramfs_is_harmless(void **state)
{
    for (size_t packer = 0; packer < ARRAY_SIZE(packers); packer++) {
        _cleanup_buffer_ struct buffer file = {0};
        struct initramfs *i;

        make_initramfs(packer, &file);
        mutate(file.data, file.length, 400, read_initramfs);
        for (size_t cut = 1; cut < 20; cut++)
            assert_int_equal(initramfs_read(file.data, file.length - cut * 7, VERSION, &i, NULL),
                             -EBADMSG);
    }
}

static const char dep[] = "kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko\n"
                          "kernel/drivers/virtio/virtio_ring.ko:\n"
                          "kernel/drivers/block/virtio-blk.ko.xz: kernel/drivers/virtio/virtio.ko\n"
                          "../../evil.ko:\n"
                          "/abs/evil2.ko:\n"
                          "no colon\n"
                          "kernel/other.ko: kernel/none.ko";

static void test_module_dependencies(void **state)
{
    _cleanup_buffer_ struct buffer out = {0}, index = {0};
    struct module_table t;

    module_table_parse(dep, &t);
    assert_int_equal(t.count, 4);
    assert_null(module_find(&t, "evil"));
    assert_null(module_find(&t, "evil2"));
    assert_int_equal(module_mark(&t, "virtio_blk"), 0);
    assert_int_equal(module_mark(&t, "absent"), -ENOENT);
    assert_true(module_find(&t, "virtio_ring")->marked);
    assert_false(module_find(&t, "other")->marked);
    module_write_dep(&t, &out, &index);
    assert_null(strstr(out.data, "other"));
    assert_non_null(strstr(out.data, "virtio-blk.ko.xz: kernel/drivers/virtio/virtio.ko\n"));
    assert_true(module_is_builtin("kernel/a/b-c.ko\nkernel/d.ko\n", "b_c"));
    assert_false(module_is_builtin("kernel/a/b-c.ko\nkernel/d.ko\n", "c"));
    module_table_done(&t);
}

static uint32_t be32(const struct buffer *b, size_t at)
{
    const unsigned char *p = (const unsigned char *)b->data + at;

    assert_true(at + 4 <= b->length);
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* kmod's search for an exact key: the values, separated by blanks. */
static void index_search(const struct buffer *b, uint32_t node, const char *key,
                         struct buffer *values)
{
    size_t at = node & 0x0fffffff;

    if (node & 0x80000000) {
        size_t n = strlen(b->data + at);

        if (strncmp(key, b->data + at, n) != 0)
            return;
        key += n;
        at += n + 1;
    }
    if (node & 0x20000000) {
        unsigned char first = (unsigned char)b->data[at], last = (unsigned char)b->data[at + 1];
        unsigned char c = (unsigned char)*key;

        at += 2;
        if (c && c >= first && c <= last && be32(b, at + 4 * (size_t)(c - first))) {
            index_search(b, be32(b, at + 4 * (size_t)(c - first)), key + 1, values);
            return;
        }
        at += 4 * (size_t)(last - first + 1);
    }
    if (*key || !(node & 0x40000000))
        return;
    for (uint32_t n = be32(b, at), i = 0; i < n; i++) {
        at += i == 0 ? 8 : 4;
        buffer_printf(values, "%s ", b->data + at);
        at += strlen(b->data + at) + 1;
    }
}

static void test_index_finds_every_key(void **state)
{
    static const char *const keys[] = {"virtio", "virtio_blk", "virtio_net", "v",
                                       "sd_mod", "zz*",        "virtio",     "a",
                                       "ab",     "abc",        "abd",        "pci:v00001AF4d*sv*"};
    _cleanup_buffer_ struct buffer out = {0};
    struct kmodindex *ki = kmodindex_new();

    for (uint32_t i = 0; i < ARRAY_SIZE(keys); i++) {
        _cleanup_free_ char *value = str_format("%s%u", keys[i], i);

        kmodindex_add(ki, keys[i], value, i);
    }
    kmodindex_add(ki, "", "empty", 0);
    kmodindex_add(ki, "\xc3\xa4", "not ASCII", 0);
    kmodindex_write(ki, &out);
    kmodindex_free(ki);
    assert_int_equal(be32(&out, 0), 0xb007f457u);
    for (uint32_t i = 0; i < ARRAY_SIZE(keys); i++) {
        _cleanup_buffer_ struct buffer values = {0};
        _cleanup_free_ char *expected = strcmp(keys[i], "virtio") == 0
                                            ? str_dup("virtio0 virtio6 ")
                                            : str_format("%s%u ", keys[i], i);

        index_search(&out, be32(&out, 8), keys[i], &values);
        assert_string_equal(values.data ? values.data : "(nothing)", expected);
    }
}

static void parse_modules(const char *text, size_t length)
{
    _cleanup_buffer_ struct buffer out = {0}, index = {0}, alias = {0}, alias_index = {0};
    struct module_table t;

    if (memchr(text, '\0', length))
        return;
    module_table_parse(text, &t);
    for (size_t i = 0; i < t.count; i++)
        module_mark(&t, t.items[i].name);
    module_write_dep(&t, &out, &index);
    module_write_alias(&t, text, &alias, &alias_index);
    module_is_builtin(text, "x");
    module_table_done(&t);
}

static void test_damaged_module_tables_are_harmless(void **state)
{
    _cleanup_free_ char *text =
        str_format("%s\nalias pci:v1[a-b]* virtio\nalias x-y virtio_blk\n", dep);

    mutate(text, strlen(text), 5000, parse_modules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpio_is_read_in_any_pieces),
        cmocka_unit_test(test_damaged_cpio_is_harmless),
        cmocka_unit_test(test_appended_archive_is_found),
        cmocka_unit_test(test_damaged_initramfs_is_harmless),
        cmocka_unit_test(test_module_dependencies),
        cmocka_unit_test(test_index_finds_every_key),
        cmocka_unit_test(test_damaged_module_tables_are_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
