/* SPDX-License-Identifier: Apache-2.0 */
/* source.json, which an operator may have touched. */
#include <string.h>

#include "engine/sourcefile.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sourcefile file = {0};
    struct error *err = NULL;

    if (sourcefile_parse((const char *)data, size, "source.json", &file, &err) == 0) {
        FUZZ_ASSERT(!err && file.count <= DISKS_MAX);
        FUZZ_ASSERT(memchr(file.snapshot, '\0', sizeof(file.snapshot)));
        for (unsigned i = 0; i < file.count; i++)
            FUZZ_ASSERT(file.names[i] && file.uris[i] &&
                        sourcefile_uri(&file, file.names[i]) != NULL);
    } else {
        FUZZ_ASSERT(err);
    }
    sourcefile_done(&file);
    error_free(err);
    return 0;
}
