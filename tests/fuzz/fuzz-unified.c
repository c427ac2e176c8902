/* SPDX-License-Identifier: Apache-2.0 */
/* A unified kernel image: what is found lies inside it. */
#include "morph/unified.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const void *found;
    size_t length;

    if (unified_initramfs(data, size, &found, &length) == 0) {
        const uint8_t *p = found;

        FUZZ_ASSERT(p >= data && length <= size && p + length <= data + size);
    }
    return 0;
}
