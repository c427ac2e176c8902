/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's initramfs.  What can be read can be added to, and then lacks nothing. */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/drivers.h"
#include "morph/waits.h"
#include "tests/fuzz/fuzz.h"

#define VERSION "6.1.0-9"

/* The guest's modules: any file is there, and there are these two. */
static int op_read(void *self, const char *path, size_t max, char **ret_data, size_t *ret_length,
                   struct error **err)
{
    const char *text = strstr(path, "modules.dep")
                           ? "kernel/virtio_pci.ko: kernel/virtio.ko\nkernel/virtio.ko:\n"
                             "kernel/virtio_blk.ko: kernel/virtio.ko\n"
                       : strstr(path, "modules.alias") ? "alias virtio:d2v* virtio_blk\n"
                       : strstr(path, "modules.softdep") ? "softdep virtio_blk pre: virtio\n"
                       : strstr(path, ".ko") ? "elf"
                                             : "";

    *ret_data = str_dup(text);
    *ret_length = strlen(text);
    return 0;
}

static const struct tree_ops ops = {.read = op_read};

static void add(struct initramfs *i, const struct drivers *d, const uint8_t *data, size_t size)
{
    _cleanup_buffer_ struct buffer file = {0}, names = {0};
    struct cpio_writer w = {0};
    struct initramfs *again = NULL;
    size_t length;
    char *more;

    if (drivers_add(d, i, &w, &names, NULL) == 0) {
        waits_add(i, &w, &names);
        cpio_finish(&w);
        FUZZ_ASSERT(initramfs_appendix(i, size, &w, &more, &length) == 0);
        buffer_add(&file, data, size);
        buffer_add(&file, more, length);
        free(more);
        FUZZ_ASSERT(initramfs_read(file.data, file.length, VERSION, &again, NULL) == 0);
        FUZZ_ASSERT(!drivers_missing(d, again));
        FUZZ_ASSERT(again->kind == i->kind);
        names.length = 0;
        waits_add(again, &w, &names);
        FUZZ_ASSERT(names.length == 0);
        initramfs_free(again);
    }
    buffer_done(&w.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tree tree = {.ops = &ops};
    struct drivers d;
    struct initramfs *i;

    FUZZ_ASSERT(drivers_read(&tree, VERSION, &d, NULL) == 0);
    if (initramfs_read(data, size, VERSION, &i, NULL) == 0) {
        if (drivers_missing(&d, i))
            add(i, &d, data, size);
        initramfs_free(i);
    }
    drivers_done(&d);
    return 0;
}
