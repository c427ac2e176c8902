/* SPDX-License-Identifier: Apache-2.0 */
/* The boot sector and the record of $Volume; texts in UTF-16; paths of driver files. */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/drivertable.h"
#include "morph/ntfs.h"
#include "morph/utf16.h"
#include "tests/fuzz/fuzz.h"

static void check_volume(const uint8_t *data, size_t size)
{
    unsigned char sector[NTFS_SECTOR] = {0};
    size_t rest = size > NTFS_SECTOR ? size - NTFS_SECTOR : 0;
    _cleanup_free_ unsigned char *record = mem_new(rest ? rest : 1, 1);
    struct ntfs ntfs;
    uint16_t flags;

    if (size > 0)
        memcpy(sector, data, MIN(size, sizeof(sector)));
    if (ntfs_read_boot(sector, &ntfs) == NTFS_PLAIN)
        FUZZ_ASSERT(ntfs.record_size >= 512 && ntfs.record_size <= NTFS_RECORD_MAX &&
                    ntfs.volume_record < INT64_MAX);
    if (rest > 0)
        memcpy(record, data + NTFS_SECTOR, rest);
    ntfs_read_flags(record, rest, &flags);
}

/* What was decoded once comes out the same for ever. */
static void check_text(const uint8_t *data, size_t size)
{
    _cleanup_buffer_ struct buffer encoded = {0};
    _cleanup_free_ char *text = utf16_decode(data, size), *again = NULL;

    utf16_encode(&encoded, text);
    again = utf16_decode(encoded.data, encoded.length);
    FUZZ_ASSERT(strcmp(text, again) == 0);
}

static void check_path(const uint8_t *data, size_t size)
{
    const struct windows w = {.major = 10, .build = 22000, .arch = WINDOWS_AMD64};
    _cleanup_free_ char *path =
        str_format("%.*s", (int)MIN(size, (size_t)4096), (const char *)data);
    struct drivermatch match;

    if (drivertable_match(path, &w, &match))
        FUZZ_ASSERT(match.driver && match.rank < 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_volume(data, size);
    check_text(data, size);
    if (size > 0)
        check_path(data, size);
    return 0;
}
