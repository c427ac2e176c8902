/* SPDX-License-Identifier: Apache-2.0 */
/* A shell file with a list: words are added once, and nothing else is lost. */
#include <string.h>

#include "base/str.h"
#include "morph/wordlist.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"virtio_blk", "b"};
    _cleanup_free_ char *text = mem_new(size + 1, 1);
    _cleanup_buffer_ struct buffer once = {0}, added = {0}, twice = {0}, more = {0};

    if (size > 0)
        memcpy(text, data, size);
    if (wordlist_add(text, "MODULES", words, 2, &once, &added) == 0) {
        FUZZ_ASSERT(once.length >= strlen(text));
        FUZZ_ASSERT(wordlist_add(once.data, "MODULES", words, 2, &twice, &more) == 0);
        FUZZ_ASSERT(more.length == 0);
        FUZZ_ASSERT(once.length == twice.length &&
                    memcmp(once.data, twice.data, once.length) == 0);
    }
    wordlist_has_line(text, "b");
    return 0;
}
